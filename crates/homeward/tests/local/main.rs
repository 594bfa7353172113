//! Starts Homeward as separate processes by deploy/local/homeward.sh, two replicas of each, over TLS and with as few rights as in
//! compose; plays the story; kills a replica; stops all of it.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod rights;
mod site;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use site::Site;

/// What compose says and this machine does otherwise: where letters and traces go.
const ELSEWHERE: [&str; 5] = [
    "HOMEWARD__TELEMETRY__OTLP__ADDRESS",
    "HOMEWARD__NOTIFICATION__SMTP__URL",
    "HOMEWARD__NOTIFICATION__FROM",
    "HOMEWARD__NOTIFICATION__OUTBOX",
    "HOMEWARD__NOTIFICATION__TRANSPORT",
];

/// A panel or an alert needs each of these; after one recovery all are there.
const MEASURED: [&str; 8] = [
    "homeward_accounts_out{",
    "homeward_lease_open{",
    "homeward_lease_overdue{",
    "homeward_lease_exposure_seconds_bucket{",
    "homeward_return_latency_seconds_bucket{",
    "homeward_attempt_total{",
    "homeward_outbox_lag_seconds",
    "homeward_saga_step_duration_seconds_bucket{",
];

/// How long a killed replica may take to be missed.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_of_every_service_play_the_story_and_leave_nothing_behind() {
    let began = Instant::now();
    let site = Site::up(2);
    let up_after = began.elapsed();
    let status = site.status();
    assert!(status.all_ready, "{}", status.text);
    assert_eq!(status.text.lines().filter(|line| line.contains(" ready ")).count(), 12, "{}", status.text);

    environments_are_those_of_compose(&site);
    rights::are_as_few_as_promised(&site).await;

    let told = site.homeward(&["demo", "--remote"]);
    assert!(told.status.success(), "{}", site::said(&told));
    let story_after = began.elapsed();
    everything_is_measured(&site).await;

    // kill -9 of one replica: it is missed, and the starter brings it back.
    site.kill("policy-0");
    wait_until("policy-0 is missed", || {
        site.status().text.lines().any(|line| line.starts_with("policy-0") && line.ends_with("gone"))
    });
    assert!(!site.status().all_ready);
    let again = site::script(&["up", &site.folder(), "--replicas", "2"]);
    assert!(again.status.success(), "{}", site::said(&again));
    assert!(site.status().all_ready);

    let stopping = Instant::now();
    site.down();
    assert_eq!(site.left_running(), Vec::<String>::new());
    println!(
        "up after {up_after:.1?}, the story was told after {story_after:.1?}, down within {:.1?}, all in {:.1?}",
        stopping.elapsed(),
        began.elapsed()
    );
}

fn environments_are_those_of_compose(site: &Site) {
    let top = site::top();
    let compose: Value = serde_saphyr::from_str(&std::fs::read_to_string(top.join("docker-compose.yml")).unwrap()).unwrap();
    let elsewhere = |name: &String| !ELSEWHERE.contains(&name.as_str());
    for role in ["directory", "policy", "recovery", "notification", "patrol", "console"] {
        let theirs = compose["services"][role]["environment"].as_object().unwrap();
        let theirs: BTreeMap<_, _> = theirs.iter().filter(|(name, _)| elsewhere(name)).collect();
        let ours = site.environment(&format!("{role}-1"));
        let ours: BTreeMap<_, _> = ours.iter().filter(|(name, _)| elsewhere(name)).collect();
        assert_eq!(ours.keys().collect::<BTreeSet<_>>(), theirs.keys().collect::<BTreeSet<_>>(), "{role}");
        for name in
            ["HOMEWARD__STORAGE__MIGRATE", "HOMEWARD__STORAGE__DECLARE", "HOMEWARD__TELEMETRY__LOG_FORMAT"].map(str::to_owned)
        {
            assert_eq!(ours[&name], theirs[&name].as_str().unwrap(), "{role}: {name}");
        }
    }
}

async fn everything_is_measured(site: &Site) {
    let mut pages = String::new();
    for address in site.probes() {
        pages.push_str(&site::get(&format!("{address}/metrics")).await);
    }
    let missing: Vec<_> = MEASURED.iter().filter(|name| !pages.contains(**name)).collect();
    assert!(missing.is_empty(), "no page shows {missing:?}");
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} until {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_command_line_that_makes_no_sense_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().display().to_string();
    for wrong in [
        vec!["up", &folder, "--replicas", "0"],
        vec!["up", &folder, "--replicas", "21"],
        vec!["up", &folder, "--replica", "2"],
        vec!["rise"],
    ] {
        let output = site::script(&wrong);
        assert!(!output.status.success(), "{wrong:?}");
        assert!(!std::path::Path::new(&folder).join("base").exists(), "{wrong:?}");
    }
}
