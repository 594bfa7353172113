//! Moving accounts between policies, as the provider does it: by address, accepted first and done later, and read
//! through a task that has counters but no state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::account::{Claim, Placed, Status};
use crate::config::{AlreadyMember, BadAddress, Deactivated, FirstCounters, Resolve, Versions};
use crate::effect::Cause;
use crate::timeline::Moment;

use super::{Organisation, micros};

/// A task never takes effect in more pieces than this.
const PIECES: usize = 4;

/// What a task's counters say while the truth is something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// Still in progress.
    #[default]
    Running,
    /// All done, without a failure.
    Success,
}

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
    /// It fails for some of its users: for the account named, or else for every second one, the first included.
    Partial(Option<String>),
}

/// Why one address was not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MoveFailure {
    NotFound,
    NotManaged,
    Deactivated,
    AlreadyMember,
    PolicyGone,
    Internal,
}

impl MoveFailure {
    /// Status, title and detail as the task shows them. The wording is ours: the provider's is not published.
    pub(crate) const fn details(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::NotFound => (404, "User not found", "No account has this email address."),
            Self::NotManaged => (400, "User is not managed", "The account isn't managed by this organization."),
            Self::Deactivated => (400, "User is deactivated", "Deactivated accounts can't be moved between policies."),
            Self::AlreadyMember => (409, "Already a member", "The user is already a member of this policy."),
            Self::PolicyGone => (404, "Policy not found", "The authentication policy no longer exists."),
            Self::Internal => (500, "Internal server error", "The user couldn't be added. Try again later."),
        }
    }
}

/// Why a whole `add-users` call was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MoveRefused {
    UnknownPolicy,
    NoUsers,
    TooMany { limit: usize },
    Malformed { email: String },
    Unmovable { email: String, failure: MoveFailure },
}

/// One accepted `add-users` call.
#[derive(Debug)]
pub(crate) struct Task {
    asked: usize,
    succeeded: usize,
    failed: BTreeMap<MoveFailure, Vec<String>>,
    says_success: bool,
}

/// What a read of a task shows; `None` where the counter is missing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TaskView {
    pub(crate) in_progress: Option<usize>,
    pub(crate) success: Option<usize>,
    pub(crate) failure: Option<usize>,
    pub(crate) reasons: Vec<(MoveFailure, Vec<String>)>,
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
            Twist::Partial(None) => position.is_multiple_of(2),
            Twist::Partial(Some(account)) => self.find_email(email).is_some_and(|slot| *self.accounts[slot].id == **account),
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

    /// What a read of the task shows now.
    pub(crate) fn task(&self, id: &str) -> Option<TaskView> {
        let task = self.tasks.get(id)?;
        if task.says_success {
            return Some(TaskView { in_progress: Some(0), success: Some(task.asked), failure: Some(0), reasons: Vec::new() });
        }
        let failure = task.failed.values().map(Vec::len).sum();
        let begun = task.succeeded + failure > 0;
        let reasons = task.failed.iter().map(|(failure, emails)| (*failure, emails.clone())).collect();
        Some(match self.settings.quirks.first_counters {
            FirstCounters::Zero if !begun => TaskView { in_progress: Some(0), success: Some(0), failure: Some(0), reasons },
            FirstCounters::Absent if !begun => TaskView { in_progress: None, success: None, failure: None, reasons },
            FirstCounters::Running | FirstCounters::Zero | FirstCounters::Absent => TaskView {
                in_progress: Some(task.asked - task.succeeded - failure),
                success: Some(task.succeeded),
                failure: Some(failure),
                reasons,
            },
        })
    }

    pub(super) fn forget_old_tasks(&mut self) {
        while let Some(entry) = self.task_ends.first_entry().filter(|entry| entry.key().0 <= self.now) {
            self.tasks.remove(&entry.remove());
        }
    }
}
