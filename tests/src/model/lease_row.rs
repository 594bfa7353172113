//! One row of policy's database, in the form in which it is kept.
//!
//! What cannot matter is left out: the reason in words, the length of a wait that is always the same, the age of what is too
//! old to be compared with anything. Two rows of one form decide alike.

use homeward_policy::lease::{Attempt, AttemptState, Kind, Lease, Origin, State};
use homeward_types::{LeaseEnd, Timestamp};

use super::lease_words::{End, Facts, Stage};
use super::place::Place;
use super::scale::{Scale, at, length, now, ticks};

/// The number of a live lend.
pub(super) const LEND: u32 = 1;

/// The number of a live return.
pub(super) const RETURN: u32 = 2;

/// A row in its kept form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kept {
    /// The lease.
    pub lease: Lease,
    /// The attempts that can still decide something: at most one lend, number 1, and one return, number 2.
    pub attempts: Vec<Attempt>,
}

/// Where a lease stands, as it is told.
pub fn stage(lease: &Lease) -> Stage {
    match &lease.state {
        State::Opening => Stage::Opening,
        State::Active => Stage::Active,
        State::Closing => Stage::Closing,
        State::Settling => Stage::Settling,
        State::Closed(ending) => match (&ending.end, ending.refusal) {
            (LeaseEnd::NeverLent, Some(refusal)) => Stage::Refused(refusal),
            (LeaseEnd::NeverLent, None) => Stage::Closed(End::NeverLent),
            (LeaseEnd::Home, _) => Stage::Closed(End::Home),
            (LeaseEnd::ProtectedElsewhere(_), _) => Stage::Closed(End::Elsewhere),
            (LeaseEnd::Gone, _) => Stage::Closed(End::Gone),
            (LeaseEnd::Released, _) => Stage::Closed(End::Released),
        },
    }
}

/// What the actors need to know of a row.
pub(super) fn facts(kept: &Kept, scale: &Scale) -> Facts {
    let ready = |kind| kept.attempts.iter().find(|attempt| attempt.kind == kind && attempt.state == AttemptState::Ready);
    let may = |kind| {
        let attempt = ready(kind).filter(|attempt| attempt.not_before <= now())?;
        let until = attempt.not_after.map_or(at(scale.claim), |last| last.min(at(scale.claim)));
        attempt.may_be_sent(&kept.lease, until, now()).then(|| ticks(until))
    };
    Facts {
        stage: Some(stage(&kept.lease)),
        home: Place::of(&kept.lease.home),
        may_lend: may(Kind::Lend),
        may_return: may(Kind::Return),
        lend_ready: ready(Kind::Lend).is_some(),
        lend_may_land: kept.attempts.iter().any(|attempt| {
            attempt.kind == Kind::Lend && matches!(attempt.state, AttemptState::Sent { .. } | AttemptState::Unknown { .. })
        }),
        due: ticks(kept.lease.due_at),
        read_at: kept.lease.next_read_at.map(ticks),
        tick_at: kept.lease.tick_at.map(ticks),
    }
}

impl Kept {
    /// Changes every moment of it.
    pub(super) fn each_moment(&mut self, mut change: impl FnMut(&mut Timestamp)) {
        let lease = &mut self.lease;
        change(&mut lease.opened_at);
        change(&mut lease.due_at);
        if let State::Closed(ending) = &mut lease.state {
            change(&mut ending.at);
        }
        let sight = &mut lease.sight;
        let optional = [
            &mut lease.returning_at,
            &mut lease.return_at,
            &mut lease.next_read_at,
            &mut lease.tick_at,
            &mut sight.newest_begun_at,
            &mut sight.back_at,
            &mut sight.missed.search_at,
            &mut sight.missed.itself_at,
        ];
        optional.into_iter().flatten().for_each(&mut change);
        if let Some(out) = &mut sight.out {
            change(&mut out.first_at);
            change(&mut out.last_at);
        }
        if let Some(run) = &mut sight.run {
            change(&mut run.first_begun_at);
        }
        for attempt in &mut self.attempts {
            change(&mut attempt.not_before);
            if let Some(last) = &mut attempt.not_after {
                change(last);
            }
            if let AttemptState::Sent { claimed_until, .. } | AttemptState::Unknown { claimed_until } = &mut attempt.state {
                change(claimed_until);
            }
        }
    }

