//! The control side without HTTP, for whoever runs the simulator in its own process.

use crate::config::RateLimit;
use crate::effect::Effect;
use crate::faults::{Fault, FaultState};
use crate::organisation::Settings;
use crate::organisation::drift::{Drift, DriftError};
use crate::policy::{Demand, PolicyRecord};
use crate::state::{CallCount, Sim};
use crate::truth::{AccountTruth, Summary, TruthPage};

/// The ground truth of a running simulator, and the means to disturb it. Cheap to clone.
#[derive(Clone)]
pub struct Truth {
    sim: Sim,
}

impl Truth {
    pub(crate) const fn new(sim: Sim) -> Self {
        Self { sim }
    }

    /// The account of this id.
    pub fn account(&self, id: &str) -> Option<AccountTruth> {
        let organisation = self.sim.organisation();
        organisation.find(id).map(|slot| organisation.truth(slot))
    }

    /// The account that holds this address now.
    pub fn by_email(&self, email: &str) -> Option<AccountTruth> {
        let organisation = self.sim.organisation();
        organisation.find_email(email).map(|slot| organisation.truth(slot))
    }

    /// The accounts of these ids that exist, in the order of the ids.
    pub fn accounts<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Vec<AccountTruth> {
        self.sim.organisation().truths(ids)
    }

    /// A page of all accounts, from position `from` on.
    pub fn page(&self, from: usize, limit: usize) -> TruthPage {
        self.sim.organisation().truth_page(from, limit)
    }

    /// The digest of all accounts but these.
    pub fn summary<'a>(&self, exclude: impl IntoIterator<Item = &'a str>) -> Summary {
        self.sim.organisation().summary(exclude)
    }

    /// The lines of the ground-truth log after number `since`.
    pub fn log(&self, since: u64) -> Vec<Effect> {
        self.sim.organisation().effects_since(since, usize::MAX).to_vec()
    }

    /// The policies as they are.
    pub fn policies(&self) -> Vec<PolicyRecord> {
        self.sim.organisation().policies.clone()
    }

    /// How often each call of the provider was made.
    pub fn calls(&self) -> Vec<CallCount> {
        self.sim.calls()
    }

    /// Sets a fault; the answer is its number.
    pub fn fault(&self, fault: Fault) -> u64 {
        self.sim.faults.set(fault, self.sim.now())
    }

    /// Takes every fault away; the answer is how many could still have fired.
    pub fn clear_faults(&self) -> usize {
        self.sim.faults.clear(None)
    }

    /// Every fault that was ever set, with how often it fired.
    pub fn faults(&self) -> Vec<FaultState> {
        self.sim.faults.all()
    }

    /// Lets everything take effect at once that was accepted and is not done yet, however late a fault made it. The answer
    /// is how many parts of tasks that were.
    pub fn land(&self) -> usize {
        self.sim.organisation().land()
    }

    /// Changes an account behind the product's back.
    ///
    /// # Errors
    /// [`DriftError`] if the account, policy or address is not there, or the address is taken.
    pub fn drift(&self, account: &str, drift: Drift) -> Result<(), DriftError> {
        self.sim.organisation().drift(account, drift)
    }

    /// Deletes a policy; its members land in the default one.
    ///
    /// # Errors
    /// [`DriftError`] if there is no such policy, or no other that could be the default.
    pub fn delete_policy(&self, policy: &str) -> Result<(), DriftError> {
        self.sim.organisation().delete_policy(policy)
    }

    /// Changes what a policy demands.
    ///
    /// # Errors
    /// [`DriftError::NoSuchPolicy`].
    pub fn set_demand(&self, policy: &str, demand: Demand) -> Result<(), DriftError> {
        self.sim.organisation().set_demand(policy, demand)
    }

    /// Revokes the key of this label; `false` if there is none.
    pub fn revoke_key(&self, label: &str) -> bool {
        self.sim.revoke_key(label)
    }

    /// The settings as they are.
    pub fn settings(&self) -> Settings {
        self.sim.organisation().settings
    }

    /// Other settings from now on.
    pub fn set_settings(&self, settings: Settings) {
        self.sim.organisation().settings = settings;
    }

    /// Other rate limits from now on; what was counted is forgotten.
    pub fn set_rate_limits(&self, limits: Vec<RateLimit>) {
        self.sim.set_rate_limits(limits);
    }
}
