//! The User management API: what a key may do with an account, its profile and tokens, and disabling it.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::account::{Account, Claim, Source, Status};
use crate::effect::Cause;
use crate::organisation::Organisation;
use crate::policy::Demand;
use crate::state::Sim;

use super::answer::{self, Answer, Refusal};
use super::endpoint::Family;
use super::users::date_time;

const USERS: Family = Family::Users;

const PRIVILEGES: [&str; 7] = [
    "profile.read",
    "profile.write",
    "email.set",
    "lifecycle.enablement",
    "lifecycle.delete",
    "apiToken.read",
    "apiToken.delete",
];

#[derive(Deserialize)]
pub(super) struct Asked {
    privileges: Option<String>,
}

/// The slot of a managed account, or the answer that says why not.
fn managed(organisation: &Organisation, id: &str) -> Result<usize, Refusal> {
    let Some(slot) = organisation.find(id) else { return Err(USERS.not_found("", "").into()) };
    if organisation.accounts[slot].claim == Claim::Unmanaged {
        return Err(answer::keyed(StatusCode::FORBIDDEN, "forbidden", &json!({})).into());
    }
    Ok(slot)
}

/// Why a privilege is not given, by the words of the reference.
fn unallowed(organisation: &Organisation, slot: usize, privilege: &str) -> Option<&'static str> {
    let account = &organisation.accounts[slot];
    let writes = matches!(privilege, "profile.write" | "email.set" | "lifecycle.enablement" | "lifecycle.delete");
    if !writes {
        return None;
    }
    if account.source == Source::Synced {
        return Some("externalDirectory.scim");
    }
    (organisation.demand(slot) == Demand::Delegated).then_some("authPolicy.saml")
}

/// `GET /users/{id}/manage?privileges=`
pub(super) async fn privileges(State(sim): State<Sim>, Path(id): Path<String>, Query(asked): Query<Asked>) -> Answer {
    let organisation = sim.organisation();
    let slot = managed(&organisation, &id)?;
    let asked = asked.privileges.as_deref().map(|list| list.split(',').map(str::trim).collect::<Vec<_>>());
    let wanted = |privilege: &&&str| asked.as_ref().is_none_or(|asked| asked.contains(*privilege));
    let answer = |privilege: &&str| {
        let value = match unallowed(&organisation, slot, privilege) {
            None => json!({ "allowed": true }),
            Some(key) => json!({ "allowed": false, "reason": { "key": key } }),
        };
        ((*privilege).to_owned(), value)
    };
    let body: Map<String, Value> = PRIVILEGES.iter().filter(wanted).map(answer).collect();
    Ok(answer::ok(&body))
}

fn account_value(account: &Account) -> Value {
    json!({
        "account_id": &*account.id, "account_status": account.status, "account_type": "atlassian",
        "name": &*account.name, "nickname": account.name.split(' ').next(), "email": &**account.email.now(),
        "email_verified": true, "picture": "https://avatar.example/default.png",
        "privacy_settings": {}, "extended_profile": {},
    })
}

/// `GET /users/{id}/manage/profile`
pub(super) async fn profile(State(sim): State<Sim>, Path(id): Path<String>) -> Answer {
    let organisation = sim.organisation();
    let slot = managed(&organisation, &id)?;
    Ok(answer::ok(&json!({ "account": account_value(&organisation.accounts[slot]) })))
}

/// `GET /users/{id}/manage/api-tokens`: a bare list.
pub(super) async fn tokens(State(sim): State<Sim>, Path(id): Path<String>) -> Answer {
    let organisation = sim.organisation();
    let slot = managed(&organisation, &id)?;
    let token =
        |token: &crate::account::Token| json!({ "id": token.id, "label": token.label, "createdAt": date_time(token.created_ms) });
    let tokens: Vec<Value> = organisation.accounts[slot].tokens.iter().map(token).collect();
    Ok(answer::ok(&tokens))
}

/// `DELETE /users/{id}/manage/api-tokens/{tokenId}`
pub(super) async fn delete_token(State(sim): State<Sim>, Path((id, token)): Path<(String, String)>) -> Answer {
    let mut organisation = sim.organisation();
    let slot = managed(&organisation, &id)?;
    if organisation.revoke_token(slot, &token) {
        return Ok(answer::empty(StatusCode::NO_CONTENT));
    }
    Err(USERS.not_found("", "").into())
}

/// `POST /users/{id}/manage/lifecycle/disable`
pub(super) async fn disable(State(sim): State<Sim>, Path(id): Path<String>, body: Bytes) -> Answer {
    if !serde_json::from_slice::<Value>(&body).is_ok_and(|body| body.is_object()) {
        return Err(answer::keyed(StatusCode::BAD_REQUEST, "bodyParseFailure", &json!({})).into());
    }
    lifecycle(&sim, &id, Status::Inactive)
}

/// `POST /users/{id}/manage/lifecycle/enable`
pub(super) async fn enable(State(sim): State<Sim>, Path(id): Path<String>) -> Answer {
    lifecycle(&sim, &id, Status::Active)
}

fn lifecycle(sim: &Sim, id: &str, status: Status) -> Answer {
    let mut organisation = sim.organisation();
    let slot = managed(&organisation, id)?;
    if let Some(key) = unallowed(&organisation, slot, "lifecycle.enablement") {
        return Err(answer::keyed(StatusCode::FORBIDDEN, "forbidden.action", &json!({ "key": key })).into());
    }
    let present = organisation.accounts[slot].status;
    if present == status {
        return Ok(answer::empty(StatusCode::NO_CONTENT));
    }
    if present == Status::Closed {
        let context = json!({
            "message": "The account is closed.", "accountId": id,
            "errorCodes": [{ "code": "account-closed", "message": "Cancel the deletion first." }],
        });
        return Err(answer::keyed(StatusCode::CONFLICT, "conflict.lifecycleErrors", &context).into());
    }
    let call = if status == Status::Active { "lifecycle enable" } else { "lifecycle disable" };
    organisation.set_status(slot, status, &Cause::Call { call: call.into() });
    Ok(answer::empty(StatusCode::NO_CONTENT))
}
