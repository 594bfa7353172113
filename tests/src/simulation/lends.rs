//! Commands that arrive at policy.

use homeward_policy::lease::{Asked, Event, Opened, Refused, State, Subject, Terms};
use homeward_policy::lend::facts::{FreshRead, NotAllowed};
use homeward_provider::ProviderError;
use homeward_recovery::saga::input::ResetAnswer;
use homeward_types::diagnosis::OpenLease;
use homeward_types::{LeaseId, PolicyId, Refusal, Timestamp};

use super::agenda::{Happens, Loop, Micros, micros};
use super::broker::{Body, OutboxRow, Parcel};
use super::process::Service;
use super::world::World;

/// A read before a lend, under way.
#[derive(Debug, Clone)]
pub struct Intake {
    /// Whose.
    pub process: usize,
    /// The command; it comes again if this process dies.
    pub parcel: Box<Parcel>,
    begun: Micros,
    begun_at: Timestamp,
    error: Option<ProviderError>,
}

impl World {
    /// A command arrives at policy. True if it is acknowledged.
    pub fn policy_hears(&mut self, process: usize, parcel: &Parcel) -> bool {
        let (id, account) = (parcel.lease, parcel.account);
        match &parcel.body {
            Body::Lend { not_after } => self.lend_arrives(process, parcel, *not_after),
            Body::Return(reason) => {
                let asked = Asked { subject: self.subject(id, account), reason: (*reason).to_owned() };
                self.turn(process, vec![(id, account, Event::ReturnAsked(asked))])
            }
            Body::Reset => self.reset(process, id, account),
            Body::Clean => self.answer(process, Service::Policy, id, account, Service::Recovery, Body::WindowCleaned),
            _ => true,
        }
    }

    /// Whom a command names, with the organisation's settings.
    pub fn subject(&self, id: LeaseId, account: usize) -> Subject {
        self.subject_home(id, account, self.organisation.default_home.clone())
    }

    fn subject_home(&self, lease: LeaseId, account: usize, home: PolicyId) -> Subject {
        Subject {
            lease,
            organisation: self.organisation.id.clone(),
            account: self.provider.accounts[account].id.clone(),
            home,
            recovery_policy: self.organisation.recovery_policy.clone(),
            terms: Terms::from(&self.draft.limits),
        }
    }

    /// One message from a service, in a transaction of its own. True if it was committed by a process that lives on.
    pub fn answer(&mut self, process: usize, of: Service, lease: LeaseId, account: usize, to: Service, body: Body) -> bool {
        if !self.may_commit(process) {
            return false;
        }
        let messages = self.add_messages(vec![OutboxRow { of, lease, account, bodies: vec![(to, body)] }]);
        let lives = self.has_committed(process);
        if lives {
            self.publish_soon(process, messages);
        }
        lives
    }

    /// The old factor goes, only while the account is seen out; a provider that does not answer is asked again.
    fn reset(&mut self, process: usize, id: LeaseId, account: usize) -> bool {
        let out = self.rows.by_id.get(&id).is_some_and(|row| row.lease.state == State::Active);
        let answer = if out {
            if self.call().1.is_some() {
                return true;
            }
            self.provider.accounts[account].enrolled = false;
            ResetAnswer::Gone
        } else {
            ResetAnswer::NotOut
        };
        self.answer(process, Service::Policy, id, account, Service::Recovery, Body::FactorReset(answer))
    }

    /// A repeat is answered; one that came too late is refused; anything else is read about first.
    fn lend_arrives(&mut self, process: usize, parcel: &Parcel, not_after: Timestamp) -> bool {
        let (id, account) = (parcel.lease, parcel.account);
        let refusal = if self.rows.by_id.contains_key(&id) {
            Some(Refusal::Busy)
        } else if not_after <= self.clock(process) {
            Some(Refusal::Expired)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return self.refuse(process, id, account, refusal);
        }
        let begun_at = self.clock(process);
        let (wait, error) = self.call();
        let number = self.work_number();
        let begun = self.agenda.now();
        self.intakes.insert(number, Intake { process, parcel: Box::new(parcel.clone()), begun, begun_at, error });
        self.agenda.note(begun + wait, Happens::Intake(number));
        true
    }

    fn refuse(&mut self, process: usize, id: LeaseId, account: usize, refusal: Refusal) -> bool {
        let refused = Refused { subject: self.subject(id, account), refusal };
        self.turn(process, vec![(id, account, Event::LendRefused(refused))])
    }

    /// The read before a lend is over: the transaction that opens the lease, or does not.
    pub fn intake_ends(&mut self, number: u64) {
        let Some(intake) = self.intakes.get(&number) else { return };
        if self.can_act(intake.process, Happens::Intake(number)).is_none() {
            return;
        }
        let Some(intake) = self.intakes.remove(&number) else { return };
        let process = intake.process;
        self.heard(process, intake.error.as_ref());
        if intake.error.is_some() {
            self.rows.waiting.push(*intake.parcel);
            let at = self.agenda.now() + micros(self.draft.limits.probe);
            self.wake(process, Loop::Waiting, at);
            return;
        }
        let (id, account) = (intake.parcel.lease, intake.parcel.account);
        let event = self.decide_lend(process, &intake);
        if matches!(event, Event::LendAccepted(_)) {
            // The line before the row.
            self.rows.lines.insert(id);
        }
        if !self.turn(process, vec![(id, account, event)]) {
            self.again(intake.parcel);
        }
    }

    /// What the transaction decides: by production's diagnosis, and what the database says of the account.
    fn decide_lend(&mut self, process: usize, intake: &Intake) -> Event {
        let (id, account) = (intake.parcel.lease, intake.parcel.account);
        let now = self.clock(process);
        let shown_at = self.read_moment(account, intake.begun);
        let placement = self.provider.placement(account, shown_at, intake.begun_at);
        let record = self.provider.record(account, intake.begun_at);
        let read = FreshRead::new(placement.into_iter().collect(), record.into_iter().collect());
        let other = self.rows.open.get(&account).filter(|open| **open != id);
        let other = other.map(|open| OpenLease { lease: *open, free_at: self.rows.by_id[open].lease.due_at });
        let past = self.rows.past.get(&account).copied().unwrap_or_default();
        let Some(grant) = self.cases.grant(id) else {
            return Event::LendRefused(Refused { subject: self.subject(id, account), refusal: Refusal::Grant });
        };
        let refused = |refusal| Event::LendRefused(Refused { subject: self.subject(id, account), refusal });
        if grant.not_after <= now {
            return refused(Refusal::Expired);
        }
        match read.diagnose(&self.organisation, &grant, other, past.released, now) {
            Err(NotAllowed::Busy) => refused(Refusal::Busy),
            Err(NotAllowed::Changed(_)) => refused(Refusal::Changed),
            Ok(allowed) => Event::LendAccepted(Opened {
                subject: self.subject_home(id, account, allowed.home),
                home_version: allowed.home_version,
                seen_before: past.newest,
                factor: allowed.factor,
                lasts: self.draft.limits.lease,
                not_after: grant.not_after,
            }),
        }
    }

    /// Lends that waited for the provider are tried again.
    pub fn try_waiting(&mut self, process: usize) {
        let waiting = std::mem::take(&mut self.rows.waiting);
        self.note(|| format!("process {process} tries {} lends that wait", waiting.len()));
        for parcel in waiting {
            self.again(Box::new(parcel));
        }
    }
}
