//! The v2 directory user search: the current way to find a user, and the one read of `mfaEnabled` in bulk.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::account::{Account, Claim, Membership, Status};
use crate::organisation::Organisation;
use crate::state::Sim;
use crate::timeline::Moment;
use crate::well_known::DIRECTORY;

use super::answer::{self, Answer};
use super::cursor;
use super::endpoint::Family;
use super::gate::Call;
use super::users::{ORG_ADMIN, UserView, known_directory};

const ORGANISATIONS: Family = Family::Organisations;
/// The documented page size when none is asked for.
const PAGE: usize = 50;
/// The documented largest page, and the most addresses in a search.
const MOST: usize = 100;
/// The documented most account ids in a search.
const MOST_IDS: usize = 10;
/// Accounts that a scan looks at before it lets other requests have the lock.
const STRIDE: usize = 50_000;

/// The documented body. A field that is not documented is refused, so that a typing error cannot go unnoticed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Query {
    #[serde(skip_serializing_if = "Option::is_none")]
    emails: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search_term: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_ids: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim_status: Option<Claim>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_status: Option<Vec<Status>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    membership_status: Option<Vec<Membership>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mfa_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory_ids: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_domains: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_ids: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_ids: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_ids: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expand: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
}

#[derive(Serialize, Deserialize)]
struct Cursor {
    query: Query,
    at: usize,
}

/// `POST /admin/v2/orgs/{orgId}/directories/{directoryId}/users/search`
pub(super) async fn search(
    State(sim): State<Sim>,
    Path((org, directory)): Path<(String, String)>,
    Extension(call): Extension<Call>,
    body: Bytes,
) -> Answer {
    known_directory(&org, &directory)?;
    let Cursor { query, mut at } = match parse(&body) {
        Ok(parsed) => parsed,
        Err(detail) => return Err(ORGANISATIONS.bad_request("ADMIN-400-19", &detail).into()),
    };
    let mut found = Vec::new();
    loop {
        let mut organisation = sim.organisation();
        let lag = organisation.settings.lateness.factor_lag;
        let moment = organisation.replica(lag, call.stale);
        let next = look(&organisation, &query, at, moment, &mut found);
        let full = found.len() == query.page();
        if let Some(next) = next.filter(|_| !full) {
            at = next;
            continue;
        }
        let roles = query.expand.iter().flatten().any(|field| field == "platformRoles");
        let users: Vec<UserView<'_>> = found.iter().map(|slot| UserView::of(&organisation, *slot, moment, roles)).collect();
        let next = next.map(|at| cursor::encode(&Cursor { query: Query { cursor: None, ..query.clone() }, at }));
        return Ok(answer::ok(&json!({ "data": users, "links": { "self": "", "prev": null, "next": next } })));
    }
}

/// The query and where it goes on. With a cursor, everything else in the body is ignored, as documented.
fn parse(body: &[u8]) -> Result<Cursor, String> {
    let query: Query =
        if body.is_empty() { Query::default() } else { serde_json::from_slice(body).map_err(|error| error.to_string())? };
    if let Some(text) = &query.cursor {
        return cursor::decode(text).ok_or_else(|| "cursor is invalid".to_owned());
    }
    query.check()?;
    Ok(Cursor { query, at: 0 })
}

/// Adds what matches, from position `at` on; the answer is where to go on, `None` at the end.
fn look(organisation: &Organisation, query: &Query, at: usize, moment: Moment, found: &mut Vec<usize>) -> Option<usize> {
    let length = match (&query.emails, &query.account_ids) {
        (Some(emails), _) => emails.len(),
        (None, Some(ids)) => ids.len(),
        (None, None) => organisation.accounts.len(),
    };
    let end = length.min(at.saturating_add(STRIDE));
    for index in at..end {
        if found.len() == query.page() {
            return Some(index);
        }
        let slot = match (&query.emails, &query.account_ids) {
            (Some(emails), _) => organisation.holder_at(&emails[index], moment),
            (None, Some(ids)) => organisation.find(&ids[index]),
            (None, None) => Some(index),
        };
        let Some(slot) = slot else { continue };
        if query.matches(&organisation.accounts[slot], moment) && !found.contains(&slot) {
            found.push(slot);
        }
    }
    (end < length).then_some(end)
}

impl Query {
    fn page(&self) -> usize {
        self.limit.unwrap_or(PAGE)
    }

    fn check(&self) -> Result<(), String> {
        let size = |list: &Option<Vec<String>>| list.as_ref().map(Vec::len);
        if !(1..=MOST).contains(&self.page()) {
            return Err("limit must be between 1 and 100".into());
        }
        if size(&self.emails).is_some_and(|many| !(1..=MOST).contains(&many)) {
            return Err("emails must have between 1 and 100 entries".into());
        }
        if self.emails.is_some() && self.search_term.is_some() {
            return Err("emails and searchTerm must not be used together".into());
        }
        if size(&self.account_ids).is_some_and(|many| many > MOST_IDS) {
            return Err("accountIds must not have more than 10 entries".into());
        }
        if size(&self.directory_ids).is_some_and(|many| many > MOST_IDS) {
            return Err("directoryIds must not have more than 10 entries".into());
        }
        Ok(())
    }

    fn matches(&self, account: &Account, moment: Moment) -> bool {
        let email = account.email_at(moment);
        let managed = account.claim == Claim::Managed;
        let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain);
        let named = |list: &Option<Vec<String>>, value: &str| {
            list.as_ref().is_none_or(|list| list.iter().any(|entry| entry.eq_ignore_ascii_case(value)))
        };
        !account.gone
            && self.account_ids.as_ref().is_none_or(|ids| ids.iter().any(|id| **id == *account.id))
            && named(&self.emails, email)
            && named(&self.email_domains, domain)
            && named(&self.directory_ids, DIRECTORY)
            && self.claim_status.is_none_or(|status| status == account.claim)
            && self.account_status.as_ref().is_none_or(|status| status.contains(&account.status))
            && self.membership_status.as_ref().is_none_or(|status| status.contains(&account.membership))
            && self.mfa_enabled.is_none_or(|enabled| managed && *account.factor.at(moment) == enabled)
            // The simulated organisation has neither groups nor resources, and two roles.
            && self.group_ids.is_none()
            && self.resource_ids.is_none()
            && self.role_ids.as_ref().is_none_or(|roles| roles.iter().any(|role| has_role(account, role)))
            && self.search_term.as_ref().is_none_or(|term| holds(&account.name, term) || holds(email, term))
    }
}

fn has_role(account: &Account, role: &str) -> bool {
    role == "atlassian/user" || (role == ORG_ADMIN && account.administrator)
}

/// Whether `text` holds `term`, whatever the case. A term with blanks must be there as it is.
fn holds(text: &str, term: &str) -> bool {
    let term = term.as_bytes();
    term.is_empty() || text.as_bytes().windows(term.len()).any(|part| part.eq_ignore_ascii_case(term))
}
