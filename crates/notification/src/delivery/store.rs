//! The table `delivery`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use homeward_chassis::telemetry::TraceContext;
use homeward_store::{Database, Engine, PushRows, StoreError, Tx, on, on_tx, row};
use homeward_types::{MessageId, NameError, Timestamp};
use sqlx::types::Json;
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use super::{Ended, Kind, Notice};
use crate::wire::masked;

#[derive(FromRow)]
struct Row {
    delivery_key: String,
    recovery: String,
    organisation: String,
    kind: String,
    recipient_name: String,
    recipient_email: String,
    fields: Json<BTreeMap<String, String>>,
    attempts: i32,
    traceparent: String,
    tracestate: String,
    message: Uuid,
    claimed_until: DateTime<Utc>,
}

impl TryFrom<Row> for Notice {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self, StoreError> {
        let broken = |column, reason: String| StoreError::Inconsistent {
            table: "delivery",
            column,
            row: row.delivery_key.clone(),
            reason,
        };
        Ok(Self {
            organisation: row.organisation.parse().map_err(|error: NameError| broken("organisation", error.to_string()))?,
            kind: Kind::of_word(&row.kind).ok_or_else(|| broken("kind", format!("{} is not a kind of notice", row.kind)))?,
            delivery_key: row.delivery_key,
            recovery: row.recovery,
            recipient_name: row.recipient_name,
            recipient_email: row.recipient_email,
            fields: row.fields.0,
            attempts: u32::try_from(row.attempts).unwrap_or(0),
            trace: TraceContext { traceparent: row.traceparent, tracestate: row.tracestate },
            message: MessageId::from_uuid(row.message),
            claimed_until: row.claimed_until,
        })
    }
}

/// How a known delivery stands.
#[derive(FromRow)]
pub struct Standing {
    /// Known by this.
    pub delivery_key: String,
    /// The case.
    pub recovery: String,
    /// [`Kind::word`].
    pub kind: String,
    /// The address, masked once accepted.
    pub recipient_email: String,
    /// `pending`, `accepted`, `failed`.
    pub state: String,
    /// Tries so far.
    pub attempts: i32,
    /// When.
    pub accepted_at: Option<DateTime<Utc>>,
    /// Where it went.
    pub receipt: String,
    /// Why the last try failed.
    pub problem: String,
}

impl Standing {
    /// How it ended, if it has.
    pub fn ended(&self) -> Option<Ended> {
        match self.state.as_str() {
            "accepted" => Some(Ended::Accepted),
            "failed" => Some(Ended::Failed { problem: self.problem.clone() }),
            _ => None,
        }
    }
}

const STANDING: &str =
    "SELECT delivery_key, recovery, kind, recipient_email, state, attempts, accepted_at, receipt, problem FROM delivery WHERE ";

/// Adds the notices that are new, each claimed as it says. Gives the keys of those.
pub async fn insert(tx: &mut Tx, notices: &[Notice], now: Timestamp) -> Result<Vec<String>, StoreError> {
    if notices.is_empty() {
        return Ok(Vec::new());
    }
    let keys = on_tx!(tx, conn : D => {
        let mut query = QueryBuilder::<D>::new(
            "INSERT INTO delivery (delivery_key, recovery, organisation, kind, recipient_name, recipient_email, fields, state, attempts, \
             claimed_until, receipt, problem, traceparent, tracestate, message, created_at) ",
        );
        query.push_rows(notices.iter().map(|notice| row![
            &notice.delivery_key, &notice.recovery, notice.organisation.as_str(), notice.kind.word(), &notice.recipient_name,
            &notice.recipient_email, Json(&notice.fields), "pending", 0, notice.claimed_until, "", "", &notice.trace.traceparent,
            &notice.trace.tracestate, notice.message.uuid(), now,
        ]));
        query.push(" ON CONFLICT (delivery_key) DO NOTHING RETURNING delivery_key");
        query.build_query_scalar::<String>().persistent(D::ONE_TEXT).fetch_all(conn).await
    })?;
    Ok(keys)
}

/// How these stand.
pub async fn standing(tx: &mut Tx, keys: &[&str]) -> Result<Vec<Standing>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let found = on_tx!(tx, conn : D => {
        let mut query = QueryBuilder::<D>::new(STANDING);
        query.push("delivery_key ");
        query.push_one_of(keys.iter().copied());
        query.build_query_as::<Standing>().persistent(D::ONE_TEXT).fetch_all(conn).await
    })?;
    Ok(found)
}

/// The deliveries of one recovery, oldest first.
pub async fn of_recovery(db: &Database, recovery: &str) -> Result<Vec<Standing>, StoreError> {
    let sql = "SELECT delivery_key, recovery, kind, recipient_email, state, attempts, accepted_at, receipt, problem \
               FROM delivery WHERE recovery = $1 ORDER BY created_at, delivery_key LIMIT 1000";
    Ok(on!(db, pool => sqlx::query_as::<_, Standing>(sql).bind(recovery).fetch_all(pool).await)?)
}

