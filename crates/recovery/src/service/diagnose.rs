//! Why can't I reset this, and what would help? Asked of directory and, afresh, of policy.

use std::collections::BTreeMap;
use std::time::Duration;

use homeward_chassis::rpc::Refused;
use homeward_proto::recovery::v1::{DiagnoseRequest, DiagnoseResponse};
use homeward_types::diagnosis::KnownAccount;
use homeward_types::limits::after;
use homeward_types::{AccountId, Diagnosis, Factor, Facts, Organisation, Timestamp, diagnose as decide};

use super::problem::unread;
use super::{organisation, words};
use crate::case::History;
use crate::case::store;
use crate::others::{Found, Fresh, FreshFacts};
use crate::parts::Shared;

/// Requests for an account within this time count as recent.
const RECENT: Duration = Duration::from_hours(7 * 24);

/// No address, id or name is longer.
pub(super) const QUERY: usize = 254;

/// One query's answer, with what was asked for the account before.
pub(super) struct Diagnosed {
    pub(super) diagnosis: Diagnosis,
    pub(super) history: History,
}

pub(super) async fn diagnose(shared: &Shared, request: DiagnoseRequest) -> Result<DiagnoseResponse, Refused> {
    let organisation = &shared.organisations[&organisation(shared, &request.organisation)?];
    let query = query(&request.query)?;
    let mut diagnosed = all(shared, organisation, vec![query]).await?;
    Ok(DiagnoseResponse { diagnosis: diagnosed.pop().map(|one| (&one.diagnosis).into()) })
}

/// A query that can be asked.
pub(super) fn query(text: &str) -> Result<String, Refused> {
    let query = words("query", text, QUERY)?;
    if query.is_empty() {
        return Err(Refused::invalid("QUERY_MISSING", "nobody is named", "give an account id, an e-mail address or a name"));
    }
    Ok(query)
}

/// Diagnoses what each query means, in order; two remote calls and two queries for all of them.
pub(super) async fn all(shared: &Shared, organisation: &Organisation, queries: Vec<String>) -> Result<Vec<Diagnosed>, Refused> {
    let found = shared.others.find(&organisation.id, queries.clone()).await?;
    let accounts: Vec<&AccountId> = found.iter().filter_map(the_one).collect();
    let fresh = shared.others.facts(&organisation.id, accounts.iter().map(ToString::to_string).collect()).await?;
    let now = shared.clock.now();
    let since = before(now, RECENT);
    let history = store::history(&shared.db, &organisation.id, &accounts, since).await.map_err(|error| unread(&error))?;
    let each = queries.into_iter().zip(&found);
    Ok(each.map(|(query, found)| one(organisation, query, found, &fresh, &history, now)).collect())
}

fn before(now: Timestamp, by: Duration) -> Timestamp {
    now - (after(now, by) - now)
}

fn the_one(found: &Found) -> Option<&AccountId> {
    match found.matches.as_slice() {
        [one] => Some(&one.account),
        [] | [_, ..] => None,
    }
}

/// What directory knows, with what policy's fresh read says besides.
fn with_news(known: KnownAccount, read: Option<&Fresh>) -> KnownAccount {
    let Some(read) = read else { return known };
    KnownAccount {
        synced_from: known.synced_from.or_else(|| read.factor_elsewhere.clone()),
        last_active: known.last_active.max(read.last_active),
        ..known
    }
}

fn one(
    organisation: &Organisation,
    query: String,
    found: &Found,
    fresh: &FreshFacts,
    history: &BTreeMap<String, History>,
    now: Timestamp,
) -> Diagnosed {
    let account = the_one(found);
    let read = account.and_then(|account| fresh.accounts.get(account));
    let history = account.and_then(|account| history.get(account.as_str())).copied().unwrap_or_default();
    let facts = Facts {
        query,
        matches: found.matches.iter().cloned().map(|known| with_news(known, read)).collect(),
        closest: found.closest.clone(),
        placement: read.and_then(|read| read.placement.clone()),
        factor: read.map_or(Factor::Unknown, |read| read.factor),
        unreachable_since: fresh.unreachable_since,
        open_recovery: history.open,
        open_lease: read.and_then(|read| read.open_lease.clone()),
        released: read.is_some_and(|read| read.released),
        recent_requests: history.recent,
        repudiated_before: history.repudiated,
        too_old: organisation.limits.too_old,
        now,
    };
    Diagnosed { diagnosis: decide(organisation, &facts), history }
}
