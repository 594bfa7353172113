//! The gRPC service: questions about leases, and the safe direction.

mod extra;
mod many;
mod release;

use std::sync::Arc;

use homeward_chassis::auth::{Caller, authenticate};
use homeward_chassis::rpc::Refused;
use homeward_proto::policy::v1;
use homeward_proto::policy::v1::policy_service_server::PolicyService;
use homeward_proto::wire::{WireError, parse, parse_optional, timestamp};
use homeward_proto::words::v1 as words;
use homeward_provider::{Holder, Priority};
use homeward_store::StoreError;
use homeward_types::{AccountId, Factor, LeaseId, OrganisationId, Role};
use tonic::{Request, Response, Status};

use crate::lease::store::{self as leases, Kept};
use crate::lease::{Asked, Event, Subject, Terms};
use crate::ledger::{Happened, Ledger};
use crate::lend::facts::FreshRead;
use crate::organisation;
use crate::restored::{self, Compared};
use crate::site::{Site, Sites};

/// Accounts of one question for facts.
const MOST_FACTS: usize = 100;

/// Leases of one page, where the caller does not say.
const PAGE: usize = 100;

/// Most leases of one page.
const MOST_PAGE: usize = 1_000;

/// Attempts shown of one lease: the newest.
const ATTEMPTS: i64 = 1_000;

/// The gRPC side of policy. Cheap to clone.
#[derive(Clone)]
pub struct PolicyRpc {
    ledger: Ledger,
    sites: Arc<Sites>,
}

impl PolicyRpc {
    pub(crate) fn new(ledger: Ledger, sites: Arc<Sites>) -> Self {
        Self { ledger, sites }
    }

    fn site(&self, organisation: &str) -> Result<&Arc<Site>, Refused> {
        let id: OrganisationId = parse("organisation", organisation).map_err(|error| invalid(&error))?;
        self.sites.get(&id).ok_or_else(|| {
            Refused::not_found(
                "ORGANISATION_UNKNOWN",
                format!("policy has no organisation {id}"),
                "use the short name of an organisation in the configuration",
            )
        })
    }

    async fn kept(&self, lease: &str) -> Result<Kept, Refused> {
        let id: LeaseId = parse("lease", lease).map_err(|error| invalid(&error))?;
        leases::kept(self.ledger.db(), id).await.map_err(|error| database(&error))?.ok_or_else(|| {
            Refused::not_found(
                "LEASE_UNKNOWN",
                format!("policy has no lease {id}"),
                "list the leases; a lease bears the id of its recovery",
            )
        })
    }

    async fn facts(&self, request: v1::ReadFactsRequest) -> Result<v1::ReadFactsResponse, Refused> {
        let site = self.site(&request.organisation)?;
        if request.accounts.len() > MOST_FACTS {
            return Err(Refused::invalid(
                "TOO_MANY",
                format!("facts of at most {MOST_FACTS} accounts are read at once"),
                "ask in parts",
            ));
        }
        let accounts = request.accounts.iter().map(|id| parse("accounts", id)).collect::<Result<Vec<AccountId>, _>>();
        let accounts = accounts.map_err(|error| invalid(&error))?;
        if accounts.is_empty() {
            return Ok(v1::ReadFactsResponse::default());
        }
        let who: Vec<Holder> = accounts.iter().map(|account| Holder { account: account.clone(), email: None }).collect();
        let (read, extra) =
            tokio::join!(FreshRead::of(site.provider(), &who, Priority::Evidence), extra::of(site.provider(), &accounts));
        site.heard(read.as_ref().err()).await;
        let silent = read.is_err();
        let read = read.unwrap_or_default();
        let named: Vec<&AccountId> = accounts.iter().collect();
        let (open, released) = leases::open_work(self.ledger.db(), site.id(), &named).await.map_err(|error| database(&error))?;
        let fact = |account: &AccountId| {
            let lease = open.get(account);
            v1::AccountFacts {
                account: account.to_string(),
                placement: read.placement(account).map(Into::into),
                factor: words::Factor::from(if silent { Factor::Unknown } else { read.factor(account) }).into(),
                open_lease: lease.map(|open| open.lease.to_string()).unwrap_or_default(),
                free_at: lease.map(|open| timestamp(open.due_at)),
                released: released.contains(account.as_str()),
                factor_elsewhere: extra.get(account).and_then(|extra| extra.factor_elsewhere.clone()).unwrap_or_default(),
                last_active: extra.get(account).and_then(|extra| extra.last_active).map(timestamp),
            }
        };
        let state = organisation::store::read(self.ledger.db(), site.id()).await.map_err(|error| database(&error))?;
        let since = silent.then(|| state.unreachable_since.unwrap_or_else(|| self.ledger.now()));
        Ok(v1::ReadFactsResponse { facts: accounts.iter().map(fact).collect(), unreachable_since: since.map(timestamp) })
    }

