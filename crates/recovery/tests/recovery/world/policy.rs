//! Policy, played: opens, moves and returns at once, checks every grant, and does what the test says instead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use homeward_chassis::shutdown::Shutdown;
use homeward_messaging::topology::{POLICY_CARE, POLICY_LEND, POLICY_RETURN};
use homeward_messaging::{HandleError, Handler, QueueSpec, Received, Verdict, consume};
use homeward_proto::policy::v1 as wire;
use homeward_proto::policy::v1::policy_service_server::{PolicyService, PolicyServiceServer};
use homeward_proto::wire::timestamp;
use homeward_proto::words::v1 as words;
use homeward_types::{Clock, Grant};
use ring::signature::{ED25519, UnparsedPublicKey};
use tonic::{Request, Response, Status};

use super::Stage;
use super::directory::uuid;

pub struct PolicyDouble {
    stage: Arc<Stage>,
    trusted: Mutex<Option<(String, Vec<u8>)>>,
    pub leases: Mutex<BTreeMap<String, wire::Lease>>,
    pub grants: Mutex<Vec<Grant>>,
    /// Factor of each account, `absent` where nothing is said.
    pub factors: Mutex<BTreeMap<String, words::Factor>>,
    /// Says no to every lend.
    pub refuses: Mutex<Option<wire::Refusal>>,
    /// Does what it is told and tells nobody.
    pub mute: AtomicBool,
    /// Does not answer to lends at all.
    pub deaf: AtomicBool,
    pub person_needed: AtomicBool,
    pub cannot_contain: AtomicBool,
    /// Leases whose account is disabled, in order.
    pub contained: Mutex<Vec<String>>,
    pub cleaned: Mutex<BTreeSet<String>>,
    pub returns: AtomicI64,
    /// Accounts out that recovery knows nothing of.
    pub strays: AtomicI64,
}

impl PolicyDouble {
    pub fn new(stage: Arc<Stage>) -> Self {
        Self {
            stage,
            trusted: Mutex::default(),
            leases: Mutex::default(),
            grants: Mutex::default(),
            factors: Mutex::default(),
            refuses: Mutex::default(),
            mute: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
            person_needed: AtomicBool::new(false),
            cannot_contain: AtomicBool::new(false),
            contained: Mutex::default(),
            cleaned: Mutex::default(),
            returns: AtomicI64::new(0),
            strays: AtomicI64::new(0),
        }
    }

    pub fn trust(&self, kid: &str, key: &[u8]) {
        *self.trusted.lock().unwrap() = Some((kid.to_owned(), key.to_vec()));
    }

    pub fn rpc(self: &Arc<Self>) -> PolicyServiceServer<Rpc> {
        PolicyServiceServer::new(Rpc(self.clone()))
    }

