//! The tables `recovery`, `recovery_personal` and `recovery_text`: reading here, writing in `store/write.rs`.

pub mod write;

use std::collections::BTreeMap;

use homeward_store::{Database, PushRows, StoreError, Tx, on, on_tx, only_if};
use homeward_types::{AccountId, Factor, OrganisationId, PersonId, RecoveryId, Tier, Timestamp};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{Case, Ended, Found, History};

/// Rows in one statement; at most 18 values each, far below SQLite's 32,766.
const ROWS: usize = 500;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, r.organisation, r.account, r.requester, r.requested_at, r.tier, r.diagnosis, r.home, r.factor, \
             r.recent_requests, r.repudiated_before, r.diagnosis_hash, r.closed_at, r.outcome, r.outcome_sentence, \
             r.repudiated_at, p.email, p.name, p.reason \
             FROM recovery r LEFT JOIN recovery_personal p ON p.recovery = r.id ",
            $rest
        )
    };
}

#[derive(Debug, sqlx::FromRow)]
struct Row {
    id: Uuid,
    organisation: String,
    account: String,
    requester: String,
    requested_at: Timestamp,
    tier: String,
    diagnosis: String,
    home: String,
    factor: String,
    recent_requests: i64,
    repudiated_before: bool,
    diagnosis_hash: String,
    closed_at: Option<Timestamp>,
    outcome: Option<String>,
    outcome_sentence: Option<String>,
    repudiated_at: Option<Timestamp>,
    email: Option<String>,
    name: Option<String>,
    reason: Option<String>,
}

impl TryFrom<Row> for Case {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let id = row.id;
        let ended = row.closed_at.zip(row.outcome).map(|(at, outcome)| Ended {
            at,
            outcome,
            sentence: row.outcome_sentence.unwrap_or_default(),
        });
        let found = Found {
            code: row.diagnosis,
            home: parsed(id, "home", &row.home)?,
            factor: factor(id, &row.factor)?,
            recent_requests: u32::try_from(row.recent_requests).unwrap_or(u32::MAX),
            repudiated_before: row.repudiated_before,
            diagnosis_hash: row.diagnosis_hash,
        };
        Ok(Self {
            id: RecoveryId::from_uuid(id),
            organisation: parsed(id, "organisation", &row.organisation)?,
            account: parsed(id, "account", &row.account)?,
            requester: parsed(id, "requester", &row.requester)?,
            requested_at: row.requested_at,
            tier: if row.tier == "normal" { Tier::Normal } else { Tier::High },
            found,
            email: row.email.as_deref().map(|email| parsed(id, "email", email)).transpose()?,
            name: row.name.unwrap_or_default(),
            reason: row.reason.unwrap_or_default(),
            ended,
            repudiated_at: row.repudiated_at,
        })
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(id: Uuid, column: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|error: T::Err| inconsistent(id, column, error.to_string()))
}

fn factor(id: Uuid, text: &str) -> Result<Factor, StoreError> {
    match text {
        "enrolled" => Ok(Factor::Enrolled),
        "absent" => Ok(Factor::Absent),
        "unknown" => Ok(Factor::Unknown),
        other => Err(inconsistent(id, "factor", format!("{other:?} is not a factor"))),
    }
}

fn inconsistent(id: Uuid, column: &'static str, reason: String) -> StoreError {
    StoreError::Inconsistent { table: "recovery", column, row: id.to_string(), reason }
}

fn cases(rows: Vec<Row>) -> Result<Vec<Case>, StoreError> {
    rows.into_iter().map(Case::try_from).collect()
}

/// These cases, within the transaction. Ids without a case are left out.
pub async fn load(tx: &mut Tx, ids: &[Uuid]) -> Result<Vec<Case>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(ROWS) {
        let rows: Vec<Row> = on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new(select!("WHERE r.id "));
            query.push_one_of(chunk.iter().copied()).build_query_as().fetch_all(c).await
        })?;
        found.extend(cases(rows)?);
    }
    Ok(found)
}

/// These cases. Ids without a case are left out.
pub async fn read(db: &Database, ids: &[Uuid]) -> Result<Vec<Case>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(ROWS) {
        let rows: Vec<Row> = on!(db, pool : D => {
            let mut query = QueryBuilder::<D>::new(select!("WHERE r.id "));
            query.push_one_of(chunk.iter().copied()).build_query_as().fetch_all(pool).await
        })?;
        found.extend(cases(rows)?);
    }
    Ok(found)
}

