//! What a message carries: the sender's words as bytes, and around them everything that makes it traceable and droppable.

pub(crate) mod stored;

use bytes::Bytes;
use homeward_chassis::telemetry::TraceContext;
use homeward_types::{MessageId, OrganisationId, Timestamp};
use uuid::Uuid;

/// A message as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Names this message. A message that is published twice keeps its id; a command that is asked again gets a new one.
    pub id: MessageId,
    /// The routing key: `<service>.<command|event>.<name>.v1`.
    pub kind: String,
    /// The tenant that it is about.
    pub organisation: OrganisationId,
    /// The whole story that it belongs to: the recovery's id, or the lease's where there is no recovery.
    pub correlation: Uuid,
    /// The message that led to this one.
    pub causation: Option<MessageId>,
    /// Same key, same effect: what a receiver without a natural key of its own drops repeats by.
    pub idempotency_key: String,
    /// The service that sent it.
    pub sender: String,
    /// The number of the row in the sender's outbox. Rises with each message of that sender's database, with gaps.
    pub sender_number: i64,
    /// The version of what it is about (a lease's, an account's); 0 where there is none. Receivers drop lower ones.
    pub entity_version: i64,
    /// The span that it was decided in.
    pub trace: TraceContext,
    /// When it was decided, by the sender's clock.
    pub at: Timestamp,
    /// After this moment it must not take effect any more. The receiver checks, and answers that it came too late.
    pub expires_at: Option<Timestamp>,
    /// The protobuf message that `kind` names.
    pub payload: Bytes,
}

impl Envelope {
    /// The payload as the protobuf message `M`.
    ///
    /// # Errors
    /// If the bytes are no `M`: the message is poison, and its verdict is a dead letter.
    pub fn decode<M: prost::Message + Default>(&self) -> Result<M, prost::DecodeError> {
        M::decode(self.payload.clone())
    }

    /// Whether it came too late to take effect.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires| expires <= now)
    }
}

/// A message that is about to be written: an [`Envelope`] without what the outbox adds (id, sender, number, time).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// The routing key: `<service>.<command|event>.<name>.v1`.
    pub kind: String,
    /// The tenant that it is about.
    pub organisation: OrganisationId,
    /// The recovery's id, or the lease's where there is no recovery.
    pub correlation: Uuid,
    /// The message that led to this one.
    pub causation: Option<MessageId>,
    /// Same key, same effect.
    pub idempotency_key: String,
    /// The version of what it is about; 0 where there is none.
    pub entity_version: i64,
    /// The span that it was decided in. [`NewMessage::new`] takes the current one.
    pub trace: TraceContext,
    /// After this moment it must not take effect any more.
    pub expires_at: Option<Timestamp>,
    /// The protobuf message that `kind` names.
    pub payload: Bytes,
    /// The saga's state, for the crash boundary `publish`; neither stored nor sent.
    pub state: Option<&'static str>,
}

impl NewMessage {
    /// A message of this kind about `correlation`, decided in the current span.
    pub fn new(
        kind: impl Into<String>,
        organisation: OrganisationId,
        correlation: Uuid,
        idempotency_key: impl Into<String>,
        payload: &impl prost::Message,
    ) -> Self {
        Self {
            kind: kind.into(),
            organisation,
            correlation,
            causation: None,
            idempotency_key: idempotency_key.into(),
            entity_version: 0,
            trace: TraceContext::current(),
            expires_at: None,
            payload: payload.encode_to_vec().into(),
            state: None,
        }
    }

    /// Names the message that led to this one.
    #[must_use]
    pub fn caused_by(mut self, cause: MessageId) -> Self {
        self.causation = Some(cause);
        self
    }

    /// Sets the version of what it is about.
    #[must_use]
    pub fn of_version(mut self, version: i64) -> Self {
        self.entity_version = version;
        self
    }

    /// Sets the moment after which it must not take effect.
    #[must_use]
    pub fn expiring(mut self, at: Timestamp) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// Sets the trace that it belongs to, where that is not the current span.
    #[must_use]
    pub fn within(mut self, trace: TraceContext) -> Self {
        self.trace = trace;
        self
    }

    /// Names the saga's state for crash tests.
    #[must_use]
    pub fn in_state(mut self, state: &'static str) -> Self {
        self.state = Some(state);
        self
    }

    /// As it will travel. The outbox gives it a number when it is stored.
    pub(crate) fn sealed(self, id: MessageId, sender: &str, at: Timestamp) -> Envelope {
        Envelope {
            id,
            kind: self.kind,
            organisation: self.organisation,
            correlation: self.correlation,
            causation: self.causation,
            idempotency_key: self.idempotency_key,
            sender: sender.to_owned(),
            sender_number: 0,
            entity_version: self.entity_version,
            trace: self.trace,
            at,
            expires_at: self.expires_at,
            payload: self.payload,
        }
    }
}
