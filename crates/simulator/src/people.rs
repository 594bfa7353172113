//! What people see, beside the API and on the same port: the sign-in page and the admin console's page of an account;
//! each also as JSON, for one or for many. Nothing here needs a key: these are the people's own browsers.

mod page;

use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::organisation::Organisation;
use crate::organisation::people::{Enrolment, Reset, SignIn};
use crate::state::Sim;
use crate::well_known::PASSWORD;

pub(crate) use page::admin_path;

/// The pages and their JSON forms.
pub(crate) fn router(sim: &Sim) -> Router {
    Router::new()
        .route("/fake/sign-in", get(sign_in_page).post(sign_in_form))
        .route("/fake/enrol", post(enrol_form))
        .route("/fake/admin/users/{account}", get(admin_page))
        .route("/fake/admin/users/{account}/reset", post(reset_form))
        .route("/fake/sign-in.json", post(sign_in_json))
        .route("/fake/enrol.json", post(enrol_json))
        .route("/fake/admin/users/{account}/reset.json", post(reset_json))
        .route("/fake/admin/reset.json", post(reset_many))
        .with_state(sim.clone())
}

/// One or many of something; the answer has the same form as the request.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

impl<T> OneOrMany<T> {
    fn map<U>(self, f: impl FnMut(T) -> U) -> OneOrMany<U> {
        let mut f = f;
        match self {
            Self::One(one) => OneOrMany::One(f(one)),
            Self::Many(many) => OneOrMany::Many(many.into_iter().map(f).collect()),
        }
    }
}

/// What a person types at the sign-in page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInRequest {
    /// The address.
    pub email: String,
    /// The password; left out in JSON, the right one.
    #[serde(default)]
    pub password: Option<String>,
    /// The factor's code, when asked for.
    #[serde(default)]
    pub code: Option<String>,
}

/// What the sign-in page answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInAnswer {
    /// The address.
    pub email: String,
    /// How it ended.
    pub outcome: SignIn,
    /// What the page says.
    pub message: String,
    /// The session; only with [`SignIn::SignedIn`].
    pub session: Option<String>,
}

/// Who sets up a factor: the holder of a session, or whoever is signed in with this address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// The session that the sign-in gave.
    #[serde(default)]
    pub session: Option<String>,
    /// Or the address of a person who is signed in.
    #[serde(default)]
    pub email: Option<String>,
}

/// What an enrolment answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolAnswer {
    /// How it ended.
    pub outcome: Enrolment,
}

/// Which accounts an administrator resets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResetRequest {
    /// Their ids.
    pub account_ids: Vec<String>,
}

/// What a reset answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResetAnswer {
    /// The account.
    pub account_id: String,
    /// How it ended.
    pub outcome: Reset,
}

fn sign_in(organisation: &mut Organisation, request: SignInRequest) -> SignInAnswer {
    let password = request.password.as_deref().unwrap_or(PASSWORD);
    let code = request.code.as_deref().filter(|code| !code.is_empty());
    let (outcome, session) = organisation.sign_in(&request.email, password, code);
    let session = session.map(|session| format!("{session:016x}"));
    SignInAnswer { email: request.email, outcome, message: outcome.message().into(), session }
}

fn enrol(organisation: &mut Organisation, request: &EnrolRequest) -> EnrolAnswer {
    let by_session = request.session.as_deref().and_then(|text| u64::from_str_radix(text, 16).ok());
    let by_session = by_session.and_then(|session| organisation.session(session));
    let who = by_session.or_else(|| request.email.as_deref().and_then(|email| organisation.signed_in(email)));
    EnrolAnswer { outcome: organisation.enrol(who) }
}

async fn sign_in_json(State(sim): State<Sim>, Json(requests): Json<OneOrMany<SignInRequest>>) -> Response {
    let mut organisation = sim.organisation();
    Json(requests.map(|request| sign_in(&mut organisation, request))).into_response()
}

