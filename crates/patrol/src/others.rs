//! Policy, as patrol calls it.

use homeward_chassis::rpc::{Client, Refused, sized};
use homeward_proto::policy::v1::ReturnLeaseRequest;
use homeward_proto::policy::v1::policy_service_client::PolicyServiceClient;
use homeward_types::LeaseId;

/// Who patrol calls.
pub struct Others {
    policy: PolicyServiceClient<Client>,
}

impl Others {
    /// Policy, called with patrol's own token.
    pub fn new(policy: Client) -> Self {
        Self { policy: sized!(PolicyServiceClient::new(policy)) }
    }

    /// Asks policy to return the account of a lease. Repeating it is harmless.
    ///
    /// # Errors
    /// Policy's refusal, or that it does not answer.
    pub async fn ask_return(&self, lease: LeaseId) -> Result<(), Refused> {
        let request = ReturnLeaseRequest { lease: lease.to_string(), reason: "patrol: long overdue".into() };
        self.policy.clone().return_lease(request).await.map_err(|status| Refused::from_status(&status))?;
        Ok(())
    }
}
