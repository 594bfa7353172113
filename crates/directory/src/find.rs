//! Finds the accounts that each of a batch of queries means.
//!
//! A query is an e-mail address, an account id, or a name. Exact ids and addresses are looked up in the replica in one
//! statement, names in another. Then the provider is asked once, in bulk, about every address and id that the replica does not
//! hold (somebody who joined just now) and about every account found whose details are older than `limits.too_old`; what it
//! says is taken into the replica and the replica is asked again. So a request rarely fails because knowledge is too old, and an
//! address that has changed hands is not taken for its former holder's.

pub mod allowance;
mod closest;
mod query;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use homeward_chassis::boundary;
use homeward_messaging::Batch;
use homeward_provider::{AccountRecord, Priority, ProviderError, Search};
use homeward_store::{StoreError, transaction};
use homeward_types::limits::after;
use homeward_types::{AccountId, Email, Timestamp};

use crate::account::store::find::{self as replica, Named};
use crate::account::store::{self as accounts, Reading};
use crate::account::{Account, Source};
use crate::tenant::Tenant;
use crate::wire;
use query::Query;

/// Accounts given for one query.
const MATCHES: usize = 20;
/// Somebody waits: the provider gets so long, and then what is known must do.
const PATIENCE: Duration = Duration::from_secs(5);

/// What one query means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The accounts that match; those of exactly the name that was asked for come first.
    pub matches: Vec<Account>,
    /// Close misses, if nothing matches and they were asked for.
    pub closest: Vec<Account>,
}

/// What a batch of queries means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// One for each query, in order.
    pub found: Vec<Found>,
    /// Since when the provider has not answered.
    pub unreachable_since: Option<Timestamp>,
}

/// Everything that the replica holds for a batch of queries.
struct Lookup {
    by_key: Vec<Account>,
    by_words: HashMap<i32, Vec<Account>>,
}

/// Finds what each query means. `grant` says for how many queries without a match close misses may be given.
pub async fn find(tenant: &Arc<Tenant>, texts: &[String], grant: impl FnOnce(usize) -> usize) -> Result<Answer, StoreError> {
    let queries: Vec<Query> = texts.iter().map(|text| Query::new(text)).collect();
    let mut lookup = look_up(tenant, &queries).await?;
    let asked = ask_provider(tenant, &queries, &lookup).await?;
    if asked == Asked::Learned {
        lookup = look_up(tenant, &queries).await?;
    }
    let mut found: Vec<Found> = queries.iter().enumerate().map(|(number, query)| matches(query, number, &lookup)).collect();
    let missed: Vec<usize> = (0..found.len()).filter(|number| found[*number].matches.is_empty()).collect();
    let granted = if missed.is_empty() { 0 } else { grant(missed.len()) };
    let missed: Vec<(usize, &Query)> = missed.into_iter().take(granted).map(|number| (number, &queries[number])).collect();
    for (number, closest) in closest::search(tenant, &missed).await? {
        found[number].closest = closest;
    }
    let silent = tenant.silence.since(tenant.id());
    let unreachable_since = if asked == Asked::Failed { Some(silent.unwrap_or_else(|| tenant.now())) } else { silent };
    Ok(Answer { found, unreachable_since })
}

async fn look_up(tenant: &Tenant, queries: &[Query]) -> Result<Lookup, StoreError> {
    let ids: BTreeSet<AccountId> = queries.iter().filter_map(|query| query.id.clone()).collect();
    let emails: BTreeSet<Email> = queries.iter().filter_map(|query| query.email.clone()).collect();
    let by_key = replica::by_keys(&tenant.db, tenant.id(), &ids, &emails).await?;
    let named: Vec<Named> = (0_i32..)
        .zip(queries)
        .filter(|(_, query)| !query.words.is_empty())
        .map(|(number, query)| Named { query: number, folded: query.folded.clone(), words: query.words.clone() })
        .collect();
    let mut by_words: HashMap<i32, Vec<Account>> = HashMap::new();
    let most = i64::try_from(MATCHES).unwrap_or(i64::MAX);
    for (number, account) in replica::by_words(&tenant.db, tenant.id(), &named, most).await? {
        by_words.entry(number).or_default().push(account);
    }
    Ok(Lookup { by_key, by_words })
}

