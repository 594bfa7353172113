//! The tables `grant_used`, `waiting_lend` and `quarantine`.

use std::collections::HashSet;

use homeward_chassis::telemetry::TraceContext;
use homeward_store::{Database, Engine, PushRows, StoreError, Tx, on, on_tx, row};
use homeward_types::{Email, LeaseId, MessageId, OrganisationId, Timestamp};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::Command;
use super::grant::digest_of;

/// Keeps the grants that leases were opened with. A grant that was used before fails the transaction.
///
/// # Errors
/// [`StoreError::is_unique_violation`] if one was used.
pub async fn use_grants(tx: &mut Tx, commands: &[&Command], now: Timestamp) -> Result<(), StoreError> {
    if commands.is_empty() {
        return Ok(());
    }
    on_tx!(tx, c : D => {
        let mut insert =
            QueryBuilder::<D>::new("INSERT INTO grant_used (lease_id, organisation, digest, kid, signed, signature, used_at) ");
        insert.push_rows(commands.iter().map(|command| row![
            command.grant.lease.uuid(), command.grant.organisation.as_str(), digest_of(&command.signed), command.kid.as_str(),
            command.signed.as_slice(), command.signature.as_slice(), now,
        ]));
        // A lease that is there has its own grant, and its lend was only answered again.
        insert.push(" ON CONFLICT (lease_id) DO NOTHING");
        insert.build().persistent(D::ONE_TEXT).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// A lend that waits for its organisation's provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its id.
    pub lease: LeaseId,
    /// The command as it came.
    pub command: Vec<u8>,
    /// The message that it came in.
    pub message: MessageId,
    /// The trace that it belongs to.
    pub trace: TraceContext,
}

#[derive(Debug, sqlx::FromRow)]
struct WaitingRow {
    lease_id: Uuid,
    command: Vec<u8>,
    message: Uuid,
    traceparent: String,
    tracestate: String,
}

/// Keeps lends whose organisation's provider does not answer, so that they hold up nobody else's.
///
/// # Errors
/// [`StoreError`].
pub async fn wait(tx: &mut Tx, waiting: &[(&OrganisationId, Waiting)], now: Timestamp) -> Result<(), StoreError> {
    if waiting.is_empty() {
        return Ok(());
    }
    on_tx!(tx, c : D => {
        let mut insert = QueryBuilder::<D>::new(
            "INSERT INTO waiting_lend (lease_id, organisation, command, message, traceparent, tracestate, received_at) ");
        insert.push_rows(waiting.iter().map(|(organisation, waiting)| row![
            waiting.lease.uuid(), organisation.as_str(), waiting.command.as_slice(), waiting.message.uuid(),
            waiting.trace.traceparent.as_str(), waiting.trace.tracestate.as_str(), now,
        ]));
        insert.push(" ON CONFLICT DO NOTHING");
        insert.build().persistent(D::ONE_TEXT).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Lends that wait, in the order in which they came.
///
/// # Errors
/// [`StoreError`].
pub async fn waiting(db: &Database, organisation: &OrganisationId, most: i64) -> Result<Vec<Waiting>, StoreError> {
    let rows: Vec<WaitingRow> = on!(db, pool => sqlx::query_as("SELECT lease_id, command, message, traceparent, tracestate \
        FROM waiting_lend WHERE organisation = $1 ORDER BY received_at LIMIT $2")
        .bind(organisation.as_str()).bind(most).fetch_all(pool).await)?;
    let waiting = rows.into_iter().map(|row| Waiting {
        lease: LeaseId::from_uuid(row.lease_id),
        command: row.command,
        message: MessageId::from_uuid(row.message),
        trace: TraceContext { traceparent: row.traceparent, tracestate: row.tracestate },
    });
    Ok(waiting.collect())
}

/// Forgets lends that wait no more.
///
/// # Errors
/// [`StoreError`].
pub async fn wait_no_more(tx: &mut Tx, leases: &[LeaseId]) -> Result<(), StoreError> {
    if leases.is_empty() {
        return Ok(());
    }
    on_tx!(tx, c : D => {
        let mut delete = QueryBuilder::<D>::new("DELETE FROM waiting_lend WHERE lease_id ");
        delete.push_one_of(leases.iter().map(|lease| lease.uuid()));
        delete.build().persistent(D::ONE_TEXT).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Stops lends to an address at which somebody else was found.
///
/// # Errors
/// [`StoreError`].
pub async fn quarantine(
    tx: &mut Tx,
    organisation: &OrganisationId,
    addresses: &[Email],
    now: Timestamp,
) -> Result<(), StoreError> {
    if addresses.is_empty() {
        return Ok(());
    }
    on_tx!(tx, c : D => {
        let mut insert = QueryBuilder::<D>::new("INSERT INTO quarantine (organisation, address, since) ");
        insert.push_rows(addresses.iter().map(|address| row![organisation.as_str(), address.as_str(), now]));
        insert.push(" ON CONFLICT (organisation, address) DO UPDATE SET since = excluded.since");
        insert.build().execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Which of these addresses are in quarantine since after `since`.
///
/// # Errors
/// [`StoreError`].
pub async fn quarantined(
    tx: &mut Tx,
    organisation: &OrganisationId,
    addresses: &[&Email],
    since: Timestamp,
) -> Result<HashSet<String>, StoreError> {
    if addresses.is_empty() {
        return Ok(HashSet::new());
    }
    let found: Vec<String> = on_tx!(tx, c : D => {
        let mut select = QueryBuilder::<D>::new("SELECT address FROM quarantine WHERE organisation = ");
        select.push_bind(organisation.as_str()).push(" AND since > ").push_bind(since).push(" AND address ");
        select.push_one_of(addresses.iter().map(|address| address.as_str()));
        select.build_query_scalar().persistent(D::ONE_TEXT).fetch_all(c).await
    })?;
    Ok(found.into_iter().collect())
}
