//! The others in the recovery's play, for the proofs that every saga must pass ([`homeward_saga::proofs`]).

use std::collections::BTreeSet;
use std::time::Duration;

use homeward_saga::Progress;
use homeward_saga::proofs::Rehearsal;
use homeward_types::limits::after;
use homeward_types::{Factor, LeaseEnd, Limits, NameError, PersonId, ProofKind, Refusal, Tier, Timestamp};

use super::RecoverySaga;
use super::command::{Command, Notice};
use super::data::{Data, Delivery, LeaseFact, LeaseState, Recipient, Terms};
use super::input::{Input, ResetAnswer};

/// A recovery that takes one proof and one approval, of an account with a factor.
pub struct RecoveryRehearsal {
    saga: RecoverySaga,
    begin: Data,
    approvers: [PersonId; 2],
}

/// What the others hold.
#[derive(Debug, Clone, Default)]
pub struct World {
    slot: Slot,
    lease: Option<LeaseFact>,
    watched: bool,
    cleaned: bool,
    told: BTreeSet<(Notice, Recipient)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Slot {
    #[default]
    Free,
    Held,
    GivenBack,
}

impl RecoveryRehearsal {
    /// The play.
    ///
    /// # Errors
    /// Never, with the names that are written here.
    pub fn new() -> Result<Self, NameError> {
        let limits = Limits::default();
        let terms = Terms {
            tier: Tier::Normal,
            proofs: 1,
            approvers: 1,
            kinds: BTreeSet::new(),
            approval: limits.approval.into(),
            proof_valid: limits.proof_valid.into(),
            slot_wait: limits.slot_wait.into(),
            grant_valid: limits.grant_valid.into(),
            lease: limits.lease.into(),
            re_ask: limits.re_ask.into(),
            re_ask_max: limits.re_ask_max.into(),
        };
        let begin = Data::new("acme".parse()?, "mia".parse()?, "rita".parse()?, terms);
        Ok(Self { saga: RecoverySaga::new(), begin, approvers: ["anna".parse()?, "boris".parse()?] })
    }

    fn vote(&self, n: usize, approve: bool) -> Input {
        Input::Voted { by: self.approvers[n].clone(), approve, reason: String::new() }
    }
}

impl World {
    fn news(&self) -> Vec<Input> {
        self.lease.iter().cloned().map(Input::Lease).collect()
    }

    fn lease_becomes(&mut self, state: LeaseState, refusal: Option<Refusal>) -> Input {
        let known = self.lease.take();
        let out = known.as_ref().and_then(|lease| lease.out_at);
        let lease = LeaseFact {
            version: known.as_ref().map_or(1, |lease| lease.version + 1),
            state,
            refusal,
            factor: Some(Factor::Enrolled),
            out_at: out,
            out_version: None,
            due_at: known.and_then(|lease| lease.due_at),
            back_at: None,
            evidence: String::new(),
        };
        self.lease = Some(lease.clone());
        Input::Lease(lease)
    }

    fn lend(&mut self, now: Timestamp) -> Vec<Input> {
        if self.lease.is_some() {
            // Opened already, or a tombstone: a grant is used once.
            return self.news();
        }
        let opened = self.lease_becomes(LeaseState::Opening, None);
        if let Some(lease) = &mut self.lease {
            (lease.out_at, lease.due_at) = (Some(now), Some(after(now, Duration::from_hours(4))));
        }
        vec![opened, self.lease_becomes(LeaseState::Active, None)]
    }

    fn bring_home(&mut self) -> Vec<Input> {
        match self.lease.as_ref().map(|lease| &lease.state) {
            None => vec![self.lease_becomes(LeaseState::Closed(LeaseEnd::NeverLent), None)],
            Some(LeaseState::Closed(_)) => self.news(),
            Some(LeaseState::Opening | LeaseState::Active | LeaseState::Closing | LeaseState::Settling) => {
                let closing = self.lease_becomes(LeaseState::Closing, None);
                vec![closing, self.lease_becomes(LeaseState::Closed(LeaseEnd::Home), None)]
            }
        }
    }
}

impl Rehearsal for RecoveryRehearsal {
    type Saga = RecoverySaga;
    type World = World;

