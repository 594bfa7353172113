//! Virtual time in real units, and what is to happen when. Two things of one moment happen in the order in which they were noted.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use homeward_types::{LeaseId, Timestamp};

use super::broker::Parcel;

/// Microseconds since the run began, or a length of time in them.
pub type Micros = i64;

/// A millisecond.
pub const MS: Micros = 1_000;
/// A second.
pub const SECOND: Micros = 1_000 * MS;
/// An hour.
pub const HOUR: Micros = 3_600 * SECOND;

/// The moment at which every run begins, in seconds since 1970.
const BEGIN: i64 = 1_800_000_000;

/// The date of a moment.
pub fn date(moment: Micros) -> Timestamp {
    DateTime::from_timestamp_micros(BEGIN * SECOND + moment).unwrap_or_default()
}

/// The moment of a date.
pub fn moment(date: Timestamp) -> Micros {
    date.timestamp_micros() - BEGIN * SECOND
}

/// A length of time in microseconds.
pub fn micros(length: Duration) -> Micros {
    Micros::try_from(length.as_micros()).unwrap_or(Micros::MAX)
}

/// A date so much later; `by` may be negative.
pub fn shifted(date: Timestamp, by: Micros) -> Timestamp {
    date + TimeDelta::microseconds(by)
}

/// A length of time for people.
pub fn told(length: Micros) -> String {
    let whole = length.max(0) / SECOND;
    match (whole / 3_600, whole / 60 % 60, whole % 60) {
        (0, 0, _) => format!("{:.3} s", f64::from(u32::try_from(length.max(0) / MS).unwrap_or(0)) / 1_000.0),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, seconds) => format!("{hours} h {minutes} min {seconds} s"),
    }
}

/// One of policy's, recovery's or patrol's loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loop {
    /// Policy does what time changes.
    Keeper,
    /// Policy sends lends.
    Lends,
    /// Policy sends returns.
    Returns,
    /// Policy reads accounts, or probes a silent provider.
    Reader,
    /// Policy tries lends that wait for the provider.
    Waiting,
    /// Recovery does what is due.
    Timers,
    /// Patrol reads back.
    Rounds,
}

/// What a person does about a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// Asks for it.
    Request,
    /// Attaches proof.
    Prove,
    /// Approves.
    Approve,
    /// Cancels.
    Cancel,
    /// Wants the account home now, by policy itself.
    ReturnNow,
    /// Says "this was not me".
    Repudiate,
    /// Sets up a new factor.
    Enrol,
    /// Releases the account, as the second of two.
    Release,
}

/// What happens.
#[derive(Debug, Clone)]
pub enum Happens {
    /// A person acts.
    Act(usize, Act),
    /// A fault of this number strikes at its time.
    Strike(usize),
    /// A process starts again.
    Up(usize),
    /// A paused process goes on.
    Resume(usize),
    /// A clock that stepped is set right.
    ClockRight(usize),
    /// A process hands committed messages to the broker: process, its life, messages.
    Publish(usize, u64, Vec<u64>),
    /// Another process of the service (its first number) publishes what a dead or paused one left.
    Relay(usize),
    /// The broker confirms.
    Confirm(Vec<u64>),
    /// A message arrives at its queue's consumer.
    Deliver(Box<Parcel>),
    /// A loop looks for work.
    Wake(usize, Loop),
    /// The next leg of a flight.
    Flight(u64),
    /// A read of accounts of leases is over, or goes again for want of room.
    Look(u64),
    /// The read before a lend is over.
    Intake(u64),
    /// A write takes effect.
    Land(u64),
    /// Directory reads a factor.
    Watch(LeaseId),
}

struct Entry {
    at: Micros,
    number: u64,
    what: Happens,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// What is to happen, earliest first.
#[derive(Default)]
pub struct Agenda {
    now: Micros,
    noted: u64,
    queue: BinaryHeap<Entry>,
}

impl Agenda {
    /// The present moment.
    pub fn now(&self) -> Micros {
        self.now
    }

    /// Notes what is to happen at a moment; the past is now.
    pub fn note(&mut self, at: Micros, what: Happens) {
        self.noted += 1;
        self.queue.push(Entry { at: at.max(self.now), number: self.noted, what });
    }

    /// What happens next, if anything is to happen until then. The clock goes on to that moment.
    pub fn next(&mut self, until: Micros) -> Option<Happens> {
        if self.queue.peek()?.at > until {
            return None;
        }
        let entry = self.queue.pop()?;
        self.now = entry.at;
        Some(entry.what)
    }
}
