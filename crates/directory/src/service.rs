//! `DirectoryService`: answers questions about accounts. Changes nothing but the replica.

use std::collections::BTreeMap;
use std::sync::Arc;

use homeward_chassis::auth::{Caller, authenticate};
use homeward_chassis::rpc::Refused;
use homeward_proto::directory::v1::directory_service_server::DirectoryService;
use homeward_proto::directory::v1::{
    FindAccountsRequest, FindAccountsResponse, Finding, GetSyncRequest, GetSyncResponse, ListAccountsRequest,
    ListAccountsResponse,
};
use homeward_proto::wire::timestamp;
use homeward_store::StoreError;
use homeward_types::{OrganisationId, Role};
use tonic::{Request, Response, Status};

use crate::account::store::find as replica;
use crate::find::allowance::Allowance;
use crate::find::find;
use crate::sync::store as sweeps;
use crate::tenant::Tenant;
use crate::{watch, wire};

/// Queries in one call.
const QUERIES: usize = 100;
/// Characters of a query; no address, id or name is longer.
const LONGEST: usize = 300;

/// Who may look for accounts: whoever opens, decides or watches over recoveries, and the services.
const FINDERS: [Role; 5] = [Role::Requester, Role::Approver, Role::Operator, Role::Auditor, Role::Service];
/// Who may list them.
const LISTERS: [Role; 3] = [Role::Operator, Role::Auditor, Role::Service];

/// The gRPC service.
pub struct DirectoryRpc {
    pub(crate) tenants: Arc<BTreeMap<OrganisationId, Arc<Tenant>>>,
    pub(crate) allowance: Allowance,
}

#[tonic::async_trait]
impl DirectoryService for DirectoryRpc {
    async fn find_accounts(&self, request: Request<FindAccountsRequest>) -> Result<Response<FindAccountsResponse>, Status> {
        let caller = authenticate(&request)?;
        caller.require_any(&FINDERS)?;
        let request = request.into_inner();
        let tenant = self.tenant(&request.organisation)?;
        check(&request.queries)?;
        let misses = |wanted| self.misses(&caller, wanted, tenant);
        let answer = find(tenant, &request.queries, misses).await.map_err(|error| unavailable(&error))?;
        let findings = request.queries.into_iter().zip(&answer.found).map(|(query, found)| Finding {
            query,
            matches: found.matches.iter().filter_map(wire::account).collect(),
            closest: found.closest.iter().filter_map(wire::candidate).collect(),
        });
        Ok(Response::new(FindAccountsResponse {
            findings: findings.collect(),
            unreachable_since: answer.unreachable_since.map(timestamp),
        }))
    }

    async fn list_accounts(&self, request: Request<ListAccountsRequest>) -> Result<Response<ListAccountsResponse>, Status> {
        authenticate(&request)?.require_any(&LISTERS)?;
        let request = request.into_inner();
        let tenant = self.tenant(&request.organisation)?;
        let size = page_size(request.page_size)?;
        let page = replica::page(&tenant.db, tenant.id(), &request.after, size).await.map_err(|error| unavailable(&error))?;
        let full = i64::try_from(page.len()).is_ok_and(|length| length == size);
        let last = page.last().filter(|_| full).map(|account| account.id.to_string());
        Ok(Response::new(ListAccountsResponse {
            accounts: page.iter().filter_map(wire::account).collect(),
            next_after: last.unwrap_or_default(),
        }))
    }

    async fn get_sync(&self, request: Request<GetSyncRequest>) -> Result<Response<GetSyncResponse>, Status> {
        authenticate(&request)?;
        let tenant = self.tenant(&request.get_ref().organisation)?;
        sync(tenant).await.map(Response::new).map_err(|error| unavailable(&error).into())
    }
}

async fn sync(tenant: &Tenant) -> Result<GetSyncResponse, StoreError> {
    let sweep = sweeps::read(&tenant.db, tenant.id()).await?;
    let completed_at = sweep.as_ref().and_then(|sweep| sweep.completed_at);
    let accounts = match sweep.filter(|sweep| sweep.completed_at.is_some()) {
        Some(sweep) => sweep.accounts,
        None => replica::count(&tenant.db, tenant.id()).await?,
    };
    let schedule = watch::store::schedule(&tenant.db, tenant.id(), tenant.now()).await?;
    Ok(GetSyncResponse {
        accounts,
        last_full_sync: completed_at.map(timestamp),
        unreachable_since: tenant.silence.since(tenant.id()).map(timestamp),
        watched: schedule.watched,
    })
}

impl DirectoryRpc {
    fn tenant(&self, organisation: &str) -> Result<&Arc<Tenant>, Refused> {
        let known = organisation.parse::<OrganisationId>().ok().and_then(|organisation| self.tenants.get(&organisation));
        known.ok_or_else(|| {
            Refused::not_found(
                "ORGANISATION_UNKNOWN",
                format!("directory does not know the organisation {organisation:?}"),
                "use the name under which the configuration has it",
            )
        })
    }

    /// For how many queries the caller gets close misses now.
    fn misses(&self, caller: &Caller, wanted: usize, tenant: &Tenant) -> usize {
        let person = caller.person();
        let granted = self.allowance.take(&person.id, person.may(Role::Service), wanted, tenant.now());
        if granted < wanted {
            tracing::info!(caller = %person.id, wanted, granted, "a caller has asked for many close misses and gets fewer");
        }
        granted
    }
}

fn check(queries: &[String]) -> Result<(), Refused> {
    if queries.len() > QUERIES {
        return Err(Refused::invalid(
            "TOO_MANY_QUERIES",
            format!("{} queries in one call; at most {QUERIES} are answered", queries.len()),
            "ask in several calls",
        ));
    }
    match queries.iter().position(|query| query.trim().is_empty() || query.chars().count() > LONGEST) {
        None => Ok(()),
        Some(at) => Err(Refused::invalid(
            "QUERY_INVALID",
            format!("query {} is empty or longer than {LONGEST} characters", at + 1),
            "give an e-mail address, an account id or a name",
        )),
    }
}

fn page_size(asked: i32) -> Result<i64, Refused> {
    match asked {
        0 => Ok(100),
        1..=1_000 => Ok(i64::from(asked)),
        _ => Err(Refused::invalid(
            "PAGE_SIZE_INVALID",
            format!("page_size is {asked}"),
            "give a number from 1 to 1000, or 0 for 100",
        )),
    }
}

fn unavailable(error: &StoreError) -> Refused {
    if error.is_infrastructure() {
        tracing::warn!(error = homeward_chassis::error_chain(error), "a call could not be answered: the database is in trouble");
        return Refused::unavailable("DATABASE_UNAVAILABLE", "directory's database does not answer", "try again in a moment");
    }
    Refused::internal(error)
}
