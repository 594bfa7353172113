//! The tables `finding` and `patrol`.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use homeward_store::{Database, Engine, PushRows, StoreError, Tx, on, on_tx, row};
use homeward_types::{IncidentId, LeaseId, OrganisationId, Timestamp};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use super::Finding;

/// The sums of one patrol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Leases read back.
    pub read_back: i64,
    /// Accounts seen out.
    pub seen_out: i64,
    /// Of these, after their lease was due.
    pub overdue: i64,
}

#[derive(FromRow)]
struct Written {
    lease: Uuid,
    kind: String,
    incident: Uuid,
    told: bool,
}

/// Adds findings; gives the incidents of those that people are to be told of from now on, by lease and kind.
pub async fn add(tx: &mut Tx, findings: &[Finding]) -> Result<HashMap<(Uuid, String), IncidentId>, StoreError> {
    if findings.is_empty() {
        return Ok(HashMap::new());
    }
    let written: Vec<Written> = on_tx!(tx, conn : D => {
        let mut query = QueryBuilder::<D>::new("INSERT INTO finding (organisation, account, kind, lease, incident, told, since, sentence) ");
        query.push_rows(findings.iter().map(|finding| row![
            finding.organisation.as_str(), finding.account.as_str(), finding.kind, finding.lease.uuid(), finding.incident.uuid(),
            finding.tell, finding.since, &finding.sentence,
        ]));
        query.push(
            " ON CONFLICT (organisation, lease, kind) DO UPDATE SET told = excluded.told WHERE excluded.told AND NOT finding.told \
             RETURNING lease, kind, incident, told",
        );
        query.build_query_as().persistent(D::ONE_TEXT).fetch_all(conn).await
    })?;
    let told = written.into_iter().filter(|row| row.told);
    Ok(told.map(|row| ((row.lease, row.kind), IncidentId::from_uuid(row.incident))).collect())
}

/// Drops what is not so any more: these leases were read, and nothing (else) was found.
pub async fn clear(tx: &mut Tx, organisation: &OrganisationId, cleared: &[(LeaseId, &'static str)]) -> Result<(), StoreError> {
    if cleared.is_empty() {
        return Ok(());
    }
    on_tx!(tx, conn : D => {
        let mut query = QueryBuilder::<D>::new("DELETE FROM finding WHERE organisation = ");
        query.push_bind(organisation.as_str()).push(" AND (lease, kind) IN (");
        query.push_rows(cleared.iter().map(|(lease, kind)| row![lease.uuid(), *kind]));
        query.push(")");
        query.build().persistent(D::ONE_TEXT).execute(conn).await.map(drop)
    })?;
    Ok(())
}

/// Notes the end of a patrol.
pub async fn patrolled(tx: &mut Tx, organisation: &OrganisationId, sums: Sums, now: Timestamp) -> Result<(), StoreError> {
    on_tx!(tx, conn => sqlx::query("INSERT INTO patrol (organisation, patrolled_at, read_back, seen_out, overdue) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (organisation) DO UPDATE SET patrolled_at = excluded.patrolled_at, read_back = excluded.read_back, seen_out = excluded.seen_out, overdue = excluded.overdue")
        .bind(organisation.as_str()).bind(now).bind(sums.read_back).bind(sums.seen_out).bind(sums.overdue).execute(conn).await.map(drop))?;
    Ok(())
}

/// A finding as it is shown.
#[derive(FromRow)]
pub struct Standing {
    /// Whose account.
    pub account: String,
    /// About which lease.
    pub lease: Uuid,
    /// What.
    pub kind: String,
    /// In words.
    pub sentence: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// The last patrol of an organisation and what it found, at most 1,000 findings.
pub async fn report(
    db: &Database,
    organisation: &OrganisationId,
) -> Result<(Option<(Timestamp, Sums)>, Vec<Standing>), StoreError> {
    let last = "SELECT patrolled_at, read_back, seen_out, overdue FROM patrol WHERE organisation = $1";
    let sums: Option<(DateTime<Utc>, i64, i64, i64)> =
        on!(db, pool => sqlx::query_as(last).bind(organisation.as_str()).fetch_optional(pool).await)?;
    let found =
        "SELECT account, lease, kind, sentence, since FROM finding WHERE organisation = $1 ORDER BY account, kind LIMIT 1000";
    let findings = on!(db, pool => sqlx::query_as::<_, Standing>(found).bind(organisation.as_str()).fetch_all(pool).await)?;
    Ok((sums.map(|(at, read_back, seen_out, overdue)| (at, Sums { read_back, seen_out, overdue })), findings))
}
