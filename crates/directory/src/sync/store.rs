//! The table `sweep`. Only this file reads and writes it.

use chrono::{DateTime, Utc};
use homeward_provider::Cursor;
use homeward_store::{Database, StoreError, Tx, on, on_tx};
use homeward_types::{OrganisationId, Timestamp};
use sqlx::FromRow;
use uuid::Uuid;

/// Where a sweep stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The last one is complete, the next one not due.
    Resting,
    /// Reading page after page.
    Paging,
    /// Looking again for accounts that no page showed.
    Missing,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Resting => "resting",
            Self::Paging => "paging",
            Self::Missing => "missing",
        }
    }
}

/// How far reading an organisation through is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// Of the present or last one; 0 before the first.
    pub number: i64,
    /// What is being done.
    pub stage: Stage,
    /// The next page; `None` is the first.
    pub cursor: Option<Cursor>,
    /// While looking for missing accounts: the last one looked at.
    pub after: String,
    /// When the present or last one began.
    pub begun_at: Timestamp,
    /// When the next one begins.
    pub due_at: Timestamp,
    /// When the last complete one ended.
    pub completed_at: Option<Timestamp>,
    /// Managed accounts after that.
    pub accounts: i64,
}

#[derive(FromRow)]
struct Row {
    number: i64,
    stage: String,
    page_cursor: Option<String>,
    after_account: String,
    begun_at: DateTime<Utc>,
    due_at: DateTime<Utc>,
    completed_at: Option<DateTime<Utc>>,
    accounts: i64,
}

impl TryFrom<Row> for Sweep {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let stage = match row.stage.as_str() {
            "resting" => Stage::Resting,
            "paging" => Stage::Paging,
            "missing" => Stage::Missing,
            other => {
                let reason = format!("{other:?} is not a stage");
                return Err(StoreError::Inconsistent { table: "sweep", column: "stage", row: row.number.to_string(), reason });
            }
        };
        Ok(Self {
            number: row.number,
            stage,
            cursor: row.page_cursor.map(Cursor::new),
            after: row.after_account,
            begun_at: row.begun_at,
            due_at: row.due_at,
            completed_at: row.completed_at,
            accounts: row.accounts,
        })
    }
}

macro_rules! columns {
    () => {
        "number, stage, page_cursor, after_account, begun_at, due_at, completed_at, accounts"
    };
}

/// A process's right to sweep.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// Whose.
    pub by: Uuid,
    /// Until when.
    pub until: Timestamp,
}

/// Takes or renews the right to sweep; `None` while another process has it.
pub async fn claim(
    tx: &mut Tx,
    organisation: &OrganisationId,
    claim: Claim,
    now: Timestamp,
) -> Result<Option<Sweep>, StoreError> {
    let sql = concat!(
        "INSERT INTO sweep (organisation, number, stage, after_account, begun_at, due_at, accounts, claimed_by, claimed_until) \
         VALUES ($1, 0, 'resting', '', $2, $2, 0, $3, $4) \
         ON CONFLICT (organisation) DO UPDATE SET claimed_by = $3, claimed_until = $4 \
         WHERE sweep.claimed_by = $3 OR sweep.claimed_until <= $2 RETURNING ",
        columns!()
    );
    let row: Option<Row> = on_tx!(tx, c => sqlx::query_as(sql)
        .bind(organisation.as_str()).bind(now).bind(claim.by).bind(claim.until).fetch_optional(c).await)?;
    row.map(Sweep::try_from).transpose()
}

/// Writes how far it is and renews the claim; `false` if another process took it over.
pub async fn save(tx: &mut Tx, organisation: &OrganisationId, sweep: &Sweep, claim: Claim) -> Result<bool, StoreError> {
    let sql = "UPDATE sweep SET number = $1, stage = $2, page_cursor = $3, after_account = $4, begun_at = $5, due_at = $6, \
               completed_at = $7, accounts = $8, \
               claimed_until = $9 WHERE organisation = $10 AND claimed_by = $11";
    let changed = on_tx!(tx, c => sqlx::query(sql)
        .bind(sweep.number).bind(sweep.stage.name()).bind(sweep.cursor.as_ref().map(|cursor| cursor.as_str().to_owned())).bind(&sweep.after)
        .bind(sweep.begun_at).bind(sweep.due_at).bind(sweep.completed_at).bind(sweep.accounts)
        .bind(claim.until).bind(organisation.as_str()).bind(claim.by)
        .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// How far it is; `None` before the first began.
pub async fn read(db: &Database, organisation: &OrganisationId) -> Result<Option<Sweep>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM sweep WHERE organisation = $1");
    let row: Option<Row> = on!(db, pool => sqlx::query_as(sql).bind(organisation.as_str()).fetch_optional(pool).await)?;
    row.map(Sweep::try_from).transpose()
}
