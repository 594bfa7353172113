//! The self-test against the simulated organisation: what each kind of key can do, said without a single write.

use std::sync::Arc;
use std::time::Duration;

use homeward_provider::{
    AtlassianProvider, AtlassianSettings, Duty, Expiry, IdentityProvider, KeyName, May, Priority, ReadOutcome, Reason, SelfTest,
    ToldBy,
};
use homeward_simulator::config::{Quirks, UnlistedScope};
use homeward_simulator::{Running, Simulator, SimulatorConfig, well_known};
use homeward_types::SystemClock;
use secrecy::SecretString;

const MOVE: &str = "POST /admin/control/v1/orgs/{orgId}/auth-policy/{policyId}/add-users";
const DISABLE: &str = "POST /users/{account_id}/manage/lifecycle/disable";
const READS: usize = 12;

async fn simulator(quirks: Quirks) -> Running {
    let config = SimulatorConfig { accounts: 30, quirks, ..SimulatorConfig::default() };
    Simulator::start(config).await.expect("it starts")
}

fn settings(simulator: &Running, key: &str) -> AtlassianSettings {
    let mut settings = AtlassianSettings::new(well_known::ORGANISATION, SecretString::from(key.to_owned()));
    settings.base_url = simulator.provider_url.parse().expect("an address");
    settings.timeout = Duration::from_secs(10);
    settings
}

async fn test(settings: AtlassianSettings, duty: Duty) -> SelfTest {
    AtlassianProvider::new(settings, Arc::new(SystemClock)).expect("usable settings").self_test(duty).await
}

fn writes(simulator: &Running) -> u64 {
    let calls = simulator.truth().calls();
    let is_write =
        |call: &&homeward_simulator::CallCount| ["add-users", "lifecycle", "DELETE"].iter().any(|part| call.call.contains(part));
    calls.iter().filter(is_write).map(|call| call.count).sum()
}

#[tokio::test]
async fn a_key_without_scopes_reads_everything_and_writes_nothing_while_it_is_tested() {
    let simulator = simulator(Quirks::default()).await;
    let test = test(settings(&simulator, well_known::key::UNSCOPED), Duty::Recovery).await;
    assert_eq!(test.keys.len(), 1);
    assert_eq!(test.keys[0].reads.len(), READS);
    for read in &test.keys[0].reads {
        assert_eq!(read.outcome, ReadOutcome::Works, "{}", read.call);
    }
    assert!(test.missing().is_empty() && test.refused().next().is_none());
    assert_eq!((test.may(MOVE), test.may(DISABLE)), (May::Probably, May::Yes));
    assert_eq!(writes(&simulator), 0);
    assert!(matches!(&test.keys[0].expiry, Expiry::Unknown { why } if why.contains("key_details")));
    assert!(serde_json::to_string(&test).is_ok_and(|json| !json.contains(well_known::key::UNSCOPED)));
}

#[tokio::test]
async fn a_key_with_scopes_is_refused_by_user_management_and_the_other_key_serves_there() {
    let simulator = simulator(Quirks::default()).await;
    let mut both = settings(&simulator, well_known::key::SCOPED);
    both.unscoped_key = Some(SecretString::from(well_known::key::UNSCOPED));
    let test = test(both, Duty::Recovery).await;
    let of = |key: KeyName, call: &str| {
        let key = test.keys.iter().find(|tested| tested.key == key).expect("it was tested");
        key.writes.iter().find(|write| write.call == call).map(|write| write.may)
    };
    assert_eq!((of(KeyName::Main, MOVE), of(KeyName::Main, DISABLE)), (Some(May::Probably), Some(May::No)));
    assert_eq!(of(KeyName::Unscoped, DISABLE), Some(May::Yes));
    assert!(test.missing().is_empty());
    let manage = test.keys[0].reads.iter().find(|read| read.call.ends_with("/manage")).expect("it was tried");
    assert!(matches!(manage.outcome, ReadOutcome::Refused { reason: Reason::ScopedKeyRefused, .. }), "{manage:?}");
}

#[tokio::test]
async fn patrols_key_is_told_to_be_one_that_cannot_move_or_is_warned_about() {
    let simulator = simulator(Quirks::default()).await;
    let reader = test(settings(&simulator, well_known::key::READER), Duty::Patrol).await;
    assert_eq!(reader.may(MOVE), May::No);
    assert!(reader.missing().is_empty());
    assert!(reader.notes.iter().all(|note| note.code != "PATROL_KEY_COULD_WRITE"));
    let writer = test(settings(&simulator, well_known::key::SCOPED), Duty::Patrol).await;
    assert!(writer.notes.iter().any(|note| note.code == "PATROL_KEY_COULD_WRITE"));
}

#[tokio::test]
async fn where_scoped_keys_are_refused_the_needed_reads_are_named() {
    let simulator = simulator(Quirks { unlisted_scope: UnlistedScope::Refused, ..Quirks::default() }).await;
    let test = test(settings(&simulator, well_known::key::SCOPED), Duty::Recovery).await;
    let missing: Vec<&str> = test.missing().iter().map(|read| read.call).collect();
    assert!(missing.len() == 2 && missing.iter().any(|call| call.ends_with("bulk-fetch")), "{missing:?}");
}

#[tokio::test]
async fn a_key_that_nobody_knows_is_refused_outright() {
    let simulator = simulator(Quirks::default()).await;
    let test = test(settings(&simulator, "mistyped"), Duty::Recovery).await;
    assert_eq!(test.refused().count(), 1);
    assert_eq!(test.may(MOVE), May::No);
    assert!(test.notes.iter().any(|note| note.code == "NO_ACCOUNT"));
}

#[tokio::test]
async fn the_providers_list_tells_the_end_and_the_scopes_of_a_key_whose_name_is_known() {
    let simulator = simulator(Quirks::default()).await;
    let mut named = settings(&simulator, well_known::key::SCOPED);
    named.api_key_label = Some("scoped".into());
    let test = test(named.clone(), Duty::Recovery).await;
    assert!(matches!(test.keys[0].expiry, Expiry::At { told_by: ToldBy::Provider, .. }), "{:?}", test.keys[0].expiry);
    assert_eq!(test.may(MOVE), May::Yes);

    named.api_key_label = Some("somebody else's".into());
    named.api_key_expires = "2027-01-31".parse().ok();
    let provider = AtlassianProvider::new(named, Arc::new(SystemClock)).expect("usable settings");
    let expiries = provider.key_expiries(Priority::Evidence).await;
    assert!(matches!(expiries[0].expiry, Expiry::At { told_by: ToldBy::Configuration, .. }), "{expiries:?}");
    assert!(!expiries[0].fingerprint.contains(well_known::key::SCOPED) && expiries[0].fingerprint.len() == 12);
}

#[tokio::test]
async fn actions_that_the_log_does_not_know_are_named() {
    let simulator = simulator(Quirks::default()).await;
    let mut wrong = settings(&simulator, well_known::key::UNSCOPED);
    wrong.event_actions.factor_enrolled.insert("user.2fa_enabled".into());
    let test = test(wrong, Duty::Recovery).await;
    let note = test.notes.iter().find(|note| note.code == "EVENT_ACTION_UNKNOWN").expect("it is told");
    assert!(note.sentence.contains("factor_enrolled") && note.sentence.contains("user.2fa_enabled"));
}
