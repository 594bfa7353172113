//! The table `lease`: everything that writes it.

use homeward_store::rows::{Columns, Values};
use homeward_store::{Engine, PushRows, StoreError, Tx, on_tx, one_row, row};
use homeward_types::{LeaseId, OrganisationId, PersonId, Timestamp};
use sqlx::QueryBuilder;
use sqlx::types::Json;
use uuid::Uuid;

use super::row::{Kept, LeaseRow, factor_name, stored};
use super::terms::StoredTerms;
use crate::lease::{Lease, State};

/// What a decision can change, in the order of [`changing`].
const CHANGING: [&str; 34] = [
    "version",
    "state",
    "home",
    "due_at",
    "lends_until",
    "newest_begun_at",
    "out_first_at",
    "out_last_at",
    "out_version",
    "out_policy",
    "run_policy",
    "run_version",
    "run_first_begun_at",
    "back_at",
    "back_version",
    "missed_search_at",
    "missed_itself_at",
    "return_reason",
    "returning_at",
    "return_at",
    "failed_returns",
    "attempts",
    "was_unknown",
    "released",
    "overdue",
    "contained",
    "overdue_told",
    "reads",
    "next_read_at",
    "tick_at",
    "ended_at",
    "end_kind",
    "end_policy",
    "refusal",
];

/// The values of [`CHANGING`].
fn changing(lease: &Lease) -> impl Columns<'_> + Values<'_> {
    let (ended_at, end_kind, end_policy, refusal) = ending(&lease.state);
    let (sight, out, run) = (&lease.sight, lease.sight.out.as_ref(), lease.sight.run.as_ref());
    row![
        lease.version,
        lease.state.name(),
        lease.home.as_str(),
        lease.due_at,
        lease.lends_until(),
        sight.newest_begun_at,
        out.map(|out| out.first_at),
        out.map(|out| out.last_at),
        out.and_then(|out| out.version).map(|version| version.0),
        out.map(|out| out.policy.as_str()),
        run.map(|run| run.policy.as_str()),
        run.and_then(|run| run.version).map(|version| version.0),
        run.map(|run| run.first_begun_at),
        sight.back_at,
        sight.back_version.map(|version| version.0),
        sight.missed.search_at,
        sight.missed.itself_at,
        lease.return_reason.as_deref(),
        lease.returning_at,
        lease.return_at,
        stored(lease.failed_returns),
        stored(lease.attempts),
        lease.was_unknown,
        lease.released,
        lease.overdue,
        lease.contained,
        lease.overdue_told,
        stored(lease.reads),
        lease.next_read_at,
        lease.tick_at,
        ended_at,
        end_kind,
        end_policy,
        refusal,
    ]
}

type EndColumns<'a> = (Option<Timestamp>, Option<&'static str>, Option<&'a str>, Option<&'static str>);

fn ending(state: &State) -> EndColumns<'_> {
    match state {
        State::Closed(ending) => {
            let policy = match &ending.end {
                homeward_types::LeaseEnd::ProtectedElsewhere(policy) => Some(policy.as_str()),
                homeward_types::LeaseEnd::Home
                | homeward_types::LeaseEnd::Gone
                | homeward_types::LeaseEnd::Released
                | homeward_types::LeaseEnd::NeverLent => None,
            };
            (Some(ending.at), Some(ending.end.name()), policy, ending.refusal.map(homeward_types::Refusal::name))
        }
        State::Opening | State::Active | State::Closing | State::Settling => (None, None, None, None),
    }
}

/// Adds new leases. One open lease an account: a second is refused by the database.
///
/// # Errors
/// [`StoreError::is_unique_violation`] if an id or an account's open lease is there already: load again and decide anew.
pub async fn insert(tx: &mut Tx, new: &[&Kept]) -> Result<(), StoreError> {
    if new.is_empty() {
        return Ok(());
    }
    let head = format!(
        "INSERT INTO lease (id, organisation, account, origin, home_version, recovery_policy, factor_at_lend, opened_at, terms, \
         traceparent, tracestate, opened_message, {}) ",
        CHANGING.join(", ")
    );
    let inserted = on_tx!(tx, c : D => {
        let mut insert = QueryBuilder::<D>::new(head);
        insert.push_rows(new.iter().copied().map(|kept| {
            let lease = &kept.lease;
            row![
                lease.id.uuid(), lease.organisation.as_str(), lease.account.as_str(), lease.origin.name(),
                lease.home_version.map(|version| version.0), lease.recovery_policy.as_str(), factor_name(lease.factor_at_lend),
                lease.opened_at, Json(StoredTerms::from(lease.terms)), kept.trace.traceparent.as_str(),
                kept.trace.tracestate.as_str(), kept.opened_message.map(homeward_types::Id::uuid); changing(lease)
            ]
        }));
        insert.build().persistent(D::ONE_TEXT).execute(c).await.map(|done| done.rows_affected())
    })?;
    all_rows(inserted, new.len(), "new leases")
}

/// Writes what decisions changed. Each lease must still have the version that the decision was made on.
///
/// # Errors
/// [`StoreError::NotOneRow`] if another one decided in between, which the row's lock forbids.
pub async fn update(tx: &mut Tx, changed: &[(&Lease, i64)]) -> Result<(), StoreError> {
    if changed.is_empty() {
        return Ok(());
    }
    let set: Vec<String> = CHANGING.iter().enumerate().map(|(at, column)| format!("{column} = v.column{}", at + 3)).collect();
    let head = format!("UPDATE lease SET {} FROM (", set.join(", "));
    let updated = on_tx!(tx, c : D => {
        let mut update = QueryBuilder::<D>::new(head);
        update.push_rows(changed.iter().map(|(lease, before)| row![lease.id.uuid(), *before; changing(lease)]));
        update.push(") AS v WHERE lease.id = v.column1 AND lease.version = v.column2");
        update.build().persistent(D::ONE_TEXT).execute(c).await.map(|done| done.rows_affected())
    })?;
    all_rows(updated, changed.len(), "leases as they were decided on")
}

