//! What becomes of attempts (rule 4): marked, answered, expired.

use std::time::Duration;

use homeward_types::Timestamp;
use homeward_types::limits::after;

use super::Turn;
use crate::lease::{Answer, Attempt, AttemptState, Kind, Sending, State};

impl Turn<'_> {
    /// A worker that did not come back with an answer in its time may have sent: unknown.
    pub(super) fn expire_claims(&mut self) {
        for at in 0..self.attempts.len() {
            let AttemptState::Sent { claimed_until, accepted: false } = self.attempts[at].state else { continue };
            if claimed_until > self.now {
                continue;
            }
            self.set(at, AttemptState::Unknown { claimed_until });
            if self.attempts[at].kind == Kind::Return {
                self.return_failed(Duration::ZERO);
            }
        }
    }

    /// The mark before the write. Whoever may not, does not.
    pub(super) fn attempt_sent(&mut self, sending: Sending) {
        let Some(at) = self.find(sending.number) else { return };
        if !self.attempts[at].may_be_sent(&self.lease, sending.claimed_until, self.now) {
            return;
        }
        self.set(at, AttemptState::Sent { claimed_until: sending.claimed_until, accepted: false });
        // If the worker dies, somebody looks as soon as it must have stopped.
        self.lease.next_read_at = Some(sending.claimed_until);
    }

    pub(super) fn answered(&mut self, number: u32, answer: &Answer) {
        let Some(at) = self.find(number) else { return };
        let Some(claimed_until) = self.attempts[at].state.unresolved() else { return };
        match answer {
            Answer::Accepted => self.accepted(at),
            Answer::Refused { retry_after, .. } => {
                self.set(at, AttemptState::NotTaken);
                self.not_taken(at, Some(*retry_after));
            }
            Answer::Impossible { .. } => {
                self.set(at, AttemptState::NotTaken);
                self.not_taken(at, None);
            }
            Answer::Unknown { .. } => self.unknown(at, claimed_until),
        }
    }

    /// Proves nothing: the account is read at once, and a return is tried again if it does not show.
    fn accepted(&mut self, at: usize) {
        let AttemptState::Sent { claimed_until, accepted: false } = self.attempts[at].state else { return };
        self.set(at, AttemptState::Sent { claimed_until, accepted: true });
        if self.lease.is_open() {
            self.read_soon();
        }
        if self.attempts[at].kind == Kind::Return && self.lease.state == State::Closing {
            self.lease.return_at = Some(after(self.now, self.shows_within()));
        }
    }

    fn unknown(&mut self, at: usize, claimed_until: Timestamp) {
        let was_sent = matches!(self.attempts[at].state, AttemptState::Sent { .. });
        self.set(at, AttemptState::Unknown { claimed_until });
        if !was_sent {
            return;
        }
        if self.lease.is_open() {
            self.read_soon();
        }
        if self.attempts[at].kind == Kind::Return {
            self.return_failed(Duration::ZERO);
        }
    }

    /// Proved to have had no effect. A return is tried again for ever; a lend while it may still be sent.
    fn not_taken(&mut self, at: usize, retry_after: Option<Duration>) {
        let (kind, not_after) = (self.attempts[at].kind, self.attempts[at].not_after);
        match kind {
            Kind::Return => self.return_failed(retry_after.unwrap_or_default()),
            Kind::Lend if self.lease.state == State::Opening => {
                let Some(retry_after) = retry_after else {
                    self.begin_return("the provider refused the lend");
                    return;
                };
                let wait = self.lease.terms.read_wait(self.lease.attempts).max(retry_after);
                self.add(Kind::Lend, after(self.now, wait), not_after);
            }
            // It cannot land any more: there may be nothing left to wait for.
            Kind::Lend if self.lease.is_open() => self.read_soon(),
            Kind::Lend => {}
        }
    }

    fn return_failed(&mut self, retry_after: Duration) {
        if self.lease.state != State::Closing {
            return;
        }
        self.lease.failed_returns = self.lease.failed_returns.saturating_add(1);
        let wait = self.lease.terms.return_wait(self.lease.id, self.lease.failed_returns).max(retry_after);
        self.lease.return_at = Some(after(self.now, wait));
    }

    pub(super) fn add(&mut self, kind: Kind, not_before: Timestamp, not_after: Option<Timestamp>) {
        self.lease.attempts += 1;
        self.attempts.push(Attempt { number: self.lease.attempts, kind, state: AttemptState::Ready, not_before, not_after });
    }

    pub(super) fn read_soon(&mut self) {
        self.lease.reads = 0;
        self.lease.next_read_at = Some(self.now);
    }

    pub(super) fn set(&mut self, at: usize, state: AttemptState) {
        self.attempts[at].state = state;
        if matches!(state, AttemptState::Unknown { .. }) {
            self.lease.was_unknown = true;
        }
    }

    fn find(&self, number: u32) -> Option<usize> {
        self.attempts.iter().position(|attempt| attempt.number == number)
    }
}
