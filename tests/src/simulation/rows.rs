//! Policy's database: rows, and the orders in which its queries find them.

use std::collections::{BTreeMap, BTreeSet};

use homeward_policy::lease::store::Candidate;
use homeward_policy::lease::{Attempt, AttemptState, Kind, Lease, State};
use homeward_types::{Email, LeaseId, MessageId, PlacementVersion, Timestamp, VersionTrust};
use uuid::Uuid;

use super::agenda::Loop;
use super::broker::Parcel;
use super::draft::Draft;
use crate::model::place::Versions;

/// A lease with what stands beside it.
#[derive(Debug, Clone)]
pub struct Row {
    /// The lease.
    pub lease: Lease,
    /// Its live attempts.
    pub attempts: Vec<Attempt>,
    /// Who holds which ready attempt, and until when.
    pub claims: BTreeMap<u32, (u64, Timestamp)>,
    /// The newest attempt that was sent: its number, the address, and whether the provider named a task.
    pub sent: Option<(u32, Email, bool)>,
    /// The message that told of the opening.
    pub opened_message: Option<u64>,
    /// Whose.
    pub account: usize,
}

/// What the leases of an account leave behind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Past {
    /// Two persons released it.
    pub released: bool,
    /// The newest version that one of them knows.
    pub newest: Option<PlacementVersion>,
}

/// A ready attempt in an order.
type Ready = BTreeSet<(Timestamp, LeaseId, u32)>;

/// The database.
#[derive(Debug, Default)]
pub struct Rows {
    /// Leases by id.
    pub by_id: BTreeMap<LeaseId, Row>,
    /// The open lease of an account.
    pub open: BTreeMap<usize, LeaseId>,
    /// What closed leases leave behind, by account.
    pub past: BTreeMap<usize, Past>,
    /// When leases are to be read.
    pub reads: BTreeSet<(Timestamp, LeaseId)>,
    /// When time changes leases.
    pub ticks: BTreeSet<(Timestamp, LeaseId)>,
    /// Open leases by due time.
    pub due: BTreeSet<(Timestamp, LeaseId)>,
    /// Ready lends in the order in which they are taken: by `not_before`.
    lends: Ready,
    /// Ready returns in the order in which they are taken: by due time.
    returns: Ready,
    /// Ready returns by `not_before`.
    returns_from: Ready,
    /// How far versions are trusted.
    pub trust: VersionTrust,
    /// Lends that wait for the provider.
    pub waiting: Vec<Parcel>,
    /// Lines of the file outside the database.
    pub lines: BTreeSet<LeaseId>,
    /// The number of the next lease that policy opens by itself.
    pub found: usize,
}

impl Rows {
    /// An empty database.
    pub fn new(draft: &Draft) -> Self {
        let trusted = draft.versions == Versions::Trusted;
        Self { trust: VersionTrust { lend_seen: trusted, return_seen: trusted }, found: 1 << 32, ..Self::default() }
    }

    /// Changes a row, or makes it.
    pub fn write(&mut self, id: LeaseId, row: Row) {
        self.unindex(id);
        let past = self.past.entry(row.account).or_default();
        past.newest = past.newest.max(row.lease.newest_version());
        past.released |= row.lease.end() == Some(&homeward_types::LeaseEnd::Released);
        if row.lease.is_open() {
            self.open.insert(row.account, id);
            self.due.insert((row.lease.due_at, id));
        } else if self.open.get(&row.account) == Some(&id) {
            self.open.remove(&row.account);
        }
        if let Some(at) = row.lease.next_read_at {
            self.reads.insert((at, id));
        }
        if let Some(at) = row.lease.tick_at {
            self.ticks.insert((at, id));
        }
        for attempt in row.attempts.iter().filter(|attempt| attempt.state == AttemptState::Ready) {
            match attempt.kind {
                Kind::Lend => drop(self.lends.insert((attempt.not_before, id, attempt.number))),
                Kind::Return => {
                    self.returns.insert((row.lease.due_at, id, attempt.number));
                    self.returns_from.insert((attempt.not_before, id, attempt.number));
                }
            }
        }
        self.by_id.insert(id, row);
    }

