//! A storm: everything that can befall a provider within a span of time, from one seed.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::{Fault, FaultKind};
use crate::organisation::drift::Drift;
use crate::well_known::DOMAIN;

/// What comes and goes by chance ([`Fault::chaos`]), answers that never come, windows in which nobody answers or the key is
/// refused, and accounts that are renamed, deactivated or deleted between two calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storm {
    /// When each thing happens, for how long, and to whom.
    pub seed: u64,
    /// How long the storm lasts, in milliseconds from when it is set.
    pub for_ms: u64,
    /// How likely each request is to be met by each fault that comes by chance.
    pub probability: f64,
    /// How late an effect may be and how old a read, in milliseconds.
    pub late_ms: u64,
    /// Ids of the accounts that change, once each.
    #[serde(default)]
    pub accounts: Vec<String>,
}

impl Storm {
    /// The faults that make it up. The same storm is the same faults.
    pub fn faults(&self) -> Vec<Fault> {
        let mut rng = SmallRng::seed_from_u64(self.seed ^ 0x0005_7012_35ee_d000);
        let mut faults = Fault::chaos(self.probability, Duration::from_millis(self.late_ms));
        let silence = FaultKind::AppliedTimedOut { after_ms: self.late_ms };
        faults.push(Fault::on("", silence).with_probability(self.probability));
        for fault in &mut faults {
            fault.for_ms = Some(self.for_ms);
        }
        for _ in 0..rng.random_range(1..=3) {
            faults.push(self.window(FaultKind::Outage, &mut rng));
        }
        faults.push(self.window(FaultKind::RevokedKey, &mut rng));
        for (number, account) in self.accounts.iter().enumerate() {
            let drift = change(number, &mut rng);
            let happens = FaultKind::Meanwhile { account: account.clone(), drift };
            let from_ms = rng.random_range(0..=self.for_ms);
            faults.push(Fault { from_ms, ..Fault::on("", happens).times(1) });
        }
        faults
    }

    /// A part of the storm, from a fortieth to a tenth of it.
    fn window(&self, what: FaultKind, rng: &mut SmallRng) -> Fault {
        let length = rng.random_range(self.for_ms / 40..=self.for_ms / 10).max(1);
        let from_ms = rng.random_range(0..=self.for_ms.saturating_sub(length));
        Fault { from_ms, for_ms: Some(length), ..Fault::on("", what) }
    }
}

/// One of the changes that nobody announces; each kind in turn, from a place that the seed chooses.
fn change(number: usize, rng: &mut SmallRng) -> Drift {
    let stamp: u32 = rng.random();
    match number % 4 {
        0 => Drift::Rename { name: format!("Renamed {stamp:x}") },
        1 => Drift::Deactivate {},
        2 => Drift::Delete { grace: false },
        _ => Drift::Email { email: format!("renamed.{number}.{stamp:x}@{DOMAIN}") },
    }
}
