//! Recovery: production's saga and plan over a table of cases, one transaction for what arrives together, timers, slots.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use homeward_recovery::saga::command::{Command, Notice, ReturnReason};
use homeward_recovery::saga::data::{Data, LeaseState, Recipient, Terms};
use homeward_recovery::saga::input::Input;
use homeward_recovery::slot::Counter;
use homeward_saga::{Event, Progress, due_at, plan};
use homeward_types::{Factor, Grant, LeaseId, Organisation, PersonId, PlacementVersion, Tier, Timestamp};

use super::agenda::{Loop, Micros, micros};
use super::broker::{Body, OutboxRow, Parcel};
use super::draft::Draft;
use super::law::Law;
use super::process::Service;
use super::world::World;
use crate::model::mutation::Mutation;

/// A case.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its row.
    pub progress: Progress<Data>,
    /// Its place among the drafts.
    pub draft: usize,
    /// Whose.
    pub account: usize,
    /// What recovery permits, but for its last moment.
    pub grant: Grant,
    /// When it wants to be woken.
    due: Option<Timestamp>,
}

/// The database.
#[derive(Debug, Default)]
pub struct Cases {
    /// Cases by id.
    pub by_id: BTreeMap<LeaseId, Case>,
    /// Cases that are not closed.
    pub open: usize,
    /// Cases that are drafted and not asked for yet.
    pub to_come: usize,
    /// When cases are due.
    timers: BTreeSet<(Timestamp, LeaseId)>,
    /// Who asked for a slot when, and whether it was taken.
    slots: BTreeMap<LeaseId, (Timestamp, bool)>,
    cap: i64,
}

/// Who asks.
///
/// # Panics
/// Never: the name is well formed.
pub fn requester() -> PersonId {
    "rita".parse().expect("well formed")
}

/// Who approves.
///
/// # Panics
/// Never: the name is well formed.
pub fn approver() -> PersonId {
    "anna".parse().expect("well formed")
}

impl Cases {
    /// Nobody has asked for anything.
    pub fn new(draft: &Draft, _organisation: &Organisation) -> Self {
        Self { to_come: draft.cases.len(), cap: draft.cap, ..Self::default() }
    }

    /// What recovery permits for a lease, if it does.
    pub fn grant(&self, id: LeaseId) -> Option<Grant> {
        let case = self.by_id.get(&id)?;
        let not_after = case.progress.data.not_after()?;
        Some(Grant { not_after, approvers: vec![approver()], ..case.grant.clone() })
    }

    /// Whether a slot is held or waited for.
    pub fn holds_slots(&self) -> bool {
        !self.slots.is_empty()
    }

    /// As the store's `exchange`: what is given back is free, and the first of the line take it.
    fn exchange(&mut self, asked: &[LeaseId], given: &[LeaseId], now: Timestamp) -> Vec<LeaseId> {
        for id in given {
            self.slots.remove(id);
        }
        let mut served = Vec::new();
        for id in asked {
            match self.slots.get(id) {
                Some((_, true)) => served.push(*id),
                Some((_, false)) => {}
                None => drop(self.slots.insert(*id, (now, false))),
            }
        }
        let held = self.slots.values().filter(|(_, taken)| *taken).count();
        let free = Counter { held: i64::try_from(held).unwrap_or(i64::MAX), outside: 0, cap: self.cap }.free();
        let mut line: Vec<(Timestamp, LeaseId)> =
            self.slots.iter().filter(|(_, (_, taken))| !taken).map(|(id, (at, _))| (*at, *id)).collect();
        line.sort_unstable();
        for (at, id) in line.into_iter().take(usize::try_from(free).unwrap_or(0)) {
            self.slots.insert(id, (at, true));
            served.push(id);
        }
        served
    }
}

