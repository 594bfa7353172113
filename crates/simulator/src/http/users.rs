//! One directory user as the v2 calls show it, and when it was last active.

use axum::Extension;
use axum::extract::{Path, State};
use chrono::SecondsFormat;
use serde::Serialize;
use serde_json::json;

use crate::account::{Account, Claim, Source};
use crate::config::DelegatedFactor;
use crate::organisation::{Organisation, timestamp};
use crate::policy::Demand;
use crate::state::Sim;
use crate::timeline::Moment;
use crate::well_known::DIRECTORY;

use super::answer::{self, Answer, Refusal};
use super::endpoint::Family;
use super::gate::Call;

const ORGANISATIONS: Family = Family::Organisations;

/// A user of the v2 directory calls.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserView<'a> {
    account_id: &'a str,
    name: &'a str,
    nickname: &'a str,
    email: &'a str,
    email_verified: bool,
    account_type: &'static str,
    account_status: crate::account::Status,
    claim_status: Claim,
    management_source: Option<Source>,
    membership_status: crate::account::Membership,
    added_to_org: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mfa_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform_roles: Option<Vec<&'static str>>,
}

impl<'a> UserView<'a> {
    /// The account in `slot` as a replica at `moment` shows it.
    pub(super) fn of(organisation: &'a Organisation, slot: usize, moment: Moment, roles: bool) -> Self {
        let account = &organisation.accounts[slot];
        let managed = account.claim == Claim::Managed;
        let delegated = organisation.demand(slot) == Demand::Delegated;
        let hidden = delegated && organisation.settings.quirks.delegated_factor == DelegatedFactor::LeftOut;
        Self {
            account_id: &account.id,
            name: &account.name,
            nickname: account.name.split(' ').next().unwrap_or_default(),
            email: account.email_at(moment),
            email_verified: managed,
            account_type: "atlassian",
            account_status: account.status,
            claim_status: account.claim,
            management_source: managed.then_some(account.source),
            membership_status: account.membership,
            added_to_org: date_time(account.created),
            mfa_enabled: (managed && !hidden).then(|| *account.factor.at(moment)),
            platform_roles: roles.then(|| platform_roles(account)),
        }
    }
}

/// The role of an organisation administrator.
pub(super) const ORG_ADMIN: &str = "atlassian/org-admin";

fn platform_roles(account: &Account) -> Vec<&'static str> {
    if account.administrator { vec![ORG_ADMIN] } else { Vec::new() }
}

/// Epoch milliseconds as the provider writes a time.
pub(super) fn date_time(ms: i64) -> String {
    timestamp(ms.saturating_mul(1_000)).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Whether a path names our organisation and its directory (`-` means all of them).
pub(super) fn known_directory(org: &str, directory: &str) -> Result<(), Refusal> {
    answer::know_organisation(ORGANISATIONS, org)?;
    if directory != "-" && directory != DIRECTORY {
        return Err(ORGANISATIONS.not_found("ADMIN-UAM-404-1", "The directory doesn't exist.").into());
    }
    Ok(())
}

/// `GET /admin/v2/orgs/{orgId}/directories/{directoryId}/users/{userId}`
pub(super) async fn details(
    State(sim): State<Sim>,
    Path((org, directory, id)): Path<(String, String, String)>,
    Extension(call): Extension<Call>,
) -> Answer {
    known_directory(&org, &directory)?;
    let mut organisation = sim.organisation();
    let lag = organisation.settings.lateness.factor_lag;
    let moment = organisation.replica(lag, call.stale);
    let Some(slot) = organisation.find(&id) else {
        return Err(ORGANISATIONS.not_found("ADMIN-404-8", "The user doesn't exist.").into());
    };
    Ok(answer::ok(&json!({ "data": UserView::of(&organisation, slot, moment, true) })))
}

/// `GET /admin/v1/orgs/{orgId}/directory/users/{accountId}/last-active-dates`
pub(super) async fn last_active(State(sim): State<Sim>, Path((org, id)): Path<(String, String)>) -> Answer {
    answer::know_organisation(ORGANISATIONS, &org)?;
    let organisation = sim.organisation();
    let Some(slot) = organisation.find(&id) else {
        return Err(ORGANISATIONS.not_found("ADMIN-404-8", "The user doesn't exist.").into());
    };
    let account = &organisation.accounts[slot];
    let day = |ms: i64| timestamp(ms.saturating_mul(1_000)).format("%Y-%m-%d").to_string();
    let access = account.last_active.iter().map(|ms| {
        json!({
            "id": "ari:cloud:jira-software::site/7f3b2a10", "key": "jira-software", "name": "Jira",
            "url": "https://northwind.atlassian.example",
            "last_active": day(*ms), "last_active_timestamp": date_time(*ms),
        })
    });
    let access: Vec<_> = access.collect();
    Ok(answer::ok(&json!({
        "data": {
            "product_access": access,
            "added_to_org": day(account.created), "added_to_org_timestamp": date_time(account.created),
        },
        "links": { "next": null },
    })))
}
