//! The tables `recovery`, `recovery_personal` and `recovery_text`.

use std::collections::BTreeMap;

use homeward_store::{Database, StoreError, Tx, on, on_tx};
use homeward_types::{AccountId, Factor, OrganisationId, PersonId, RecoveryId, Tier, Timestamp};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{Case, Ended, Found, History, Opening};
use crate::saga::data::Data;

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

fn factor_name(factor: Factor) -> &'static str {
    match factor {
        Factor::Enrolled => "enrolled",
        Factor::Absent => "absent",
        Factor::Unknown => "unknown",
    }
}

fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Normal => "normal",
        Tier::High => "high",
    }
}

fn inconsistent(id: Uuid, column: &'static str, reason: String) -> StoreError {
    StoreError::Inconsistent { table: "recovery", column, row: id.to_string(), reason }
}

fn cases(rows: Vec<Row>) -> Result<Vec<Case>, StoreError> {
    rows.into_iter().map(Case::try_from).collect()
}

/// Writes new cases.
///
/// # Errors
/// [`StoreError::is_unique_violation`] if one of the accounts has an open recovery, or a key was used already.
pub async fn insert(tx: &mut Tx, rows: &[(Uuid, &Data, &Opening)]) -> Result<(), StoreError> {
    for chunk in rows.chunks(ROWS) {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new(
                "INSERT INTO recovery (id, organisation, account, requester, idempotency_key, prefilled_from, requested_at, tier, \
                 diagnosis, home, factor, recent_requests, repudiated_before, diagnosis_hash, not_me_hash, is_open) ");
            query.push_values(chunk, |mut row, (id, data, opening)| {
                let found = &opening.found;
                row.push_bind(*id).push_bind(data.organisation.as_str()).push_bind(data.account.as_str())
                    .push_bind(data.requester.as_str()).push_bind(opening.idempotency_key.as_deref())
                    .push_bind(opening.prefilled_from.map(RecoveryId::uuid)).push_bind(opening.requested_at)
                    .push_bind(tier_name(data.terms.tier)).push_bind(&found.code).push_bind(found.home.as_str())
                    .push_bind(factor_name(found.factor)).push_bind(i64::from(found.recent_requests))
                    .push_bind(found.repudiated_before).push_bind(&found.diagnosis_hash)
                    .push_bind(opening.not_me_hash.as_slice()).push_bind(true);
            });
            query.build().execute(c).await.map(drop)
        })?;
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("INSERT INTO recovery_personal (recovery, email, name, reason) ");
            query.push_values(chunk, |mut row, (id, _, opening)| {
                row.push_bind(*id).push_bind(opening.email.as_ref().map(homeward_types::Email::as_str))
                    .push_bind(&opening.name).push_bind(&opening.reason);
            });
            query.build().execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// These cases, within the transaction. Ids without a case are left out.
pub async fn load(tx: &mut Tx, ids: &[Uuid]) -> Result<Vec<Case>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(ROWS) {
        let rows: Vec<Row> = on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new(select!("WHERE r.id IN ("));
            let mut list = query.separated(", ");
            for id in chunk {
                list.push_bind(*id);
            }
            query.push(")").build_query_as().fetch_all(c).await
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
            let mut query = QueryBuilder::<D>::new(select!("WHERE r.id IN ("));
            let mut list = query.separated(", ");
            for id in chunk {
                list.push_bind(*id);
            }
            query.push(")").build_query_as().fetch_all(pool).await
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
            .push(" AND idempotency_key IN (");
        let mut list = query.separated(", ");
        for key in keys {
            list.push_bind(*key);
        }
        query.push(")").build_query_as().fetch_all(pool).await
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
            .push_bind(organisation.as_str()).push(" AND account IN (");
        let mut list = query.separated(", ");
        for account in accounts {
            list.push_bind(account.as_str());
        }
        query.push(") GROUP BY account").build_query_as().fetch_all(pool).await
    })?;
    let open: Vec<(String, Uuid)> = on!(db, pool : D => {
        let mut query = QueryBuilder::<D>::new("SELECT account, id FROM recovery WHERE is_open AND organisation = ");
        query.push_bind(organisation.as_str()).push(" AND account IN (");
        let mut list = query.separated(", ");
        for account in accounts {
            list.push_bind(account.as_str());
        }
        query.push(")").build_query_as().fetch_all(pool).await
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

/// How a case ended, to be written.
#[derive(Debug)]
pub struct Closing {
    /// Which case.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// The outcome's code.
    pub outcome: &'static str,
    /// The outcome in a sentence for the staff.
    pub sentence: String,
}

/// Writes how cases ended. A case that was reopened by late news of its lease ends a second time, and keeps its first end.
pub async fn close(tx: &mut Tx, rows: &[Closing]) -> Result<(), StoreError> {
    for chunk in rows.chunks(ROWS) {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new(
                "UPDATE recovery SET is_open = FALSE, closed_at = v.column2, outcome = v.column3, outcome_sentence = v.column4 FROM (");
            query.push_values(chunk, |mut row, closing| {
                row.push_bind(closing.id).push_bind(closing.at).push_bind(closing.outcome).push_bind(&closing.sentence);
            });
            query.push(") AS v WHERE recovery.id = v.column1 AND recovery.is_open");
            query.build().execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// Writes that owners said "this was not me". The first time counts.
pub async fn repudiate(tx: &mut Tx, ids: &[Uuid], at: Timestamp) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    on_tx!(tx, c : D => {
        let mut query = QueryBuilder::<D>::new("UPDATE recovery SET repudiated_at = ");
        query.push_bind(at).push(" WHERE repudiated_at IS NULL AND id IN (");
        let mut list = query.separated(", ");
        for id in ids {
            list.push_bind(*id);
        }
        query.push(")").build().execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Something that a person said about a case.
#[derive(Debug)]
pub struct Text {
    /// Which case.
    pub recovery: Uuid,
    /// What it belongs to.
    pub subject: String,
    /// The words.
    pub text: String,
    /// When.
    pub said_at: Timestamp,
}

/// Keeps what persons said; the newest on a subject stays.
pub async fn add_texts(tx: &mut Tx, rows: &[Text]) -> Result<(), StoreError> {
    for chunk in rows.chunks(ROWS) {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("INSERT INTO recovery_text (recovery, subject, text, said_at) ");
            query.push_values(chunk, |mut row, text| {
                row.push_bind(text.recovery).push_bind(&text.subject).push_bind(&text.text).push_bind(text.said_at);
            });
            query.push(" ON CONFLICT (recovery, subject) DO UPDATE SET text = excluded.text, said_at = excluded.said_at");
            query.build().execute(c).await.map(drop)
        })?;
    }
    Ok(())
}
