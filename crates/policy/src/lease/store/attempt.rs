//! The table `attempt`: everything that writes it.

use homeward_store::{Engine, PushRows, StoreError, Tx, on_tx, only_if, row};
use homeward_types::{Email, LeaseId, OrganisationId, PolicyId, Timestamp};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::row::stored;
use crate::lease::{Attempt, AttemptState};

/// What the provider said, kept with the attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// When (our clock).
    pub answered_at: Timestamp,
    /// The provider's name for the work, where it does it later.
    pub task: Option<String>,
    /// In words, where it was not accepted.
    pub detail: Option<String>,
}

/// Adds new attempts.
///
/// # Errors
/// [`StoreError`].
pub async fn insert_attempts(tx: &mut Tx, new: &[(LeaseId, &OrganisationId, &Attempt)]) -> Result<(), StoreError> {
    if new.is_empty() {
        return Ok(());
    }
    on_tx!(tx, c : D => {
        let mut insert = QueryBuilder::<D>::new(
            "INSERT INTO attempt (lease_id, number, organisation, kind, state, not_before, not_after, accepted, holder_checked) ");
        insert.push_rows(new.iter().map(|(lease, organisation, attempt)| row![
            lease.uuid(), stored(attempt.number), organisation.as_str(), attempt.kind.name(), attempt.state.name(),
            attempt.not_before, attempt.not_after, false, false,
        ]));
        insert.build().persistent(D::ONE_TEXT).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Writes what decisions changed, and what the provider said. The lease's row is held.
///
/// # Errors
/// [`StoreError::NotOneRow`] if an attempt is not in the state that the decision was made on.
pub async fn update_attempts(
    tx: &mut Tx,
    changed: &[(LeaseId, &Attempt, &'static str, Option<&Receipt>)],
) -> Result<(), StoreError> {
    if changed.is_empty() {
        return Ok(());
    }
    let updated = on_tx!(tx, c : D => {
        let mut update = QueryBuilder::<D>::new(
            "UPDATE attempt SET state = v.column4, accepted = v.column5, answered_at = COALESCE(v.column6, answered_at), \
             task = COALESCE(v.column7, task), detail = COALESCE(v.column8, detail) FROM (");
        update.push_rows(changed.iter().map(|(lease, attempt, before, receipt)| {
            let accepted = matches!(attempt.state, AttemptState::Sent { accepted: true, .. } | AttemptState::Taken);
            row![
                lease.uuid(), stored(attempt.number), *before, attempt.state.name(), accepted,
                receipt.map(|receipt| receipt.answered_at), receipt.and_then(|receipt| receipt.task.as_deref()),
                receipt.and_then(|receipt| receipt.detail.as_deref()),
            ]
        }));
        update.push(") AS v WHERE attempt.lease_id = v.column1 AND attempt.number = v.column2 AND attempt.state = v.column3");
        update.build().persistent(D::ONE_TEXT).execute(c).await.map(|done| done.rows_affected())
    })?;
    if usize::try_from(updated) == Ok(changed.len()) {
        Ok(())
    } else {
        Err(StoreError::NotOneRow { what: "attempts as they were decided on", changed: updated })
    }
}

/// Claims ready attempts for one worker until `until` (a lend never beyond its `not_after`). Says which it got; those that
/// another transaction holds at this moment are left to it.
///
/// # Errors
/// [`StoreError`].
pub async fn claim(
    tx: &mut Tx,
    wanted: &[(LeaseId, u32)],
    token: Uuid,
    until: Timestamp,
    now: Timestamp,
) -> Result<Vec<(LeaseId, u32)>, StoreError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    // Never waiting, it cannot be part of a circle of transactions that wait for each other.
    let free = homeward_store::dialect!(tx, pg: ") FOR UPDATE SKIP LOCKED) RETURNING lease_id, number", lite: ")) RETURNING lease_id, number");
    let rows: Vec<(Uuid, i32)> = on_tx!(tx, c : D => {
        let mut update = QueryBuilder::<D>::new("UPDATE attempt SET claim_token = ");
        update.push_bind(token).push(", claimed_until = CASE WHEN not_after < ").push_bind(until);
        update.push(" THEN not_after ELSE ").push_bind(until);
        update.push(concat!(" END WHERE (lease_id, number) IN (SELECT lease_id, number FROM attempt \
            WHERE ", only_if!("state = 'ready'"), " AND (claimed_until IS NULL OR claimed_until <= ")).push_bind(now);
        update.push(") AND (lease_id, number) IN (");
        update.push_rows(wanted.iter().map(|(lease, number)| row![lease.uuid(), stored(*number)]));
        update.push(free);
        update.build_query_as().persistent(D::ONE_TEXT).fetch_all(c).await
    })?;
    Ok(rows.into_iter().map(keyed).collect())
}

fn keyed((lease, number): (Uuid, i32)) -> (LeaseId, u32) {
    (LeaseId::from_uuid(lease), u32::try_from(number).unwrap_or(0))
}

/// Gives claimed attempts back that were not sent: they may be taken again from `not_before` on.
///
/// # Errors
/// [`StoreError`].
pub async fn give_back(tx: &mut Tx, token: Uuid, given: &[(LeaseId, u32)], not_before: Timestamp) -> Result<(), StoreError> {
    if given.is_empty() {
        return Ok(());
    }
    on_tx!(tx, c : D => {
        let mut update = QueryBuilder::<D>::new("UPDATE attempt SET claim_token = NULL, claimed_until = NULL, not_before = ");
        update.push_bind(not_before).push(" WHERE state = 'ready' AND claim_token = ").push_bind(token);
        update.push(" AND (lease_id, number) IN (");
        update.push_rows(given.iter().map(|(lease, number)| row![lease.uuid(), stored(*number)]));
        update.push(")");
        update.build().persistent(D::ONE_TEXT).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// An attempt that is about to be written to the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marking {
    /// Whose.
    pub lease: LeaseId,
    /// Which.
    pub number: u32,
    /// The address read just now.
    pub address: Email,
    /// The policy that it leads to.
    pub destination: PolicyId,
}

/// An attempt that is marked: its last possible send.
pub type Marked = (LeaseId, u32, Timestamp);

/// The mark before the write: `ready → sent`, for exactly those attempts that this claim still holds, whose lend may still be
/// sent, and whose lease still wants it. What is not in the answer leaves the batch. The leases' rows are held.
///
/// As [`Attempt::may_be_sent`] says, in SQL.
///
/// # Errors
/// [`StoreError`].
pub async fn mark_sent(tx: &mut Tx, token: Uuid, now: Timestamp, markings: &[Marking]) -> Result<Vec<Marked>, StoreError> {
    if markings.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(Uuid, i32, Timestamp)> = on_tx!(tx, c : D => {
        let mut update = QueryBuilder::<D>::new("UPDATE attempt SET state = 'sent', sent_at = ");
        update.push_bind(now).push(", address = v.column3, destination = v.column4 FROM (");
        update.push_rows(markings.iter().map(|marking| row![
            marking.lease.uuid(), stored(marking.number), marking.address.as_str(), marking.destination.as_str(),
        ]));
        update.push(concat!(") AS v WHERE attempt.lease_id = v.column1 AND attempt.number = v.column2 \
            AND ", only_if!("attempt.state = 'ready'"), " AND attempt.claim_token = ")).push_bind(token);
        update.push(" AND attempt.claimed_until > ").push_bind(now);
        update.push(" AND (attempt.kind = 'return' OR (attempt.claimed_until <= attempt.not_after AND attempt.not_after > ").push_bind(now);
        // As `only_if!` has it.
        update.push(")) AND EXISTS (SELECT 1 FROM lease WHERE lease.id = attempt.lease_id AND CASE WHEN \
            (attempt.kind = 'lend' AND lease.state = 'opening' AND lease.recovery_policy = v.column4 AND lease.lends_until > ");
        update.push_bind(now);
        update.push(") OR (attempt.kind = 'return' AND lease.state = 'closing' AND lease.home = v.column4) \
            THEN TRUE ELSE FALSE END) \
            RETURNING attempt.lease_id, attempt.number, attempt.claimed_until");
        update.build_query_as().persistent(D::ONE_TEXT).fetch_all(c).await
    })?;
    Ok(rows
        .into_iter()
        .map(|(lease, number, until)| {
            let (lease, number) = keyed((lease, number));
            (lease, number, until)
        })
        .collect())
}

/// Notes that nobody else was found at the addresses of these attempts, or that it was told.
///
/// # Errors
/// [`StoreError`].
pub async fn set_holder_checked(tx: &mut Tx, checked: &[(LeaseId, u32)]) -> Result<(), StoreError> {
    if checked.is_empty() {
        return Ok(());
    }
    on_tx!(tx, c : D => {
        let mut update = QueryBuilder::<D>::new("UPDATE attempt SET holder_checked = ");
        update.push_bind(true).push(" WHERE (lease_id, number) IN (");
        update.push_rows(checked.iter().map(|(lease, number)| row![lease.uuid(), stored(*number)]));
        update.push(")");
        update.build().persistent(D::ONE_TEXT).execute(c).await.map(drop)
    })?;
    Ok(())
}
