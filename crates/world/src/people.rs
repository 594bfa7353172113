//! People at the provider's pages, many at a time over the pages' JSON forms.

use anyhow::Context;
use homeward_simulator::{EnrolRequest, Enrolment, ResetAnswer, ResetRequest, SignIn, SignInAnswer, SignInRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::simulated::http_client;

/// Their browsers.
#[derive(Clone)]
pub struct Browsers {
    provider: String,
    http: reqwest::Client,
}

impl Browsers {
    /// Browsers that open the pages of `provider`.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn of(provider: &str) -> anyhow::Result<Self> {
        Ok(Self { provider: provider.to_owned(), http: http_client()? })
    }

    /// Each signs in with the password and sets up a new factor. Says who could.
    ///
    /// # Errors
    /// When the provider's pages do not answer.
    pub async fn sign_in_and_enrol(&self, emails: &[String]) -> anyhow::Result<Vec<bool>> {
        let typed: Vec<_> =
            emails.iter().map(|email| SignInRequest { email: email.clone(), password: None, code: None }).collect();
        let answers: Vec<SignInAnswer> = self.post("/fake/sign-in.json", &typed).await?;
        let sessions = answers.iter().map(|answer| EnrolRequest { session: answer.session.clone(), email: None });
        let sessions: Vec<_> = sessions.filter(|request| request.session.is_some()).collect();
        let enrolled: Vec<homeward_simulator::EnrolAnswer> =
            if sessions.is_empty() { Vec::new() } else { self.post("/fake/enrol.json", &sessions).await? };
        let mut enrolled = enrolled.into_iter();
        let done = |answer: &SignInAnswer| {
            answer.outcome == SignIn::SignedIn && enrolled.next().is_some_and(|answer| answer.outcome == Enrolment::Enrolled)
        };
        Ok(answers.iter().map(done).collect())
    }

    /// An administrator presses the reset button on the page of each account.
    ///
    /// # Errors
    /// When the provider's pages do not answer.
    pub async fn reset(&self, accounts: Vec<String>) -> anyhow::Result<Vec<ResetAnswer>> {
        self.post("/fake/admin/reset.json", &ResetRequest { account_ids: accounts }).await
    }

    async fn post<T: DeserializeOwned>(&self, page: &str, body: &(impl Serialize + ?Sized)) -> anyhow::Result<T> {
        let answer = self.http.post(format!("{}{page}", self.provider)).json(body).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status).with_context(|| format!("opening {page}"))?;
        answer.json().await.with_context(|| format!("reading {page}"))
    }
}
