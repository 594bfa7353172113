//! The table `logged_factor`. Only this file reads and writes it.

use std::collections::HashMap;

use homeward_store::{Database, Engine, PushRows, StoreError, Tx, on, on_tx, row};
use homeward_types::{AccountId, OrganisationId, Timestamp};
use sqlx::QueryBuilder;

use crate::watch::evidence::Logged;

/// Rows or names in one statement.
const ROWS: usize = 1_000;

/// What one event says of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whose factor.
    pub account: AccountId,
    /// The provider's id of the event.
    pub event: String,
    /// Set up, or taken away.
    pub enrolled: bool,
    /// Epoch milliseconds of the provider's clock.
    pub happened_ms: i64,
}

/// Adds what is not there yet.
pub async fn add(tx: &mut Tx, organisation: &OrganisationId, lines: &[Line], now: Timestamp) -> Result<(), StoreError> {
    for part in lines.chunks(ROWS) {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("INSERT INTO logged_factor (organisation, account, event, enrolled, happened_ms, received_at) ");
            query.push_rows(part.iter().map(|line| row![
                organisation.as_str(), line.account.as_str(), &line.event, line.enrolled, line.happened_ms, now,
            ]));
            query.push(" ON CONFLICT DO NOTHING");
            query.build().persistent(D::ONE_TEXT).execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// The newest enrolment and the newest removal of each of these accounts.
pub async fn newest(
    db: &Database,
    organisation: &OrganisationId,
    accounts: &[&AccountId],
) -> Result<HashMap<AccountId, Logged>, StoreError> {
    let mut said: HashMap<AccountId, Logged> = HashMap::new();
    for part in accounts.chunks(ROWS) {
        let rows: Vec<(String, bool, i64)> = on!(db, pool : D => {
            let mut query = QueryBuilder::<D>::new("SELECT account, enrolled, MAX(happened_ms) FROM logged_factor WHERE organisation = ");
            query.push_bind(organisation.as_str()).push(" AND account ");
            query.push_one_of(part.iter().map(|account| account.as_str())).push(" GROUP BY account, enrolled");
            query.build_query_as().persistent(D::ONE_TEXT).fetch_all(pool).await
        })?;
        for (account, enrolled, at) in rows {
            let broken = |error: homeward_types::NameError| StoreError::Inconsistent {
                table: "logged_factor",
                column: "account",
                row: account.clone(),
                reason: error.to_string(),
            };
            let logged = said.entry(account.parse().map_err(broken)?).or_default();
            if enrolled { logged.enrolled = Some(at) } else { logged.removed = Some(at) }
        }
    }
    Ok(said)
}

/// Forgets what was received before.
pub async fn forget(tx: &mut Tx, organisation: &OrganisationId, before: Timestamp) -> Result<(), StoreError> {
    let sql = "DELETE FROM logged_factor WHERE organisation = $1 AND received_at < $2";
    on_tx!(tx, c => sqlx::query(sql).bind(organisation.as_str()).bind(before).execute(c).await.map(drop))?;
    Ok(())
}