/// An exact id or address means what it names; anything else is a name. Accounts that are gone count only where nobody else does.
fn matches(query: &Query, number: usize, lookup: &Lookup) -> Found {
    let exact: Vec<Account> = lookup.by_key.iter().filter(|account| query.names(account)).cloned().collect();
    let found = if exact.is_empty() {
        i32::try_from(number).ok().and_then(|number| lookup.by_words.get(&number)).cloned().unwrap_or_default()
    } else {
        exact
    };
    let told: Vec<Account> = found.into_iter().filter(|account| account.email.is_some()).collect();
    let there: Vec<Account> = told.iter().filter(|account| account.gone_at.is_none()).cloned().collect();
    let matches = if there.is_empty() { told } else { there };
    Found { matches: matches.into_iter().take(MATCHES).collect(), closest: Vec::new() }
}

/// How asking the provider went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Nothing had to be asked, or nothing came of it.
    Nothing,
    /// The replica was brought up to date.
    Learned,
    /// It did not answer.
    Failed,
}

async fn ask_provider(tenant: &Arc<Tenant>, queries: &[Query], lookup: &Lookup) -> Result<Asked, StoreError> {
    let (emails, ids) = to_ask(tenant, queries, lookup);
    if emails.is_empty() && ids.is_empty() {
        return Ok(Asked::Nothing);
    }
    let mark = boundary!("provider", "find");
    let answer = tokio::time::timeout(PATIENCE, search(tenant, &emails, &ids)).await;
    drop(mark);
    let records = match answer {
        Ok(answer) => {
            tenant.silence.heard(tenant.id(), &answer).await;
            match answer {
                Ok(records) => records,
                Err(error) => {
                    tracing::warn!(organisation = %tenant.id(), %error, "accounts could not be asked about at the provider");
                    return Ok(Asked::Failed);
                }
            }
        }
        Err(_elapsed) => {
            // It may be silent, or only wait for room under its rate limit: the loops find out which.
            tracing::warn!(organisation = %tenant.id(), "accounts could not be asked about at the provider in time");
            return Ok(Asked::Failed);
        }
    };
    if records.is_empty() {
        return Ok(Asked::Nothing);
    }
    learn(tenant, &records).await?;
    Ok(Asked::Learned)
}

/// The addresses and ids to ask about: unknown ones, and those of matches whose details are old.
fn to_ask(tenant: &Tenant, queries: &[Query], lookup: &Lookup) -> (Vec<Email>, BTreeMap<AccountId, Option<Email>>) {
    let fresh_since =
        |account: &Account| account.detailed_at.is_some_and(|at| after(at, tenant.limits().too_old) >= tenant.now());
    let mut emails: BTreeSet<Email> = BTreeSet::new();
    let mut ids: BTreeMap<AccountId, Option<Email>> = BTreeMap::new();
    for (number, query) in queries.iter().enumerate() {
        let found = matches(query, number, lookup).matches;
        if let Some(email) = query.email.as_ref().filter(|_| found.is_empty()) {
            emails.insert(email.clone());
        }
        if let Some(id) = query.id.as_ref().filter(|_| found.is_empty() && query.looks_like_an_id()) {
            ids.insert(id.clone(), None);
        }
        for account in found.iter().filter(|account| !fresh_since(account)) {
            emails.extend(account.email.clone());
            ids.insert(account.id.clone(), account.email.clone());
        }
    }
    (emails.into_iter().collect(), ids)
}

/// By address, a hundred a call; accounts that did not come back so, by id.
async fn search(
    tenant: &Tenant,
    emails: &[Email],
    ids: &BTreeMap<AccountId, Option<Email>>,
) -> Result<Vec<AccountRecord>, ProviderError> {
    let mut records = Vec::new();
    if !emails.is_empty() {
        records = tenant.provider.find_accounts(Search::Emails(emails), Priority::Lend).await?;
    }
    let told: HashSet<&AccountId> = records.iter().map(|record| &record.account).collect();
    let rest: Vec<AccountId> = ids.keys().filter(|id| !told.contains(id)).cloned().collect();
    if !rest.is_empty() {
        records.extend(tenant.provider.find_accounts(Search::Accounts(&rest), Priority::Lend).await?);
    }
    Ok(records)
}

async fn learn(tenant: &Tenant, records: &[AccountRecord]) -> Result<(), StoreError> {
    let how = Reading { source: Source::Search, sweep: None, filling: false };
    let events = transaction!(tenant.db, "account.learn", async |tx| -> Result<Batch, StoreError> {
        let mut events = tenant.outbox.batch();
        for changed in &accounts::record(tx, tenant.id(), records, how).await? {
            events.push(wire::account_changed(tenant.id(), changed));
        }
        events.store(tx).await?;
        Ok(events)
    })?;
    tenant.outbox.publish(events);
    Ok(())
}