    fn unindex(&mut self, id: LeaseId) {
        let Some(row) = self.by_id.get(&id) else { return };
        self.due.remove(&(row.lease.due_at, id));
        if let Some(at) = row.lease.next_read_at {
            self.reads.remove(&(at, id));
        }
        if let Some(at) = row.lease.tick_at {
            self.ticks.remove(&(at, id));
        }
        for attempt in &row.attempts {
            self.lends.remove(&(attempt.not_before, id, attempt.number));
            self.returns.remove(&(row.lease.due_at, id, attempt.number));
            self.returns_from.remove(&(attempt.not_before, id, attempt.number));
        }
    }

    /// Changes a row that is there.
    pub fn change(&mut self, id: LeaseId, change: impl FnOnce(&mut Row)) {
        if let Some(mut row) = self.by_id.get(&id).cloned() {
            change(&mut row);
            self.write(id, row);
        }
    }

    /// Ready attempts of a kind that nobody holds and whose lease wants them, as the store's query finds them. `told` says
    /// whether a message was confirmed.
    pub fn candidates(&self, kind: Kind, now: Timestamp, most: usize, told: impl Fn(u64) -> bool) -> Vec<(LeaseId, u32)> {
        let ready = match kind {
            Kind::Lend => &self.lends,
            Kind::Return => &self.returns,
        };
        let wanted = ready.iter().filter(|(_, id, number)| {
            let row = &self.by_id[id];
            let Some(attempt) = row.attempts.iter().find(|attempt| attempt.number == *number) else { return false };
            let free = row.claims.get(number).is_none_or(|(_, until)| *until <= now);
            let wants = match kind {
                Kind::Lend => {
                    attempt.not_after.is_some_and(|last| last > now)
                        && row.lease.lends_at(now)
                        && row.opened_message.is_some_and(&told)
                }
                Kind::Return => row.lease.state == State::Closing,
            };
            free && wants && attempt.not_before <= now
        });
        wanted.take(most).map(|(_, id, number)| (*id, *number)).collect()
    }

    /// When an attempt of a kind is ready next, after `now`; and whether one is ready that was not taken.
    pub fn next_ready(&self, kind: Kind, now: Timestamp) -> (Option<Timestamp>, bool) {
        let from = match kind {
            Kind::Lend => &self.lends,
            Kind::Return => &self.returns_from,
        };
        let left = from.first().is_some_and(|(at, _, _)| *at <= now);
        let later = (now, LeaseId::from_uuid(Uuid::max()), u32::MAX);
        (from.range(later..).next().map(|(at, _, _)| *at), left)
    }

    /// When there is work for a loop, if there is any to come.
    pub fn next_work(&self, which: Loop) -> Option<Timestamp> {
        match which {
            Loop::Keeper => self.ticks.first().map(|(at, _)| *at),
            Loop::Reader => self.reads.first().map(|(at, _)| *at),
            Loop::Lends => self.lends.first().map(|(at, ..)| *at),
            Loop::Returns => self.returns_from.first().map(|(at, ..)| *at),
            Loop::Waiting | Loop::Timers | Loop::Rounds => None,
        }
    }

    /// Whether lends are held back: an account has been out past its due time since before `since`.
    pub fn held_back(&self, since: Timestamp) -> bool {
        self.due.iter().take_while(|(due, _)| *due <= since).any(|(_, id)| self.by_id[id].lease.state != State::Settling)
    }

    /// The attempt as its worker knows it.
    pub fn candidate(&self, id: LeaseId, number: u32) -> Option<Candidate> {
        let row = self.by_id.get(&id)?;
        Some(Candidate {
            lease: id,
            number,
            account: row.lease.account.clone(),
            home: row.lease.home.clone(),
            recovery_policy: row.lease.recovery_policy.clone(),
            opened_message: row.opened_message.map(|number| MessageId::from_uuid(Uuid::from_u128(number.into()))),
            trace: homeward_chassis::telemetry::TraceContext::default(),
        })
    }
}
