//! The tables `account` and `name_word`: a page's worth of rows in a few statements.

pub mod find;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use homeward_provider::AccountRecord;
use homeward_store::{Engine, PushRows, StoreError, Tx, for_update, on_tx, row};
use homeward_types::diagnosis::{AccountStatus, Claim};
use homeward_types::{AccountId, OrganisationId, Timestamp};
use sqlx::{FromRow, QueryBuilder};

use super::{Account, Change, Merged, Source, fold, merge, missed};

/// Rows in one statement; seventeen values each stay far below what SQLite takes.
const ROWS: usize = 1_000;

/// The columns of [`Row`].
macro_rules! columns {
    () => {
        "account, email, name, claim, status, synced_from, administrator, last_active, mail_changed_at, learned_at, \
         detailed_at, gone_at, version"
    };
}
use columns;

/// How accounts were read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// By a page or a search.
    pub source: Source,
    /// The sweep that the read belongs to, if any.
    pub sweep: Option<i64>,
    /// The replica is being filled for the first time: that accounts appear is no news.
    pub filling: bool,
}

/// A change that is to be announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The account afterwards.
    pub account: Account,
    /// What changed; never empty.
    pub changes: Vec<Change>,
}

#[derive(Debug, FromRow)]
struct Row {
    account: String,
    email: Option<String>,
    name: String,
    claim: String,
    status: String,
    synced_from: Option<String>,
    administrator: Option<bool>,
    last_active: Option<DateTime<Utc>>,
    mail_changed_at: Option<DateTime<Utc>>,
    learned_at: DateTime<Utc>,
    detailed_at: Option<DateTime<Utc>>,
    gone_at: Option<DateTime<Utc>>,
    version: i64,
}

impl TryFrom<Row> for Account {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let broken =
            |column, reason: String| StoreError::Inconsistent { table: "account", column, row: row.account.clone(), reason };
        let claim = match row.claim.as_str() {
            "managed" => Claim::Managed,
            "domain_not_verified" => Claim::DomainNotVerified,
            "not_claimed" => Claim::NotClaimed,
            other => return Err(broken("claim", format!("{other:?} is not a claim"))),
        };
        let status = match row.status.as_str() {
            "active" => AccountStatus::Active,
            "suspended" => AccountStatus::Suspended,
            "deactivated" => AccountStatus::Deactivated,
            "deleted" => AccountStatus::Deleted,
            other => return Err(broken("status", format!("{other:?} is not a status"))),
        };
        let email =
            row.email.clone().map(|email| email.parse().map_err(|error| broken("email", format!("{error}")))).transpose()?;
        Ok(Self {
            id: row.account.parse().map_err(|error| broken("account", format!("{error}")))?,
            email,
            name: row.name,
            claim,
            status,
            synced_from: row.synced_from,
            administrator: row.administrator,
            last_active: row.last_active,
            mail_changed_at: row.mail_changed_at,
            learned_at: row.learned_at,
            detailed_at: row.detailed_at,
            gone_at: row.gone_at,
            version: row.version,
        })
    }
}

fn accounts(rows: Vec<Row>) -> Result<Vec<Account>, StoreError> {
    rows.into_iter().map(Account::try_from).collect()
}

/// The claim's stored name.
fn claim_name(claim: &Claim) -> &'static str {
    match claim {
        Claim::Managed => "managed",
        Claim::DomainNotVerified => "domain_not_verified",
        Claim::NotClaimed => "not_claimed",
    }
}

/// The status's stored name.
pub fn status_name(status: AccountStatus) -> &'static str {
    match status {
        AccountStatus::Active => "active",
        AccountStatus::Suspended => "suspended",
        AccountStatus::Deactivated => "deactivated",
        AccountStatus::Deleted => "deleted",
    }
}

