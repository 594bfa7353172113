//! Attempts that may be sent now.

use homeward_chassis::telemetry::TraceContext;
use homeward_store::{Database, StoreError, dialect, on};
use homeward_types::{AccountId, LeaseId, MessageId, NameError, OrganisationId, PolicyId, Timestamp};
use sqlx::QueryBuilder;
use uuid::Uuid;

use crate::lease::Kind;

/// An attempt that may be sent now, with what its worker needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Whose.
    pub lease: LeaseId,
    /// Which.
    pub number: u32,
    /// Whom it moves.
    pub account: AccountId,
    /// The lease's home.
    pub home: PolicyId,
    /// The lease's recovery policy.
    pub recovery_policy: PolicyId,
    /// The message that told of the opening.
    pub opened_message: Option<MessageId>,
    /// The trace that it belongs to.
    pub trace: TraceContext,
}

#[derive(Debug, sqlx::FromRow)]
struct CandidateRow {
    lease_id: Uuid,
    number: i32,
    account: String,
    home: String,
    recovery_policy: String,
    opened_message: Option<Uuid>,
    traceparent: String,
    tracestate: String,
}

/// Ready attempts of one kind that nobody holds, whose lease wants them, those due first (so the overdue) first.
///
/// # Errors
/// [`StoreError`].
pub async fn candidates(
    db: &Database,
    organisation: &OrganisationId,
    kind: Kind,
    now: Timestamp,
    most: i64,
) -> Result<Vec<Candidate>, StoreError> {
    // One lease for each attempt, by its id. Left to itself, PostgreSQL looks through all open leases for each while it knows
    // little of the tables: measured, two thirds of what the database did in its first minutes.
    let lease = dialect!(db,
        pg: "CROSS JOIN LATERAL (SELECT * FROM lease WHERE id = a.lease_id OFFSET 0) l",
        lite: "JOIN lease l ON l.id = a.lease_id");
    let wanted = match kind {
        Kind::Lend => "AND a.not_after > $2 AND l.state = 'opening' AND l.lends_until > $2 ORDER BY a.not_before",
        Kind::Return => "AND l.state = 'closing' ORDER BY l.due_at",
    };
    let rows: Vec<CandidateRow> = on!(db, pool : D => {
        let mut select = QueryBuilder::<D>::new(
            "SELECT a.lease_id, a.number, l.account, l.home, l.recovery_policy, l.opened_message, l.traceparent, l.tracestate \
             FROM attempt a ");
        select.push(lease).push(" WHERE a.organisation = $1 AND a.state = 'ready' AND a.not_before <= $2 \
             AND (a.claimed_until IS NULL OR a.claimed_until <= $2) AND a.kind = $4 ").push(wanted).push(" LIMIT $3");
        select.build_query_as().bind(organisation.as_str()).bind(now).bind(most).bind(kind.name()).fetch_all(pool).await
    })?;
    rows.into_iter().map(Candidate::try_from).collect()
}

impl TryFrom<CandidateRow> for Candidate {
    type Error = StoreError;
    fn try_from(row: CandidateRow) -> Result<Self, StoreError> {
        let wrong =
            |column, reason: String| StoreError::Inconsistent { table: "lease", column, row: row.lease_id.to_string(), reason };
        Ok(Self {
            lease: LeaseId::from_uuid(row.lease_id),
            number: u32::try_from(row.number).unwrap_or(0),
            account: row.account.parse().map_err(|e: NameError| wrong("account", e.to_string()))?,
            home: row.home.parse().map_err(|e: NameError| wrong("home", e.to_string()))?,
            recovery_policy: row.recovery_policy.parse().map_err(|e: NameError| wrong("recovery_policy", e.to_string()))?,
            opened_message: row.opened_message.map(MessageId::from_uuid),
            trace: TraceContext { traceparent: row.traceparent, tracestate: row.tracestate },
        })
    }
}
