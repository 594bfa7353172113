//! Moving accounts between policies, as the provider does it: by address, accepted first and done later, and read
//! through a task that has counters but no state.

mod task;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::account::{Claim, Placed, Status};
use crate::config::{AlreadyMember, BadAddress, Deactivated, Resolve, Versions};
use crate::effect::Cause;
use crate::timeline::Moment;

use super::{Organisation, micros};

pub use task::Says;
pub(crate) use task::{MoveFailure, MoveRefused, Task};

/// A task never takes effect in more pieces than this.
const PIECES: usize = 4;

/// What a fault makes of a move that is otherwise accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Twist {
    /// Nothing: it goes as it should.
    #[default]
    Honest,
    /// It never takes effect.
    Never(Says),
    /// It takes effect this much later than it would.
    Late(Duration, Says),
    /// It fails for these of its users, by account id or address; for none named, every second, the first included.
    Partial(Vec<String>),
}

#[derive(Debug)]
enum Target {
    Address(String),
    Account(String, Option<usize>),
    /// Fails whatever it is.
    Broken(String),
}

/// A part of a task that waits for its time.
#[derive(Debug)]
pub(crate) struct PendingMove {
    task: Arc<str>,
    policy: usize,
    users: Vec<Target>,
}

impl Organisation {
    /// Accepts a call to move `users` into `policy`; the answer is the task's id.
    pub(crate) fn accept_move(&mut self, policy: &str, users: Vec<String>, twist: &Twist) -> Result<Arc<str>, MoveRefused> {
        let policy = self.find_policy(policy).ok_or(MoveRefused::UnknownPolicy)?;
        self.check_users(policy, &users)?;
        let id: Arc<str> = self.new_id().into();
        let says_success = matches!(twist, Twist::Never(Says::Success) | Twist::Late(_, Says::Success));
        let task = Task { asked: users.len(), succeeded: 0, failed: BTreeMap::new(), says_success };
        self.tasks.insert(Arc::clone(&id), task);
        let end = self.now.saturating_add(micros(Duration::from_secs(self.settings.quirks.task_life_seconds)));
        let number = self.next_number();
        self.task_ends.insert((end, number), Arc::clone(&id));
        if !matches!(twist, Twist::Never(_)) {
            let targets = self.targets(users, twist);
            self.schedule(&id, policy, targets, twist);
        }
        Ok(id)
    }

    fn check_users(&self, policy: usize, users: &[String]) -> Result<(), MoveRefused> {
        if users.is_empty() {
            return Err(MoveRefused::NoUsers);
        }
        if let Some(limit) = self.settings.batch_limit.filter(|limit| users.len() > *limit) {
            return Err(MoveRefused::TooMany { limit });
        }
        let well_formed =
            |email: &String| email.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
        if let Some(email) = users.iter().find(|email| !well_formed(email)) {
            return Err(MoveRefused::Malformed { email: email.clone() });
        }
        if self.settings.quirks.bad_address == BadAddress::RejectsBatch {
            for email in users {
                match self.movable(self.find_email(email), policy) {
                    Ok(_) | Err(MoveFailure::AlreadyMember) => {}
                    Err(failure) => return Err(MoveRefused::Unmovable { email: email.clone(), failure }),
                }
            }
        }
        Ok(())
    }

    fn targets(&self, users: Vec<String>, twist: &Twist) -> Vec<Target> {
        let breaks = |position: usize, email: &str| match twist {
            Twist::Honest | Twist::Never(_) | Twist::Late(..) => false,
            Twist::Partial(only) if only.is_empty() => position.is_multiple_of(2),
            Twist::Partial(only) => {
                let id = self.find_email(email).map(|slot| &*self.accounts[slot].id);
                only.iter().any(|name| name == email || Some(name.as_str()) == id)
            }
        };
        let target = |(position, email): (usize, String)| {
            if breaks(position, &email) {
                return Target::Broken(email);
            }
            match self.settings.quirks.resolve {
                Resolve::AtEffect => Target::Address(email),
                Resolve::AtRequest => {
                    let slot = self.find_email(&email);
                    Target::Account(email, slot)
                }
            }
        };
        users.into_iter().enumerate().map(target).collect()
    }

