//! What the other services report: facts for the sagas, and what concerns only recovery's own tables.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::TimeDelta;
use homeward_chassis::error_chain;
use homeward_messaging::{HandleError, Handler, Received, Verdict, inbox};
use homeward_proto::directory::v1 as directory;
use homeward_proto::notification::v1 as notification;
use homeward_proto::policy::v1 as policy;
use homeward_proto::wire::{WireError, moment, moment_optional, parse, parse_optional};
use homeward_saga::{Arrival, Handled, Refusal, SubmitError};
use homeward_store::transaction;
use homeward_types::{RecoveryId, Timestamp};
use prost::Message;
use uuid::Uuid;

use crate::containment;
use crate::domain::read_delivery_key;
use crate::incident::{self, Incident};
use crate::parts::Shared;
use crate::saga::RecoverySaga;
use crate::saga::command::Notice;
use crate::saga::data::{Data, Delivery};
use crate::saga::input::{Input, ResetAnswer};
use crate::timeline::{self, Entry};
use crate::wire::lease_fact;

/// How often the senders' outbox numbers are noted where nothing else is written: a transaction for each batch would cost
/// more than knowing them to the last message is worth.
const HEARD: TimeDelta = TimeDelta::seconds(1);

/// Handles the queue `recovery.events`.
pub(crate) struct Events {
    shared: Arc<Shared>,
    heard: Mutex<Heard>,
}

/// The newest message of each sender that was not noted yet.
#[derive(Default)]
struct Heard {
    newest: BTreeMap<String, Received>,
    noted_at: Option<Timestamp>,
}

impl Heard {
    fn hear(&mut self, batch: &[Received]) {
        for received in batch {
            let newest = self.newest.get(&received.envelope.sender);
            if newest.is_none_or(|newest| newest.envelope.sender_number < received.envelope.sender_number) {
                self.newest.insert(received.envelope.sender.clone(), received.clone());
            }
        }
    }

    /// What is to be noted with whatever else is written, or because it is time to.
    fn take(&mut self, anyway: bool, now: Timestamp) -> Vec<Received> {
        let is_time = self.noted_at.is_none_or(|at| now - at >= HEARD);
        if !anyway && !is_time {
            return Vec::new();
        }
        self.noted_at = Some(now);
        std::mem::take(&mut self.newest).into_values().collect()
    }
}

/// What one message means here.
enum Meaning {
    /// A fact for a saga.
    Fact(Uuid, Input),
    /// Something for a person's eye, from policy.
    Incident(Box<Incident>),
    /// A notice that the saga does not wait for was given up.
    Untold { recovery: RecoveryId, notice: Notice, to: crate::saga::data::Recipient, problem: String },
    /// Policy's answer about disabling an account.
    Contained { recovery: Uuid, problem: String },
    /// Nothing that recovery needs to know.
    Nothing,
}

