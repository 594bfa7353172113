//! A running simulator with clients for all of its sides.

use std::sync::Arc;

use homeward_simulator::well_known::{DIRECTORY, ORGANISATION, key};
use homeward_simulator::{EnrolAnswer, Enrolment, Reset, ResetAnswer, Running, SignInAnswer, Simulator, SimulatorConfig, Truth};
use homeward_types::{Clock, ManualClock, Timestamp};
use reqwest::{Method, Response};
use serde_json::{Value, json};

/// A simulator under test.
pub struct World {
    pub running: Running,
    pub http: reqwest::Client,
}

impl World {
    pub async fn start() -> Self {
        Self::with(SimulatorConfig::default()).await
    }

    pub async fn with(config: SimulatorConfig) -> Self {
        // Another test of the same process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { running: Simulator::start(config).await.unwrap(), http }
    }

    pub fn truth(&self) -> Truth {
        self.running.truth()
    }

    /// A request with a key; `body` is sent as JSON if there is one.
    pub async fn send(&self, secret: &str, method: Method, path: &str, body: Option<Value>) -> reqwest::Result<Response> {
        let request = self.http.request(method, format!("{}{path}", self.running.provider_url)).bearer_auth(secret);
        match body {
            Some(body) => request.json(&body).send().await,
            None => request.send().await,
        }
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        self.send(key::UNSCOPED, method, path, body).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Value {
        let response = self.call(Method::GET, path, None).await;
        assert_eq!(response.status(), 200, "GET {path}");
        response.json().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let response = self.call(Method::POST, path, Some(body)).await;
        assert!(response.status().is_success(), "POST {path}: {}", response.status());
        response.json().await.unwrap()
    }

    pub fn control_path() -> String {
        format!("/admin/control/v1/orgs/{ORGANISATION}")
    }

    pub fn search_path() -> String {
        format!("/admin/v2/orgs/{ORGANISATION}/directories/{DIRECTORY}/users/search")
    }

    pub fn add_users_path(policy: &str) -> String {
        format!("{}/auth-policy/{policy}/add-users", Self::control_path())
    }

    /// Asks for a move; the answer is the task's id.
    pub async fn move_to(&self, policy: &str, emails: &[&str]) -> String {
        let answer = self.post(&Self::add_users_path(policy), json!({ "users": emails })).await;
        let id = answer["taskId"].as_str().unwrap().to_owned();
        assert_eq!(answer["taskLink"], format!("{}{}/auth-policy/task/{id}", self.running.provider_url, Self::control_path()));
        id
    }

    pub async fn task(&self, id: &str) -> Value {
        self.get(&format!("{}/auth-policy/task/{id}", Self::control_path())).await
    }

    pub async fn placements(&self, ids: &[&str]) -> Vec<Value> {
        let path = format!("{}/users/auth-policies/bulk-fetch", Self::control_path());
        let Value::Array(placements) = self.post(&path, json!({ "accountIds": ids })).await else { panic!("not a bare list") };
        placements
    }

    pub async fn placement(&self, id: &str) -> Value {
        self.placements(&[id]).await.remove(0)
    }

    /// The user of this address as the search shows it; null if there is none.
    pub async fn find(&self, email: &str) -> Value {
        let answer = self.post(&Self::search_path(), json!({ "emails": [email] })).await;
        answer["data"].get(0).cloned().unwrap_or_default()
    }

    pub async fn sign_in(&self, email: &str, code: Option<&str>) -> SignInAnswer {
        let body = json!({ "email": email, "code": code });
        serde_json::from_value(self.post("/fake/sign-in.json", body).await).unwrap()
    }

    pub async fn enrol(&self, session: &str) -> Enrolment {
        let answer: EnrolAnswer =
            serde_json::from_value(self.post("/fake/enrol.json", json!({ "session": session })).await).unwrap();
        answer.outcome
    }

    pub async fn reset(&self, account: &str) -> (u16, Reset) {
        let response = self.call(Method::POST, &format!("/fake/admin/users/{account}/reset.json"), None).await;
        let status = response.status().as_u16();
        (status, response.json::<ResetAnswer>().await.unwrap().outcome)
    }

    /// A request to the control side.
    pub async fn control(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let request =
            self.http.request(method, format!("{}{path}", self.running.control_url)).bearer_auth(&self.running.control_token);
        match body {
            Some(body) => request.json(&body).send().await.unwrap(),
            None => request.send().await.unwrap(),
        }
    }
}

/// The start of every test that owns the time.
pub fn epoch() -> Timestamp {
    Timestamp::from_timestamp(1_790_000_000, 0).unwrap()
}

/// A world whose time stands still until the test moves it.
pub async fn still(config: SimulatorConfig) -> (World, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(epoch()));
    let config = SimulatorConfig { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..config };
    (World::with(config).await, clock)
}
