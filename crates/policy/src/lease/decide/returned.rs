//! The way home: asked for, due, released, home lost, woken. Forward only.

use homeward_types::limits::after;
use homeward_types::{LeaseEnd, PolicyId};

use super::{Alarm, News, Turn, present};
use crate::lease::{AttemptState, State};

impl Turn<'_> {
    /// A command to return. Repeated ones are answered with where the lease stands; for one that has ended the account is
    /// looked at once more, because somebody may have seen it out.
    pub(super) fn return_asked(&mut self, reason: &str) {
        match &self.lease.state {
            State::Opening | State::Active => self.begin_return(reason),
            State::Closing | State::Settling => self.news = Some(present(&self.lease)),
            State::Closed(ending) => {
                let looked = matches!(ending.end, LeaseEnd::Home | LeaseEnd::ProtectedElsewhere(_) | LeaseEnd::Gone);
                if looked && self.lease.next_read_at.is_none_or(|at| at > self.now) {
                    self.lease.next_read_at = Some(self.now);
                }
                self.news = Some(News::Closed);
            }
        }
    }

    /// Begins to return. What is ready is withdrawn in the same transaction; what was sent without a result is unknown,
    /// and is not waited for.
    pub(super) fn begin_return(&mut self, reason: &str) {
        if !matches!(self.lease.state, State::Opening | State::Active) {
            return;
        }
        for at in 0..self.attempts.len() {
            match self.attempts[at].state {
                AttemptState::Ready => self.set(at, AttemptState::Void),
                AttemptState::Sent { claimed_until, .. } => self.set(at, AttemptState::Unknown { claimed_until }),
                AttemptState::Taken | AttemptState::NotTaken | AttemptState::Unknown { .. } | AttemptState::Void => {}
            }
        }
        let may_be_out = self.lease.sight.out.is_some() || self.settled_from().is_some();
        self.lease.state = State::Closing;
        self.lease.return_reason = Some(reason.to_owned());
        self.lease.returning_at = Some(self.now);
        // A lend that was never sent, or proved not taken, left the account where it was: reads show it, no move is needed.
        self.lease.return_at = may_be_out.then_some(self.now);
        if may_be_out {
            self.read_after_the_move();
        } else {
            self.read_soon();
        }
        self.news = Some(News::Returning);
    }

    /// Released by two persons: nothing of ours moves the account any more. An account that was never out is returned instead.
    pub(super) fn release(&mut self) {
        match &self.lease.state {
            State::Active | State::Closing | State::Settling => {
                self.begin_return("released by two persons");
                self.lease.released = true;
                self.lease.return_at = None;
                for at in 0..self.attempts.len() {
                    if self.attempts[at].state == AttemptState::Ready {
                        self.set(at, AttemptState::Void);
                    }
                }
                if self.settled_from().is_some() && self.lease.state != State::Settling {
                    self.lease.state = State::Settling;
                    self.news = Some(News::Settling);
                }
            }
            State::Opening | State::Closed(_) => self.news = Some(present(&self.lease)),
        }
    }

    /// The home cannot be returned to. A lend that did not begin does not; what is out goes to the default home.
    pub(super) fn home_lost(&mut self, default_home: &PolicyId) {
        if !self.lease.is_open() || self.lease.home == *default_home {
            return;
        }
        let from = std::mem::replace(&mut self.lease.home, default_home.clone());
        self.alarms.push(Alarm::HomeLost { from });
        match &self.lease.state {
            State::Opening => self.begin_return("the home policy is gone or no longer mandatory"),
            // Seen at a home that protects no more: that was no end.
            State::Settling if !self.lease.released => self.return_again(),
            State::Closing => self.lease.return_at = Some(self.now),
            State::Active | State::Settling | State::Closed(_) => {}
        }
    }

    /// From settling back to closing.
    pub(super) fn return_again(&mut self) {
        self.lease.state = State::Closing;
        self.lease.return_at = Some(self.now);
        self.read_after_the_move();
        self.news = Some(News::Returning);
    }

    /// The return is on its way at once, and its answer asks for a read; before that, a read would show what is known. If the
    /// return is held up, somebody looks all the same.
    fn read_after_the_move(&mut self) {
        self.lease.reads = 0;
        self.lease.next_read_at = Some(after(self.now, self.lease.terms.probe));
    }

    /// The provider answers again.
    pub(super) fn woken(&mut self) {
        if self.lease.state == State::Closing {
            self.lease.return_at = self.lease.return_at.map(|at| at.min(self.now));
        }
        if self.lease.is_open() {
            self.lease.next_read_at = self.lease.next_read_at.map(|at| at.min(self.now));
        }
    }
}
