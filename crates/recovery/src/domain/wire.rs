//! The saga's commands as messages.

mod notices;

use std::collections::HashMap;

use homeward_chassis::telemetry::TraceContext;
use homeward_messaging::{Batch, NewMessage};
use homeward_proto::wire::timestamp;
use homeward_proto::{directory, policy};
use homeward_saga::{Arrival, Event, SagaError};
use homeward_types::{Grant, OrganisationId, Timestamp};
use prost::Message;
use uuid::Uuid;

use super::{Change, RecoveryDomain};
use crate::case::Case;
use crate::containment::Containment;
use crate::incident::Incident;
use crate::saga::RecoverySaga;
use crate::saga::command::{Command, Notice, ReturnReason};
use crate::saga::data::{Data, Recipient};
use crate::saga::words::step_name;

const LEND: &str = "policy.command.lend-account.v1";
const RETURN: &str = "policy.command.return-account.v1";
const RESET: &str = "policy.command.reset-factor.v1";
const CLEAN: &str = "policy.command.clean-window.v1";
const CONTAIN: &str = "policy.command.contain-account.v1";
const WATCH: &str = "directory.command.watch-account.v1";
const UNWATCH: &str = "directory.command.unwatch-account.v1";

/// Pushes the messages of these changes. Answers what follows at once: notices to nobody are given up.
pub(super) fn send(
    domain: &RecoveryDomain,
    applied: &[Change],
    cases: &HashMap<Uuid, Case>,
    messages: &mut Batch,
    incidents: &mut Vec<Incident>,
) -> Result<Vec<Arrival<RecoverySaga>>, SagaError> {
    let mut mail = notices::Mail { domain, messages, incidents, follows: Vec::new() };
    for change in applied {
        let data = &change.progress.data;
        let case = cases.get(&change.id);
        if change.event == Event::Start && data.leave.is_none() {
            mail.tell(change, case, Notice::Requested, &Recipient::Owner);
        }
        for command in &change.commands {
            match command {
                Command::AskApprovers => mail.ask_approvers(change, case),
                Command::Tell(notice, to) => mail.tell(change, case, *notice, to),
                Command::Lend => mail.messages.extend(lend(domain, change, case)?),
                Command::Watch => mail.messages.extend(Some(watch(change, case))),
                Command::Unwatch => mail.messages.extend(Some(unwatch(change))),
                Command::ResetFactor => mail.messages.extend(Some(reset(change))),
                Command::Return(reason) => mail.messages.extend(Some(bring_home(change, *reason))),
                Command::CleanWindow => mail.messages.extend(Some(clean(change.id, data, &change.trace))),
                Command::WithdrawVotes | Command::TakeSlot | Command::GiveSlotBack => {}
            }
        }
    }
    Ok(mail.follows)
}

/// Adds messages one by one.
trait Extend {
    fn extend(&mut self, messages: impl IntoIterator<Item = NewMessage>);
}

impl Extend for Batch {
    fn extend(&mut self, messages: impl IntoIterator<Item = NewMessage>) {
        for message in messages {
            self.push(message);
        }
    }
}

/// A message about a case; the same `about` has the same effect, however often it is sent.
fn message(
    id: Uuid,
    organisation: &OrganisationId,
    trace: &TraceContext,
    kind: &str,
    about: &str,
    payload: &impl Message,
) -> NewMessage {
    NewMessage {
        kind: kind.to_owned(),
        organisation: organisation.clone(),
        correlation: id,
        causation: None,
        idempotency_key: format!("{id}.{about}"),
        entity_version: 0,
        trace: trace.clone(),
        expires_at: None,
        payload: payload.encode_to_vec().into(),
        state: None,
    }
}

fn of(change: &Change, kind: &str, about: &str, payload: &impl Message) -> NewMessage {
    let mut message = message(change.id, &change.progress.data.organisation, &change.trace, kind, about, payload);
    message.causation = change.cause;
    message.state = Some(step_name(change.progress.step.as_deref()));
    message
}

