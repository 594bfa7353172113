//! The help desk and the approver at work: Homeward's public calls, in bulk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use homeward_chassis::rpc::Client;
use homeward_proto::recovery::v1::recovery_service_client::RecoveryServiceClient;
use homeward_proto::recovery::v1::{
    AttachProofsRequest, CancelRecoveryRequest, CastVotesRequest, ItemResult, ListRecoveriesRequest, NewRecovery, Problem, Proof,
    Recovery, RequestRecoveriesRequest, Vote,
};
use homeward_proto::words::v1::ProofKind;
use tonic::{Code, Response, Status};

use crate::settings::ORGANISATION;
use crate::system::{Connection, System};

/// The most that one call may carry.
pub const BULK: usize = 100;
/// Recoveries on a page.
const PAGE: i32 = 1_000;
/// How long somebody asks again and again before giving up.
const PATIENCE: Duration = Duration::from_mins(1);
/// The wait before asking again.
const AGAIN: Duration = Duration::from_millis(20);

/// What may be answered to somebody who repeats a call whose answer was lost.
const REPEATED: [&str; 4] = ["PROOF_ALREADY_ATTACHED", "ALREADY_VOTED", "ALREADY_GRANTED", "ALREADY_ENDING"];
/// What passes by itself.
const PASSING: [&str; 3] = ["UNREACHABLE", "TOO_OLD", "RECOVERY_UNAVAILABLE"];

/// Requester and approver, with every door to Homeward that there is. Who insists goes to the next when one does not answer.
#[derive(Clone)]
pub struct Desk {
    doors: Arc<Vec<(Connection, Connection)>>,
    at: Arc<AtomicUsize>,
    insists: bool,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
enum Who {
    Requester,
    Approver,
}

/// A decision about one recovery.
#[derive(Debug, Clone)]
pub struct Ballot {
    /// Which.
    pub recovery: String,
    /// Yes or no.
    pub approve: bool,
}

impl Desk {
    /// People who take no for an answer: the first trouble is an error.
    ///
    /// # Errors
    /// When the address makes no sense.
    pub fn of(system: &System) -> anyhow::Result<Self> {
        let [approver, _] = &system.tokens.approvers;
        Self::at(vec![(system.connect(&system.tokens.requester)?, system.connect(approver)?)])
    }

    /// The same at several doors, each with connections of the requester and of the approver.
    ///
    /// # Errors
    /// When there is no door.
    pub fn at(doors: Vec<(Connection, Connection)>) -> anyhow::Result<Self> {
        ensure!(!doors.is_empty(), "no door leads to Homeward");
        Ok(Self { doors: Arc::new(doors), at: Arc::default(), insists: false })
    }

    fn door(&self, who: Who) -> &Connection {
        let (requester, approver) = &self.doors[self.at.load(Ordering::Relaxed) % self.doors.len()];
        match who {
            Who::Requester => requester,
            Who::Approver => approver,
        }
    }

    /// People who repeat a call until it is answered, as the process may die and come back.
    #[must_use]
    pub fn insisting(mut self) -> Self {
        self.insists = true;
        self
    }

    /// Asks for recoveries of these accounts, each under its own key. Gives their ids, in order.
    ///
    /// # Errors
    /// When one is refused, or there is no answer.
    pub async fn request(&self, emails: &[&str]) -> anyhow::Result<Vec<String>> {
        let mut ids = BTreeMap::new();
        let mut left: Vec<&str> = emails.to_vec();
        let began = Instant::now();
        while !left.is_empty() {
            let wanted = left.iter().map(|email| NewRecovery {
                query: (*email).to_owned(),
                reason: "lost phone".into(),
                idempotency_key: format!("request-of-{email}"),
                prefilled_from: String::new(),
            });
            let request = RequestRecoveriesRequest { organisation: ORGANISATION.into(), recoveries: wanted.collect() };
            let results = self
                .ask(Who::Requester, request, |mut recovery, request| async move { recovery.request_recoveries(request).await })
                .await?
                .results;
            let mut again = Vec::new();
            for (email, result) in left.into_iter().zip(results) {
                match result.problem {
                    None => {
                        let reasons = result.diagnosis.map(|diagnosis| diagnosis.tier_reasons).unwrap_or_default();
                        ensure!(result.approvals_needed <= 1, "{email} needs more than our one vote: {reasons:?}");
                        ids.insert(email, result.recovery);
                    }
                    Some(problem) if self.passes(&problem, began) => again.push(email),
                    Some(problem) => bail!("{email}: {} {} ({})", problem.reason, problem.message, problem.remedy),
                }
            }
            left = again;
            if !left.is_empty() {
                tokio::time::sleep(AGAIN).await;
            }
        }
        emails.iter().map(|email| ids.get(email).cloned().with_context(|| format!("{email} was not answered"))).collect()
    }