fn all_rows(changed: u64, expected: usize, what: &'static str) -> Result<(), StoreError> {
    if usize::try_from(changed) == Ok(expected) { Ok(()) } else { Err(StoreError::NotOneRow { what, changed }) }
}

/// Takes leases whose account is to be read, those that waited longest first, and puts the next read off until `until`:
/// somebody else reads then if this worker dies.
///
/// # Errors
/// [`StoreError`].
pub async fn due_reads(
    tx: &mut Tx,
    organisation: &OrganisationId,
    now: Timestamp,
    until: Timestamp,
    most: i64,
) -> Result<Vec<Kept>, StoreError> {
    let sql = homeward_store::dialect!(tx,
        pg: "UPDATE lease SET next_read_at = $3 WHERE id IN (SELECT id FROM lease WHERE organisation = $1 AND next_read_at <= $2 \
             ORDER BY next_read_at LIMIT $4 FOR UPDATE SKIP LOCKED) RETURNING *",
        lite: "UPDATE lease SET next_read_at = $3 WHERE id IN (SELECT id FROM lease WHERE organisation = $1 AND next_read_at <= $2 \
             ORDER BY next_read_at LIMIT $4) RETURNING *");
    let rows: Vec<LeaseRow> = on_tx!(tx, c => sqlx::query_as(sql)
        .bind(organisation.as_str()).bind(now).bind(until).bind(most).fetch_all(c).await)?;
    rows.into_iter().map(Kept::try_from).collect()
}

/// Puts reads off, where the provider did not answer.
///
/// # Errors
/// [`StoreError`].
pub async fn postpone_reads(tx: &mut Tx, leases: &[LeaseId], until: Timestamp) -> Result<(), StoreError> {
    set_next_read(tx, leases, until, "UPDATE lease SET next_read_at = ").await
}

/// After attempts were marked `sent`: somebody looks when their claim is over. As [`crate::lease::decide`] says of `AttemptSent`.
///
/// # Errors
/// [`StoreError`].
pub async fn expect_read(tx: &mut Tx, leases: &[LeaseId], claimed_until: Timestamp) -> Result<(), StoreError> {
    set_next_read(tx, leases, claimed_until, "UPDATE lease SET version = version + 1, tick_at = CASE WHEN tick_at < ").await
}

async fn set_next_read(tx: &mut Tx, leases: &[LeaseId], until: Timestamp, head: &'static str) -> Result<(), StoreError> {
    if leases.is_empty() {
        return Ok(());
    }
    let with_tick = head.ends_with("tick_at < ");
    on_tx!(tx, c : D => {
        let mut update = QueryBuilder::<D>::new(head);
        update.push_bind(until);
        if with_tick {
            update.push(" THEN tick_at ELSE ").push_bind(until).push(" END, next_read_at = ").push_bind(until);
        }
        update.push(" WHERE id ");
        update.push_one_of(leases.iter().map(|lease| lease.uuid()));
        update.build().persistent(D::ONE_TEXT).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// The provider answers again: waiting returns and reads of the organisation are due now. Says how many leases wait no more.
/// As [`crate::lease::decide`] says of `Woken`, for all at once.
///
/// # Errors
/// [`StoreError`].
pub async fn wake(tx: &mut Tx, organisation: &OrganisationId, now: Timestamp) -> Result<u64, StoreError> {
    let woken = on_tx!(tx, c => sqlx::query("UPDATE lease SET version = version + 1, \
        return_at = CASE WHEN return_at > $2 THEN $2 ELSE return_at END, \
        tick_at = CASE WHEN return_at > $2 THEN $2 ELSE tick_at END, \
        next_read_at = CASE WHEN next_read_at > $2 THEN $2 ELSE next_read_at END \
        WHERE organisation = $1 AND state <> 'closed' AND (return_at > $2 OR next_read_at > $2)")
        .bind(organisation.as_str()).bind(now).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(woken)
}

/// Keeps the first person's wish to release the lease.
///
/// # Errors
/// [`StoreError`].
pub async fn keep_release(tx: &mut Tx, lease: LeaseId, by: &PersonId, reason: &str) -> Result<(), StoreError> {
    let changed = on_tx!(tx, c => sqlx::query(
        "UPDATE lease SET release_by = $2, release_reason = $3 WHERE id = $1 AND state <> 'closed' AND release_by IS NULL")
        .bind(lease.uuid()).bind(by.as_str()).bind(reason).execute(c).await.map(|done| done.rows_affected()))?;
    one_row(changed, "open lease that nobody released yet")
}

/// Notes, before the call, that the provider is asked to remove the factor; `None` takes it back, where the call proved to
/// have had no effect. False if it was so before, or the account is not out any more.
///
/// # Errors
/// [`StoreError`].
pub async fn mark_reset(tx: &mut Tx, lease: Uuid, at: Option<Timestamp>) -> Result<bool, StoreError> {
    let sql = match at {
        Some(_) => "UPDATE lease SET reset_at = $2 WHERE id = $1 AND reset_at IS NULL AND state = 'active'",
        None => "UPDATE lease SET reset_at = $2 WHERE id = $1 AND reset_at IS NOT NULL",
    };
    let changed = on_tx!(tx, c => sqlx::query(sql)
        .bind(lease).bind(at).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}