    fn saga(&self) -> &RecoverySaga {
        &self.saga
    }

    fn begin(&self) -> (Data, World) {
        (self.begin.clone(), World::default())
    }

    fn acts(&self, progress: &Progress<Data>, world: &mut World) -> Vec<Input> {
        match progress.step.as_deref() {
            Some("prove") => {
                let by = progress.data.requester.clone();
                vec![Input::ProofAttached { by, kind: ProofKind::CallBack, evidence: String::new() }]
            }
            Some("approve") => vec![self.vote(0, true)],
            Some("await-enrolment") if world.watched => {
                vec![Input::Enrolled { seen_at: progress.entered_at, evidence: String::new() }]
            }
            _ => Vec::new(),
        }
    }

    fn carry_out(&self, world: &mut World, command: &Command, now: Timestamp) -> Vec<Input> {
        match command {
            Command::TakeSlot if world.slot == Slot::GivenBack => Vec::new(),
            Command::TakeSlot => {
                world.slot = Slot::Held;
                vec![Input::SlotTaken]
            }
            Command::GiveSlotBack => {
                world.slot = Slot::GivenBack;
                Vec::new()
            }
            Command::Lend => world.lend(now),
            Command::Watch => {
                world.watched = true;
                vec![Input::FactorAbsent { begun_at: now }]
            }
            Command::Unwatch => {
                world.watched = false;
                Vec::new()
            }
            Command::ResetFactor => vec![Input::FactorReset(ResetAnswer::Gone)],
            Command::Return(_) => world.bring_home(),
            Command::CleanWindow => {
                world.cleaned = true;
                vec![Input::WindowCleaned { revoked: Vec::new(), cannot: Vec::new() }]
            }
            Command::Tell(notice, to) => {
                world.told.insert((*notice, to.clone()));
                vec![Input::Noticed { notice: *notice, to: to.clone(), delivery: Delivery::Accepted }]
            }
            Command::AskApprovers | Command::WithdrawVotes => Vec::new(),
        }
    }

    fn refuse(&self, world: &mut World, command: &Command) -> Vec<Input> {
        match command {
            Command::Lend if world.lease.is_none() => {
                vec![world.lease_becomes(LeaseState::Closed(LeaseEnd::NeverLent), Some(Refusal::Changed))]
            }
            Command::Tell(notice, to) => {
                world.told.insert((*notice, to.clone()));
                vec![Input::Noticed { notice: *notice, to: to.clone(), delivery: Delivery::Failed }]
            }
            Command::Lend
            | Command::AskApprovers
            | Command::WithdrawVotes
            | Command::TakeSlot
            | Command::GiveSlotBack
            | Command::Watch
            | Command::Unwatch
            | Command::ResetFactor
            | Command::Return(_)
            | Command::CleanWindow => Vec::new(),
        }
    }

    fn ways_out(&self) -> Vec<Input> {
        let by = self.begin.requester.clone();
        vec![
            Input::Cancelled { by: by.clone(), reason: String::new() },
            Input::ReturnNow { by, reason: String::new() },
            Input::Repudiated,
            self.vote(1, false),
        ]
    }

    fn check_end(&self, progress: &Progress<Data>, world: &World) -> Result<(), String> {
        let closed = |lease: &LeaseFact| matches!(lease.state, LeaseState::Closed(_));
        if let Some(lease) = world.lease.as_ref().filter(|lease| !closed(lease)) {
            return Err(format!("the lease is {:?}", lease.state));
        }
        if world.slot == Slot::Held {
            return Err("the slot is still held".into());
        }
        let was_out = world.lease.as_ref().is_some_and(|lease| lease.out_at.is_some());
        if was_out && !world.cleaned {
            return Err("what was opened in the window was not cleaned up".into());
        }
        let untold = progress.data.audience().find(|to| !world.told.contains(&(Notice::Closed, to.clone())));
        untold.map_or(Ok(()), |to| Err(format!("{to:?} was not told how it ended")))
    }
}
