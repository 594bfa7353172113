//! The gRPC service: who may ask for what, and an answer for each item of a bulk call.

mod acts;
mod diagnose;
mod not_me;
mod problem;
mod request;
mod show;
mod watch;

use std::pin::Pin;
use std::sync::Arc;

use homeward_chassis::auth::{self, Caller};
use homeward_chassis::rpc::Refused;
use homeward_proto::recovery::v1 as wire;
use homeward_proto::recovery::v1::recovery_service_server::RecoveryService;
use homeward_types::{OrganisationId, RecoveryId, Role};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::parts::Shared;

/// Items that a bulk call may carry.
const MOST: usize = 100;

/// Who may see cases.
const READERS: &[Role] = &[Role::Requester, Role::Approver, Role::Operator, Role::Auditor, Role::Service];

/// The handlers.
#[derive(Clone)]
pub struct RecoveryRpc(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl RecoveryService for RecoveryRpc {
    async fn diagnose(&self, request: Request<wire::DiagnoseRequest>) -> Result<Response<wire::DiagnoseResponse>, Status> {
        reader(&request)?;
        Ok(Response::new(diagnose::diagnose(&self.0, request.into_inner()).await?))
    }

    async fn request_recoveries(
        &self,
        request: Request<wire::RequestRecoveriesRequest>,
    ) -> Result<Response<wire::RequestRecoveriesResponse>, Status> {
        let caller = with_role(&request, &[Role::Requester])?;
        Ok(Response::new(request::request(&self.0, &caller, request.into_inner()).await?))
    }

    async fn attach_proofs(
        &self,
        request: Request<wire::AttachProofsRequest>,
    ) -> Result<Response<wire::AttachProofsResponse>, Status> {
        let caller = with_role(&request, &[Role::Requester])?;
        let results = acts::attach_proofs(&self.0, &caller, request.into_inner().proofs).await?;
        Ok(Response::new(wire::AttachProofsResponse { results }))
    }

    async fn cast_votes(&self, request: Request<wire::CastVotesRequest>) -> Result<Response<wire::CastVotesResponse>, Status> {
        let caller = with_role(&request, &[Role::Approver])?;
        let results = acts::cast_votes(&self.0, &caller, request.into_inner().votes).await?;
        Ok(Response::new(wire::CastVotesResponse { results }))
    }

    async fn cancel_recovery(
        &self,
        request: Request<wire::CancelRecoveryRequest>,
    ) -> Result<Response<wire::CancelRecoveryResponse>, Status> {
        let caller = with_role(&request, &[Role::Requester, Role::Approver, Role::Operator])?;
        let step = acts::cancel(&self.0, &caller, request.into_inner()).await?;
        Ok(Response::new(wire::CancelRecoveryResponse { step }))
    }

    async fn confirm_reset(
        &self,
        request: Request<wire::ConfirmResetRequest>,
    ) -> Result<Response<wire::ConfirmResetResponse>, Status> {
        let caller = with_role(&request, &[Role::Requester, Role::Operator])?;
        let step = acts::confirm_reset(&self.0, &caller, request.into_inner()).await?;
        Ok(Response::new(wire::ConfirmResetResponse { step }))
    }

    async fn return_now(&self, request: Request<wire::ReturnNowRequest>) -> Result<Response<wire::ReturnNowResponse>, Status> {
        // The safe direction: anyone who is known may ask, and it is announced.
        let caller = auth::authenticate(&request)?;
        let step = acts::return_now(&self.0, &caller, request.into_inner()).await?;
        Ok(Response::new(wire::ReturnNowResponse { step }))
    }

    async fn get_recovery(
        &self,
        request: Request<wire::GetRecoveryRequest>,
    ) -> Result<Response<wire::GetRecoveryResponse>, Status> {
        reader(&request)?;
        Ok(Response::new(show::recovery(&self.0, &request.into_inner()).await?))
    }

    async fn list_recoveries(
        &self,
        request: Request<wire::ListRecoveriesRequest>,
    ) -> Result<Response<wire::ListRecoveriesResponse>, Status> {
        reader(&request)?;
        Ok(Response::new(show::recoveries(&self.0, &request.into_inner()).await?))
    }

    type WatchRecoveryStream = Pin<Box<dyn Stream<Item = Result<wire::WatchRecoveryResponse, Status>> + Send>>;

    async fn watch_recovery(
        &self,
        request: Request<wire::WatchRecoveryRequest>,
    ) -> Result<Response<Self::WatchRecoveryStream>, Status> {
        reader(&request)?;
        let stream = watch::watch(&self.0, &request.into_inner()).await?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn look_up_repudiation(
        &self,
        request: Request<wire::LookUpRepudiationRequest>,
    ) -> Result<Response<wire::LookUpRepudiationResponse>, Status> {
        Ok(Response::new(not_me::look_up(&self.0, &request.into_inner()).await?))
    }

    async fn repudiate(&self, request: Request<wire::RepudiateRequest>) -> Result<Response<wire::RepudiateResponse>, Status> {
        Ok(Response::new(not_me::repudiate(&self.0, &request.into_inner()).await?))
    }

    async fn list_incidents(
        &self,
        request: Request<wire::ListIncidentsRequest>,
    ) -> Result<Response<wire::ListIncidentsResponse>, Status> {
        reader(&request)?;
        Ok(Response::new(show::incidents(&self.0, &request.into_inner()).await?))
    }

    async fn verify_audit(
        &self,
        request: Request<wire::VerifyAuditRequest>,
    ) -> Result<Response<wire::VerifyAuditResponse>, Status> {
        with_role(&request, &[Role::Operator, Role::Auditor])?;
        Ok(Response::new(show::audit(&self.0, &request.into_inner()).await?))
    }
}

fn reader<T>(request: &Request<T>) -> Result<Caller, Refused> {
    with_role(request, READERS)
}

fn with_role<T>(request: &Request<T>, roles: &[Role]) -> Result<Caller, Refused> {
    let caller = auth::authenticate(request)?;
    caller.require_any(roles)?;
    Ok(caller)
}

/// An organisation that is configured.
fn organisation(shared: &Shared, text: &str) -> Result<OrganisationId, Refused> {
    let unknown = || {
        Refused::not_found(
            "ORGANISATION_UNKNOWN",
            format!("no organisation is called {text:?}"),
            "use one of the names under `organisations` in the configuration",
        )
    };
    let id: OrganisationId = text.parse().map_err(|_| unknown())?;
    if shared.organisations.contains_key(&id) { Ok(id) } else { Err(unknown()) }
}

/// The id of a recovery.
fn recovery_id(text: &str) -> Result<RecoveryId, Refused> {
    text.parse().map_err(|_| {
        Refused::invalid(
            "RECOVERY_ID_INVALID",
            format!("{text:?} is not the id of a recovery"),
            "copy the id from `homeward list`, for example 018f3c1e-…",
        )
    })
}

/// At most [`MOST`] items.
fn not_too_many(items: usize) -> Result<(), Refused> {
    if items <= MOST {
        return Ok(());
    }
    Err(Refused::invalid("TOO_MANY", format!("{items} items in one call; at most {MOST} are allowed"), "split the call"))
}

/// How many rows a page has.
fn page_size(asked: i32) -> i64 {
    if asked <= 0 { 100 } else { i64::from(asked.min(1_000)) }
}

/// A person's words, as they may be stored.
fn words(field: &'static str, text: &str, most: usize) -> Result<String, Refused> {
    let length = text.chars().count();
    if length > most {
        let problem = format!("{field} has {length} characters; at most {most} are allowed");
        return Err(Refused::invalid("TOO_LONG", problem, "say it in fewer words"));
    }
    Ok(text.trim().replace('\0', "\u{fffd}"))
}