/// Takes what one read showed into the replica. Gives the changes to announce.
pub async fn record(
    tx: &mut Tx,
    organisation: &OrganisationId,
    seen: &[AccountRecord],
    how: Reading,
) -> Result<Vec<Changed>, StoreError> {
    let mut announced = Vec::new();
    for part in seen.chunks(ROWS) {
        // A page may show an account twice; sorted, so that two transactions lock rows in the same order.
        let newest: BTreeMap<&AccountId, &AccountRecord> = part.iter().map(|record| (&record.account, record)).collect();
        let ids: Vec<&AccountId> = newest.keys().copied().collect();
        let before = locked(tx, organisation, &ids).await?;
        let merged: Vec<Merged> = newest.values().map(|record| merge(before.get(&record.account), record, how.source)).collect();
        let read_at = part.iter().map(|record| record.begun_at).min();
        announced.extend(write(tx, organisation, &before, merged, how, read_at).await?);
    }
    Ok(announced)
}

/// Takes in that two different calls did not find these accounts. Gives the changes to announce.
pub async fn record_missed(
    tx: &mut Tx,
    organisation: &OrganisationId,
    ids: &[AccountId],
    begun_at: Timestamp,
    how: Reading,
) -> Result<Vec<Changed>, StoreError> {
    let mut announced = Vec::new();
    for part in ids.chunks(ROWS) {
        let ids: Vec<&AccountId> = part.iter().collect::<BTreeSet<_>>().into_iter().collect();
        let before = locked(tx, organisation, &ids).await?;
        let merged = before.values().map(|account| missed(account, begun_at)).filter(|merged| merged.differs).collect();
        announced.extend(write(tx, organisation, &before, merged, how, Some(begun_at)).await?);
    }
    Ok(announced)
}

/// The rows of these accounts, kept from other writers.
async fn locked(
    tx: &mut Tx,
    organisation: &OrganisationId,
    ids: &[&AccountId],
) -> Result<BTreeMap<AccountId, Account>, StoreError> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let lock = for_update!(tx, " ORDER BY account");
    let rows: Vec<Row> = on_tx!(tx, c : D => {
        let mut query = QueryBuilder::<D>::new(concat!("SELECT ", columns!(), " FROM account WHERE organisation = "));
        query.push_bind(organisation.as_str()).push(" AND account ");
        query.push_one_of(ids.iter().map(|id| id.as_str())).push(lock);
        query.build_query_as().persistent(D::ONE_TEXT).fetch_all(c).await
    })?;
    Ok(accounts(rows)?.into_iter().map(|account| (account.id.clone(), account)).collect())
}

/// Writes what differs in full, touches the rest, and mends the words. Gives what is to be announced.
async fn write(
    tx: &mut Tx,
    organisation: &OrganisationId,
    before: &BTreeMap<AccountId, Account>,
    merged: Vec<Merged>,
    how: Reading,
    read_at: Option<Timestamp>,
) -> Result<Vec<Changed>, StoreError> {
    let (differing, same): (Vec<Merged>, Vec<Merged>) = merged.into_iter().partition(|merged| merged.differs);
    if let Some(read_at) = read_at.filter(|_| !same.is_empty()) {
        touch(tx, organisation, &same, how, read_at).await?;
    }
    save(tx, organisation, &differing, how.sweep).await?;
    mend_words(tx, organisation, before, &differing).await?;
    let news = |change: &Change| !(how.filling && *change == Change::Appeared);
    let changed = differing
        .into_iter()
        .map(|merged| Changed { changes: merged.changes.into_iter().filter(news).collect(), account: merged.account });
    Ok(changed.filter(|changed| !changed.changes.is_empty()).collect())
}