/// Cases of an organisation, newest first, with ids below `before`.
pub async fn page(
    db: &Database,
    organisation: &OrganisationId,
    open_only: bool,
    before: Option<RecoveryId>,
    most: i64,
) -> Result<Vec<Case>, StoreError> {
    let sql = if open_only {
        select!("WHERE r.organisation = $1 AND r.id < $2 AND r.is_open ORDER BY r.id DESC LIMIT $3")
    } else {
        select!("WHERE r.organisation = $1 AND r.id < $2 ORDER BY r.id DESC LIMIT $3")
    };
    let before = before.map_or(Uuid::max(), RecoveryId::uuid);
    let rows: Vec<Row> = on!(db, pool => {
        sqlx::query_as(sql).bind(organisation.as_str()).bind(before).bind(most).fetch_all(pool).await
    })?;
    cases(rows)
}

/// Ids of open cases of an organisation in ascending order, after `after`.
pub async fn open_ids(db: &Database, organisation: &OrganisationId, after: Uuid, most: i64) -> Result<Vec<Uuid>, StoreError> {
    let sql = "SELECT id FROM recovery WHERE organisation = $1 AND id > $2 AND is_open ORDER BY id LIMIT $3";
    Ok(on!(db, pool => sqlx::query_scalar(sql).bind(organisation.as_str()).bind(after).bind(most).fetch_all(pool).await)?)
}

/// The case whose links "this was not me" bear a token with this hash.
pub async fn by_token(db: &Database, hash: &[u8]) -> Result<Option<Case>, StoreError> {
    let sql = select!("WHERE r.not_me_hash = $1");
    let row: Option<Row> = on!(db, pool => sqlx::query_as(sql).bind(hash).fetch_optional(pool).await)?;
    row.map(Case::try_from).transpose()
}

/// Recoveries that this requester opened with these keys.
pub async fn by_keys(
    db: &Database,
    organisation: &OrganisationId,
    requester: &PersonId,
    keys: &[&str],
) -> Result<BTreeMap<String, RecoveryId>, StoreError> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<(String, Uuid)> = on!(db, pool : D => {
        let mut query = QueryBuilder::<D>::new("SELECT idempotency_key, id FROM recovery WHERE organisation = ");
        query.push_bind(organisation.as_str()).push(" AND requester = ").push_bind(requester.as_str())
            .push(" AND idempotency_key ");
        query.push_one_of(keys.iter().copied()).build_query_as().fetch_all(pool).await
    })?;
    Ok(rows.into_iter().map(|(key, id)| (key, RecoveryId::from_uuid(id))).collect())
}

#[derive(Debug, sqlx::FromRow)]
struct HistoryRow {
    account: String,
    recent: i64,
    repudiated: i64,
}

/// What was asked for these accounts before: requests since `since`, repudiations ever, what is open.
pub async fn history(
    db: &Database,
    organisation: &OrganisationId,
    accounts: &[&AccountId],
    since: Timestamp,
) -> Result<BTreeMap<String, History>, StoreError> {
    if accounts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let counts: Vec<HistoryRow> = on!(db, pool : D => {
        let mut query = QueryBuilder::<D>::new(
            "SELECT account, COUNT(*) FILTER (WHERE outcome IS DISTINCT FROM 'not_lent' AND requested_at > ");
        query.push_bind(since)
            .push(") AS recent, COUNT(*) FILTER (WHERE repudiated_at IS NOT NULL) AS repudiated FROM recovery WHERE organisation = ")
            .push_bind(organisation.as_str()).push(" AND account ");
        query.push_one_of(accounts.iter().map(|account| account.as_str())).push(" GROUP BY account").build_query_as().fetch_all(pool).await
    })?;
    let open: Vec<(String, Uuid)> = on!(db, pool : D => {
        let mut query = QueryBuilder::<D>::new(concat!("SELECT account, id FROM recovery WHERE ", only_if!("is_open"), " AND organisation = "));
        query.push_bind(organisation.as_str()).push(" AND account ");
        query.push_one_of(accounts.iter().map(|account| account.as_str())).build_query_as().fetch_all(pool).await
    })?;
    let mut all: BTreeMap<String, History> = counts
        .into_iter()
        .map(|row| {
            let recent = u32::try_from(row.recent).unwrap_or(u32::MAX);
            (row.account, History { recent, repudiated: row.repudiated > 0, open: None })
        })
        .collect();
    for (account, id) in open {
        all.entry(account).or_default().open = Some(RecoveryId::from_uuid(id));
    }
    Ok(all)
}