/// Why a message can never be understood.
#[derive(Debug, thiserror::Error)]
enum Poison {
    #[error("the payload is not what its kind names")]
    Payload(#[from] prost::DecodeError),
    #[error("a field cannot be understood")]
    Field(#[from] WireError),
}

#[async_trait]
impl Handler for Events {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        self.heard().hear(&batch);
        let meanings: Vec<Result<Meaning, Poison>> = batch.iter().map(Self::meaning).collect();
        self.write_own(meanings.iter().flatten()).await?;
        let facts: Vec<(usize, Arrival<RecoverySaga>)> = batch
            .iter()
            .zip(&meanings)
            .enumerate()
            .filter_map(|(n, (received, meaning))| match meaning {
                Ok(Meaning::Fact(id, input)) => {
                    let cause = Some(received.envelope.id);
                    Some((n, Arrival::Input { id: *id, input: input.clone(), cause }))
                }
                Ok(Meaning::Incident(_) | Meaning::Untold { .. } | Meaning::Contained { .. } | Meaning::Nothing) | Err(_) => None,
            })
            .collect();
        let (places, arrivals): (Vec<usize>, Vec<_>) = facts.into_iter().unzip();
        let handled = self.shared.coordinator.submit(arrivals).await.map_err(not_submitted)?;
        let mut verdicts: Vec<Verdict> = meanings.iter().map(understood).collect();
        for (place, handled) in places.into_iter().zip(handled) {
            verdicts[place] = verdict(handled);
        }
        Ok(verdicts)
    }

    async fn is_ready(&self) -> bool {
        self.shared.db.ping().await.is_ok()
    }
}

fn not_submitted(error: SubmitError) -> HandleError {
    HandleError::Infrastructure(Box::new(error))
}

fn understood(meaning: &Result<Meaning, Poison>) -> Verdict {
    match meaning {
        Ok(_) => Verdict::Done,
        Err(poison) => Verdict::DeadLetter(error_chain(poison)),
    }
}

/// A fact about a lease without a case is no failure: policy adopts and reopens leases of its own.
fn verdict(handled: Handled<RecoverySaga>) -> Verdict {
    match handled {
        Handled::Done { .. } | Handled::Missing => Verdict::Done,
        Handled::Unknown(unknown) => Verdict::DeadLetter(error_chain(&unknown)),
        Handled::Refused(refusal @ (Refusal::Panicked(_) | Refusal::Unreadable(_) | Refusal::Failed(_))) => {
            Verdict::DeadLetter(error_chain(&refusal))
        }
    }
}

impl Events {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, heard: Mutex::default() }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn meaning(received: &Received) -> Result<Meaning, Poison> {
        let payload = received.envelope.payload.as_ref();
        let kind = received.envelope.kind.as_str();
        if kind.starts_with("policy.event.lease-") {
            return of_lease(&policy::LeaseChanged::decode(payload)?);
        }
        match kind {
            "policy.event.factor-reset.v1" => of_reset(policy::FactorReset::decode(payload)?),
            "policy.event.window-cleaned.v1" => of_clean(policy::WindowCleaned::decode(payload)?),
            "policy.event.account-contained.v1" => of_containment(policy::AccountContained::decode(payload)?),
            "policy.event.incident-opened.v1" | "patrol.event.incident-opened.v1" => {
                of_incident(policy::IncidentOpened::decode(payload)?)
            }
            "directory.event.factor-absent.v1" => of_absence(&directory::FactorAbsent::decode(payload)?),
            "directory.event.account-enrolled.v1" => of_enrolment(directory::AccountEnrolled::decode(payload)?),
            "notification.event.notice-accepted.v1" => {
                Ok(of_notice(&notification::NoticeAccepted::decode(payload)?.delivery_key, None))
            }
            "notification.event.notice-failed.v1" => {
                let failed = notification::NoticeFailed::decode(payload)?;
                Ok(of_notice(&failed.delivery_key, Some(failed.problem)))
            }
            _ => Ok(Meaning::Nothing),
        }
    }

    /// Incidents, containments and the senders' numbers, in one transaction. Repeats change nothing.
    async fn write_own(&self, meanings: impl Iterator<Item = &Meaning>) -> Result<(), HandleError> {
        let (mut incidents, mut untold, mut contained) = (Vec::new(), Vec::new(), Vec::new());
        for meaning in meanings {
            match meaning {
                Meaning::Incident(incident) => incidents.push((**incident).clone()),
                Meaning::Untold { recovery, notice, to, problem } => untold.push((*recovery, *notice, to, problem)),
                Meaning::Contained { recovery, problem } => contained.push((*recovery, problem.as_str())),
                Meaning::Fact(..) | Meaning::Nothing => {}
            }
        }
        incidents.extend(self.untold(&untold).await?);
        let now = self.shared.clock.now();
        let heard = self.heard().take(!incidents.is_empty() || !contained.is_empty(), now);
        if incidents.is_empty() && contained.is_empty() && heard.is_empty() {
            return Ok(());
        }
        transaction!(self.shared.db, "incident.open", async |tx| -> Result<(), homeward_store::StoreError> {
            inbox::hear(tx, &heard).await?;
            let mut all = incidents.clone();
            let mut entries = Vec::new();
            for (done, problem) in containment::store::answered(tx, &contained, now).await? {
                if problem.is_empty() {
                    let entry = Entry::seen("contained", "The account was disabled until two persons end it.");
                    entries.push(timeline::store::New { recovery: done.recovery.uuid(), at: now, entry });
                } else {
                    let id = homeward_types::IncidentId::new(&*self.shared.clock);
                    all.push(Incident::not_contained(id, done.recovery, done.organisation, done.account, &problem));
                }
            }
            incident::store::open(tx, &all, now).await?;
            timeline::store::add(tx, &entries).await
        })?;
        Ok(())
    }