    async fn return_one(&self, caller: &Caller, request: v1::ReturnLeaseRequest) -> Result<v1::ReturnLeaseResponse, Refused> {
        let kept = self.kept(&request.lease).await?;
        let happened = self.return_asked(caller, &kept, reason(caller, &request.reason)?);
        let outcomes = self.ledger.turn("lease.return", &[happened]).await.map_err(|error| database(&error))?;
        let state =
            outcomes.first().and_then(|outcome| outcome.kept.as_ref()).map_or(kept.lease.state, |kept| kept.lease.state.clone());
        Ok(v1::ReturnLeaseResponse { state: v1::LeaseState::from(&state).into() })
    }

    fn return_asked(&self, caller: &Caller, kept: &Kept, reason: String) -> Happened {
        let lease = &kept.lease;
        let subject = Subject {
            lease: lease.id,
            organisation: lease.organisation.clone(),
            account: lease.account.clone(),
            home: lease.home.clone(),
            recovery_policy: lease.recovery_policy.clone(),
            terms: self.ledger.organisation(&lease.organisation).map_or(lease.terms, |settings| Terms::from(&settings.limits)),
        };
        let event = Event::ReturnAsked(Asked { subject, reason });
        Happened { actor: caller.person().id.to_string(), trace: kept.trace.clone(), ..Happened::by_policy(lease.id, event) }
    }

    async fn page(&self, request: v1::ListLeasesRequest) -> Result<v1::ListLeasesResponse, Refused> {
        let site = self.site(&request.organisation)?;
        let before: Option<LeaseId> = parse_optional("before", &request.before).map_err(|error| invalid(&error))?;
        let size = match usize::try_from(request.page_size) {
            Ok(0) => PAGE,
            Ok(size @ 1..=MOST_PAGE) => size,
            Ok(_) | Err(_) => {
                let message = format!("page_size is {}; it must be 1 to {MOST_PAGE}, or 0 for {PAGE}", request.page_size);
                return Err(Refused::invalid("PAGE_SIZE", message, "ask for smaller pages"));
            }
        };
        let page =
            leases::list(self.ledger.db(), site.id(), request.open_only, before, size).await.map_err(|error| database(&error))?;
        let next_before = page.next_before.map(|id| id.to_string()).unwrap_or_default();
        Ok(v1::ListLeasesResponse { leases: page.leases.iter().map(Into::into).collect(), next_before })
    }

    async fn exposure(&self, request: v1::GetExposureRequest) -> Result<v1::GetExposureResponse, Refused> {
        let site = self.site(&request.organisation)?;
        let now = self.ledger.now();
        let exposure = leases::exposure(self.ledger.db(), site.id(), now).await.map_err(|error| database(&error))?;
        let state = organisation::store::read(self.ledger.db(), site.id()).await.map_err(|error| database(&error))?;
        let judged = organisation::store::judged(self.ledger.db(), site.id()).await.map_err(|error| database(&error))?;
        let cap = site.organisation().limits.hard_cap(state.accounts.unwrap_or(0));
        Ok(v1::GetExposureResponse {
            out_now: exposure.out_now,
            overdue: exposure.overdue,
            oldest_out_at: exposure.oldest_out_at.map(timestamp),
            hard_cap: i64::try_from(cap).unwrap_or(i64::MAX),
            draining: state.draining,
            unreachable_since: state.unreachable_since.map(timestamp),
            versions_trusted: state.trust.trusted(),
            task_read: judged.task_read.unwrap_or_default(),
            lend_version: judged.lend_version.unwrap_or_default(),
            return_version: judged.return_version.unwrap_or_default(),
        })
    }
}