    pub fn spawn(self: Arc<Self>, shutdown: &Shutdown) {
        let queues: [(&'static str, QueueSpec); 3] =
            [("policy.lend", POLICY_LEND), ("policy.return", POLICY_RETURN), ("policy.care", POLICY_CARE)];
        for (name, queue) in queues {
            let (broker, handler, token) = (self.stage.broker.clone(), self.clone(), shutdown.token());
            shutdown.spawn(name, async move {
                consume(broker, queue, handler, token).await;
                Ok::<(), std::convert::Infallible>(())
            });
        }
    }

    /// A lease that exists without having been asked for.
    pub fn hold(&self, lease: wire::Lease) {
        self.leases.lock().unwrap().insert(lease.lease.clone(), lease);
    }

    fn lend(&self, lend: &wire::LendAccount) {
        let (kid, key) = self.trusted.lock().unwrap().clone().unwrap();
        assert_eq!(lend.kid, kid);
        UnparsedPublicKey::new(&ED25519, key).verify(&lend.grant, &lend.signature).unwrap();
        let grant: Grant = serde_json::from_slice(&lend.grant).unwrap();
        let id = grant.lease.to_string();
        self.grants.lock().unwrap().push(grant.clone());
        if self.deaf.load(Ordering::SeqCst) {
            return;
        }
        if self.leases.lock().unwrap().contains_key(&id) {
            return self.say_again(&id);
        }
        let now = self.stage.clock.now();
        let factor = self.factors.lock().unwrap().get(grant.account.as_str()).copied().unwrap_or(words::Factor::Absent);
        let mut lease = wire::Lease {
            lease: id,
            organisation: grant.organisation.to_string(),
            account: grant.account.to_string(),
            home: grant.home.to_string(),
            origin: "lend".into(),
            factor_at_lend: factor.into(),
            ..wire::Lease::default()
        };
        if let Some(refusal) = *self.refuses.lock().unwrap() {
            lease.refusal = refusal.into();
            lease.end = words::LeaseEnd::NeverLent.into();
            return self.becomes(lease, wire::LeaseState::Closed, wire::LeaseNews::Refused);
        }
        lease.opened_at = Some(timestamp(now));
        lease.due_at = Some(timestamp(now + TimeDelta::microseconds(grant.lease_micros)));
        self.becomes(lease.clone(), wire::LeaseState::Opening, wire::LeaseNews::Opened);
        lease.version = 1;
        lease.seen_out_at = Some(timestamp(now));
        self.becomes(lease, wire::LeaseState::Active, wire::LeaseNews::Lent);
    }

    fn becomes(&self, mut lease: wire::Lease, state: wire::LeaseState, news: wire::LeaseNews) {
        lease.version += 1;
        lease.state = state.into();
        self.leases.lock().unwrap().insert(lease.lease.clone(), lease.clone());
        if !self.mute.load(Ordering::SeqCst) {
            self.tell(news, lease);
        }
    }

    fn tell(&self, news: wire::LeaseNews, lease: wire::Lease) {
        let name = match news {
            wire::LeaseNews::Opened => "opened",
            wire::LeaseNews::Lent => "lent",
            wire::LeaseNews::Returning => "returning",
            wire::LeaseNews::Settling => "settling",
            wire::LeaseNews::Closed => "closed",
            wire::LeaseNews::Adopted => "adopted",
            wire::LeaseNews::Refused | wire::LeaseNews::Unspecified => "refused",
        };
        let id = uuid(&lease.lease);
        let changed = wire::LeaseChanged { news: news.into(), lease: Some(lease) };
        self.stage.send(&format!("policy.event.lease-{name}.v1"), id, &changed);
    }

    fn say_again(&self, id: &str) {
        let lease = self.leases.lock().unwrap()[id].clone();
        if !self.mute.load(Ordering::SeqCst) {
            self.tell(wire::LeaseNews::Closed, lease);
        }
    }

    /// Brings a lease home, as at its end or when asked.
    pub fn bring_home(&self, id: &str, account: &str) {
        let known = self.leases.lock().unwrap().get(id).cloned();
        let mut lease = known.unwrap_or_else(|| wire::Lease {
            lease: id.into(),
            organisation: "acme".into(),
            account: account.into(),
            end: words::LeaseEnd::NeverLent.into(),
            ..wire::Lease::default()
        });
        if lease.state() == wire::LeaseState::Closed {
            return self.say_again(id);
        }
        if lease.opened_at.is_some() {
            self.becomes(lease.clone(), wire::LeaseState::Closing, wire::LeaseNews::Returning);
            lease.version += 1;
            lease.end = words::LeaseEnd::Home.into();
            lease.seen_back_at = Some(timestamp(self.stage.clock.now()));
            lease.evidence = "home, version 9 later than out".into();
        }
        self.becomes(lease, wire::LeaseState::Closed, wire::LeaseNews::Closed);
    }

    fn reset(&self, reset: &wire::ResetFactor) {
        let person = self.person_needed.load(Ordering::SeqCst);
        let result = if person { wire::ResetResult::PersonNeeded } else { wire::ResetResult::Done };
        let answer = wire::FactorReset {
            lease: reset.lease.clone(),
            organisation: "acme".into(),
            account: reset.account.clone(),
            result: result.into(),
            page: if person { format!("https://admin.example/{}", reset.account) } else { String::new() },
            how: if person { "Press “Reset two-step verification”.".into() } else { String::new() },
        };
        self.stage.send("policy.event.factor-reset.v1", uuid(&reset.lease), &answer);
    }

    fn contain(&self, contain: &wire::ContainAccount) {
        let can = !self.cannot_contain.load(Ordering::SeqCst);
        if can {
            self.contained.lock().unwrap().push(contain.lease.clone());
        }
        let answer = wire::AccountContained {
            lease: contain.lease.clone(),
            organisation: "acme".into(),
            account: contain.account.clone(),
            contained: can,
            problem: if can { String::new() } else { "the provider has no call for it".into() },
        };
        self.stage.send("policy.event.account-contained.v1", uuid(&contain.lease), &answer);
    }
}

#[async_trait::async_trait]
impl Handler for PolicyDouble {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        for received in &batch {
            let envelope = &received.envelope;
            match envelope.kind.as_str() {
                "policy.command.lend-account.v1" => {
                    let lend: wire::LendAccount = envelope.decode().unwrap();
                    let grant: Grant = serde_json::from_slice(&lend.grant).unwrap();
                    assert_eq!(envelope.expires_at, Some(grant.not_after), "a lend expires with its grant");
                    self.lend(&lend);
                }
                "policy.command.return-account.v1" => {
                    let back: wire::ReturnAccount = envelope.decode().unwrap();
                    self.returns.fetch_add(1, Ordering::SeqCst);
                    self.bring_home(&back.lease, &back.account);
                }
                "policy.command.reset-factor.v1" => self.reset(&envelope.decode().unwrap()),
                "policy.command.clean-window.v1" => {
                    let clean: wire::CleanWindow = envelope.decode().unwrap();
                    self.cleaned.lock().unwrap().insert(clean.lease.clone());
                    let answer = wire::WindowCleaned {
                        lease: clean.lease.clone(),
                        organisation: "acme".into(),
                        account: clean.account,
                        revoked: vec!["an API token “laptop”".into()],
                        cannot: vec!["sessions in the browser".into()],
                    };
                    self.stage.send("policy.event.window-cleaned.v1", uuid(&clean.lease), &answer);
                }
                "policy.command.contain-account.v1" => self.contain(&envelope.decode().unwrap()),
                other => panic!("not for policy: {other}"),
            }
        }
        Ok(vec![Verdict::Done; batch.len()])
    }

    async fn is_ready(&self) -> bool {
        true
    }
}

pub struct Rpc(Arc<PolicyDouble>);

impl Rpc {
    fn facts(&self, account: String) -> wire::AccountFacts {
        let now = timestamp(self.0.stage.clock.now());
        let factor = self.0.factors.lock().unwrap().get(&account).copied().unwrap_or(words::Factor::Absent);
        let leases = self.0.leases.lock().unwrap();
        let open = leases.values().find(|lease| lease.account == account && lease.state() != wire::LeaseState::Closed);
        let placement = words::Placement {
            account: account.clone(),
            email: format!("{account}@example.com"),
            policy: "strict".into(),
            version: Some(7),
            begun_at: Some(now),
        };
        wire::AccountFacts {
            account,
            placement: Some(placement),
            factor: factor.into(),
            open_lease: open.map(|lease| lease.lease.clone()).unwrap_or_default(),
            free_at: open.map(|_| now),
            released: false,
            factor_elsewhere: String::new(),
            last_active: None,
        }
    }
}

#[tonic::async_trait]
impl PolicyService for Rpc {
    async fn read_facts(&self, request: Request<wire::ReadFactsRequest>) -> Result<Response<wire::ReadFactsResponse>, Status> {
        let request = request.into_inner();
        assert!(request.accounts.len() <= 100);
        let facts = request.accounts.into_iter().map(|account| self.facts(account)).collect();
        Ok(Response::new(wire::ReadFactsResponse { facts, unreachable_since: None }))
    }