    fn passes(&self, problem: &Problem, since: Instant) -> bool {
        self.insists && PASSING.contains(&problem.reason.as_str()) && since.elapsed() < PATIENCE
    }

    /// Attaches proof to each.
    ///
    /// # Errors
    /// When one is refused, or there is no answer.
    pub async fn prove(&self, recoveries: &[String]) -> anyhow::Result<()> {
        let proof = |recovery: &String| Proof {
            recovery: recovery.clone(),
            kind: ProofKind::CallBack.into(),
            evidence: "called back on the number on file".into(),
        };
        let request = AttachProofsRequest { proofs: recoveries.iter().map(proof).collect() };
        let answer = self
            .ask(Who::Requester, request, |mut recovery, request| async move { recovery.attach_proofs(request).await })
            .await?;
        self.taken(&answer.results)
    }

    /// Votes.
    ///
    /// # Errors
    /// When one is refused, or there is no answer.
    pub async fn vote(&self, ballots: &[Ballot]) -> anyhow::Result<()> {
        let vote = |ballot: &Ballot| Vote {
            recovery: ballot.recovery.clone(),
            approve: ballot.approve,
            reason: if ballot.approve { "I know the caller's manager" } else { "the caller did not know the manager's name" }
                .into(),
        };
        let request = CastVotesRequest { votes: ballots.iter().map(vote).collect() };
        let answer =
            self.ask(Who::Approver, request, |mut recovery, request| async move { recovery.cast_votes(request).await }).await?;
        self.taken(&answer.results)
    }

    fn taken(&self, results: &[ItemResult]) -> anyhow::Result<()> {
        for item in results {
            let problem = item.problem.as_ref().filter(|problem| !self.insists || !REPEATED.contains(&problem.reason.as_str()));
            if let Some(problem) = problem {
                bail!("{}: {} {} ({})", item.recovery, problem.reason, problem.message, problem.remedy);
            }
        }
        Ok(())
    }

    /// The requester cancels. Too late is as good.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn cancel(&self, recovery: &str) -> anyhow::Result<()> {
        let request = CancelRecoveryRequest { recovery: recovery.to_owned(), reason: "the phone was found".into() };
        let asked = |mut recovery: RecoveryServiceClient<Client>, request| async move {
            match recovery.cancel_recovery(request).await {
                Err(status) if status.code() == Code::FailedPrecondition => Ok(Response::new(())),
                answer => answer.map(|answer| answer.map(drop)),
            }
        };
        self.ask(Who::Requester, request, asked).await
    }

    /// All recoveries, or only open ones, newest first.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn recoveries(&self, open_only: bool) -> anyhow::Result<Vec<Recovery>> {
        let (mut all, mut before) = (Vec::new(), String::new());
        loop {
            let request = ListRecoveriesRequest { organisation: ORGANISATION.into(), open_only, before, page_size: PAGE };
            let page = self
                .ask(Who::Requester, request, |mut recovery, request| async move { recovery.list_recoveries(request).await })
                .await?;
            all.extend(page.recoveries);
            if page.next_before.is_empty() {
                return Ok(all);
            }
            before = page.next_before;
        }
    }

    /// Asks; whoever insists asks again as long as nobody answers.
    async fn ask<R: Clone, T, F>(
        &self,
        who: Who,
        request: R,
        call: impl Fn(RecoveryServiceClient<Client>, R) -> F,
    ) -> anyhow::Result<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let began = Instant::now();
        loop {
            match call(self.door(who).recovery(), request.clone()).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if self.insists && is_silence(&status) && began.elapsed() < PATIENCE => {
                    self.at.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(AGAIN).await;
                }
                Err(status) => return Err(status).context("Homeward did not do it"),
            }
        }
    }
}

/// The process died, or has not come back yet: an error of the connection, not of the service.
fn is_silence(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled)
        || (matches!(status.code(), Code::Unknown | Code::Internal) && std::error::Error::source(status).is_some())
}
