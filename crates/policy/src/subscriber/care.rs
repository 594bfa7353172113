//! Care commands from the wire, and their answers to it.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt;
use homeward_messaging::{HandleError, Handler, NewMessage, Received, Verdict};
use homeward_proto::policy::v1;
use homeward_proto::wire::moment_optional;
use homeward_store::audit::{self, Entry};
use homeward_store::{StoreError, transaction};
use homeward_types::{IncidentId, LeaseId, Timestamp};
use serde_json::json;

use super::{Poison, subject};
use crate::care::{Care, Cleaned, Contained, Reset};
use crate::incident::Incident;
use crate::lease::store::{self as leases, Kept};
use crate::lease::{Event, Subject};
use crate::ledger::{Happened, Ledger};

/// Commands cared for at once: each takes a few calls to the provider.
const AT_ONCE: usize = 8;

/// Takes care commands.
pub struct CareHandler {
    ledger: Ledger,
    care: Care,
}

/// A command, decoded.
enum Command {
    Reset { confirmed_at: Option<Timestamp> },
    Clean,
    Contain { contain: bool, reason: String },
}

/// A command with whom it is about.
struct Order {
    command: Command,
    subject: Subject,
    received: Received,
}

/// What came of it.
struct Done {
    message: NewMessage,
    entry: Entry,
    happened: Option<Happened>,
    incident: Option<Incident>,
}

impl CareHandler {
    /// A handler that cares by `care`.
    pub fn new(ledger: Ledger, care: Care) -> Self {
        Self { ledger, care }
    }

    fn decode(&self, received: &Received) -> Result<Order, Poison> {
        let envelope = &received.envelope;
        let poison = |error: prost::DecodeError| error.to_string();
        let (command, lease, organisation, account) = match envelope.kind.as_str() {
            "policy.command.reset-factor.v1" => {
                let wire: v1::ResetFactor = envelope.decode().map_err(poison)?;
                let confirmed_at = moment_optional("confirmed_at", wire.confirmed_at).map_err(|error| error.to_string())?;
                (Command::Reset { confirmed_at }, wire.lease, wire.organisation, wire.account)
            }
            "policy.command.clean-window.v1" => {
                let wire: v1::CleanWindow = envelope.decode().map_err(poison)?;
                (Command::Clean, wire.lease, wire.organisation, wire.account)
            }
            "policy.command.contain-account.v1" => {
                let wire: v1::ContainAccount = envelope.decode().map_err(poison)?;
                (Command::Contain { contain: wire.contain, reason: wire.reason }, wire.lease, wire.organisation, wire.account)
            }
            other => return Err(format!("policy does not know the command {other}")),
        };
        let (_, subject) = subject(&self.ledger, &lease, &organisation, &account)?;
        Ok(Order { command, subject, received: received.clone() })
    }

    /// A person's word, and a read that speaks against it.
    fn contradiction(&self, subject: &Subject, confirmed_at: Option<Timestamp>, reset: &Reset) -> Option<Incident> {
        let Reset::PersonNeeded { contradicted_at: Some(read_at), page, .. } = reset else { return None };
        let id = IncidentId::new(self.ledger.clock());
        Some(Incident::reset_contradicted(id, subject, confirmed_at?, *read_at, page))
    }

    /// `None` if the provider did not answer: the saga asks again.
    async fn carry_out(&self, order: Order, kept: Option<&Kept>) -> Result<Option<Done>, StoreError> {
        let now = self.ledger.now();
        Ok(match &order.command {
            Command::Reset { confirmed_at } => match self.care.reset(&order.subject, kept, *confirmed_at).await? {
                Some(reset) => {
                    let incident = self.contradiction(&order.subject, *confirmed_at, &reset);
                    Some(Done { incident, ..reset_done(&order, reset, now) })
                }
                None => None,
            },
            Command::Clean => self.care.clean(&order.subject, kept).await.map(|cleaned| clean_done(&order, cleaned, now)),
            Command::Contain { contain, reason } => {
                let contained = self.care.contain(&order.subject, *contain, reason).await?;
                Some(contain_done(&order, *contain, &contained, now))
            }
        })
    }
}

