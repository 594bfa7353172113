//! Attempts that were sent.

use std::collections::HashMap;

use homeward_store::{Database, Engine, PushRows, StoreError, on};
use homeward_types::{Email, LeaseId, NameError, PolicyId, Timestamp};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::row::kind;
use crate::lease::Kind;

/// The newest of a lease's sent attempts that named the same address and led to the same policy.
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
    /// It, or an earlier one that named the same, can still be taken.
    pub may_land: bool,
    /// Until when it, or an earlier one that named the same, could be sent, if it is a lend that counts as taken because the account
    /// was seen out. That is no proof where somebody else holds the address.
    pub taken_until: Option<Timestamp>,
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
    may_land: i32,
    taken_until: Option<Timestamp>,
    holder_checked: bool,
}

/// What each of these leases sent, by address and policy: an account whose address changed may have taken several along. The
/// newest stands last.
///
/// # Errors
/// [`StoreError`].
pub async fn all_sent(db: &Database, ids: &[LeaseId]) -> Result<HashMap<LeaseId, Vec<Sent>>, StoreError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<SentRow> = on!(db, pool : D => {
        let mut select = QueryBuilder::<D>::new(
            "SELECT lease_id, number, kind, address, destination, task, state, may_land, taken_until, holder_checked FROM ( \
             SELECT attempt.*, MAX(CASE WHEN state IN ('sent', 'unknown') THEN 1 ELSE 0 END) OVER same AS may_land, \
             MAX(CASE WHEN state = 'taken' AND kind = 'lend' THEN claimed_until END) OVER same AS taken_until, \
             MAX(number) OVER same AS newest FROM attempt WHERE address IS NOT NULL AND destination IS NOT NULL AND lease_id ");
             select.push_one_of(ids.iter().map(|id| id.uuid())).push(" WINDOW same AS (PARTITION BY lease_id, address, destination)) sent WHERE number = newest ORDER BY number");
        select.build_query_as().persistent(D::ONE_TEXT).fetch_all(pool).await
    })?;
    let mut all: HashMap<LeaseId, Vec<Sent>> = HashMap::new();
    for row in rows {
        let sent = row.sent()?;
        all.entry(sent.lease).or_default().push(sent);
    }
    Ok(all)
}

/// The newest sent attempt of this lease.
///
/// # Errors
/// [`StoreError`].
pub async fn last_sent(db: &Database, id: LeaseId) -> Result<Option<Sent>, StoreError> {
    Ok(all_sent(db, &[id]).await?.remove(&id).and_then(|mut sent| sent.pop()))
}

impl SentRow {
    fn sent(self) -> Result<Sent, StoreError> {
        let wrong = |column, reason: String| StoreError::Inconsistent {
            table: "attempt",
            column,
            row: self.lease_id.to_string(),
            reason,
        };
        Ok(Sent {
            lease: LeaseId::from_uuid(self.lease_id),
            number: u32::try_from(self.number).unwrap_or(0),
            kind: kind(&self.kind).ok_or_else(|| wrong("kind", format!("{:?} is not a kind", self.kind)))?,
            address: self.address.parse().map_err(|e: NameError| wrong("address", e.to_string()))?,
            destination: self.destination.parse().map_err(|e: NameError| wrong("destination", e.to_string()))?,
            unresolved: matches!(self.state.as_str(), "sent" | "unknown"),
            may_land: self.may_land != 0,
            taken_until: self.taken_until,
            holder_checked: self.holder_checked,
            task: self.task,
        })
    }
}