    /// The incidents for notices that were given up and that no saga waits for.
    async fn untold(
        &self,
        untold: &[(RecoveryId, Notice, &crate::saga::data::Recipient, &String)],
    ) -> Result<Vec<Incident>, HandleError> {
        if untold.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<Uuid> = untold.iter().map(|(id, ..)| id.uuid()).collect();
        let sagas = self.shared.coordinator.read(&ids).await?;
        let incidents = untold.iter().filter_map(|(id, notice, to, problem)| {
            let data: &Data = &sagas.get(&id.uuid())?.progress.data;
            let incident = homeward_types::IncidentId::new(&*self.shared.clock);
            Some(Incident::notice_failed(incident, *id, data, *notice, to, problem))
        });
        Ok(incidents.collect())
    }
}

fn of_lease(changed: &policy::LeaseChanged) -> Result<Meaning, Poison> {
    let lease = changed.lease.as_ref().ok_or_else(|| WireError::missing("lease"))?;
    Ok(Meaning::Fact(parse("lease.lease", &lease.lease)?, Input::Lease(lease_fact(lease)?)))
}

fn of_reset(answer: policy::FactorReset) -> Result<Meaning, Poison> {
    let id = parse("lease", &answer.lease)?;
    let meant = match answer.result() {
        policy::ResetResult::Done | policy::ResetResult::AlreadyAbsent => ResetAnswer::Gone,
        policy::ResetResult::PersonNeeded => ResetAnswer::PersonNeeded { page: answer.page, how: answer.how },
        policy::ResetResult::NotOut => ResetAnswer::NotOut,
        policy::ResetResult::Unspecified => return Err(WireError::missing("result").into()),
    };
    Ok(Meaning::Fact(id, Input::FactorReset(meant)))
}

fn of_clean(answer: policy::WindowCleaned) -> Result<Meaning, Poison> {
    Ok(Meaning::Fact(parse("lease", &answer.lease)?, Input::WindowCleaned { revoked: answer.revoked, cannot: answer.cannot }))
}

fn of_containment(answer: policy::AccountContained) -> Result<Meaning, Poison> {
    let recovery = parse("lease", &answer.lease)?;
    match (answer.contained, answer.problem.is_empty()) {
        (true, _) => Ok(Meaning::Contained { recovery, problem: String::new() }),
        (false, false) => Ok(Meaning::Contained { recovery, problem: answer.problem }),
        // Two persons ended a containment.
        (false, true) => Ok(Meaning::Nothing),
    }
}

fn of_incident(opened: policy::IncidentOpened) -> Result<Meaning, Poison> {
    let id: Uuid = parse("incident", &opened.incident)?;
    Ok(Meaning::Incident(Box::new(Incident {
        id: homeward_types::IncidentId::from_uuid(id),
        key: format!("policy.{id}"),
        organisation: parse("organisation", &opened.organisation)?,
        recovery: parse_optional("lease", &opened.lease)?,
        account: parse_optional("account", &opened.account)?,
        kind: opened.kind,
        sentence: opened.sentence,
        next_action: opened.next_action,
        next_at: moment_optional("next_at", opened.next_at)?,
        safe_action: opened.safe_action,
    })))
}

fn of_absence(absent: &directory::FactorAbsent) -> Result<Meaning, Poison> {
    let begun_at = moment("begun_at", absent.begun_at)?;
    Ok(Meaning::Fact(parse("lease", &absent.lease)?, Input::FactorAbsent { begun_at }))
}

fn of_enrolment(enrolled: directory::AccountEnrolled) -> Result<Meaning, Poison> {
    let seen_at = moment("seen_at", enrolled.seen_at)?;
    Ok(Meaning::Fact(parse("lease", &enrolled.lease)?, Input::Enrolled { seen_at, evidence: enrolled.evidence }))
}

/// A delivery key that is not ours belongs to somebody else's notice.
fn of_notice(delivery_key: &str, problem: Option<String>) -> Meaning {
    let Some((recovery, notice, to)) = read_delivery_key(delivery_key) else { return Meaning::Nothing };
    match (notice, problem) {
        (Notice::Invitation | Notice::ResetNeeded | Notice::Closed, problem) => {
            let delivery = if problem.is_some() { Delivery::Failed } else { Delivery::Accepted };
            Meaning::Fact(recovery.uuid(), Input::Noticed { notice, to, delivery })
        }
        (Notice::Requested | Notice::ApprovalNeeded | Notice::Reminder, Some(problem)) => {
            Meaning::Untold { recovery, notice, to, problem }
        }
        (Notice::Requested | Notice::ApprovalNeeded | Notice::Reminder, None) => Meaning::Nothing,
    }
}