    /// Leaves out what cannot matter to any later decision.
    pub(super) fn in_its_form(mut self, scale: &Scale) -> Self {
        let lease = &mut self.lease;
        lease.version = 1;
        lease.attempts = RETURN;
        lease.reads = 0;
        // Every further failure waits as long as the first.
        lease.failed_returns = lease.failed_returns.min(1);
        lease.return_reason = lease.return_reason.take().map(|_| String::new());
        lease.returning_at = lease.returning_at.map(|_| now());
        lease.sight.back_at = None;
        if let Some(out) = &mut lease.sight.out {
            out.first_at = now();
        }
        if !lease.is_open() {
            self.close();
            return self;
        }
        // Nothing that is read now began earlier than this.
        let oldest = at(-scale.look);
        let no_older = |moment: &mut Timestamp, than: Timestamp| *moment = (*moment).max(than);
        no_older(&mut lease.opened_at, oldest - length(scale.read_lag));
        no_older(&mut lease.due_at, now());
        let due = [&mut lease.return_at, &mut lease.next_read_at, &mut lease.tick_at];
        for moment in due.into_iter().flatten() {
            *moment = at(ticks(*moment).max(0));
        }
        let sight = &mut lease.sight;
        sight.newest_begun_at = sight.newest_begun_at.filter(|newest| *newest >= oldest);
        if let Some(out) = &mut sight.out {
            no_older(&mut out.last_at, oldest - length(1));
        }
        if let Some(run) = &mut sight.run {
            no_older(&mut run.first_begun_at, oldest - length(scale.read_lag));
        }
        for missed in [&mut sight.missed.search_at, &mut sight.missed.itself_at].into_iter().flatten() {
            no_older(missed, oldest - length(scale.gone_apart));
        }
        let settled = oldest - length(scale.late_limit) - length(scale.read_lag);
        for attempt in &mut self.attempts {
            no_older(&mut attempt.not_before, now());
            attempt.not_before = at(ticks(attempt.not_before));
            if let Some(last) = &mut attempt.not_after {
                no_older(last, now());
            }
            match &mut attempt.state {
                // When it could last be sent does not matter to an accepted return.
                AttemptState::Sent { claimed_until, accepted: true } if attempt.kind == Kind::Return => *claimed_until = now(),
                AttemptState::Sent { claimed_until, .. } | AttemptState::Unknown { claimed_until } => {
                    no_older(claimed_until, settled);
                }
                AttemptState::Ready | AttemptState::Taken | AttemptState::NotTaken | AttemptState::Void => {}
            }
            attempt.number = match attempt.kind {
                Kind::Lend => LEND,
                Kind::Return => RETURN,
            };
        }
        self.attempts.sort_by_key(|attempt| attempt.number);
        self
    }

    /// Of a lease that is over only its end is kept. That it may be seen out again is the census's business here.
    fn close(&mut self) {
        let lease = &mut self.lease;
        if let State::Closed(ending) = &mut lease.state {
            ending.at = now();
        }
        (lease.opened_at, lease.due_at) = (now(), now());
        (lease.home_version, lease.return_reason, lease.returning_at) = (None, None, None);
        (lease.return_at, lease.next_read_at, lease.tick_at) = (None, None, None);
        (lease.was_unknown, lease.overdue, lease.overdue_told, lease.released) = (false, false, false, false);
        (lease.failed_returns, lease.origin) = (0, Origin::Lend);
        lease.sight = homeward_policy::lease::Sight::default();
        self.attempts.clear();
    }
}
