//! What leases say about accounts.

use std::collections::{HashMap, HashSet};

use homeward_store::{Database, Engine, PushRows, StoreError, Tx, on, on_tx, only_if};
use homeward_types::{AccountId, LeaseId, OrganisationId, PlacementVersion, PolicyId, Timestamp};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::row::{OpenRow, PastRow};

#[derive(Debug, sqlx::FromRow)]
struct AccountRow {
    account: String,
    id: Uuid,
    due_at: Timestamp,
}

macro_rules! open {
    () => {
        concat!("SELECT account, id, due_at FROM lease WHERE ", only_if!("state <> 'closed'"))
    };
}

/// One question about accounts, on the reading side or in a transaction that decides by the answer.
macro_rules! of_accounts {
    ($run:ident, $on:expr, $build:ident, $head:expr, $organisation:expr, $accounts:expr) => {
        $run!($on, c : D => {
            let mut select = QueryBuilder::<D>::new(concat!($head, " AND organisation = "));
            select.push_bind($organisation.as_str()).push(" AND account ");
            select.push_one_of($accounts.iter().map(|account| account.as_str()));
            select.$build().persistent(D::ONE_TEXT).fetch_all(c).await
        })
    };
}

/// The open leases of these accounts, in a transaction that decides by them.
///
/// # Errors
/// [`StoreError`].
pub async fn open_of_accounts(
    tx: &mut Tx,
    organisation: &OrganisationId,
    accounts: &[&AccountId],
) -> Result<OpenLeases, StoreError> {
    if accounts.is_empty() {
        return Ok(HashMap::new());
    }
    opened(of_accounts!(on_tx, tx, build_query_as, open!(), organisation, accounts)?)
}

/// What else is known of these accounts: their open leases, and who of them was released.
///
/// # Errors
/// [`StoreError`].
pub async fn open_work(
    db: &Database,
    organisation: &OrganisationId,
    accounts: &[&AccountId],
) -> Result<(OpenLeases, HashSet<String>), StoreError> {
    if accounts.is_empty() {
        return Ok((HashMap::new(), HashSet::new()));
    }
    let open = of_accounts!(on, db, build_query_as, open!(), organisation, accounts)?;
    let released: Vec<String> = of_accounts!(
        on,
        db,
        build_query_scalar,
        "SELECT DISTINCT account FROM lease WHERE end_kind = 'released'",
        organisation,
        accounts
    )?;
    Ok((opened(open)?, released.into_iter().collect()))
}

/// Open leases by account.
pub type OpenLeases = HashMap<AccountId, OpenRow>;

fn opened(rows: Vec<AccountRow>) -> Result<OpenLeases, StoreError> {
    rows.into_iter()
        .map(|row| Ok((account(&row.account, &row.id)?, OpenRow { lease: LeaseId::from_uuid(row.id), due_at: row.due_at })))
        .collect()
}

fn account(name: &str, row: &impl ToString) -> Result<AccountId, StoreError> {
    name.parse().map_err(|error: homeward_types::NameError| StoreError::Inconsistent {
        table: "lease",
        column: "account",
        row: row.to_string(),
        reason: error.to_string(),
    })
}

/// What earlier leases of these accounts left behind.
pub type PastLeases = HashMap<AccountId, PastRow>;

#[derive(Debug, sqlx::FromRow)]
struct PastAccountRow {
    account: String,
    releases: i64,
    home_version: Option<i64>,
    out_version: Option<i64>,
    back_version: Option<i64>,
}

/// What is left behind by the leases of these accounts, in a transaction that decides by it.
///
/// # Errors
/// [`StoreError`].
pub async fn past_of_accounts(
    tx: &mut Tx,
    organisation: &OrganisationId,
    accounts: &[&AccountId],
) -> Result<PastLeases, StoreError> {
    if accounts.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<PastAccountRow> = on_tx!(tx, c : D => {
        let mut select = QueryBuilder::<D>::new(
            "SELECT account, COUNT(CASE WHEN end_kind = 'released' THEN 1 END) AS releases, \
             MAX(home_version) AS home_version, MAX(out_version) AS out_version, MAX(back_version) AS back_version \
             FROM lease WHERE organisation = ");
        select.push_bind(organisation.as_str()).push(" AND account ");
        select.push_one_of(accounts.iter().map(|account| account.as_str())).push(" GROUP BY account");
        select.build_query_as().persistent(D::ONE_TEXT).fetch_all(c).await
    })?;
    rows.into_iter()
        .map(|row| {
            let newest_version = row.home_version.max(row.out_version).max(row.back_version).map(PlacementVersion);
            Ok((account(&row.account, &"of an account")?, PastRow { released: row.releases > 0, newest_version }))
        })
        .collect()
}

/// The home of the newest lease that was opened for the account: its last known protecting placement, as far as leases tell.
///
/// # Errors
/// [`StoreError`].
pub async fn last_home(tx: &mut Tx, organisation: &OrganisationId, account: &AccountId) -> Result<Option<PolicyId>, StoreError> {
    let home: Option<String> = on_tx!(tx, c => sqlx::query_scalar("SELECT home FROM lease WHERE organisation = $1 AND account = $2 \
        AND (end_kind IS NULL OR end_kind <> 'never_lent') ORDER BY id DESC LIMIT 1")
        .bind(organisation.as_str()).bind(account.as_str()).fetch_optional(c).await)?;
    Ok(home.and_then(|home| home.parse().ok()))
}
