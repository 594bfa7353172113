//! An envelope as a row of `outbox` or `dead_letter` holds it.

use std::fmt;

use homeward_chassis::telemetry::TraceContext;
use homeward_store::StoreError;
use homeward_types::{MessageId, OrganisationId, Timestamp};
use uuid::Uuid;

use crate::envelope::Envelope;

/// The columns that both tables share.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Stored {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) organisation: String,
    pub(crate) correlation: Uuid,
    pub(crate) causation: Option<Uuid>,
    pub(crate) idempotency_key: String,
    pub(crate) sender: String,
    pub(crate) sender_number: i64,
    pub(crate) entity_version: i64,
    pub(crate) traceparent: String,
    pub(crate) tracestate: String,
    pub(crate) at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) payload: Vec<u8>,
}

impl Stored {
    /// The envelope again. `table` is where the row was found, for the error.
    pub(crate) fn envelope(self, table: &'static str) -> Result<Envelope, StoreError> {
        let organisation =
            OrganisationId::try_from(self.organisation).map_err(|error| inconsistent(table, "organisation", self.id, &error))?;
        Ok(Envelope {
            id: MessageId::from_uuid(self.id),
            kind: self.kind,
            organisation,
            correlation: self.correlation,
            causation: self.causation.map(MessageId::from_uuid),
            idempotency_key: self.idempotency_key,
            sender: self.sender,
            sender_number: self.sender_number,
            entity_version: self.entity_version,
            trace: TraceContext { traceparent: self.traceparent, tracestate: self.tracestate },
            at: self.at,
            expires_at: self.expires_at,
            payload: self.payload.into(),
        })
    }
}

fn inconsistent(table: &'static str, column: &'static str, row: Uuid, reason: &dyn fmt::Display) -> StoreError {
    StoreError::Inconsistent { table, column, row: row.to_string(), reason: reason.to_string() }
}