/// Only says that they were seen. A row that is known from a later read keeps that read's time.
async fn touch(
    tx: &mut Tx,
    organisation: &OrganisationId,
    same: &[Merged],
    how: Reading,
    read_at: Timestamp,
) -> Result<(), StoreError> {
    let detailed_at = (how.source == Source::Search).then_some(read_at);
    on_tx!(tx, c : D => {
        let mut query = QueryBuilder::<D>::new("UPDATE account SET seen_sweep = COALESCE(");
        query.push_bind(how.sweep).push(", seen_sweep), detailed_at = CASE WHEN learned_at <= ").push_bind(read_at)
            .push(" THEN COALESCE(").push_bind(detailed_at).push(", detailed_at) ELSE detailed_at END, learned_at = CASE WHEN learned_at < ")
            .push_bind(read_at).push(" THEN ").push_bind(read_at)
            .push(" ELSE learned_at END WHERE organisation = ").push_bind(organisation.as_str()).push(" AND account ");
        query.push_one_of(same.iter().map(|merged| merged.account.id.as_str()));
        query.build().persistent(D::ONE_TEXT).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// One statement with a row for each account, new or known.
async fn save(tx: &mut Tx, organisation: &OrganisationId, differing: &[Merged], sweep: Option<i64>) -> Result<(), StoreError> {
    if differing.is_empty() {
        return Ok(());
    }
    on_tx!(tx, c : D => {
        let mut query = QueryBuilder::<D>::new(concat!("INSERT INTO account (organisation, folded_name, seen_sweep, ", columns!(), ") "));
        query.push_rows(differing.iter().map(|Merged { account, .. }| row![
            organisation.as_str(), fold::fold(&account.name), sweep.unwrap_or(0), account.id.as_str(),
            account.email.as_ref().map(|email| email.as_str().to_owned()), &account.name, claim_name(&account.claim),
            status_name(account.status), &account.synced_from, account.administrator, account.last_active,
            account.mail_changed_at, account.learned_at, account.detailed_at, account.gone_at, account.version,
        ]));
        query.push(
            " ON CONFLICT (organisation, account) DO UPDATE SET folded_name = excluded.folded_name, email = excluded.email, \
             name = excluded.name, claim = excluded.claim, status = excluded.status, synced_from = excluded.synced_from, \
             administrator = excluded.administrator, last_active = excluded.last_active, \
             mail_changed_at = excluded.mail_changed_at, learned_at = excluded.learned_at, detailed_at = excluded.detailed_at, \
             gone_at = excluded.gone_at, version = excluded.version, \
             seen_sweep = CASE WHEN excluded.seen_sweep = 0 THEN account.seen_sweep ELSE excluded.seen_sweep END",
        );
        query.build().persistent(D::ONE_TEXT).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Takes out words that no longer name an account, and adds those that do.
async fn mend_words(
    tx: &mut Tx,
    organisation: &OrganisationId,
    before: &BTreeMap<AccountId, Account>,
    differing: &[Merged],
) -> Result<(), StoreError> {
    let (mut obsolete, mut added) = (Vec::new(), Vec::new());
    for Merged { account, .. } in differing {
        let old = before.get(&account.id).map(|old| fold::words_of(&old.name, old.email.as_ref())).unwrap_or_default();
        let new = fold::words_of(&account.name, account.email.as_ref());
        obsolete.extend(old.difference(&new).map(|word| (word.clone(), account.id.as_str())));
        added.extend(new.difference(&old).map(|word| (word.clone(), account.id.as_str())));
    }
    for part in obsolete.chunks(ROWS) {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("DELETE FROM name_word WHERE organisation = ");
            query.push_bind(organisation.as_str()).push(" AND (word, account) IN (");
            query.push_rows(part.iter().map(|(word, account)| row![word, *account]));
            query.push(")");
            query.build().persistent(D::ONE_TEXT).execute(c).await.map(drop)
        })?;
    }
    for part in added.chunks(ROWS) {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("INSERT INTO name_word (organisation, word, account) ");
            query.push_rows(part.iter().map(|(word, account)| row![organisation.as_str(), word, *account]));
            query.push(" ON CONFLICT DO NOTHING");
            query.build().persistent(D::ONE_TEXT).execute(c).await.map(drop)
        })?;
    }
    Ok(())
}