#[async_trait::async_trait]
impl Handler for CareHandler {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        self.ledger.hear(&batch);
        let (orders, verdicts) = super::sort(&batch, |received| self.decode(received));
        let ids: Vec<LeaseId> = orders.iter().map(|order| order.subject.lease).collect();
        let kept = leases::all_kept(self.ledger.db(), &ids).await?;
        let kept: HashMap<LeaseId, Kept> = kept.into_iter().map(|kept| (kept.lease.id, kept)).collect();
        let carry_out = |order: Order| {
            let kept = kept.get(&order.subject.lease);
            self.carry_out(order, kept)
        };
        let carried: Vec<Result<Option<Done>, StoreError>> =
            futures_util::stream::iter(orders).map(carry_out).buffer_unordered(AT_ONCE).collect().await;
        let mut done = Vec::new();
        for carried in carried {
            done.extend(carried?);
        }
        let happened: Vec<Happened> = done.iter().filter_map(|done| done.happened.clone()).collect();
        let entries: Vec<Entry> = done.iter().map(|done| done.entry.clone()).collect();
        let incidents: Vec<Incident> = done.iter().filter_map(|done| done.incident.clone()).collect();
        let answers = Arc::new(done);
        let changes = transaction!(self.ledger.db(), "care.answer", async |tx| -> Result<_, StoreError> {
            let mut batch = self.ledger.outbox().batch();
            for done in answers.iter() {
                batch.push(done.message.clone());
            }
            audit::record(tx, &entries).await?;
            batch.store(tx).await?;
            let changes = self.ledger.apply(tx, &happened, incidents.clone(), self.ledger.now()).await?;
            Ok((batch, changes))
        })?;
        let (batch, changes) = changes;
        self.ledger.outbox().publish(batch);
        self.ledger.committed(changes);
        Ok(verdicts)
    }

    async fn is_ready(&self) -> bool {
        self.ledger.db().ping().await.is_ok()
    }
}

fn done(
    order: &Order,
    event: &str,
    action: &'static str,
    payload: &impl prost::Message,
    detail: serde_json::Value,
    now: Timestamp,
) -> Done {
    let (subject, envelope) = (&order.subject, &order.received.envelope);
    let key = format!("{}:{event}:{}", subject.lease, envelope.id);
    let message =
        NewMessage::new(format!("policy.event.{event}.v1"), subject.organisation.clone(), subject.lease.uuid(), key, payload)
            .caused_by(envelope.id)
            .within(order.received.trace());
    let entry = Entry::new(now, &subject.organisation, envelope.sender.clone(), action, subject.lease.to_string())
        .detail(detail)
        .trace(order.received.trace().trace_id().map(ToOwned::to_owned));
    Done { message, entry, happened: None, incident: None }
}

fn reset_done(order: &Order, reset: Reset, now: Timestamp) -> Done {
    let (result, page, how) = match reset {
        Reset::Done => (v1::ResetResult::Done, String::new(), String::new()),
        Reset::AlreadyAbsent => (v1::ResetResult::AlreadyAbsent, String::new(), String::new()),
        Reset::NotOut => (v1::ResetResult::NotOut, String::new(), String::new()),
        Reset::PersonNeeded { page, how, .. } => (v1::ResetResult::PersonNeeded, page, how),
    };
    let subject = &order.subject;
    let payload = v1::FactorReset {
        lease: subject.lease.to_string(),
        organisation: subject.organisation.to_string(),
        account: subject.account.to_string(),
        result: result.into(),
        page,
        how,
    };
    done(order, "factor-reset", "factor.reset", &payload, json!({ "result": result.as_str_name() }), now)
}

fn clean_done(order: &Order, cleaned: Cleaned, now: Timestamp) -> Done {
    let subject = &order.subject;
    let detail = json!({ "revoked": cleaned.revoked.len(), "cannot": cleaned.cannot });
    let payload = v1::WindowCleaned {
        lease: subject.lease.to_string(),
        organisation: subject.organisation.to_string(),
        account: subject.account.to_string(),
        revoked: cleaned.revoked,
        cannot: cleaned.cannot,
    };
    done(order, "window-cleaned", "window.clean", &payload, detail, now)
}

fn contain_done(order: &Order, contain: bool, contained: &Contained, now: Timestamp) -> Done {
    let subject = &order.subject;
    let problem = match contained {
        Contained::Done => String::new(),
        Contained::Problem(problem) => problem.clone(),
    };
    let is_contained = (*contained == Contained::Done) == contain;
    let payload = v1::AccountContained {
        lease: subject.lease.to_string(),
        organisation: subject.organisation.to_string(),
        account: subject.account.to_string(),
        contained: is_contained,
        problem,
    };
    let mut done = done(
        order,
        "account-contained",
        "account.contain",
        &payload,
        json!({ "contain": contain, "done": *contained == Contained::Done }),
        now,
    );
    if *contained == Contained::Done {
        done.happened = Some(Happened::by_policy(subject.lease, Event::Contained(contain)));
    }
    done
}
