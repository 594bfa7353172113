//! What readings change.

use homeward_types::limits::after;
use homeward_types::{LeaseEnd, Timestamp, VersionTrust};

use super::{Alarm, News, Turn, VersionShown, timed};
use crate::lease::event::LookKind;
use crate::lease::{AttemptState, Kind, Place, Reading, Seen, State, judge};

impl Turn<'_> {
    pub(super) fn read(&mut self, reading: &Reading, trust: VersionTrust) {
        let seen = judge(&self.lease, reading, trust);
        self.show_versions(&seen, reading);
        let first_out = self.lease.sight.out.is_none();
        self.lease.sight = self.lease.sight.after(reading, &seen, self.now);
        self.lease.reads = self.lease.reads.saturating_add(1).min(32);
        match seen {
            Seen::Out if self.lease.is_open() => self.seen_out(reading, first_out),
            Seen::Out => self.seen_out_again(reading, trust),
            Seen::Back => self.seen_end(LeaseEnd::Home, reading.begun_at),
            Seen::ProtectedElsewhere(policy) => self.seen_end(LeaseEnd::ProtectedElsewhere(policy), reading.begun_at),
            Seen::NotYet { again_at } => self.read_next(Some(again_at)),
            Seen::Nothing => self.read_next(None),
        }
        if matches!(reading.place, Place::Out(_)) {
            self.return_if_none_is_under_way();
        }
    }

    /// Versions earn trust: one lend with v1 > v0, one return with v2 > v1.
    fn show_versions(&mut self, seen: &Seen, reading: &Reading) {
        let out = self.lease.sight.out.as_ref();
        self.shown = match seen {
            Seen::Out if out.is_none() && self.lease.home_version.is_some() && reading.version > self.lease.home_version => {
                Some(VersionShown::ByLend)
            }
            Seen::Back if out.is_some_and(|out| out.version.is_some() && reading.version > out.version) => {
                Some(VersionShown::ByReturn)
            }
            Seen::Out | Seen::Back | Seen::ProtectedElsewhere(_) | Seen::NotYet { .. } | Seen::Nothing => None,
        };
    }

    fn seen_out(&mut self, reading: &Reading, first: bool) {
        self.resolve_lend(reading);
        match &self.lease.state {
            State::Opening => {
                self.withdraw_ready();
                self.lease.state = State::Active;
                self.news = Some(News::Lent);
            }
            // It lands after all: a fact, also for those who are past it.
            State::Closing if first => self.news = Some(News::Lent),
            State::Settling if !self.lease.released => self.return_again(),
            State::Active | State::Closing | State::Settling | State::Closed(_) => {}
        }
        self.read_next(None);
    }

    /// Out after the end: somebody must lease it again, unless it was released. What may still show the time before the
    /// end is looked at once more.
    fn seen_out_again(&mut self, reading: &Reading, trust: VersionTrust) {
        let State::Closed(ending) = &self.lease.state else { return };
        let useful_from = after(ending.at, self.lease.terms.read_lag);
        if matches!(ending.end, LeaseEnd::Released | LeaseEnd::NeverLent) {
            self.lease.next_read_at = None;
        } else if trust.trusted() && reading.version.is_some() || reading.begun_at >= useful_from {
            // This may be the time out of the account's next lease, and a late lend of this one may still come: the further
            // tail reads are made all the same.
            self.lease.next_read_at = timed::tail_read(&self.lease, self.now);
            self.alarms.push(Alarm::OutAgain);
        } else {
            self.lease.next_read_at = Some(useful_from);
        }
    }

    /// The safe direction needs no proof: any read that shows the account out while it is being returned makes a return.
    fn return_if_none_is_under_way(&mut self) {
        let under_way = self.lease.return_at.is_some()
            || self.attempts.iter().any(|attempt| {
                attempt.kind == Kind::Return && matches!(attempt.state, AttemptState::Ready | AttemptState::Sent { .. })
            });
        if self.lease.state == State::Closing && !under_way && !self.lease.released {
            self.lease.return_at = Some(self.now);
        }
    }

    /// The only lend that may have happened did happen, if the account is where it leads.
    fn resolve_lend(&mut self, reading: &Reading) {
        let where_lends_lead = matches!(&reading.place, Place::Out(policy) if *policy == self.lease.recovery_policy);
        let mut unresolved = (0..self.attempts.len()).filter(|at| self.attempts[*at].unresolved_lend().is_some());
        if let (Some(only), None, true) = (unresolved.next(), unresolved.next(), where_lends_lead) {
            drop(unresolved);
            self.set(only, AttemptState::Taken);
        }
    }

    fn withdraw_ready(&mut self) {
        for at in 0..self.attempts.len() {
            if self.attempts[at].state == AttemptState::Ready {
                self.set(at, AttemptState::Void);
            }
        }
    }

    /// A counted read that shows an end. It is the end if no lend can take effect after it.
    fn seen_end(&mut self, end: LeaseEnd, begun_at: Timestamp) {
        match &self.lease.state {
            // The lend may still be on its way: being home proves nothing yet.
            State::Opening if end != LeaseEnd::Gone => {
                self.read_next(None);
                return;
            }
            State::Opening | State::Active => self.begin_return("seen at an end before a return was asked for"),
            State::Closing | State::Settling => {}
            State::Closed(_) => {
                self.read_next(None);
                return;
            }
        }
        let settled = self.settled_from().is_none_or(|from| begun_at >= from);
        if self.lease.released {
            self.read_next(None);
        } else if settled {
            self.close(end);
        } else {
            self.settle();
        }
    }

    fn settle(&mut self) {
        if self.lease.state != State::Settling {
            self.lease.state = State::Settling;
            self.lease.return_at = None;
            self.withdraw_ready();
            self.news = Some(News::Settling);
        }
        self.read_next(None);
    }

    /// A call missed the account. Two different calls, far enough apart, make it gone.
    pub(super) fn missed(&mut self, look: LookKind, begun_at: Timestamp) {
        if !self.lease.is_open() {
            self.read_next(None);
            return;
        }
        let missed = &mut self.lease.sight.missed;
        let (own, other) = match look {
            LookKind::Search => (&mut missed.search_at, missed.itself_at),
            LookKind::Itself => (&mut missed.itself_at, missed.search_at),
        };
        own.get_or_insert(begun_at);
        self.lease.reads = self.lease.reads.saturating_add(1).min(32);
        match other {
            Some(other) if begun_at >= after(other, self.lease.terms.gone_apart) => self.seen_end(LeaseEnd::Gone, begun_at),
            Some(other) => self.read_next(Some(after(other, self.lease.terms.gone_apart))),
            None => self.read_next(Some(after(begun_at, self.lease.terms.gone_apart))),
        }
    }

    /// When the account is to be read next: at `useful_at` where only then a read proves something.
    fn read_next(&mut self, useful_at: Option<Timestamp>) {
        let terms = self.lease.terms;
        let settled_from = self.settled_from();
        self.lease.next_read_at = match &self.lease.state {
            State::Closed(_) => timed::tail_read(&self.lease, self.now),
            State::Active => Some(useful_at.unwrap_or_else(|| after(self.now, terms.patrol))),
            State::Settling => {
                let regular = useful_at.unwrap_or_else(|| after(self.now, terms.patrol));
                Some(settled_from.filter(|from| *from > self.now).map_or(regular, |from| from.min(regular)))
            }
            State::Opening | State::Closing => {
                Some(useful_at.unwrap_or_else(|| after(self.now, terms.read_wait(self.lease.reads.saturating_sub(1)))))
            }
        }
        .map(|at| at.max(self.now));
    }
}
