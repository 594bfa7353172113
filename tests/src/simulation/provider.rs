//! The identity provider: eventually consistent, slow, wrong at times, and never asked twice whether it did something.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use homeward_policy::lease::Kind as Move;
use homeward_policy::site::Circuit;
use homeward_provider::{AccountRecord, ErrorClass, Origin, ProviderError};
use homeward_types::diagnosis::{AccountStatus, Claim};
use homeward_types::{AccountId, Email, Factor, LeaseId, Organisation, Placement, PlacementVersion, PolicyId, Timestamp};

use super::agenda::{MS, Micros, micros};
use super::chance::Chance;
use super::draft::Draft;
use super::fault::{Fault, Hook, Kind};
use super::law::Law;
use super::limiter::Limiter;
use super::process::PROCESSES;
use super::world::World;
use crate::model::place::Versions;

/// The recovery policy's number.
pub const OUT: usize = 2;
/// The delegating policy's number.
const DELEGATED: usize = 3;

/// What an account is, or was until some moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// In which policy.
    pub policy: usize,
    /// The number of the move that brought it there.
    pub version: i64,
    /// Its address.
    pub email: Email,
    /// It is not there.
    pub gone: bool,
}

/// One account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// What it is.
    pub is: Shown,
    /// What it was, each until a moment; newest last.
    was: Vec<(Micros, Shown)>,
    /// A second factor is set up.
    pub enrolled: bool,
    /// It is suspended.
    pub suspended: bool,
    /// The provider refuses its address until then.
    refused_until: Micros,
    /// How many addresses it had.
    renamed: u32,
    /// Since when it is out.
    pub out_since: Option<Micros>,
    /// A write about it may take effect later than the limit.
    pub beyond: bool,
}

/// A write that is under way.
#[derive(Debug, Clone)]
pub struct Effect {
    /// Whom it moves: whoever holds the address then.
    pub account: usize,
    /// The address that it names.
    pub email: Email,
    /// Where to.
    pub to: usize,
    /// Under which lease.
    pub lease: LeaseId,
    /// Which attempt.
    pub number: u32,
    /// A lend or a return.
    pub kind: Move,
}

/// The provider.
pub struct Provider {
    /// All accounts.
    pub accounts: Vec<Account>,
    /// The policies by number.
    pub policies: [PolicyId; 4],
    /// Writes under way.
    pub effects: BTreeMap<u64, Effect>,
    /// Attempts that a finished task names among its failures.
    pub failed: BTreeSet<(LeaseId, u32)>,
    /// Leases whose lend took, or may still take, effect.
    pub lent: BTreeSet<LeaseId>,
    /// From when to when nobody is answered, and whether calls time out then.
    pub outages: Vec<(Micros, Micros, bool)>,
    /// What each process believes of it.
    pub circuits: [Circuit; PROCESSES],
    /// How fast it may be called, where that is limited.
    pub limiter: Option<Limiter>,
    versions: Versions,
}

impl Account {
    /// What a read of this moment shows.
    fn at(&self, moment: Micros) -> &Shown {
        self.was.iter().find(|(until, _)| *until > moment).map_or(&self.is, |(_, shown)| shown)
    }

    fn change(&mut self, now: Micros, to: Shown) {
        self.out_since = if to.policy == OUT && !to.gone { self.out_since.or(Some(now)) } else { None };
        let was = std::mem::replace(&mut self.is, to);
        self.was.push((now, was));
        if self.was.len() > 12 {
            self.was.remove(0);
        }
    }
}

