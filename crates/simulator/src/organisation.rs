//! The organisation itself: a state machine without I/O. Time and chance come in; every change of an account goes
//! through [`Organisation::edit`], which keeps the ground-truth log, the digest and the indexes true.

pub(crate) mod diff;
pub(crate) mod drift;
pub(crate) mod events;
pub(crate) mod moves;
pub(crate) mod people;
mod reads;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use homeward_types::{Clock, Timestamp};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::account::{Account, Claim};
use crate::config::{Lateness, Quirks, Versions};
use crate::effect::{Cause, Effect};
use crate::policy::PolicyRecord;
use crate::timeline::Moment;

/// What may be changed while the organisation lives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How late everything is (already scaled).
    pub lateness: Lateness,
    /// What `dateAdded` does.
    pub versions: Versions,
    /// How the undocumented is settled.
    pub quirks: Quirks,
    /// Most users in one `add-users` call.
    pub batch_limit: Option<usize>,
}

/// The whole organisation.
pub(crate) struct Organisation {
    pub(crate) settings: Settings,
    pub(crate) policies: Vec<PolicyRecord>,
    pub(crate) default_policy: usize,
    pub(crate) accounts: Vec<Account>,
    pub(crate) events: events::Events,
    by_id: HashMap<Arc<str>, usize>,
    by_email: HashMap<Arc<str>, usize>,
    /// Who held an address before, for reads by replicas that are behind.
    former_holders: HashMap<Arc<str>, Vec<usize>>,
    sessions: HashMap<u64, usize>,
    tasks: HashMap<Arc<str>, moves::Task>,
    task_ends: BTreeMap<(Moment, u64), Arc<str>>,
    pending: BTreeMap<(Moment, u64), moves::PendingMove>,
    sequence: u64,
    effects: Vec<Effect>,
    digest: u128,
    managed: usize,
    there: usize,
    now: Moment,
    rng: SmallRng,
}

impl Organisation {
    /// An organisation of `accounts`, whose ids and addresses must differ.
    pub(crate) fn new(settings: Settings, policies: Vec<PolicyRecord>, accounts: Vec<Account>, seed: u64) -> Self {
        let mut organisation = Self {
            settings,
            policies,
            default_policy: 0,
            events: events::Events::default(),
            by_id: HashMap::with_capacity(accounts.len()),
            by_email: HashMap::with_capacity(accounts.len()),
            former_holders: HashMap::new(),
            sessions: HashMap::new(),
            tasks: HashMap::new(),
            task_ends: BTreeMap::new(),
            pending: BTreeMap::new(),
            sequence: 0,
            effects: Vec::new(),
            digest: 0,
            managed: 0,
            there: accounts.len(),
            now: Moment::MIN,
            rng: SmallRng::seed_from_u64(seed ^ 0x5eed_0f0a_11de_1a75),
            accounts,
        };
        for (slot, account) in organisation.accounts.iter().enumerate() {
            organisation.by_id.insert(Arc::clone(&account.id), slot);
            organisation.by_email.insert(Arc::clone(account.email.now()), slot);
            organisation.digest = organisation.digest.wrapping_add(account.fingerprint());
            organisation.managed += usize::from(account.claim == Claim::Managed);
        }
        organisation
    }

    /// Brings the organisation to the clock's present: every move that is due takes effect, in order, at its own time.
    /// Time never runs backwards here.
    pub(crate) fn advance(&mut self, clock: &dyn Clock) -> Moment {
        self.advance_to(clock.now().timestamp_micros())
    }

    pub(crate) fn advance_to(&mut self, moment: Moment) -> Moment {
        self.now = self.now.max(moment);
        while let Some(entry) = self.pending.first_entry() {
            let due = entry.key().0;
            if due > self.now {
                break;
            }
            let pending = entry.remove();
            self.take_effect(due, pending);
        }
        self.forget_old_tasks();
        self.now
    }

    /// The slot of an account that still exists.
    pub(crate) fn find(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied().filter(|slot| !self.accounts[*slot].gone)
    }

    /// The slot of the account that holds an address now.
    pub(crate) fn find_email(&self, email: &str) -> Option<usize> {
        if email.chars().any(char::is_uppercase) {
            return self.by_email.get(email.to_lowercase().as_str()).copied();
        }
        self.by_email.get(email).copied()
    }

    /// Who holds an address as a replica at `moment` shows it.
    pub(crate) fn holder_at(&self, email: &str, moment: Moment) -> Option<usize> {
        let email = email.to_lowercase();
        let former = self.former_holders.get(email.as_str()).into_iter().flatten().copied();
        let mut candidates = self.by_email.get(email.as_str()).copied().into_iter().chain(former);
        candidates.find(|slot| self.accounts[*slot].email_at(moment) == email)
    }

    /// The index of a policy that still exists.
    pub(crate) fn find_policy(&self, id: &str) -> Option<usize> {
        self.policies.iter().position(|policy| policy.id == id && !policy.deleted)
    }

    /// The one way to change an account: logs what differs afterwards, and keeps the indexes.
    pub(crate) fn edit(&mut self, slot: usize, at: Moment, cause: &Cause, change: impl FnOnce(&mut Account)) {
        let account = &mut self.accounts[slot];
        let before = account.facts();
        self.digest = self.digest.wrapping_sub(account.fingerprint());
        change(account);
        self.digest = self.digest.wrapping_add(account.fingerprint());
        let after = account.facts();
        if before.email != after.email || before.gone != after.gone {
            if self.by_email.get(&before.email) == Some(&slot) {
                self.by_email.remove(&before.email);
            }
            self.former_holders.entry(Arc::clone(&before.email)).or_default().push(slot);
            if !after.gone {
                self.by_email.insert(Arc::clone(&after.email), slot);
            }
        }
        let counts = |facts: &crate::account::Facts| facts.claim == Claim::Managed && !facts.gone;
        self.managed = self.managed + usize::from(counts(&after)) - usize::from(counts(&before));
        self.there = self.there + usize::from(!after.gone) - usize::from(!before.gone);
        self.log(slot, at, cause, &before, &after);
    }

    /// What a replica that lags by up to `lag` is at. A stale read is further behind by exactly `stale`.
    pub(crate) fn replica(&mut self, lag: Duration, stale: Option<Duration>) -> Moment {
        let behind = self.draw((Duration::ZERO, lag)) + stale.unwrap_or_default();
        self.now - micros(behind)
    }

    /// A duration drawn evenly from a range.
    pub(crate) fn draw(&mut self, range: (Duration, Duration)) -> Duration {
        let (least, most) = range;
        if most <= least {
            return least;
        }
        self.rng.random_range(least..=most)
    }

    /// A new id of the form that the provider uses.
    pub(crate) fn new_id(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.rng.random()).into_uuid().to_string()
    }

    pub(crate) const fn now(&self) -> Moment {
        self.now
    }

    const fn next_number(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}

/// A duration in microseconds.
pub(crate) fn micros(duration: Duration) -> Moment {
    Moment::try_from(duration.as_micros()).unwrap_or(Moment::MAX)
}

/// A moment as people and the wire write it.
pub(crate) fn timestamp(moment: Moment) -> Timestamp {
    Timestamp::from_timestamp_micros(moment).unwrap_or(Timestamp::UNIX_EPOCH)
}