/// Takes notices whose claim has run out, oldest first, and claims them until then.
pub async fn claim(tx: &mut Tx, most: i64, now: Timestamp, until: Timestamp) -> Result<Vec<Notice>, StoreError> {
    let sql = homeward_store::dialect!(tx,
        pg: "UPDATE delivery SET claimed_until = $1 WHERE delivery_key IN (SELECT delivery_key FROM delivery WHERE state = 'pending' AND claimed_until <= $2 ORDER BY claimed_until LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING delivery_key, recovery, organisation, kind, recipient_name, recipient_email, fields, attempts, traceparent, tracestate, message, claimed_until",
        lite: "UPDATE delivery SET claimed_until = $1 WHERE delivery_key IN (SELECT delivery_key FROM delivery WHERE state = 'pending' AND claimed_until <= $2 ORDER BY claimed_until LIMIT $3) RETURNING delivery_key, recovery, organisation, kind, recipient_name, recipient_email, fields, attempts, traceparent, tracestate, message, claimed_until"
    );
    let rows = on_tx!(tx, conn => sqlx::query_as::<_, Row>(sql).bind(until).bind(now).bind(most).fetch_all(conn).await)?;
    rows.into_iter().map(Notice::try_from).collect()
}

/// Moves the end of the claims on these notices. Gives the keys of those that are still claimed as they say; the others are
/// somebody else's, or at their end.
pub async fn renew(tx: &mut Tx, notices: &[&Notice], until: Timestamp) -> Result<Vec<String>, StoreError> {
    if notices.is_empty() {
        return Ok(Vec::new());
    }
    Ok(on_tx!(tx, conn : D => {
        let mut query = QueryBuilder::<D>::new("UPDATE delivery SET claimed_until = ");
        query.push_bind(until).push(" FROM (");
        query.push_rows(notices.iter().map(|notice| row![&notice.delivery_key, notice.claimed_until]));
        query.push(") AS v WHERE delivery_key = v.column1 AND claimed_until = v.column2 AND state = 'pending' RETURNING delivery_key");
        query.build_query_scalar::<String>().persistent(D::ONE_TEXT).fetch_all(conn).await
    })?)
}

/// When the next claim runs out.
pub async fn next_due(db: &Database) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT claimed_until FROM delivery WHERE state = 'pending' ORDER BY claimed_until LIMIT 1";
    Ok(on!(db, pool => sqlx::query_scalar::<_, DateTime<Utc>>(sql).fetch_optional(pool).await)?)
}

/// Marks notices as accepted and empties what is personal. Only those that are pending still count.
pub async fn accept(tx: &mut Tx, accepted: &[(&Notice, &str)], now: Timestamp) -> Result<Vec<String>, StoreError> {
    if accepted.is_empty() {
        return Ok(Vec::new());
    }
    let empty = Json(BTreeMap::<String, String>::new());
    let keys = on_tx!(tx, conn : D => {
        let mut query = QueryBuilder::<D>::new("UPDATE delivery SET state = 'accepted', claimed_until = NULL, attempts = attempts + 1, recipient_name = '', problem = '', accepted_at = ");
        query.push_bind(now).push(", fields = ").push_bind(empty).push(", recipient_email = v.column2, receipt = v.column3 FROM (");
        query.push_rows(accepted.iter().map(|(notice, receipt)| row![
            &notice.delivery_key, masked(&notice.recipient_email), *receipt,
        ]));
        query.push(") AS v WHERE delivery_key = v.column1 AND state = 'pending' RETURNING delivery_key");
        query.build_query_scalar::<String>().persistent(D::ONE_TEXT).fetch_all(conn).await
    })?;
    Ok(keys)
}

/// A try that did not go well: the next one's time, or none when it is given up.
pub struct Setback<'a> {
    /// Which.
    pub notice: &'a Notice,
    /// Why.
    pub problem: &'a str,
    /// When it is tried again; `None` when it has failed for good.
    pub next_at: Option<Timestamp>,
}

/// Notes tries that did not go well. Gives the keys of those that were still claimed as they say.
pub async fn set_back(tx: &mut Tx, setbacks: &[Setback<'_>]) -> Result<Vec<String>, StoreError> {
    let mut noted = Vec::with_capacity(setbacks.len());
    for setback in setbacks {
        // One statement each: setbacks are rare, and a silent mail server holds the whole queue up anyway.
        let state = if setback.next_at.is_some() { "pending" } else { "failed" };
        let changed = on_tx!(tx, conn => sqlx::query("UPDATE delivery SET state = $1, claimed_until = $2, problem = $3, attempts = attempts + 1 \
                WHERE delivery_key = $4 AND state = 'pending' AND claimed_until = $5")
            .bind(state).bind(setback.next_at).bind(setback.problem).bind(&setback.notice.delivery_key).bind(setback.notice.claimed_until)
            .execute(conn).await.map(|done| done.rows_affected()))?;
        if changed == 1 {
            noted.push(setback.notice.delivery_key.clone());
        }
    }
    Ok(noted)
}
