//! The other services that recovery asks: directory for accounts, policy for fresh facts and for leases.

use std::collections::BTreeMap;
use std::time::Duration;

use homeward_chassis::rpc::{Client, Refused};
use homeward_chassis::sized;
use homeward_proto::directory::v1::directory_service_client::DirectoryServiceClient;
use homeward_proto::directory::v1::{FindAccountsRequest, Finding, GetSyncRequest};
use homeward_proto::policy::v1::policy_service_client::PolicyServiceClient;
use homeward_proto::policy::v1::{
    AccountFacts, CompareNumbersRequest, GetExposureRequest, GetLeaseRequest, Lease, ListLeasesRequest, ReadFactsRequest,
};
use homeward_proto::wire::{WireError, moment, moment_optional, parse_optional};
use homeward_proto::words::v1 as words;
use homeward_types::diagnosis::{Candidate, KnownAccount, OpenLease};
use homeward_types::{AccountId, Factor, LeaseId, OrganisationId, Placement, Timestamp};
use tonic::Code;

use crate::saga::data::LeaseFact;
use crate::wire::lease_fact;

/// Somebody waits for the answer; and what is asked reads the provider, which may take its time.
const DEADLINE: Duration = Duration::from_secs(8);

/// Leases in one page.
const PAGE: i32 = 1_000;

/// Clients of directory and policy, bearing recovery's own token.
#[derive(Debug, Clone)]
pub struct Others {
    directory: DirectoryServiceClient<Client>,
    policy: PolicyServiceClient<Client>,
}

/// What directory found for one query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Accounts that match.
    pub matches: Vec<KnownAccount>,
    /// Close misses, when nothing matches.
    pub closest: Vec<Candidate>,
}

/// What policy read of one account just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// Where it is; `None` when the provider gave nothing.
    pub placement: Option<Placement>,
    /// Whether it has a factor.
    pub factor: Factor,
    /// Its open lease.
    pub open_lease: Option<OpenLease>,
    /// Released by two persons.
    pub released: bool,
    /// Where its factor lives instead, by what its manager may not do.
    pub factor_elsewhere: Option<String>,
    /// When it was last active.
    pub last_active: Option<Timestamp>,
}

/// What policy read of several accounts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FreshFacts {
    /// By account.
    pub accounts: BTreeMap<AccountId, Fresh>,
    /// Since when the provider has not answered, if it does not.
    pub unreachable_since: Option<Timestamp>,
}

/// A lease at policy, as case repair compares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLease {
    /// Which.
    pub id: LeaseId,
    /// Whose account.
    pub account: AccountId,
    /// Where it must return.
    pub home: String,
    /// Whether it was opened for a recovery (and not adopted or reopened by policy).
    pub is_lent: bool,
    /// What the saga would be told of it.
    pub fact: LeaseFact,
}

impl Others {
    /// Clients over these connections, which bear recovery's token.
    pub fn new(directory: Client, policy: Client) -> Self {
        Self {
            directory: sized!(DirectoryServiceClient::new(directory.deadline(DEADLINE))),
            policy: sized!(PolicyServiceClient::new(policy.deadline(DEADLINE))),
        }
    }

    /// What each query means, in the order asked; at most 100.
    ///
    /// # Errors
    /// What directory refused, or that it does not answer.
    pub async fn find(&self, organisation: &OrganisationId, queries: Vec<String>) -> Result<Vec<Found>, Refused> {
        if queries.is_empty() {
            return Ok(Vec::new());
        }
        let asked = queries.len();
        let request = FindAccountsRequest { organisation: organisation.to_string(), queries };
        let answer = self.directory.clone().find_accounts(request).await.map_err(|status| of("directory", &status))?.into_inner();
        if answer.findings.len() != asked {
            return Err(nonsense("directory", &WireError::invalid("findings", "are not one for each query")));
        }
        answer.findings.iter().map(found).collect::<Result<_, _>>().map_err(|error| nonsense("directory", &error))
    }

    /// Placement, factor and what is open of each account, read afresh; at most 100.
    ///
    /// # Errors
    /// What policy refused, or that it does not answer.
    pub async fn facts(&self, organisation: &OrganisationId, accounts: Vec<String>) -> Result<FreshFacts, Refused> {
        if accounts.is_empty() {
            return Ok(FreshFacts::default());
        }
        let request = ReadFactsRequest { organisation: organisation.to_string(), accounts };
        let answer = self.policy.clone().read_facts(request).await.map_err(|status| of("policy", &status))?.into_inner();
        let accounts = answer.facts.iter().map(fresh).collect::<Result<_, _>>().map_err(|error| nonsense("policy", &error))?;
        let unreachable_since =
            moment_optional("unreachable_since", answer.unreachable_since).map_err(|error| nonsense("policy", &error))?;
        Ok(FreshFacts { accounts, unreachable_since })
    }

