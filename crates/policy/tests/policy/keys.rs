//! The provider's keys: their ends are told in time, a refusal at once, and the first moves show what only a move can.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;
use homeward_policy::keys::announce;
use homeward_proto::policy::v1::{GetExposureRequest, GetExposureResponse, IncidentOpened, LeaseNews};
use homeward_proto::words::v1 as words;
use homeward_provider::{Expiry, KeyExpiry, KeyName, ToldBy};
use homeward_simulator::{Fault, FaultKind};
use homeward_types::{ManualClock, Timestamp};

use crate::stage::{ORGANISATION, Plan, Stage, on_both, until};

/// Incidents of this kind, each once.
fn told(stage: &Stage, kind: &str) -> Vec<IncidentOpened> {
    let mut seen = BTreeSet::new();
    stage.audience.heard(|heard| {
        let of_kind = heard.incidents.iter().filter(|incident| incident.kind == kind);
        of_kind.filter(|incident| seen.insert(incident.incident.clone())).cloned().collect()
    })
}

async fn exposure(stage: &Stage) -> GetExposureResponse {
    stage.rpc(0).get_exposure(GetExposureRequest { organisation: ORGANISATION.into() }).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keys_end_is_told_at_each_step_and_only_once() {
    on_both(Plan::default, async |stage| {
        // Long ago, so that the running process takes over what this one claims and never sends.
        let at = Timestamp::from_timestamp(1_700_000_000, 0).unwrap();
        let clock = Arc::new(ManualClock::new(at - TimeDelta::days(40)));
        let site = stage.site(clock.clone()).await;
        let expiry = |key, fingerprint: &str| {
            let expiry = Expiry::At { at, told_by: ToldBy::Provider };
            KeyExpiry { key, fingerprint: fingerprint.into(), expiry }
        };
        let unknown = Expiry::Unknown { why: "nobody said".into() };
        let unknown = KeyExpiry { expiry: unknown, ..expiry(KeyName::Unscoped, "other") };
        let keys = [expiry(KeyName::Main, "old"), unknown];
        for (days, expected) in [(31, 0), (29, 1), (20, 1), (7, 2), (6, 2), (1, 3), (0, 4), (-5, 4)] {
            clock.set(at - TimeDelta::days(days));
            announce(&site, &keys).await.unwrap();
            announce(&site, &keys).await.unwrap();
            until(&format!("{expected} notices {days} days before"), async || told(&stage, "key_expires").len() == expected)
                .await;
        }
        let all = told(&stage, "key_expires");
        assert!(all[0].sentence.contains("less than 30 day(s)") && all[3].sentence.contains("has ended"), "{all:?}");
        assert_eq!(all[0].next_at.map(|at| at.seconds), Some((at - TimeDelta::days(7)).timestamp()));
        // A new key that ends as soon is another matter.
        announce(&site, &[expiry(KeyName::Main, "new")]).await.unwrap();
        until("the new key is told of", async || told(&stage, "key_expires").len() == 5).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_key_is_told_and_returns_go_on_being_tried() {
    on_both(Plan::default, async |stage| {
        let account = stage.stranded(1);
        let lease = stage.lend(&account).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
        stage.truth().fault(Fault::on("", FaultKind::RevokedKey));
        stage.ask_back(lease, &account).await;
        let incident = stage.audience.incident("key_refused").await;
        assert!(incident.sentence.contains("KEY_REFUSED") && incident.next_action.contains("returns are tried"), "{incident:?}");
        stage.truth().clear_faults();
        assert_eq!(stage.audience.news(lease, LeaseNews::Closed).await.end(), words::LeaseEnd::Home);
        assert!(told(&stage, "key_refused").len() <= 2, "once for each call: {:?}", told(&stage, "key_refused"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_lend_and_return_show_how_the_provider_is() {
    on_both(Plan::default, async |stage| {
        let before = exposure(&stage).await;
        assert_eq!((before.task_read.as_str(), before.lend_version.as_str(), before.versions_trusted), ("", "", false));
        stage.earn_trust().await;
        until("everything was judged", async || !exposure(&stage).await.return_version.is_empty()).await;
        let after = exposure(&stage).await;
        assert_eq!((after.lend_version.as_str(), after.return_version.as_str(), after.versions_trusted), ("grew", "grew", true));
        assert_eq!(after.task_read, "works");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_that_the_key_may_not_read_are_told() {
    on_both(Plan::default, async |stage| {
        stage.truth().fault(Fault::on("GET *auth-policy/task*", FaultKind::EmptyBody { status: 403 }));
        stage.earn_trust().await;
        let incident = stage.audience.incident("task_unreadable").await;
        assert!(incident.safe_action.contains("write:policies:admin"), "{incident:?}");
        assert!(exposure(&stage).await.task_read.starts_with("refused"));
    })
    .await;
}
