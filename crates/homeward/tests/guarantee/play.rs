//! What people and the world do on a stage, in one line each.

use std::time::Duration;

use homeward_proto::policy::v1::LeaseState;
use homeward_simulator::well_known::policy::{EVERYONE, RECOVERY};
use homeward_simulator::{AccountTruth, Drift, Fault, FaultKind};

use crate::stage::{Case, Stage};

/// Accounts that serve to earn trust in versions begin here.
const TRUSTED: usize = 12;

impl Stage {
    /// Whether this account only served to earn trust in versions.
    pub fn is_left_out(&self, account: &str) -> bool {
        self.stranded(TRUSTED).id == account
    }

    /// Waits until policy told that the lease of a case is, or was, in a state.
    pub async fn was(&self, case: &Case, state: LeaseState) {
        self.until(&format!("the lease of {} is {}", case.account.email, state.as_str_name()), async || {
            self.witness.leases().iter().any(|lease| lease.lease == case.id && lease.state() == state)
        })
        .await;
    }

    /// Whether policy ever told so.
    pub fn has_been(&self, case: &Case, state: LeaseState) -> bool {
        self.witness.leases().iter().any(|lease| lease.lease == case.id && lease.state() == state)
    }

    /// The owner sets up a factor once it is waited for.
    pub async fn enrols(&self, case: &Case) {
        self.until("enrolment is waited for", async || self.shown(case).await.step == "await-enrolment").await;
        self.drift(&case.account, Drift::Factor { enrolled: true, lost: false });
    }

    /// Waits until the case is over.
    pub async fn is_over(&self, case: &Case) {
        self.until("the case is closed", async || self.shown(case).await.closed_at.is_some()).await;
    }

    /// One account goes out and comes home, so that versions are trusted from then on.
    pub async fn earn_trust(&self) {
        let case = self.open_one(&self.stranded(TRUSTED)).await;
        self.was(&case, LeaseState::Active).await;
        self.cancel(&case).await;
        self.is_over(&case).await;
    }

    pub fn drift(&self, account: &AccountTruth, drift: Drift) {
        self.truth().drift(&account.id, drift).unwrap();
    }

    /// A fault of the next lend.
    pub fn fault_of_lend(&self, what: FaultKind) {
        self.truth().fault(Fault::on(&moves_into(RECOVERY), what).times(1));
    }

    /// A fault of the next return.
    pub fn fault_of_return(&self, what: FaultKind) {
        self.truth().fault(Fault::on(&moves_into(EVERYONE), what).times(1));
    }

    /// Waits until so many faults have fired.
    pub async fn fired(&self, count: u64) {
        self.until("the fault has happened", async || {
            self.truth().faults().iter().map(|fault| fault.fired).sum::<u64>() >= count
        })
        .await;
    }

    /// Waits until the account is in this policy, by the ground truth.
    pub async fn is_in(&self, account: &AccountTruth, policy: &str) {
        self.until("the account is there", async || self.policy_of(&account.id) == policy).await;
    }
}

/// Calls that move accounts into this policy.
pub fn moves_into(policy: &str) -> String {
    format!("POST *{policy}*add-users")
}

/// Reads of placements.
pub const PLACEMENTS: &str = "POST *bulk-fetch";

/// Reads of factors.
pub const FACTORS: &str = "POST *users/search";

/// Late beyond every patience: it lands when the scene says so.
pub const MINUTES: FaultKind = FaultKind::AppliedLate { by_ms: 10 * 60_000, says: homeward_simulator::Says::Running };

/// A little while, for what should not happen meanwhile.
pub async fn a_moment(time: Duration) {
    tokio::time::sleep(time).await;
}
