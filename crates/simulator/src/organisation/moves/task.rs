//! The task of an `add-users` call: counters without a state, and the reasons of those that failed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::FirstCounters;
use crate::organisation::Organisation;

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
    pub(super) asked: usize,
    pub(super) succeeded: usize,
    pub(super) failed: BTreeMap<MoveFailure, Vec<String>>,
    pub(super) says_success: bool,
}

/// What a read of a task shows; `None` where the counter is missing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TaskView {
    pub(crate) in_progress: Option<usize>,
    pub(crate) success: Option<usize>,
    pub(crate) failure: Option<usize>,
    pub(crate) reasons: Vec<(MoveFailure, Vec<String>)>,
}

impl Organisation {
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

    pub(in crate::organisation) fn forget_old_tasks(&mut self) {
        while let Some(entry) = self.task_ends.first_entry().filter(|entry| entry.key().0 <= self.now) {
            self.tasks.remove(&entry.remove());
        }
    }
}