    async fn get_lease(&self, request: Request<wire::GetLeaseRequest>) -> Result<Response<wire::GetLeaseResponse>, Status> {
        let lease = self.0.leases.lock().unwrap().get(&request.into_inner().lease).cloned();
        let lease = lease.ok_or_else(|| Status::not_found("no such lease"))?;
        Ok(Response::new(wire::GetLeaseResponse { lease: Some(lease), attempts: vec![] }))
    }

    async fn list_leases(&self, request: Request<wire::ListLeasesRequest>) -> Result<Response<wire::ListLeasesResponse>, Status> {
        // Two a page, so that the caller must page.
        let before = request.into_inner().before;
        let leases = self.0.leases.lock().unwrap();
        let open = leases.values().rev().filter(|lease| lease.state() != wire::LeaseState::Closed);
        let page: Vec<_> = open.filter(|lease| before.is_empty() || lease.lease < before).take(2).cloned().collect();
        let next_before = if page.len() == 2 { page[1].lease.clone() } else { String::new() };
        Ok(Response::new(wire::ListLeasesResponse { leases: page, next_before }))
    }

    async fn get_exposure(&self, _: Request<wire::GetExposureRequest>) -> Result<Response<wire::GetExposureResponse>, Status> {
        let open = self.0.leases.lock().unwrap().values().filter(|lease| lease.state() != wire::LeaseState::Closed).count();
        let out_now = i64::try_from(open).unwrap() + self.0.strays.load(Ordering::SeqCst);
        Ok(Response::new(wire::GetExposureResponse { out_now, ..wire::GetExposureResponse::default() }))
    }

    async fn compare_numbers(
        &self,
        _: Request<wire::CompareNumbersRequest>,
    ) -> Result<Response<wire::CompareNumbersResponse>, Status> {
        Ok(Response::new(wire::CompareNumbersResponse::default()))
    }

    async fn return_lease(&self, _: Request<wire::ReturnLeaseRequest>) -> Result<Response<wire::ReturnLeaseResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn return_leases(&self, _: Request<wire::ReturnLeasesRequest>) -> Result<Response<wire::ReturnLeasesResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn release_lease(&self, _: Request<wire::ReleaseLeaseRequest>) -> Result<Response<wire::ReleaseLeaseResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn set_drain(&self, _: Request<wire::SetDrainRequest>) -> Result<Response<wire::SetDrainResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }
}