impl World {
    /// A case is asked for: what recovery writes down at the request.
    pub fn new_case(&self, draft: usize, id: LeaseId, now: Timestamp) -> Case {
        let account = self.draft.cases[draft].account;
        let one = &self.provider.accounts[account];
        let home =
            self.provider.policies[if one.is.policy == super::provider::OUT { account % 2 } else { one.is.policy }].clone();
        let data =
            Data::new(self.organisation.id.clone(), one.id.clone(), requester(), Terms::of(&self.organisation, Tier::Normal));
        let grant = Grant {
            lease: id,
            organisation: self.organisation.id.clone(),
            account: one.id.clone(),
            email: one.is.email.clone(),
            home,
            tier: Tier::Normal,
            factor: if one.enrolled { Factor::Enrolled } else { Factor::Absent },
            recent_requests: 0,
            repudiated_before: false,
            requester: requester(),
            approvers: Vec::new(),
            diagnosis_hash: String::new(),
            not_after: now,
            lease_micros: micros(self.draft.limits.lease),
        };
        Case { progress: Progress::fresh(data, now), draft, account, grant, due: None }
    }

    /// One transaction over cases. False if its process died before or right after the commit.
    pub fn coordinate(&mut self, process: usize, arrivals: Vec<(LeaseId, Event<Input>)>) -> bool {
        if !self.may_commit(process) {
            return false;
        }
        let now = self.clock(process);
        let first = self.outbox_number + 1;
        let mut queue: VecDeque<(LeaseId, Event<Input>)> = arrivals.into();
        while !queue.is_empty() {
            let (mut asked, mut given) = (Vec::new(), Vec::new());
            while let Some((id, event)) = queue.pop_front() {
                for command in self.case_moves(id, &event, now) {
                    match command {
                        Command::TakeSlot => asked.push(id),
                        Command::GiveSlotBack => given.push(id),
                        command => self.send_command(id, &command),
                    }
                }
            }
            if !asked.is_empty() || !given.is_empty() {
                let served = self.cases.exchange(&asked, &given, now);
                queue.extend(served.into_iter().map(|id| (id, Event::Input(Input::SlotTaken))));
            }
        }
        let messages: Vec<u64> = (first..=self.outbox_number).collect();
        let lives = self.has_committed(process);
        if lives {
            self.publish_soon(process, messages);
        }
        self.set_timers();
        lives
    }

    /// Production plans one arrival; the row changes. Answers what is asked of others.
    fn case_moves(&mut self, id: LeaseId, event: &Event<Input>, now: Timestamp) -> Vec<Command> {
        let Some(case) = self.cases.by_id.get(&id) else { return Vec::new() };
        let before = case.progress.clone();
        let mutation = self.draft.mutation;
        if let (Some(Mutation::IgnoreLateLentNews), Event::Input(Input::Lease(fact))) = (mutation, event)
            && fact.state == LeaseState::Active
            && before.data.is_leaving()
        {
            return Vec::new();
        }
        let mut moved = plan(&self.saga, &before, event, now);
        if !moved.changed {
            return Vec::new();
        }
        if let (Some(Mutation::CancelThroughLend), Event::Input(Input::Cancelled { .. })) = (mutation, event) {
            moved.progress.step = None;
            moved.commands.clear();
        }
        self.judge_case(id, &before, &moved.progress, &moved.commands, event);
        let (was_closed, closed) = (before.is_closed(), moved.progress.is_closed());
        let due = due_at(&self.saga, &moved.progress);
        let step = moved.progress.step.as_deref().map_or(0, |step| step.len() as u64 + 1);
        self.step(&[2, id.uuid().as_u64_pair().0, step]);
        self.note(|| format!("case {id} is at {:?}", moved.progress.step.as_deref().unwrap_or("closed")));
        let mut commands = moved.commands;
        if event == &Event::Start {
            commands.insert(0, Command::Tell(Notice::Requested, Recipient::Owner));
        }
        if let Some(case) = self.cases.by_id.get_mut(&id) {
            if let Some(old) = case.due {
                self.cases.timers.remove(&(old, id));
            }
            if let Some(new) = due {
                self.cases.timers.insert((new, id));
            }
            (case.progress, case.due) = (moved.progress, due);
        }
        match (was_closed, closed) {
            (false, true) => self.case_closes(id),
            (true, false) => self.cases.open += 1,
            (true, true) | (false, false) => {}
        }
        commands
    }

    fn case_closes(&mut self, id: LeaseId) {
        self.cases.open -= 1;
        self.judge_close(id);
        self.next_case_begins(id);
    }

