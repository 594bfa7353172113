//! Attempts that were sent.

use std::collections::HashMap;

use homeward_store::{Database, StoreError, on};
use homeward_types::{Email, LeaseId, NameError, PolicyId};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::row::kind;
use crate::lease::Kind;

/// A sent attempt whose outcome is not settled, or whose holder is not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Whose.
    pub lease: LeaseId,
    /// Which.
    pub number: u32,
    /// Its kind.
    pub kind: Kind,
    /// The address that it named.
    pub address: Email,
    /// The policy that it led to.
    pub destination: PolicyId,
    /// The provider's task.
    pub task: Option<String>,
    /// It can still be taken, as far as is known.
    pub unresolved: bool,
    /// Nobody else was found at the address.
    pub holder_checked: bool,
}

#[derive(Debug, sqlx::FromRow)]
struct SentRow {
    lease_id: Uuid,
    number: i32,
    kind: String,
    address: String,
    destination: String,
    task: Option<String>,
    state: String,
    holder_checked: bool,
}

/// The newest sent attempt of each of these leases.
///
/// # Errors
/// [`StoreError`].
pub async fn last_sent(db: &Database, ids: &[LeaseId]) -> Result<HashMap<LeaseId, Sent>, StoreError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<SentRow> = on!(db, pool : D => {
        let mut select = QueryBuilder::<D>::new(
            "SELECT lease_id, number, kind, address, destination, task, state, holder_checked FROM attempt \
             WHERE number = (SELECT MAX(newer.number) FROM attempt newer WHERE newer.lease_id = attempt.lease_id \
             AND newer.address IS NOT NULL) AND destination IS NOT NULL AND lease_id IN (");
        let mut values = select.separated(", ");
        for id in ids {
            values.push_bind(id.uuid());
        }
        select.push(")");
        select.build_query_as().persistent(false).fetch_all(pool).await
    })?;
    let mut newest = HashMap::new();
    for row in rows {
        let wrong =
            |column, reason: String| StoreError::Inconsistent { table: "attempt", column, row: row.lease_id.to_string(), reason };
        let sent = Sent {
            lease: LeaseId::from_uuid(row.lease_id),
            number: u32::try_from(row.number).unwrap_or(0),
            kind: kind(&row.kind).ok_or_else(|| wrong("kind", format!("{:?} is not a kind", row.kind)))?,
            address: row.address.parse().map_err(|e: NameError| wrong("address", e.to_string()))?,
            destination: row.destination.parse().map_err(|e: NameError| wrong("destination", e.to_string()))?,
            task: row.task,
            unresolved: matches!(row.state.as_str(), "sent" | "unknown"),
            holder_checked: row.holder_checked,
        };
        newest.insert(sent.lease, sent);
    }
    Ok(newest)
}
