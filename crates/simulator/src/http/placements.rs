//! The Control API's three calls on authentication policies: move accounts, read a task, read placements.

use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::{UnknownIds, Versions};
use crate::organisation::moves::{MoveFailure, MoveRefused};
use crate::state::Sim;

use super::answer::{self, Answer};
use super::endpoint::Family;
use super::gate::Call;

const CONTROL: Family = Family::Control;

#[derive(Deserialize)]
struct AddUsers {
    users: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BulkFetch {
    account_ids: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Placement<'a> {
    email: &'a str,
    name: &'a str,
    account_id: &'a str,
    auth_policy_info: PolicyInfo<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyInfo<'a> {
    policy_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_added: Option<i64>,
}

/// `POST …/auth-policy/{policyId}/add-users`
pub(super) async fn add_users(
    State(sim): State<Sim>,
    Path((org, policy)): Path<(String, String)>,
    Extension(call): Extension<Call>,
    body: Bytes,
) -> Answer {
    answer::know_organisation(CONTROL, &org)?;
    let Ok(AddUsers { users }) = serde_json::from_slice(&body) else {
        return Err(CONTROL
            .bad_request("ADMIN-400-19", "Expected a body of the form {\"users\": [\"user@domain.com\"]}.")
            .into());
    };
    let accepted = sim.organisation().accept_move(&policy, users, &call.twist);
    match accepted {
        Ok(id) => {
            let link = format!("{}/admin/control/v1/orgs/{org}/auth-policy/task/{id}", sim.provider_url);
            Ok(answer::json_response(StatusCode::ACCEPTED, &json!({ "taskId": &*id, "taskLink": link })))
        }
        Err(refused) => Err(refusal(&refused).into()),
    }
}

fn refusal(refused: &MoveRefused) -> Response {
    match refused {
        MoveRefused::UnknownPolicy => CONTROL.not_found("", "The authentication policy doesn't exist."),
        MoveRefused::NoUsers => CONTROL.bad_request("ADMIN-400-19", "users must not be empty."),
        MoveRefused::TooMany { limit } => {
            CONTROL.bad_request("ADMIN-400-21", &format!("users must not have more than {limit} entries."))
        }
        MoveRefused::Malformed { email } => {
            CONTROL.bad_request("ADMIN-400-19", &format!("{email} is not a valid email address."))
        }
        MoveRefused::Unmovable { email, failure } => {
            let (_, title, _) = failure.details();
            CONTROL.bad_request("ADMIN-400-19", &format!("{email}: {title}."))
        }
    }
}

/// `GET …/auth-policy/task/{taskId}`
pub(super) async fn task(State(sim): State<Sim>, Path((org, id)): Path<(String, String)>) -> Answer {
    answer::know_organisation(CONTROL, &org)?;
    let Some(view) = sim.organisation().task(&id) else {
        return Err(CONTROL.not_found("", "The task doesn't exist.").into());
    };
    let mut body = serde_json::Map::new();
    let counters = [("inProgressCount", view.in_progress), ("successCount", view.success), ("failureCount", view.failure)];
    for (name, count) in counters {
        if let Some(count) = count {
            body.insert(name.into(), count.into());
        }
    }
    body.insert("failureReasons".into(), view.reasons.iter().map(reason).collect());
    Ok(answer::ok(&Value::Object(body)))
}

fn reason((failure, emails): &(MoveFailure, Vec<String>)) -> Value {
    let (status, title, detail) = failure.details();
    json!({ "emails": emails, "details": { "status": status, "title": title, "detail": detail } })
}

/// `POST …/users/auth-policies/bulk-fetch`
pub(super) async fn bulk_fetch(
    State(sim): State<Sim>,
    Path(org): Path<String>,
    Extension(call): Extension<Call>,
    body: Bytes,
) -> Answer {
    answer::know_organisation(CONTROL, &org)?;
    let Ok(BulkFetch { account_ids }) = serde_json::from_slice(&body) else {
        return Err(CONTROL.bad_request("ADMIN-400-19", "Expected a body of the form {\"accountIds\": [\"…\"]}.").into());
    };
    let mut organisation = sim.organisation();
    let lag: Duration = organisation.settings.lateness.read_lag;
    let moment = organisation.replica(lag, call.stale);
    let mut placements = Vec::with_capacity(account_ids.len());
    for id in &account_ids {
        let known = organisation.find(id).map(|slot| &organisation.accounts[slot]);
        let placed = known.and_then(|account| account.placement.at(moment).map(|placed| (account, placed)));
        let Some((account, placed)) = placed else {
            if organisation.settings.quirks.unknown_ids == UnknownIds::NotFound {
                return Err(CONTROL.not_found("", "One or more accounts don't exist.").into());
            }
            continue;
        };
        placements.push(Placement {
            email: account.email_at(moment),
            name: &account.name,
            account_id: &account.id,
            auth_policy_info: PolicyInfo {
                policy_id: &organisation.policies[placed.policy].id,
                date_added: (organisation.settings.versions != Versions::Absent).then_some(placed.version),
            },
        });
    }
    Ok(answer::ok(&placements))
}