impl Provider {
    /// Everyone at home.
    ///
    /// # Panics
    /// Never: the names are well formed.
    pub fn new(draft: &Draft, organisation: &Organisation) -> Self {
        let policy = |name: &str| -> PolicyId { name.parse().expect("well formed") };
        let policies = [policy("mandatory"), policy("mandatory-too"), organisation.recovery_policy.clone(), policy("delegated")];
        let account = |number: usize| {
            let mut chance = Chance::new(draft.seed, 100 + number as u64);
            Account {
                id: format!("557058:{number}").parse().expect("well formed"),
                is: Shown { policy: number % 2, version: 1, email: address(number, 0), gone: false },
                was: Vec::new(),
                enrolled: chance.one_in(2),
                suspended: false,
                refused_until: 0,
                renamed: 0,
                out_since: None,
                beyond: false,
            }
        };
        Self {
            accounts: (0..draft.accounts).map(account).collect(),
            policies,
            effects: BTreeMap::new(),
            failed: BTreeSet::new(),
            lent: BTreeSet::new(),
            outages: Vec::new(),
            circuits: [Circuit::default(); PROCESSES],
            limiter: None,
            versions: draft.versions,
        }
    }

    /// A process that died believes nothing.
    pub fn forget_silence(&mut self, process: usize) {
        self.circuits[process] = Circuit::default();
    }

    /// The number of a policy.
    pub fn number(&self, policy: &PolicyId) -> usize {
        self.policies.iter().position(|known| known == policy).unwrap_or(OUT)
    }

    /// What a read that shows the account as of a moment says of its placement; nothing if it is gone.
    pub fn placement(&self, account: usize, moment: Micros, begun_at: Timestamp) -> Option<Placement> {
        let account = &self.accounts[account];
        let shown = account.at(moment);
        let version = match self.versions {
            Versions::Trusted | Versions::Unproved => Some(PlacementVersion(shown.version)),
            Versions::None => None,
            Versions::Stuck => Some(PlacementVersion(1)),
        };
        (!shown.gone).then(|| Placement {
            account: account.id.clone(),
            email: Some(shown.email.clone()),
            policy: Some(self.policies[shown.policy].clone()),
            version,
            begun_at,
        })
    }

    /// What the directory says of the account.
    pub fn record(&self, number: usize, begun_at: Timestamp) -> Option<AccountRecord> {
        let account = &self.accounts[number];
        (!account.is.gone).then(|| AccountRecord {
            account: account.id.clone(),
            email: Some(account.is.email.clone()),
            name: String::new(),
            claim: Some(Claim::Managed),
            status: Some(if account.suspended { AccountStatus::Suspended } else { AccountStatus::Active }),
            origin: Origin::Here,
            administrator: Some(false),
            factor: if account.enrolled { Factor::Enrolled } else { Factor::Absent },
            last_active: None,
            begun_at,
        })
    }

    /// Puts an account where it is to be when a run begins.
    pub fn place(&mut self, account: usize, shown: Shown) {
        self.accounts[account].is = shown;
        self.accounts[account].out_since = Some(0);
    }

    /// Whether a batch that holds this account is refused for it.
    pub fn refuses(&self, account: usize, now: Micros) -> bool {
        self.accounts[account].refused_until > now
    }
}

fn address(number: usize, renamed: u32) -> Email {
    format!("user{number}.{renamed}@acme.example").parse().expect("well formed")
}

/// An error of a read, or of a write that never left.
fn unanswered(after: Micros, words: &str) -> ProviderError {
    let after = Duration::from_micros(after.unsigned_abs());
    ProviderError::new("call", ErrorClass::Retry { after }, None, words).not_taken()
}

impl World {
    /// A call begins. How long it takes, and the error that it ends with, if any.
    pub fn call(&mut self) -> (Micros, Option<ProviderError>) {
        let now = self.agenda.now();
        let slow = self.draft.latency;
        if let Some(fault) = self.strikes(Hook::Call, 0) {
            self.tally.count(Kind::TooMany);
            return (slow / 8, Some(unanswered(fault.length, "429").for_the_rate()));
        }
        let silence = self.provider.outages.iter().find(|(from, to, _)| (*from..*to).contains(&now)).copied();
        if let Some((_, _, times_out)) = silence {
            let wait = if times_out { micros(self.draft.limits.client_timeout) } else { 5 * MS };
            return (wait, Some(unanswered(0, if times_out { "no answer in time" } else { "connection refused" })));
        }
        (self.chance.within(slow / 8, slow), None)
    }

