//! What all requests share: the organisation and its keys, faults, limits and counters, each behind a short lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use homeward_types::Clock;
use serde::{Deserialize, Serialize};

use crate::config::{RateLimit, SimulatorConfig};
use crate::faults::Faults;
use crate::keys::{ApiKey, KeyRecord};
use crate::limiter::Limiter;
use crate::organisation::{Organisation, Settings, micros};
use crate::seed;
use crate::seed::csv::CsvError;
use crate::timeline::Moment;

/// Takes a lock. A holder that panicked leaves data that is still whole: every change is a plain assignment.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often one call was made, by what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCount {
    /// `METHOD /path/{parameter}`, as documented; `unknown` for a path that the provider does not have.
    pub call: String,
    /// The status that was answered; 0 for a connection that was cut.
    pub status: u16,
    /// How often.
    pub count: u64,
}

/// Everything behind the two ports.
pub(crate) struct State {
    organisation: Mutex<Organisation>,
    pub(crate) keys: Mutex<Vec<KeyRecord>>,
    pub(crate) faults: Faults,
    pub(crate) limiter: Limiter,
    calls: Mutex<BTreeMap<(&'static str, u16), u64>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) provider_url: String,
    pub(crate) control_url: String,
    pub(crate) control_token: String,
}

/// The state as handlers hold it.
pub(crate) type Sim = Arc<State>;

impl State {
    /// The organisation that `config` asks for, reached at `urls` (provider, control).
    ///
    /// # Errors
    /// [`CsvError`] if the accounts come from a file that cannot be used.
    pub(crate) fn new(config: &SimulatorConfig, urls: (String, String)) -> Result<Self, CsvError> {
        let settings = Settings {
            lateness: config.lateness.faster(config.time_scale),
            versions: config.versions,
            quirks: config.quirks,
            batch_limit: config.batch_limit,
        };
        let now = config.clock.now().timestamp_micros();
        let (policies, accounts) = seed::organisation(config, now)?;
        let mut organisation = Organisation::new(settings, policies, accounts, config.seed);
        organisation.advance_to(now);
        let keys = config.keys.iter().map(|key| record(key, &mut organisation, now)).collect();
        let faults = Faults::new(config.seed);
        for fault in &config.faults {
            faults.set(fault.clone(), now);
        }
        Ok(Self {
            organisation: Mutex::new(organisation),
            keys: Mutex::new(keys),
            faults,
            limiter: Limiter::new(config.rate_limits.clone(), config.rate_window),
            calls: Mutex::new(BTreeMap::new()),
            clock: Arc::clone(&config.clock),
            provider_url: urls.0,
            control_url: urls.1,
            control_token: config.control_token.clone(),
        })
    }

    /// The organisation, brought to the present.
    pub(crate) fn organisation(&self) -> MutexGuard<'_, Organisation> {
        let mut organisation = lock(&self.organisation);
        organisation.advance(&*self.clock);
        organisation
    }

    pub(crate) fn now(&self) -> Moment {
        self.clock.now().timestamp_micros()
    }

    /// How long this answer takes by the settings.
    pub(crate) fn answer_delay(&self) -> Duration {
        let mut organisation = lock(&self.organisation);
        let range = organisation.settings.lateness.answer;
        organisation.draw(range)
    }

    pub(crate) fn count(&self, call: &'static str, status: u16) {
        *lock(&self.calls).entry((call, status)).or_default() += 1;
    }

    /// How often each call was made.
    pub(crate) fn calls(&self) -> Vec<CallCount> {
        let count = |((call, status), count): (&(&'static str, u16), &u64)| CallCount {
            call: (*call).to_owned(),
            status: *status,
            count: *count,
        };
        lock(&self.calls).iter().map(count).collect()
    }

    /// Revokes the key of this label; `false` if there is none.
    pub(crate) fn revoke_key(&self, label: &str) -> bool {
        let mut keys = lock(&self.keys);
        let mut found = false;
        for record in keys.iter_mut().filter(|record| record.key.label == label) {
            record.revoked = true;
            found = true;
        }
        found
    }

    /// Other rate limits from now on.
    pub(crate) fn set_rate_limits(&self, limits: Vec<RateLimit>) {
        self.limiter.replace(limits);
    }
}

fn record(key: &ApiKey, organisation: &mut Organisation, now: Moment) -> KeyRecord {
    let expires = now.saturating_add(micros(Duration::from_secs(key.life_seconds)));
    KeyRecord { key: key.clone(), id: organisation.new_id(), made: now, expires, revoked: false }
}