    fn schedule(&mut self, task: &Arc<str>, policy: usize, mut targets: Vec<Target>, twist: &Twist) {
        let later = match twist {
            Twist::Late(by, _) => *by,
            Twist::Honest | Twist::Never(_) | Twist::Partial(_) => Duration::ZERO,
        };
        let range = self.settings.lateness.task_delay;
        let pieces = if range.1.is_zero() { 1 } else { PIECES };
        let size = targets.len().div_ceil(pieces).max(1);
        while !targets.is_empty() {
            let users = targets.drain(..size.min(targets.len())).collect();
            let delay = self.draw(range) + later;
            let pending = PendingMove { task: Arc::clone(task), policy, users };
            if delay.is_zero() {
                self.take_effect(self.now, pending);
            } else {
                let due = self.now.saturating_add(micros(delay));
                let number = self.next_number();
                self.pending.insert((due, number), pending);
            }
        }
    }

    /// Everything that was accepted and is not done yet takes effect now. The answer is how many parts of tasks that were.
    pub(crate) fn land(&mut self) -> usize {
        let pending = std::mem::take(&mut self.pending);
        let parts = pending.len();
        for part in pending.into_values() {
            self.take_effect(self.now, part);
        }
        parts
    }

    /// A part of a task takes effect at `at`.
    pub(super) fn take_effect(&mut self, at: Moment, pending: PendingMove) {
        let cause = Cause::Task { id: pending.task.to_string() };
        let mut failed = Vec::new();
        let mut succeeded = 0;
        for target in pending.users {
            let (email, slot) = match target {
                Target::Broken(email) => {
                    failed.push((MoveFailure::Internal, email));
                    continue;
                }
                Target::Address(email) => {
                    let slot = self.find_email(&email);
                    (email, slot)
                }
                Target::Account(email, slot) => (email, slot),
            };
            match self.move_one(at, slot, pending.policy, &cause) {
                Ok(()) => succeeded += 1,
                Err(failure) => failed.push((failure, email)),
            }
        }
        if let Some(task) = self.tasks.get_mut(&pending.task) {
            task.succeeded += succeeded;
            for (failure, email) in failed {
                task.failed.entry(failure).or_default().push(email);
            }
        }
    }

    fn move_one(&mut self, at: Moment, slot: Option<usize>, policy: usize, cause: &Cause) -> Result<(), MoveFailure> {
        match self.movable(slot, policy) {
            Ok(slot) => {
                self.place(slot, at, policy, cause);
                Ok(())
            }
            Err(MoveFailure::AlreadyMember) if self.settings.quirks.already_member == AlreadyMember::Success => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    fn movable(&self, slot: Option<usize>, policy: usize) -> Result<usize, MoveFailure> {
        let slot = slot.ok_or(MoveFailure::NotFound)?;
        let account = &self.accounts[slot];
        if self.policies[policy].deleted {
            return Err(MoveFailure::PolicyGone);
        }
        if account.gone || account.status == Status::Closed {
            return Err(MoveFailure::NotFound);
        }
        if account.claim == Claim::Unmanaged {
            return Err(MoveFailure::NotManaged);
        }
        if account.status == Status::Inactive && self.settings.quirks.deactivated == Deactivated::CannotMove {
            return Err(MoveFailure::Deactivated);
        }
        if account.placement.now().is_some_and(|placed| placed.policy == policy) {
            return Err(MoveFailure::AlreadyMember);
        }
        Ok(slot)
    }

    /// Puts an account into a policy at `at`, with the version that the settings ask for.
    pub(crate) fn place(&mut self, slot: usize, at: Moment, policy: usize, cause: &Cause) {
        let keeps = self.settings.versions == Versions::KeptOnReAdd;
        self.edit(slot, at, cause, |account| {
            let before = *account.placement.now();
            let fresh = (at / 1_000).max(before.map_or(i64::MIN, |placed| placed.version + 1));
            let kept = account.former.iter().find(|placed| placed.policy == policy).map(|placed| placed.version);
            let version = kept.filter(|_| keeps).unwrap_or(fresh);
            if let Some(left) = before.filter(|_| keeps) {
                account.former.retain(|placed| placed.policy != left.policy);
                account.former.push(left);
            }
            account.placement.set(at, Some(Placed { policy, version }));
        });
        self.record_move(slot, at, policy);
    }
}
