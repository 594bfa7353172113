//! Beginnings: lends, refusals, tombstones, and accounts that were found out.

use homeward_types::limits::after;
use homeward_types::{Factor, LeaseEnd, Refusal, Timestamp};

use super::{Alarm, Decision, News, Turn, present, timed};
use crate::lease::{Attempt, AttemptState, Ending, Event, Found, Kind, Lease, Opened, Origin, OutSight, Sight, State, Subject};

/// An event about an id that has no row.
pub(super) fn unknown_id(event: &Event, now: Timestamp) -> Decision {
    match event {
        Event::LendAccepted(opened) => open(opened, now),
        Event::LendRefused(refused) => never_lent(&refused.subject, Some(refused.refusal), now),
        Event::ReturnAsked(asked) => never_lent(&asked.subject, None, now),
        Event::FoundOut(found) => found_out(found, now),
        Event::AttemptSent(_)
        | Event::AttemptAnswered { .. }
        | Event::Read { .. }
        | Event::Due
        | Event::Missed { .. }
        | Event::Released
        | Event::HomeLost { .. }
        | Event::Woken
        | Event::Contained(_)
        | Event::Tick => Decision::default(),
    }
}

/// A row in its first version.
fn row(subject: &Subject, origin: Origin, state: State, now: Timestamp) -> Lease {
    Lease {
        id: subject.lease,
        organisation: subject.organisation.clone(),
        account: subject.account.clone(),
        origin,
        version: 1,
        state,
        home: subject.home.clone(),
        home_version: None,
        recovery_policy: subject.recovery_policy.clone(),
        factor_at_lend: Factor::Unknown,
        opened_at: now,
        due_at: now,
        terms: subject.terms,
        sight: Sight::default(),
        return_reason: None,
        returning_at: None,
        return_at: None,
        failed_returns: 0,
        attempts: 0,
        was_unknown: false,
        released: false,
        overdue: false,
        contained: false,
        overdue_told: false,
        reads: 0,
        next_read_at: None,
        tick_at: None,
    }
}

fn new(mut lease: Lease, attempts: Vec<Attempt>, news: News, alarms: Vec<Alarm>) -> Decision {
    lease.tick_at = timed::next_tick(&lease, &attempts);
    Decision { lease: Some(lease), changed: true, attempts, news: Some(news), alarms, shown: None }
}

/// Lease first: the row and the attempt exist before anything is sent.
fn open(opened: &Opened, now: Timestamp) -> Decision {
    let mut lease = row(&opened.subject, Origin::Lend, State::Opening, now);
    // A read that lags may show the home of before the account's newest lease: the out of that one would count as ours.
    lease.home_version = opened.home_version.max(opened.seen_before);
    lease.factor_at_lend = opened.factor;
    lease.due_at = after(now, opened.lasts);
    lease.attempts = 1;
    let lend =
        Attempt { number: 1, kind: Kind::Lend, state: AttemptState::Ready, not_before: now, not_after: Some(opened.not_after) };
    new(lease, vec![lend], News::Opened, Vec::new())
}

/// The id is closed before anything was opened under it: a refusal, or the tombstone of a return that came first.
fn never_lent(subject: &Subject, refusal: Option<Refusal>, now: Timestamp) -> Decision {
    let state = State::Closed(Ending { end: LeaseEnd::NeverLent, at: now, refusal });
    let news = if refusal.is_some() { News::Refused } else { News::Closed };
    new(row(subject, Origin::Lend, state, now), Vec::new(), news, Vec::new())
}

/// Out without an open lease: it is over already, and the account goes home.
fn found_out(found: &Found, now: Timestamp) -> Decision {
    let mut lease = row(&found.subject, found.origin, State::Closing, now);
    lease.sight.out =
        Some(OutSight { first_at: found.begun_at, last_at: now, version: found.version, policy: found.policy.clone() });
    lease.sight.newest_begun_at = Some(found.begun_at);
    lease.return_reason = Some(found.reason.clone());
    lease.returning_at = Some(now);
    lease.attempts = 1;
    lease.overdue = true;
    lease.next_read_at = Some(after(now, lease.terms.read_wait(0)));
    let back = Attempt { number: 1, kind: Kind::Return, state: AttemptState::Ready, not_before: now, not_after: None };
    new(lease, vec![back], News::Adopted, vec![Alarm::FoundOut])
}

impl Turn<'_> {
    /// A lend for an id that has a row: the tombstone refuses it; anything else is a repeat and is answered again.
    pub(super) fn lend_repeated(&mut self, refusal: Refusal) {
        match &mut self.lease.state {
            State::Closed(ending) if ending.end == LeaseEnd::NeverLent => {
                ending.refusal.get_or_insert(refusal);
                self.news = Some(News::Refused);
            }
            State::Opening | State::Active | State::Closing | State::Settling | State::Closed(_) => {
                self.news = Some(present(&self.lease));
            }
        }
    }
}
