//! Messages in: lends, returns and care, each from a queue of its own. Every command is answered, a repeated one with where
//! things stand.

mod care;

use homeward_chassis::telemetry::TraceContext;
use homeward_messaging::{HandleError, Handler, Received, Verdict};
use homeward_proto::policy::v1;
use homeward_proto::wire::parse;
use homeward_store::{StoreError, transaction};
use homeward_types::{AccountId, Grant, LeaseId, MessageId, OrganisationId, Timestamp};
use prost::Message;

use crate::lease::{Asked, Event, Subject, Terms};
use crate::ledger::{Happened, Ledger};
use crate::lend::intake::{Intake, IntakeError};
use crate::lend::store::Waiting;
use crate::lend::{self, Command};

pub use care::CareHandler;

/// Commands decided in one transaction.
const BATCH: usize = 100;

/// A command that can never take effect, in words for the person who looks at dead letters.
type Poison = String;

/// The bytes of a `LendAccount` as a command.
///
/// # Errors
/// What is wrong with them.
pub fn decode_lend(
    bytes: &[u8],
    message: MessageId,
    expires_at: Option<Timestamp>,
    trace: TraceContext,
) -> Result<Command, Poison> {
    let wire = v1::LendAccount::decode(bytes).map_err(|error| error.to_string())?;
    let grant: Grant = serde_json::from_slice(&wire.grant).map_err(|error| format!("the grant is no grant: {error}"))?;
    Ok(Command { grant, signed: wire.grant, signature: wire.signature, kid: wire.kid, message, expires_at, trace })
}

/// What a batch came to: commands, and verdicts where a message is none.
fn sort<C>(batch: &[Received], decode: impl Fn(&Received) -> Result<C, Poison>) -> (Vec<C>, Vec<Verdict>) {
    let mut commands = Vec::new();
    let verdicts = batch.iter().map(|received| match decode(received) {
        Ok(command) => {
            commands.push(command);
            Verdict::Done
        }
        Err(poison) => Verdict::DeadLetter(poison),
    });
    let verdicts = verdicts.collect();
    (commands, verdicts)
}

/// Takes lends.
pub struct LendHandler {
    ledger: Ledger,
    intake: Intake,
}

impl LendHandler {
    /// A handler that decides by `intake`.
    pub fn new(ledger: Ledger, intake: Intake) -> Self {
        Self { ledger, intake }
    }

    fn decode(&self, received: &Received) -> Result<(Command, Vec<u8>), Poison> {
        let envelope = &received.envelope;
        let command = decode_lend(&envelope.payload, envelope.id, envelope.expires_at, received.trace())?;
        let organisation = &command.grant.organisation;
        if self.ledger.organisation(organisation).is_none() {
            return Err(format!("the organisation {organisation} is not configured"));
        }
        Ok((command, envelope.payload.to_vec()))
    }

    /// Lends whose organisation's provider does not answer must not hold up others: they wait in a table of their own.
    async fn keep_waiting(&self, undecided: &[Command], payloads: &[(LeaseId, Vec<u8>)]) -> Result<(), StoreError> {
        let now = self.ledger.now();
        let waiting: Vec<(&OrganisationId, Waiting)> = undecided
            .iter()
            .filter_map(|command| {
                let lease = command.grant.lease;
                let (_, payload) = payloads.iter().find(|(id, _)| *id == lease)?;
                let waiting = Waiting { lease, command: payload.clone(), message: command.message, trace: command.trace.clone() };
                Some((&command.grant.organisation, waiting))
            })
            .collect();
        transaction!(self.ledger.db(), "waiting_lend.add", async |tx| -> Result<(), StoreError> {
            lend::store::wait(tx, &waiting, now).await
        })
    }
}

#[async_trait::async_trait]
impl Handler for LendHandler {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        self.ledger.hear(&batch);
        let (decoded, verdicts) = sort(&batch, |received| self.decode(received));
        let (mut commands, mut payloads) = (Vec::new(), Vec::new());
        for (command, payload) in decoded {
            payloads.push((command.grant.lease, payload));
            commands.push(command);
        }
        while !commands.is_empty() {
            let rest = commands.split_off(commands.len().min(BATCH));
            let undecided = self.intake.admit(commands).await.map_err(trouble)?;
            if !undecided.is_empty() {
                self.keep_waiting(&undecided, &payloads).await?;
            }
            commands = rest;
        }
        Ok(verdicts)
    }

    async fn is_ready(&self) -> bool {
        self.ledger.db().ping().await.is_ok()
    }
}

fn trouble(error: IntakeError) -> HandleError {
    match error {
        IntakeError::Store(error) => error.into(),
        // The disk beside the database: nothing is lent while it lasts, and no message is to blame.
        IntakeError::Log(error) => HandleError::Infrastructure(Box::new(error)),
    }
}

/// Takes returns.
pub struct ReturnHandler {
    ledger: Ledger,
}

impl ReturnHandler {
    /// A handler that changes these leases.
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger }
    }

    fn decode(&self, received: &Received) -> Result<Happened, Poison> {
        let envelope = &received.envelope;
        let wire: v1::ReturnAccount = envelope.decode().map_err(|error| error.to_string())?;
        let (lease, subject) = subject(&self.ledger, &wire.lease, &wire.organisation, &wire.account)?;
        Ok(Happened {
            lease,
            event: Event::ReturnAsked(Asked { subject, reason: wire.reason }),
            actor: envelope.sender.clone(),
            cause: Some(envelope.id),
            trace: received.trace(),
            receipt: None,
        })
    }
}

#[async_trait::async_trait]
impl Handler for ReturnHandler {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        self.ledger.hear(&batch);
        let (happened, verdicts) = sort(&batch, |received| self.decode(received));
        for part in happened.chunks(BATCH) {
            self.ledger.turn("lease.return", part).await?;
        }
        Ok(verdicts)
    }

    async fn is_ready(&self) -> bool {
        self.ledger.db().ping().await.is_ok()
    }
}

/// Whom a command names.
fn subject(ledger: &Ledger, lease: &str, organisation: &str, account: &str) -> Result<(LeaseId, Subject), Poison> {
    let words = |error: homeward_proto::wire::WireError| error.to_string();
    let lease: LeaseId = parse("lease", lease).map_err(words)?;
    let organisation: OrganisationId = parse("organisation", organisation).map_err(words)?;
    let account: AccountId = parse("account", account).map_err(words)?;
    let settings =
        ledger.organisation(&organisation).ok_or_else(|| format!("the organisation {organisation} is not configured"))?;
    let subject = Subject {
        lease,
        organisation,
        account,
        home: settings.default_home.clone(),
        recovery_policy: settings.recovery_policy.clone(),
        terms: Terms::from(&settings.limits),
    };
    Ok((lease, subject))
}