    fn send_command(&mut self, id: LeaseId, command: &Command) {
        let case = &self.cases.by_id[&id];
        let data = &case.progress.data;
        let (to, body) = match command {
            Command::Lend => match data.not_after() {
                Some(not_after) => (Service::Policy, Body::Lend { not_after }),
                None => return,
            },
            Command::Return(reason) => (Service::Policy, Body::Return(ReturnReason::name(*reason))),
            Command::ResetFactor => (Service::Policy, Body::Reset),
            Command::CleanWindow => (Service::Policy, Body::Clean),
            Command::Watch => {
                let lease = data.lease.as_ref();
                let version = lease.and_then(|lease| lease.out_version).map(PlacementVersion);
                match lease.and_then(|lease| lease.out_at) {
                    Some(out_at) => (Service::Directory, Body::Watch { out_at, version, until: data.due_at() }),
                    None => return,
                }
            }
            Command::Unwatch => (Service::Directory, Body::Unwatch),
            Command::Tell(notice, to) => (Service::Notification, Body::Tell(*notice, to.clone())),
            Command::AskApprovers | Command::WithdrawVotes | Command::TakeSlot | Command::GiveSlotBack => return,
        };
        let account = case.account;
        self.add_messages(vec![OutboxRow { of: Service::Recovery, lease: id, account, bodies: vec![(to, body)] }]);
    }

    fn set_timers(&mut self) {
        let Some((at, _)) = self.cases.timers.first().copied() else { return };
        for process in Service::Recovery.processes() {
            let at = self.true_moment(*process, at);
            self.wake(*process, Loop::Timers, at);
        }
    }

    /// Recovery does what is due.
    pub fn recovery_timers(&mut self, process: usize) {
        let now = self.clock(process);
        let due: Vec<LeaseId> = self.cases.timers.iter().take_while(|(at, _)| *at <= now).take(500).map(|(_, id)| *id).collect();
        if due.is_empty() {
            if let Some((at, _)) = self.cases.timers.first().copied() {
                let at = self.true_moment(process, at).max(self.agenda.now() + 1);
                self.wake(process, Loop::Timers, at);
            }
            return;
        }
        self.coordinate(process, due.into_iter().map(|id| (id, Event::Tick)).collect());
    }

    /// News arrives at recovery. True if it is acknowledged.
    pub fn recovery_hears(&mut self, process: usize, parcel: &Parcel) -> bool {
        let input = match &parcel.body {
            Body::Lease(fact) => Input::Lease((**fact).clone()),
            Body::FactorReset(answer) => Input::FactorReset(answer.clone()),
            Body::FactorAbsent(begun_at) => Input::FactorAbsent { begun_at: *begun_at },
            Body::Enrolled(seen_at) => Input::Enrolled { seen_at: *seen_at, evidence: String::new() },
            Body::WindowCleaned => Input::WindowCleaned { revoked: Vec::new(), cannot: Vec::new() },
            Body::Noticed(notice, to, delivery) => Input::Noticed { notice: *notice, to: to.clone(), delivery: *delivery },
            _ => return true,
        };
        self.coordinate(process, vec![(parcel.lease, Event::Input(input))])
    }

    /// The bound within which a case closes after its lease's end: whatever was lost before the calm is asked again.
    pub fn bound_of_close(&self) -> Micros {
        micros(self.draft.limits.re_ask_max) + 20 * super::agenda::SECOND
    }

    /// A judged transition of a case.
    fn judge_case(
        &mut self,
        id: LeaseId,
        before: &Progress<Data>,
        after: &Progress<Data>,
        commands: &[Command],
        event: &Event<Input>,
    ) {
        let past = matches!(after.step.as_deref(), None | Some("clean" | "close"));
        if past && self.rows.by_id.get(&id).is_some_and(|row| row.lease.is_open()) {
            self.breaks(Law::CasePastReturn, || format!("case {id} at {:?}", after.step));
        }
        let Event::Input(Input::Lease(fact)) = event else { return };
        let known = before.data.lease.as_ref().map_or(0, |lease| lease.version);
        if fact.version < known {
            self.breaks(Law::NewsForward, || format!("case {id}: {} after {known}", fact.version));
        }
        let late = fact.state == LeaseState::Active && before.data.is_leaving() && before.data.lease_end().is_none();
        if late && !commands.iter().any(|command| matches!(command, Command::Return(_))) {
            self.breaks(Law::LateLentAsksReturn, || format!("case {id}"));
        }
    }
}
