//! What recovery is made of while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use homeward_messaging::{Broker, Outbox};
use homeward_saga::Coordinator;
use homeward_store::Database;
use homeward_store::audit::{CheckpointFile, VerifyingKey};
use homeward_types::{Clock, Organisation, OrganisationId};
use tokio::sync::{Notify, broadcast};
use uuid::Uuid;

use crate::domain::RecoveryDomain;
use crate::grant::GrantKey;
use crate::others::Others;
use crate::people::People;
use crate::saga::RecoverySaga;

/// Everything that handlers and loops need.
pub(crate) struct Shared {
    pub(crate) db: Database,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) outbox: Outbox,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) organisations: Arc<BTreeMap<OrganisationId, Organisation>>,
    pub(crate) people: Arc<People>,
    pub(crate) key: Arc<GrantKey>,
    pub(crate) others: Others,
    pub(crate) coordinator: Coordinator<RecoverySaga, RecoveryDomain>,
    /// For questions about the procedure itself.
    pub(crate) saga: RecoverySaga,
    /// Which case changed.
    pub(crate) changed: broadcast::Sender<Uuid>,
    /// Somebody waits in a line.
    pub(crate) waiting: Arc<Notify>,
    pub(crate) audit_key: VerifyingKey,
    pub(crate) checkpoints: CheckpointFile,
    /// Where a person looks at a trace, with `{trace_id}` in place of its id.
    pub(crate) trace_link: Option<String>,
}
