//! The Atlassian adapter passes the conformance suite against the simulated organisation.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use homeward_provider::atlassian::paths;
use homeward_provider::conformance::{Calls, Change, Profile, Trouble, Truth, World};
use homeward_provider::{AtlassianProvider, AtlassianSettings, IdentityProvider};
use homeward_simulator::config::{AlreadyMember, BadAddress, Deactivated, Quirks, RateLimit, UnknownIds, Versions};
use homeward_simulator::{
    Claim, Drift, ENDPOINTS, Fault, FaultKind, Lateness, Membership, Running, Says, Simulator, SimulatorConfig, Source, Status,
    UNKNOWN, well_known,
};
use homeward_types::{AccountId, Clock, Email, Factor, PolicyId, SystemClock, Timestamp};
use secrecy::SecretString;

/// The simulated organisation, with the adapter as it is.
pub struct SimulatedOrganisation {
    simulator: Running,
    provider: Arc<AtlassianProvider>,
}

/// The machine's clock, so many seconds ahead.
struct OffClock(i64);

impl Clock for OffClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + TimeDelta::seconds(self.0)
    }
}

fn config(profile: &Profile) -> SimulatorConfig {
    let lateness = Lateness {
        task_delay: (profile.delay / 2, profile.delay),
        read_lag: profile.lag,
        factor_lag: profile.lag,
        event_lag: profile.lag,
        ..Lateness::none()
    };
    let quirks = Quirks {
        already_member: if profile.already_member_fails { AlreadyMember::Failure } else { AlreadyMember::Success },
        bad_address: if profile.bad_address_spoils { BadAddress::RejectsBatch } else { BadAddress::FailsAlone },
        unknown_ids: if profile.unknown_id_spoils { UnknownIds::NotFound } else { UnknownIds::LeftOut },
        deactivated: if profile.disabled_moves { Deactivated::CanMove } else { Deactivated::CannotMove },
        ..Quirks::default()
    };
    SimulatorConfig {
        accounts: profile.accounts + well_known::PEOPLE.len(),
        lateness,
        quirks,
        batch_limit: profile.batch_limit,
        versions: if profile.version_kept { Versions::KeptOnReAdd } else { Versions::Fresh },
        rate_limits: profile.rate.map(|per_minute| RateLimit { path: String::new(), per_minute }).into_iter().collect(),
        rate_window: Duration::from_secs(1),
        clock: Arc::new(OffClock(profile.clock_ahead_seconds)),
        ..SimulatorConfig::default()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("a short time")
}

fn fault(what: Trouble) -> FaultKind {
    match what {
        Trouble::CutBefore => FaultKind::CutBefore,
        Trouble::CutAfter => FaultKind::CutAfter,
        Trouble::Silence => FaultKind::AppliedTimedOut { after_ms: 60_000 },
        Trouble::TooMany => FaultKind::TooManyRequests,
        Trouble::Failing => FaultKind::ServerError { status: 503 },
        Trouble::Gateway => FaultKind::Html { status: 200 },
        Trouble::Truncated => FaultKind::TruncatedJson,
        Trouble::WrongShape => FaultKind::WrongShape { status: 403 },
        Trouble::EmptyError => FaultKind::EmptyBody { status: 502 },
        Trouble::NeverApplied => FaultKind::NeverApplied { says: Says::Success },
        Trouble::AppliedLate(by) => FaultKind::AppliedLate { by_ms: millis(by), says: Says::Success },
        Trouble::FailsInPart => FaultKind::PartialBatch { only: Vec::new() },
        Trouble::Stale(by) => FaultKind::StaleRead { by_ms: millis(by) },
        Trouble::Revoked => FaultKind::RevokedKey,
    }
}

#[async_trait]
impl World for SimulatedOrganisation {
    async fn open(profile: Profile) -> Self {
        let simulator = Simulator::start(config(&profile)).await.expect("a free port");
        let mut settings = AtlassianSettings::new(well_known::ORGANISATION, SecretString::from(well_known::key::SCOPED));
        settings.unscoped_key = Some(SecretString::from(well_known::key::UNSCOPED));
        settings.base_url = simulator.provider_url.parse().expect("an address");
        settings.timeout = Duration::from_secs(5);
        let provider = AtlassianProvider::new(settings, Arc::new(SystemClock)).expect("usable settings");
        Self { simulator, provider: Arc::new(provider) }
    }

    fn provider(&self) -> Arc<dyn IdentityProvider> {
        Arc::clone(&self.provider) as Arc<dyn IdentityProvider>
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    fn home(&self) -> PolicyId {
        well_known::policy::EVERYONE.parse().expect("a policy id")
    }

    fn recovery(&self) -> PolicyId {
        well_known::policy::RECOVERY.parse().expect("a policy id")
    }

    fn members(&self, count: usize) -> Vec<(AccountId, Email)> {
        let everybody = self.simulator.truth().page(0, usize::MAX).accounts;
        let ordinary = everybody.into_iter().filter(|account| {
            account.policy.as_deref() == Some(well_known::policy::EVERYONE)
                && (account.claim, account.status, account.membership) == (Claim::Managed, Status::Active, Membership::Active)
                && account.source == Source::Invited
        });
        let members: Vec<_> = ordinary
            .take(count)
            .map(|account| (account.id.parse().expect("an account id"), account.email.parse().expect("an address")))
            .collect();
        assert_eq!(members.len(), count, "the simulated organisation is too small");
        members
    }

    fn unmanaged(&self) -> (AccountId, Email) {
        let person = well_known::UNMANAGED;
        (person.id.parse().expect("an account id"), person.email.parse().expect("an address"))
    }

    fn truth(&self, account: &AccountId) -> Option<Truth> {
        let account = self.simulator.truth().account(account.as_str())?;
        Some(Truth {
            policy: account.policy.map(|policy| policy.parse().expect("a policy id")),
            email: account.email.parse().expect("an address"),
            factor: if account.factor { Factor::Enrolled } else { Factor::Absent },
            enabled: account.status == Status::Active,
        })
    }

    fn change(&self, account: &AccountId, change: Change) {
        let drift = match change {
            Change::Email(email) => Drift::Email { email: email.into() },
            Change::SwapWith(other) => Drift::SwapEmail { with: other.into() },
            Change::Factor(enrolled) => Drift::Factor { enrolled, lost: false },
            Change::Token(label) => Drift::Token { label },
            Change::Unclaim => Drift::Unclaim {},
            Change::Delete => Drift::Delete { grace: false },
            Change::Move(policy) => Drift::Move { policy: policy.into() },
        };
        self.simulator.truth().drift(account.as_str(), drift).expect("the account can change");
    }

    fn trouble(&self, what: Trouble, calls: Calls, times: Option<u64>) {
        let path = match calls {
            Calls::Moves => "POST *add-users",
            Calls::Placements => "POST *bulk-fetch",
            Calls::Searches => "POST *users/search",
            Calls::All => "",
        };
        let fault = Fault::on(path, fault(what));
        self.simulator.truth().fault(match times {
            Some(times) => fault.times(times),
            None => fault,
        });
    }

    fn chaos(&self, probability: f64, late: Duration) {
        for fault in Fault::chaos(probability, late) {
            self.simulator.truth().fault(fault);
        }
    }

    fn calm(&self) {
        self.simulator.truth().clear_faults();
    }

    fn calls(&self) -> u64 {
        self.simulator.truth().calls().iter().map(|call| call.count).sum()
    }

    fn undocumented_calls(&self) -> u64 {
        self.simulator.truth().calls().iter().filter(|call| call.call == UNKNOWN).map(|call| call.count).sum()
    }
}

homeward_provider::conformance!(SimulatedOrganisation);

/// The adapter's list of paths and the simulator's were written apart from each other, from the same source.
#[test]
fn every_path_of_the_adapter_is_one_that_the_simulated_provider_has() {
    let bare = |call: &str| -> String {
        let segments = call.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
        segments.collect::<Vec<_>>().join("/")
    };
    let documented: Vec<String> = ENDPOINTS.iter().map(|endpoint| bare(endpoint.call)).collect();
    for endpoint in paths::ALL {
        assert!(documented.contains(&bare(endpoint.name)), "{} is not documented", endpoint.name);
    }
}