fn invalid(error: &WireError) -> Refused {
    Refused::invalid("INVALID", error.to_string(), "correct the field and ask again")
}

fn database(error: &StoreError) -> Refused {
    if error.is_infrastructure() {
        tracing::warn!(error = error as &dyn std::error::Error, "the database does not serve a call");
        return Refused::unavailable("DATABASE", "policy's database does not answer", "try again in a moment");
    }
    Refused::internal(error)
}

/// The caller's reason, with who it is: it is announced.
fn reason(caller: &Caller, reason: &str) -> Result<String, Refused> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > 500 {
        return Err(Refused::invalid("REASON", "a reason of 1 to 500 characters is needed", "say in a few words why"));
    }
    Ok(format!("{}: {reason}", caller.person().id))
}

#[tonic::async_trait]
impl PolicyService for PolicyRpc {
    async fn read_facts(&self, request: Request<v1::ReadFactsRequest>) -> Result<Response<v1::ReadFactsResponse>, Status> {
        authenticate(&request)?.require_any(&[Role::Service, Role::Operator, Role::Auditor])?;
        Ok(Response::new(self.facts(request.into_inner()).await?))
    }

    async fn return_lease(&self, request: Request<v1::ReturnLeaseRequest>) -> Result<Response<v1::ReturnLeaseResponse>, Status> {
        let caller = authenticate(&request)?;
        Ok(Response::new(self.return_one(&caller, request.into_inner()).await?))
    }

    async fn return_leases(
        &self,
        request: Request<v1::ReturnLeasesRequest>,
    ) -> Result<Response<v1::ReturnLeasesResponse>, Status> {
        let caller = authenticate(&request)?;
        caller.require(Role::Operator)?;
        Ok(Response::new(self.return_many(&caller, request.into_inner()).await?))
    }

    async fn get_lease(&self, request: Request<v1::GetLeaseRequest>) -> Result<Response<v1::GetLeaseResponse>, Status> {
        authenticate(&request)?;
        let kept = self.kept(&request.into_inner().lease).await?;
        let attempts = leases::attempts_of(self.ledger.db(), kept.lease.id, ATTEMPTS).await.map_err(|error| database(&error))?;
        let attempts = attempts.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::GetLeaseResponse { lease: Some((&kept).into()), attempts }))
    }

    async fn list_leases(&self, request: Request<v1::ListLeasesRequest>) -> Result<Response<v1::ListLeasesResponse>, Status> {
        authenticate(&request)?;
        Ok(Response::new(self.page(request.into_inner()).await?))
    }

    async fn release_lease(
        &self,
        request: Request<v1::ReleaseLeaseRequest>,
    ) -> Result<Response<v1::ReleaseLeaseResponse>, Status> {
        let caller = authenticate(&request)?;
        caller.require(Role::Operator)?;
        Ok(Response::new(self.release(&caller, request.into_inner()).await?))
    }

    async fn set_drain(&self, request: Request<v1::SetDrainRequest>) -> Result<Response<v1::SetDrainResponse>, Status> {
        let caller = authenticate(&request)?;
        caller.require(Role::Operator)?;
        Ok(Response::new(self.drain(&caller, request.into_inner()).await?))
    }

    async fn compare_numbers(
        &self,
        request: Request<v1::CompareNumbersRequest>,
    ) -> Result<Response<v1::CompareNumbersResponse>, Status> {
        let caller = authenticate(&request)?;
        caller.require(Role::Service)?;
        let v1::CompareNumbersRequest { heard_of_policy, restored } = request.into_inner();
        let compared = Compared { heard_of_policy, restored };
        let compared = restored::compare(&self.ledger, caller.person().id.as_str(), compared).await;
        let heard_of_caller = compared.map_err(|error| database(&error))?;
        Ok(Response::new(v1::CompareNumbersResponse { heard_of_caller }))
    }

    async fn get_exposure(&self, request: Request<v1::GetExposureRequest>) -> Result<Response<v1::GetExposureResponse>, Status> {
        authenticate(&request)?;
        Ok(Response::new(self.exposure(request.into_inner()).await?))
    }
}
