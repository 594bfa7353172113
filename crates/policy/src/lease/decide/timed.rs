//! What time alone changes, and when it is to be looked at.

use std::time::Duration;

use homeward_types::limits::after;
use homeward_types::{LeaseEnd, Timestamp};

use super::{Alarm, Turn};
use crate::lease::{Attempt, AttemptState, Kind, Lease, State, earlier};

/// Tail reads: this long after the end of a lease that ever had an attempt of unknown outcome.
const TAIL_READS: [Duration; 3] = [Duration::from_hours(1), Duration::from_hours(6), Duration::from_hours(24)];

/// The next tail read of a closed lease.
pub(super) fn tail_read(lease: &Lease, now: Timestamp) -> Option<Timestamp> {
    match &lease.state {
        State::Closed(ending) if lease.was_unknown && ending.end != LeaseEnd::Released => {
            TAIL_READS.iter().map(|wait| after(ending.at, *wait)).find(|at| *at > now)
        }
        State::Closed(_) | State::Opening | State::Active | State::Closing | State::Settling => None,
    }
}

/// When time alone changes something about the lease next.
pub(super) fn next_tick(lease: &Lease, attempts: &[Attempt]) -> Option<Timestamp> {
    if !lease.is_open() {
        return None;
    }
    let claims = attempts.iter().filter_map(|attempt| match attempt.state {
        AttemptState::Sent { claimed_until, accepted: false } => Some(claimed_until),
        AttemptState::Sent { .. }
        | AttemptState::Ready
        | AttemptState::Taken
        | AttemptState::NotTaken
        | AttemptState::Unknown { .. }
        | AttemptState::Void => None,
    });
    let lend_over = (lease.state == State::Opening).then(|| lend_over_at(lease, attempts)).flatten();
    let due = (!lease.overdue).then_some(lease.due_at);
    let overdue_told = (!lease.overdue_told).then(|| after(lease.due_at, lease.terms.overdue_incident));
    let released = lease.released.then(|| super::settled_from(attempts, &lease.terms)).flatten();
    claims.chain([lend_over, due, overdue_told, released, lease.return_at].into_iter().flatten()).min()
}

/// When the last hope for the lend is over: nothing can be sent any more, and what was sent must have shown.
/// `None` if there is no hope already.
fn lend_over_at(lease: &Lease, attempts: &[Attempt]) -> Option<Timestamp> {
    attempts
        .iter()
        .filter(|attempt| attempt.kind == Kind::Lend)
        .filter_map(|attempt| match attempt.state {
            AttemptState::Ready => attempt.not_after.map(|last| last.min(lease.lends_until())),
            AttemptState::Sent { claimed_until, .. } | AttemptState::Unknown { claimed_until } => {
                Some(lease.terms.settled_after(claimed_until))
            }
            AttemptState::Taken | AttemptState::NotTaken | AttemptState::Void => None,
        })
        .max()
}

impl Turn<'_> {
    /// Everything that follows from the time, whatever the event was.
    pub(super) fn follow_up(&mut self) {
        if self.lease.state == State::Opening && lend_over_at(&self.lease, &self.attempts).is_none_or(|over| over <= self.now) {
            let sent = self.settled_from().is_some();
            self.begin_return(if sent { "the lend did not show" } else { "the lend could not be sent in time" });
        }
        if self.lease.due_at <= self.now {
            self.begin_return("due: the lease was over");
        }
        self.return_when_time();
        if self.lease.released && self.lease.is_open() && self.settled_from().is_none_or(|from| from <= self.now) {
            self.close(LeaseEnd::Released);
        }
        self.tell_when_time();
    }

    /// Makes the next return ready. There is always one ready, on its way, or to come: returns never stop.
    fn return_when_time(&mut self) {
        let Some(planned) = self.lease.return_at.filter(|at| self.lease.state == State::Closing && *at <= self.now) else {
            return;
        };
        self.lease.return_at = None;
        for at in 0..self.attempts.len() {
            match (self.attempts[at].kind, self.attempts[at].state) {
                (Kind::Return, AttemptState::Ready | AttemptState::Sent { accepted: false, .. }) => return,
                (Kind::Return, AttemptState::Sent { accepted: true, .. }) if self.may_have_shown(planned) => {
                    self.lease.return_at = Some(after(self.now, self.shows_within()));
                    return;
                }
                // It was accepted and did not show.
                (Kind::Return, AttemptState::Sent { claimed_until, accepted: true }) => {
                    self.set(at, AttemptState::Unknown { claimed_until });
                    self.lease.failed_returns = self.lease.failed_returns.saturating_add(1);
                }
                (Kind::Return | Kind::Lend, _) => {}
            }
        }
        self.add(Kind::Return, self.now, None);
    }

    /// How long an accepted return has to show before it is tried again.
    pub(super) fn shows_within(&self) -> Duration {
        let terms = self.lease.terms;
        terms.return_wait(self.lease.id, self.lease.failed_returns + 1).max(terms.read_lag)
    }

    /// Only a read tells that an accepted return did not show. Where many accounts wait for few reads, time alone would send
    /// the same return again and again, and the reads would come later still. The newest read shows home: the one that
    /// proves it is to come. Or none began since the return was accepted.
    fn may_have_shown(&self, planned: Timestamp) -> bool {
        let sight = &self.lease.sight;
        let shows_home = sight.run.as_ref().is_some_and(|run| run.policy == self.lease.home);
        let accepted_at = earlier(planned, self.shows_within());
        shows_home || sight.newest_begun_at.is_none_or(|newest| newest < accepted_at)
    }

    fn tell_when_time(&mut self) {
        if !self.lease.is_open() {
            return;
        }
        self.lease.overdue |= self.lease.due_at <= self.now;
        if self.lease.overdue
            && !self.lease.overdue_told
            && after(self.lease.due_at, self.lease.terms.overdue_incident) <= self.now
        {
            self.lease.overdue_told = true;
            self.alarms.push(Alarm::Overdue);
        }
        let limit = self.lease.terms.failed_returns_incident;
        if self.before.failed_returns < limit && self.lease.failed_returns >= limit {
            self.alarms.push(Alarm::FailedReturns);
        }
    }
}
