//! Close misses: who may have been meant. A help for typing errors, not a way to list accounts.

use std::collections::{BTreeSet, HashMap};

use homeward_store::StoreError;
use strsim::jaro_winkler;

use super::query::Query;
use crate::account::store::find::resembling;
use crate::account::{Account, fold};
use crate::tenant::Tenant;

/// Close misses given for one query.
const GIVEN: usize = 5;
/// Less alike than this is somebody else.
const ALIKE: f64 = 0.85;
/// The beginning of a word by which candidates are found.
const BEGINNING: usize = 3;

/// The close misses of each query, the closest first.
pub async fn search(tenant: &Tenant, queries: &[(usize, &Query)]) -> Result<HashMap<usize, Vec<Account>>, StoreError> {
    let beginnings: Vec<BTreeSet<String>> = queries.iter().map(|(_, query)| beginnings(query)).collect();
    let candidates = resembling(&tenant.db, tenant.id(), &beginnings).await?;
    Ok(queries.iter().map(|(number, query)| (*number, closest(query, &candidates))).collect())
}

fn beginnings(query: &Query) -> BTreeSet<String> {
    fold::words(query.text()).iter().map(|word| word.chars().take(BEGINNING).collect()).collect()
}

/// Of the candidates those that resemble the query enough.
fn closest(query: &Query, candidates: &[Account]) -> Vec<Account> {
    let scored = candidates.iter().map(|account| (likeness(query, account), account));
    let mut alike: Vec<(f64, &Account)> = scored.filter(|(likeness, _)| *likeness >= ALIKE).collect();
    alike.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.id.cmp(&other.id)));
    alike.into_iter().take(GIVEN).map(|(_, account)| account.clone()).collect()
}

/// The better of how much the name and the address resemble the text.
fn likeness(query: &Query, account: &Account) -> f64 {
    let text = query.text();
    let name = jaro_winkler(text, &fold::fold(&account.name));
    let address = match (&account.email, &query.email) {
        (Some(email), Some(asked)) => jaro_winkler(asked.as_str(), email.as_str()),
        (Some(email), None) => jaro_winkler(text, email.as_str().split_once('@').map_or("", |(local, _)| local)),
        (None, _) => 0.0,
    };
    name.max(address)
}
