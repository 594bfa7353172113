//! The Organizations API's reads of the organisation itself: domains, directories, and the pages of managed accounts.

use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::account::{Account, Claim};
use crate::state::Sim;
use crate::well_known::{DIRECTORY, DOMAIN, ORGANISATION, ORGANISATION_NAME, UNVERIFIED_DOMAIN};

use super::answer::{self, Answer};
use super::cursor;
use super::endpoint::Family;
use super::users::date_time;

const ORGANISATIONS: Family = Family::Organisations;
/// Managed accounts on a page. The provider publishes no number.
const PAGE: usize = 100;

#[derive(Deserialize)]
pub(super) struct Page {
    cursor: Option<String>,
}

fn organisation(url: &str) -> Value {
    let base = format!("{url}/admin/v1/orgs/{ORGANISATION}");
    json!({
        "id": ORGANISATION, "type": "orgs", "attributes": { "name": ORGANISATION_NAME },
        "relationships": {
            "domains": { "links": { "related": format!("{base}/domains") } },
            "users": { "links": { "related": format!("{base}/users") } },
        },
        "links": { "self": base },
    })
}

/// `GET /admin/v1/orgs`
pub(super) async fn list(State(sim): State<Sim>) -> Answer {
    let url = &sim.provider_url;
    let links = json!({ "self": format!("{url}/admin/v1/orgs"), "prev": null, "next": null });
    Ok(answer::ok(&json!({ "data": [organisation(url)], "links": links })))
}

/// `GET /admin/v1/orgs/{orgId}`
pub(super) async fn one(State(sim): State<Sim>, Path(org): Path<String>) -> Answer {
    answer::know_organisation(ORGANISATIONS, &org)?;
    Ok(answer::ok(&json!({ "data": organisation(&sim.provider_url) })))
}

/// Id, name and claim of each domain.
const DOMAINS: [(&str, &str, &str); 2] = [("d-1f0c", DOMAIN, "verified"), ("d-2a9e", UNVERIFIED_DOMAIN, "unverified")];

fn domain_value(url: &str, (id, name, status): (&str, &str, &str)) -> Value {
    json!({
        "id": id, "type": "domain", "attributes": { "name": name, "claim": { "type": "dns", "status": status } },
        "links": { "self": format!("{url}/admin/v1/orgs/{ORGANISATION}/domains/{id}") },
    })
}

/// `GET /admin/v1/orgs/{orgId}/domains`
pub(super) async fn domains(State(sim): State<Sim>, Path(org): Path<String>) -> Answer {
    answer::know_organisation(ORGANISATIONS, &org)?;
    let url = &sim.provider_url;
    let domains: Vec<Value> = DOMAINS.iter().map(|domain| domain_value(url, *domain)).collect();
    let links = json!({ "self": format!("{url}/admin/v1/orgs/{org}/domains"), "prev": null, "next": null });
    Ok(answer::ok(&json!({ "data": domains, "links": links })))
}

/// `GET /admin/v1/orgs/{orgId}/domains/{domainId}`
pub(super) async fn domain(State(sim): State<Sim>, Path((org, id)): Path<(String, String)>) -> Answer {
    answer::know_organisation(ORGANISATIONS, &org)?;
    match DOMAINS.iter().find(|domain| domain.0 == id) {
        Some(domain) => Ok(answer::ok(&json!({ "data": domain_value(&sim.provider_url, *domain) }))),
        None => Err(ORGANISATIONS.not_found("ADMIN-404-3", "The domain doesn't exist.").into()),
    }
}

/// `GET /admin/v2/orgs/{orgId}/directories`
pub(super) async fn directories(Path(org): Path<String>) -> Answer {
    answer::know_organisation(ORGANISATIONS, &org)?;
    let directory = json!({ "directoryId": DIRECTORY, "name": "Local directory" });
    Ok(answer::ok(&json!({ "data": [directory], "links": { "self": "", "prev": null, "next": null } })))
}

#[derive(Serialize)]
struct ManagedUser<'a> {
    account_id: &'a str,
    account_type: &'static str,
    account_status: crate::account::Status,
    name: &'a str,
    picture: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    access_billable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_active: Option<String>,
    product_access: [(); 0],
}

impl<'a> ManagedUser<'a> {
    fn of(account: &'a Account) -> Self {
        Self {
            account_id: &account.id,
            account_type: "atlassian",
            account_status: account.status,
            name: &account.name,
            picture: "https://avatar.example/default.png",
            email: Some(account.email.now()),
            access_billable: account.usable(),
            last_active: account.last_active.map(date_time),
            product_access: [],
        }
    }
}

/// Written straight into the answer: a large organisation is many pages.
#[derive(Serialize)]
struct ManagedPage<'a> {
    data: Vec<ManagedUser<'a>>,
    meta: Value,
    links: Value,
}

/// `GET /admin/v1/orgs/{orgId}/users`: pages whose `links.next` is a whole address, unlike the v2 calls.
pub(super) async fn managed_users(State(sim): State<Sim>, Path(org): Path<String>, Query(page): Query<Page>) -> Answer {
    answer::know_organisation(ORGANISATIONS, &org)?;
    let from = match page.cursor.as_deref().map(cursor::decode::<usize>) {
        None => 0,
        Some(Some(slot)) => slot,
        Some(None) => return Err(ORGANISATIONS.bad_request("ADMIN-400-1", "The cursor is invalid.").into()),
    };
    let organisation = sim.organisation();
    let managed = |slot: &usize| {
        let account = &organisation.accounts[*slot];
        account.claim == Claim::Managed && !account.gone
    };
    let mut slots = (from..organisation.accounts.len()).filter(managed);
    let data: Vec<_> = slots.by_ref().take(PAGE).map(|slot| ManagedUser::of(&organisation.accounts[slot])).collect();
    let base = format!("{}/admin/v1/orgs/{org}/users", sim.provider_url);
    let next = slots.next().map(|slot| format!("{base}?cursor={}", cursor::encode(&slot)));
    let total = organisation.summary([]).managed;
    let (meta, links) = (json!({ "total": total }), json!({ "self": base, "prev": null, "next": next }));
    Ok(answer::ok(&ManagedPage { data, meta, links }))
}
