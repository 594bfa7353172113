//! `NotificationService`: what was sent.

use homeward_chassis::auth::authenticate;
use homeward_chassis::rpc::Refused;
use homeward_proto::notification::v1::notification_service_server::NotificationService;
use homeward_proto::notification::v1::{ListDeliveriesRequest, ListDeliveriesResponse};
use homeward_store::{Database, StoreError};
use homeward_types::RecoveryId;
use tonic::{Request, Response, Status};

use crate::delivery::store;
use crate::wire;

/// The gRPC service.
pub struct Notifications {
    db: Database,
}

impl Notifications {
    /// Reads from `db`.
    pub fn new(db: Database) -> Self {
        Self { db }
    }
}

#[tonic::async_trait]
impl NotificationService for Notifications {
    async fn list_deliveries(&self, request: Request<ListDeliveriesRequest>) -> Result<Response<ListDeliveriesResponse>, Status> {
        authenticate(&request)?;
        let recovery: RecoveryId = request.get_ref().recovery.parse().map_err(|_| {
            Refused::invalid("RECOVERY_ID_INVALID", "recovery is not an id", "give the id that `homeward list` shows")
        })?;
        let found = store::of_recovery(&self.db, &recovery.to_string()).await.map_err(|error| unread(&error))?;
        Ok(Response::new(ListDeliveriesResponse { deliveries: found.into_iter().map(wire::delivery).collect() }))
    }
}

fn unread(error: &StoreError) -> Refused {
    if error.is_infrastructure() {
        return Refused::unavailable("DATABASE_UNAVAILABLE", "notification's database does not answer", "try again in a moment");
    }
    Refused::internal(error)
}
