//! The people of the story. They act only through what people have: Homeward's gRPC, letters, and web pages.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use homeward_proto::directory::v1::GetSyncRequest;
use homeward_proto::recovery::v1::{
    AttachProofsRequest, CancelRecoveryRequest, CastVotesRequest, ConfirmResetRequest, DiagnoseRequest, ItemResult, NewRecovery,
    Proof, RequestRecoveriesRequest, RequestResult, Vote,
};
use homeward_proto::words::v1::{Diagnosis, ProofKind};
use homeward_simulator::well_known::PASSWORD;

use tokio::time::Instant;

use super::mailbox::Letter;
use crate::call::Connection;
use crate::exit::Failure;

/// How long the help desk waits for the replica.
const PATIENCE: Duration = Duration::from_mins(1);
/// The most that one call may carry.
const BULK: usize = 100;

/// Someone at the help desk.
pub struct HelpDesk {
    /// Their connection.
    pub homeward: Connection,
    /// Where they work.
    pub organisation: String,
}

impl HelpDesk {
    /// Asks why an account cannot be reset.
    pub async fn diagnose(&self, query: &str) -> Result<Diagnosis, Failure> {
        let request = DiagnoseRequest { organisation: self.organisation.clone(), query: query.to_owned() };
        let response = self.homeward.recovery().diagnose(request).await?.into_inner();
        Ok(response.diagnosis.context("the answer holds no diagnosis")?)
    }

    /// Waits until directory has read through all accounts once.
    pub async fn until_synced(&self) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            let request = GetSyncRequest { organisation: self.organisation.clone() };
            if self.homeward.directory().get_sync(request).await?.into_inner().last_full_sync.is_some() {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(anyhow::anyhow!("directory did not read through all accounts within {PATIENCE:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks for recoveries of these accounts.
    pub async fn request(&self, queries: &[String]) -> Result<Vec<RequestResult>, Failure> {
        let mut results = Vec::new();
        for part in queries.chunks(BULK) {
            let wanted = part.iter().map(|query| NewRecovery {
                query: query.clone(),
                reason: "lost phone".into(),
                idempotency_key: String::new(),
                prefilled_from: String::new(),
            });
            let request = RequestRecoveriesRequest { organisation: self.organisation.clone(), recoveries: wanted.collect() };
            results.extend(self.homeward.recovery().request_recoveries(request).await?.into_inner().results);
        }
        Ok(results)
    }

    /// Attaches the proof that every caller was called back.
    pub async fn prove(&self, recoveries: &[String]) -> Result<(), Failure> {
        for part in recoveries.chunks(BULK) {
            let proof = |recovery: &String| Proof {
                recovery: recovery.clone(),
                kind: ProofKind::CallBack.into(),
                evidence: "called back on the number on file; voice and badge number matched".into(),
            };
            let request = AttachProofsRequest { proofs: part.iter().map(proof).collect() };
            accepted(&self.homeward.recovery().attach_proofs(request).await?.into_inner().results)?;
        }
        Ok(())
    }

    /// Says that the old factor was removed.
    pub async fn confirm_reset(&self, recovery: &str) -> Result<(), Failure> {
        self.homeward.recovery().confirm_reset(ConfirmResetRequest { recovery: recovery.to_owned() }).await?;
        Ok(())
    }

    /// Changes their mind.
    pub async fn cancel(&self, recovery: &str) -> Result<(), Failure> {
        let request = CancelRecoveryRequest { recovery: recovery.to_owned(), reason: "the phone was found".into() };
        self.homeward.recovery().cancel_recovery(request).await?;
        Ok(())
    }
}

/// The second person.
pub struct Approver {
    /// Their connection.
    pub homeward: Connection,
}

impl Approver {
    /// Decides.
    pub async fn vote(&self, recoveries: &[String], approve: bool) -> Result<(), Failure> {
        for part in recoveries.chunks(BULK) {
            let vote =
                |recovery: &String| Vote { recovery: recovery.clone(), approve, reason: "I know the caller's manager".into() };
            let request = CastVotesRequest { votes: part.iter().map(vote).collect() };
            accepted(&self.homeward.recovery().cast_votes(request).await?.into_inner().results)?;
        }
        Ok(())
    }
}

fn accepted(items: &[ItemResult]) -> Result<(), Failure> {
    match items.iter().find_map(|item| item.problem.as_ref().map(|problem| (item, problem))) {
        None => Ok(()),
        Some((item, problem)) => Err(anyhow::anyhow!("{}: {} ({})", item.recovery, problem.message, problem.remedy).into()),
    }
}

/// Anyone with a browser.
#[derive(Clone)]
pub struct Browser(reqwest::Client);

impl Browser {
    /// A fresh one.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(reqwest::Client::builder().build().context("making an HTTP client")?))
    }

    /// The administrator follows the letter's link and presses the reset button on the provider's page.
    pub async fn reset_factor(&self, letter: &Letter) -> anyhow::Result<()> {
        let page = letter.link()?;
        let html = self.0.get(page).send().await?.error_for_status()?.text().await?;
        ensure!(html.contains("id=\"reset\""), "the admin page {page} shows no reset button");
        self.0.post(format!("{page}/reset")).send().await?.error_for_status().context("pressing the reset button")?;
        Ok(())
    }

    /// Whether the admin page shows a reset button now.
    pub async fn sees_reset_button(&self, page: &str) -> anyhow::Result<bool> {
        Ok(self.0.get(page).send().await?.error_for_status()?.text().await?.contains("id=\"reset\""))
    }

    /// The user follows the invitation's link, signs in with the password, and sets up a new factor.
    pub async fn sign_in_and_enrol(&self, email: &str, letter: &Letter) -> anyhow::Result<()> {
        let page = self.sign_in(email, letter.link()?).await?;
        let Some(session) = page.split("name=\"session\" value=\"").nth(1).and_then(|rest| rest.split('"').next()) else {
            bail!("{email} could not sign in");
        };
        let enrol = url::Url::parse(letter.link()?)?.join("/fake/enrol")?;
        let answer = self.0.post(enrol).form(&[("session", session)]).send().await?;
        answer.error_for_status().context("setting up a factor")?;
        Ok(())
    }

    /// Tries to sign in; the page that comes back.
    pub async fn sign_in(&self, email: &str, page: &str) -> anyhow::Result<String> {
        let answer = self.0.post(page).form(&[("email", email), ("password", PASSWORD)]).send().await?;
        Ok(answer.text().await?)
    }

    /// The owner opens the repudiation link, reads what it does, and presses the button.
    pub async fn repudiate(&self, letter: &Letter) -> anyhow::Result<()> {
        let link = letter.not_me_link()?;
        let page = self.0.get(link).send().await?.error_for_status()?.text().await?;
        ensure!(page.contains("This was not me"), "the repudiation page has no button");
        self.0.post(link).send().await?.error_for_status().context("pressing \"this was not me\"")?;
        Ok(())
    }
}