    /// The moment as of which a read that began at `begun` and ends now shows an account.
    pub fn read_moment(&mut self, account: usize, begun: Micros) -> Micros {
        let moment = self.chance.within(begun, self.agenda.now());
        let one = &self.provider.accounts[account];
        // Where nothing changed there is nothing to be behind.
        if one.at(begun - micros(self.draft.limits.read_lag)) == one.at(begun) {
            return moment;
        }
        match self.strikes(Hook::Read, account) {
            Some(fault) => {
                let stale = begun - fault.length;
                let one = &self.provider.accounts[account];
                if one.at(stale) != one.at(begun) {
                    self.tally.count(Kind::StaleRead);
                    self.note(|| format!("a read of account {account} is stale by {} µs", fault.length));
                }
                stale
            }
            None => moment,
        }
    }

    /// A write takes effect, or cannot.
    pub fn lands(&mut self, number: u64) {
        let Some(effect) = self.provider.effects.remove(&number) else { return };
        let now = self.agenda.now();
        let account = &mut self.provider.accounts[effect.account];
        self.hash ^= number;
        if account.is.gone || account.is.email != effect.email {
            self.provider.failed.insert((effect.lease, effect.number));
            if effect.kind == Move::Lend {
                self.provider.lent.remove(&effect.lease);
            }
            return;
        }
        if account.is.policy != effect.to {
            let to = Shown { policy: effect.to, version: account.is.version + 1, ..account.is.clone() };
            self.moves(effect.account, to, now);
            self.note(|| format!("a {} of {} takes effect on account {}", effect.kind.name(), effect.lease, effect.account));
        }
        self.step(&[5, effect.account as u64, effect.to as u64]);
        if effect.kind == Move::Lend {
            self.judge_lend(&effect);
        }
        self.judge_account(effect.account);
    }

    fn moves(&mut self, account: usize, to: Shown, now: Micros) {
        let one = &mut self.provider.accounts[account];
        let was_out = one.out_since.is_some();
        one.change(now, to);
        if was_out && self.provider.accounts[account].out_since.is_none() {
            self.came_home(account);
        }
    }

    fn judge_lend(&mut self, effect: &Effect) {
        let open = self.rows.by_id.get(&effect.lease).is_some_and(|row| row.lease.is_open());
        if !open && !self.provider.accounts[effect.account].beyond {
            self.breaks(Law::ClosedStaysClosed, || format!("lease {} of account {}", effect.lease, effect.account));
        }
    }

    /// Somebody else than Homeward acts, or the provider has trouble.
    pub fn strike_provider(&mut self, fault: Fault) {
        let now = self.agenda.now();
        let number = fault.whom;
        if fault.kind == Kind::Outage {
            self.tally.count(Kind::Outage);
            self.note(|| format!("the provider is silent for {}", super::agenda::told(fault.length)));
            self.provider.outages.push((now, now + fault.length, fault.whom == 1));
            return;
        }
        let account = &mut self.provider.accounts[number];
        if account.is.gone {
            return;
        }
        let mut to = account.is.clone();
        match fault.kind {
            Kind::BatchRefused => {
                account.refused_until = now + fault.length;
                return;
            }
            Kind::Renamed => {
                account.renamed += 1;
                to.email = address(number, account.renamed);
            }
            Kind::Suspended => account.suspended = true,
            Kind::Deleted => to.gone = true,
            Kind::MovedByHand => {
                to.policy = match fault.length {
                    0 => DELEGATED,
                    length => usize::from(length == 1),
                };
                to.version += i64::from(to.policy != account.is.policy);
            }
            _ => {}
        }
        self.tally.count(fault.kind);
        self.note(|| format!("{} (account {number})", fault.kind.name()));
        self.moves(number, to, now);
        self.judge_account(number);
    }
}