async fn enrol_json(State(sim): State<Sim>, Json(requests): Json<OneOrMany<EnrolRequest>>) -> Response {
    let mut organisation = sim.organisation();
    Json(requests.map(|request| enrol(&mut organisation, &request))).into_response()
}

async fn reset_json(State(sim): State<Sim>, Path(account): Path<String>) -> Response {
    let outcome = sim.organisation().reset(&account);
    (reset_status(outcome), Json(ResetAnswer { account_id: account, outcome })).into_response()
}

async fn reset_many(State(sim): State<Sim>, Json(request): Json<ResetRequest>) -> Response {
    let mut organisation = sim.organisation();
    let reset = |account_id: String| {
        let outcome = organisation.reset(&account_id);
        ResetAnswer { account_id, outcome }
    };
    let answers: Vec<ResetAnswer> = request.account_ids.into_iter().map(reset).collect();
    Json(answers).into_response()
}

/// A form that the page did not show is refused.
const fn reset_status(outcome: Reset) -> StatusCode {
    match outcome {
        Reset::Reset => StatusCode::OK,
        Reset::NoSuchAccount => StatusCode::NOT_FOUND,
        Reset::NotManaged | Reset::PolicyMandatory | Reset::PolicyDelegated | Reset::NoFactor => StatusCode::CONFLICT,
    }
}

#[derive(Deserialize)]
struct Whom {
    #[serde(default)]
    email: String,
}

async fn sign_in_page(Query(whom): Query<Whom>) -> Html<String> {
    Html(page::sign_in(&whom.email, None))
}

async fn sign_in_form(State(sim): State<Sim>, Form(request): Form<SignInRequest>) -> Response {
    // A form always has its fields: an empty password is a wrong one.
    let request = SignInRequest { password: Some(request.password.unwrap_or_default()), ..request };
    let answer = sign_in(&mut sim.organisation(), request);
    if let Some(session) = &answer.session {
        return Html(page::signed_in(&answer.email, session)).into_response();
    }
    let status = match answer.outcome {
        SignIn::SignedIn | SignIn::CodeAsked | SignIn::SingleSignOn => StatusCode::OK,
        SignIn::NoSuchAccount | SignIn::WrongPassword | SignIn::CodeRefused => StatusCode::UNAUTHORIZED,
        SignIn::AccountDisabled | SignIn::Blocked => StatusCode::FORBIDDEN,
    };
    (status, Html(page::sign_in(&answer.email, Some(answer.outcome)))).into_response()
}

async fn enrol_form(State(sim): State<Sim>, Form(request): Form<EnrolRequest>) -> Response {
    let answer = enrol(&mut sim.organisation(), &request);
    let status = match answer.outcome {
        Enrolment::Enrolled => StatusCode::OK,
        Enrolment::NotSignedIn => StatusCode::UNAUTHORIZED,
        Enrolment::SingleSignOn => StatusCode::CONFLICT,
    };
    (status, Html(page::enrolled(answer.outcome))).into_response()
}

async fn admin_page(State(sim): State<Sim>, Path(account): Path<String>) -> Response {
    let organisation = sim.organisation();
    match organisation.find(&account) {
        Some(slot) => Html(page::admin(&organisation, slot)).into_response(),
        None => (StatusCode::NOT_FOUND, Html(page::no_account())).into_response(),
    }
}

async fn reset_form(State(sim): State<Sim>, Path(account): Path<String>) -> Response {
    let mut organisation = sim.organisation();
    let outcome = organisation.reset(&account);
    match organisation.find(&account) {
        Some(_) if outcome == Reset::Reset => Redirect::to(&page::admin_path(&account)).into_response(),
        Some(slot) => (reset_status(outcome), Html(page::admin(&organisation, slot))).into_response(),
        None => (StatusCode::NOT_FOUND, Html(page::no_account())).into_response(),
    }
}