/// The permission, signed. The same grant each time, so that it is used once however often it is sent.
fn lend(domain: &RecoveryDomain, change: &Change, case: Option<&Case>) -> Result<Option<NewMessage>, SagaError> {
    let data = &change.progress.data;
    let (Some(case), Some(not_after)) = (case, data.not_after()) else { return Ok(None) };
    let Some(grant) = grant(change.id, data, case, not_after) else {
        tracing::error!(recovery = %change.id, "the account's address was erased, so no lend can be permitted; the recovery ends as not lent");
        return Ok(None);
    };
    let signed = domain.key.sign(&grant).map_err(SagaError::domain)?;
    let payload = policy::v1::LendAccount { grant: signed.grant, signature: signed.signature, kid: domain.key.kid().to_owned() };
    Ok(Some(of(change, LEND, "lend", &payload).expiring(not_after)))
}

fn grant(id: Uuid, data: &Data, case: &Case, not_after: Timestamp) -> Option<Grant> {
    Some(Grant {
        lease: homeward_types::LeaseId::from_uuid(id),
        organisation: data.organisation.clone(),
        account: data.account.clone(),
        email: case.email.clone()?,
        home: case.found.home.clone(),
        tier: data.terms.tier,
        factor: case.found.factor,
        recent_requests: case.found.recent_requests,
        repudiated_before: case.found.repudiated_before,
        requester: data.requester.clone(),
        approvers: data.approvers().cloned().collect(),
        diagnosis_hash: case.found.diagnosis_hash.clone(),
        not_after,
        lease_micros: i64::try_from(data.terms.lease.0.saturating_mul(1_000)).unwrap_or(i64::MAX),
    })
}

fn watch(change: &Change, case: Option<&Case>) -> NewMessage {
    let data = &change.progress.data;
    let lease = data.lease.as_ref();
    let payload = directory::v1::WatchAccount {
        lease: change.id.to_string(),
        organisation: data.organisation.to_string(),
        account: data.account.to_string(),
        email: case.and_then(|case| case.email.as_ref()).map(ToString::to_string).unwrap_or_default(),
        seen_out_at: lease.and_then(|lease| lease.out_at).map(timestamp),
        out_version: lease.and_then(|lease| lease.out_version),
        until: data.due_at().map(timestamp),
    };
    of(change, WATCH, "watch", &payload)
}

fn unwatch(change: &Change) -> NewMessage {
    let data = &change.progress.data;
    let payload = directory::v1::UnwatchAccount {
        lease: change.id.to_string(),
        organisation: data.organisation.to_string(),
        account: data.account.to_string(),
    };
    of(change, UNWATCH, "unwatch", &payload)
}

fn reset(change: &Change) -> NewMessage {
    let data = &change.progress.data;
    let payload = policy::v1::ResetFactor {
        lease: change.id.to_string(),
        organisation: data.organisation.to_string(),
        account: data.account.to_string(),
        confirmed_at: data.reset_confirmed_at.map(timestamp),
    };
    of(change, RESET, "reset", &payload)
}

fn bring_home(change: &Change, reason: ReturnReason) -> NewMessage {
    let data = &change.progress.data;
    let payload = policy::v1::ReturnAccount {
        lease: change.id.to_string(),
        organisation: data.organisation.to_string(),
        account: data.account.to_string(),
        reason: reason.name().to_owned(),
    };
    of(change, RETURN, "return", &payload)
}

/// Asks policy to end what was opened in the window. Also after the end, when the owner says "this was not me".
pub(super) fn clean(id: Uuid, data: &Data, trace: &TraceContext) -> NewMessage {
    let payload = policy::v1::CleanWindow {
        lease: id.to_string(),
        organisation: data.organisation.to_string(),
        account: data.account.to_string(),
    };
    message(id, &data.organisation, trace, CLEAN, "clean", &payload)
}

/// Asks policy to disable the account. Where a disabled account cannot be moved, policy returns it first.
pub fn contain(wanted: &Containment, trace: &TraceContext) -> NewMessage {
    let id = wanted.recovery.uuid();
    let payload = policy::v1::ContainAccount {
        lease: id.to_string(),
        organisation: wanted.organisation.to_string(),
        account: wanted.account.to_string(),
        contain: true,
        reason: "repudiated".to_owned(),
    };
    message(id, &wanted.organisation, trace, CONTAIN, "contain", &payload)
}