    /// How many accounts the organisation has.
    ///
    /// # Errors
    /// What directory refused, or that it does not answer.
    pub async fn accounts(&self, organisation: &OrganisationId) -> Result<u64, Refused> {
        let request = GetSyncRequest { organisation: organisation.to_string() };
        let answer = self.directory.clone().get_sync(request).await.map_err(|status| of("directory", &status))?;
        Ok(u64::try_from(answer.into_inner().accounts).unwrap_or(0))
    }

    /// How many accounts are out now, as policy counts them.
    ///
    /// # Errors
    /// What policy refused, or that it does not answer.
    pub async fn out_now(&self, organisation: &OrganisationId) -> Result<i64, Refused> {
        let request = GetExposureRequest { organisation: organisation.to_string() };
        let answer = self.policy.clone().get_exposure(request).await.map_err(|status| of("policy", &status))?;
        Ok(answer.into_inner().out_now)
    }

    /// Compares outbox numbers with policy; the answer is the highest that policy heard of recovery.
    ///
    /// # Errors
    /// What policy refused, or that it does not answer.
    pub async fn compare_numbers(&self, heard_of_policy: i64, restored: bool) -> Result<i64, Refused> {
        let request = CompareNumbersRequest { heard_of_policy, restored };
        let answer = self.policy.clone().compare_numbers(request).await.map_err(|status| of("policy", &status))?;
        Ok(answer.into_inner().heard_of_caller)
    }

    /// Every open lease of the organisation, page by page.
    ///
    /// # Errors
    /// What policy refused, or that it does not answer.
    pub async fn open_leases(&self, organisation: &OrganisationId) -> Result<Vec<KnownLease>, Refused> {
        let mut all = Vec::new();
        let mut before = String::new();
        loop {
            let request = ListLeasesRequest { organisation: organisation.to_string(), open_only: true, before, page_size: PAGE };
            let page = self.policy.clone().list_leases(request).await.map_err(|status| of("policy", &status))?.into_inner();
            for lease in &page.leases {
                all.push(known(lease).map_err(|error| nonsense("policy", &error))?);
            }
            if page.next_before.is_empty() {
                return Ok(all);
            }
            before = page.next_before;
        }
    }

    /// One lease; `None` if policy never heard of it.
    ///
    /// # Errors
    /// What policy refused, or that it does not answer.
    pub async fn lease(&self, id: LeaseId) -> Result<Option<KnownLease>, Refused> {
        match self.policy.clone().get_lease(GetLeaseRequest { lease: id.to_string() }).await {
            Ok(answer) => {
                let lease = answer.into_inner().lease.ok_or_else(|| nonsense("policy", &WireError::missing("lease")))?;
                known(&lease).map(Some).map_err(|error| nonsense("policy", &error))
            }
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(of("policy", &status)),
        }
    }
}

fn of(service: &'static str, status: &tonic::Status) -> Refused {
    let refused = Refused::from_status(status);
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => Refused::unavailable(
            "OTHER_UNAVAILABLE",
            format!("the service {service} does not answer: {}", refused.message),
            "try again in a moment; nothing was changed",
        ),
        Code::Unauthenticated | Code::PermissionDenied => Refused::unavailable(
            "OTHER_REFUSES",
            format!("the service {service} does not accept recovery's token"),
            "an operator must give recovery a token that the service knows",
        ),
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss => refused,
    }
}

fn nonsense(service: &'static str, error: &WireError) -> Refused {
    tracing::error!(service, %error, "the answer of another service cannot be understood");
    Refused::unavailable(
        "OTHER_NOT_UNDERSTOOD",
        format!("the service {service} gave an answer that recovery does not understand"),
        "an operator must look whether both run the same version",
    )
}

fn found(finding: &Finding) -> Result<Found, WireError> {
    Ok(Found {
        matches: finding.matches.iter().map(KnownAccount::try_from).collect::<Result<_, _>>()?,
        closest: finding.closest.iter().map(Candidate::try_from).collect::<Result<_, _>>()?,
    })
}

fn fresh(facts: &AccountFacts) -> Result<(AccountId, Fresh), WireError> {
    let account: AccountId = homeward_proto::wire::parse("account", &facts.account)?;
    let factor = words::Factor::try_from(facts.factor).unwrap_or(words::Factor::Unspecified);
    let open_lease = parse_optional::<LeaseId>("open_lease", &facts.open_lease)?
        .map(|lease| Ok(OpenLease { lease, free_at: moment("free_at", facts.free_at)? }))
        .transpose()?;
    let placement = facts.placement.as_ref().map(Placement::try_from).transpose()?;
    let factor_elsewhere = Some(facts.factor_elsewhere.clone()).filter(|words| !words.is_empty());
    let last_active = moment_optional("last_active", facts.last_active)?;
    let released = facts.released;
    Ok((account, Fresh { placement, factor: factor.into(), open_lease, released, factor_elsewhere, last_active }))
}

fn known(lease: &Lease) -> Result<KnownLease, WireError> {
    Ok(KnownLease {
        id: homeward_proto::wire::parse("lease", &lease.lease)?,
        account: homeward_proto::wire::parse("account", &lease.account)?,
        home: lease.home.clone(),
        is_lent: lease.origin == "lend",
        fact: lease_fact(lease)?,
    })
}
