//! `PatrolService`: what the last patrol found.

use homeward_chassis::auth::authenticate;
use homeward_chassis::rpc::Refused;
use homeward_proto::patrol::v1::patrol_service_server::PatrolService;
use homeward_proto::patrol::v1::{GetReportRequest, GetReportResponse};
use homeward_proto::wire::timestamp;
use homeward_store::{Database, StoreError};
use homeward_types::{OrganisationId, Role};
use tonic::{Request, Response, Status};

use crate::finding::store;
use crate::wire;

/// The gRPC service.
pub struct PatrolRpc {
    /// Patrol's database.
    pub(crate) db: Database,
}

#[tonic::async_trait]
impl PatrolService for PatrolRpc {
    async fn get_report(&self, request: Request<GetReportRequest>) -> Result<Response<GetReportResponse>, Status> {
        authenticate(&request)?.require_any(&[Role::Operator, Role::Auditor, Role::Service])?;
        let organisation: OrganisationId =
            request.get_ref().organisation.parse().map_err(|error: homeward_types::NameError| {
                Refused::invalid(
                    "ORGANISATION_INVALID",
                    error.to_string(),
                    "give the organisation's name as the configuration has it",
                )
            })?;
        let (last, findings) = store::report(&self.db, &organisation).await.map_err(|error| unread(&error))?;
        let (at, sums) = last.map_or((None, store::Sums::default()), |(at, sums)| (Some(at), sums));
        Ok(Response::new(GetReportResponse {
            patrolled_at: at.map(timestamp),
            read_back: sums.read_back,
            seen_out: sums.seen_out,
            overdue: sums.overdue,
            findings: findings.into_iter().map(wire::finding).collect(),
        }))
    }
}

fn unread(error: &StoreError) -> Refused {
    if error.is_infrastructure() {
        return Refused::unavailable("DATABASE_UNAVAILABLE", "patrol's database does not answer", "try again in a moment");
    }
    Refused::internal(error)
}
