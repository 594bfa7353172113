//! Reading the replica: by exact id or address, by words, for close misses, page by page.

use std::collections::BTreeSet;

use homeward_store::{Database, Engine, PushRows, StoreError, on, row};
use homeward_types::{AccountId, Email, OrganisationId};
use sqlx::{FromRow, QueryBuilder};

use super::{Account, Row, accounts, columns};

/// Accounts that start like one of a query's words are looked at for close misses; no more than this for each query.
const CANDIDATES: i64 = 300;

/// The accounts with these ids, and those that hold these addresses as far as we know: one statement.
pub async fn by_keys(
    db: &Database,
    organisation: &OrganisationId,
    ids: &BTreeSet<AccountId>,
    emails: &BTreeSet<Email>,
) -> Result<Vec<Account>, StoreError> {
    if ids.is_empty() && emails.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Row> = on!(db, pool : D => {
        let mut query = QueryBuilder::<D>::new(concat!("SELECT ", columns!(), " FROM account WHERE organisation = "));
        query.push_bind(organisation.as_str()).push(" AND (account IN (NULL");
        for id in ids {
            query.push(", ").push_bind(id.as_str());
        }
        query.push(") OR email IN (NULL");
        for email in emails {
            query.push(", ").push_bind(email.as_str());
        }
        query.push(")) ORDER BY account");
        query.build_query_as().persistent(D::ONE_TEXT).fetch_all(pool).await
    })?;
    accounts(rows)
}

/// What a name query asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The caller's number of the query.
    pub query: i32,
    /// The whole text, folded: accounts of exactly this name come first.
    pub folded: String,
    /// Each word of it must be a word of the account's name or address.
    pub words: BTreeSet<String>,
}

#[derive(Debug, FromRow)]
struct Hit {
    query: i32,
    #[sqlx(flatten)]
    row: Row,
}

/// For all queries together the accounts whose names hold the words, at most `most` for each: one statement. Accounts that are
/// gone are left out.
pub async fn by_words(
    db: &Database,
    organisation: &OrganisationId,
    queries: &[Named],
    most: i64,
) -> Result<Vec<(i32, Account)>, StoreError> {
    let words: Vec<(&Named, &String)> =
        queries.iter().flat_map(|named| named.words.iter().map(move |word| (named, word))).collect();
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let hits: Vec<Hit> = on!(db, pool : D => {
        let mut query = QueryBuilder::<D>::new(concat!("SELECT query, ", columns!(), " FROM (SELECT m.query AS query, a.*, \
             ROW_NUMBER() OVER (PARTITION BY m.query ORDER BY CASE WHEN a.folded_name = m.folded THEN 0 ELSE 1 END, a.account) AS place \
             FROM (SELECT v.column1 AS query, MIN(v.column4) AS folded, w.account AS account FROM ("));
        query.push_rows(words.iter().map(|(named, word)| row![
            named.query, word.as_str(), i64::try_from(named.words.len()).unwrap_or(i64::MAX), named.folded.as_str(),
        ]));
        query.push(") AS v JOIN name_word w ON w.word = v.column2 AND w.organisation = ").push_bind(organisation.as_str());
        query.push(" GROUP BY v.column1, w.account HAVING COUNT(*) = MIN(v.column3)) AS m \
             JOIN account a ON a.account = m.account AND a.gone_at IS NULL AND a.organisation = ").push_bind(organisation.as_str());
        query.push(") AS ranked WHERE place <= ").push_bind(most).push(" ORDER BY query, place");
        query.build_query_as().persistent(D::ONE_TEXT).fetch_all(pool).await
    })?;
    hits.into_iter().map(|hit| Ok((hit.query, Account::try_from(hit.row)?))).collect()
}

/// Accounts with a word that begins like one of a query's; the lists of all queries together, each bounded.
pub async fn resembling(
    db: &Database,
    organisation: &OrganisationId,
    queries: &[BTreeSet<String>],
) -> Result<Vec<Account>, StoreError> {
    let queries: Vec<&BTreeSet<String>> = queries.iter().filter(|prefixes| !prefixes.is_empty()).collect();
    if queries.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Row> = on!(db, pool : D => {
        let mut query = QueryBuilder::<D>::new(concat!("SELECT ", columns!(), " FROM account WHERE gone_at IS NULL AND organisation = "));
        query.push_bind(organisation.as_str()).push(" AND account IN (");
        for (number, prefixes) in queries.iter().enumerate() {
            query.push(if number == 0 { "" } else { " UNION " }).push("SELECT account FROM (SELECT account FROM name_word WHERE organisation = ");
            query.push_bind(organisation.as_str()).push(" AND (");
            for (place, prefix) in prefixes.iter().enumerate() {
                query.push(if place == 0 { "" } else { " OR " }).push("(word >= ").push_bind(prefix.as_str());
                query.push(" AND word < ").push_bind(format!("{prefix}\u{10FFFF}")).push(")");
            }
            query.push(") LIMIT ").push_bind(CANDIDATES).push(format!(") AS c{number}"));
        }
        query.push(")");
        query.build_query_as().persistent(D::ONE_TEXT).fetch_all(pool).await
    })?;
    accounts(rows)
}

/// Accounts in the order of their ids.
pub async fn page(db: &Database, organisation: &OrganisationId, after: &str, most: i64) -> Result<Vec<Account>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM account WHERE organisation = $1 AND account > $2 ORDER BY account LIMIT $3");
    let rows: Vec<Row> =
        on!(db, pool => sqlx::query_as(sql).bind(organisation.as_str()).bind(after).bind(most).fetch_all(pool).await)?;
    accounts(rows)
}

/// Managed accounts that the sweep did not show, in the order of their ids.
pub async fn unseen(
    db: &Database,
    organisation: &OrganisationId,
    sweep: i64,
    after: &str,
    most: i64,
) -> Result<Vec<Account>, StoreError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM account WHERE organisation = $1 AND account > $2 AND seen_sweep < $3 AND claim = 'managed' AND gone_at IS NULL \
         ORDER BY account LIMIT $4"
    );
    let rows: Vec<Row> = on!(db, pool => sqlx::query_as(sql).bind(organisation.as_str()).bind(after).bind(sweep).bind(most).fetch_all(pool).await)?;
    accounts(rows)
}

/// How many accounts the organisation manages, as far as we know.
pub async fn count(db: &Database, organisation: &OrganisationId) -> Result<i64, StoreError> {
    let sql = "SELECT COUNT(*) FROM account WHERE organisation = $1 AND claim = 'managed' AND gone_at IS NULL";
    Ok(on!(db, pool => sqlx::query_scalar(sql).bind(organisation.as_str()).fetch_one(pool).await)?)
}
