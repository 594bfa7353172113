//! What readiness says while something is missing or away.

use std::time::Instant;

use homeward_types::Limits;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::site::{PATIENCE, STOP, Site};

const ROLE: &str = "notification";
const SERVICE: &str = "homeward.notification.v1.NotificationService";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_tells_what_is_missing_and_nothing_else() {
    let mut site = Site::prepare("http://127.0.0.1:9", Limits::short()).await;
    site.to_broker.cut();
    site.to_database.cut();
    site.start(ROLE, &[("HOMEWARD__STORAGE__MIGRATE", "false"), ("HOMEWARD__STORAGE__DECLARE", "false")]);
    site.until(ROLE, "waiting for the broker", |status, failing| status == 503 && failing == ["broker"]).await;
    assert_eq!(site.probe(ROLE, "/livez").await.unwrap().0, 200, "it lives, it is only not ready");

    site.to_broker.mend();
    let report = site.until(ROLE, "told of the topology", |_, _| true).await;
    assert_eq!(report["ready"], false);
    migrate(&site, &["broker"]);
    site.until(ROLE, "waiting for the database", |status, failing| status == 503 && failing == ["database"]).await;
    site.to_database.mend();
    let report = site.until(ROLE, "waiting for tables", |status, failing| status == 503 && failing == ["migrations"]).await;
    let reason = report["checks"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("run `homeward migrate notification`"), "{reason}");
    migrate(&site, &[ROLE]);
    let report = site.until(ROLE, "ready", |status, _| status == 200).await;
    assert_eq!(report["checks"].as_array().unwrap().len(), 3, "{report}");
    assert!(!report["warnings"].as_array().unwrap().is_empty(), "the test server forgets on a power cut: {report}");
    health(&site, ServingStatus::Serving).await;

    site.to_broker.cut();
    site.until(ROLE, "without its broker", |status, failing| status == 503 && failing == ["broker"]).await;
    health(&site, ServingStatus::NotServing).await;
    site.to_broker.mend();
    site.until(ROLE, "ready again", |status, _| status == 200).await;
    health(&site, ServingStatus::Serving).await;

    site.to_database.cut();
    let away = |status, failing: &[String]| status == 503 && failing.contains(&"database".to_owned());
    let report = site.until(ROLE, "without its database", away).await;
    assert_eq!(report["checks"][2]["ok"], true, "the broker is well: {report}");
    site.to_database.mend();
    site.until(ROLE, "ready again", |status, _| status == 200).await;

    let metrics = site.probe(ROLE, "/metrics").await.unwrap().1;
    assert!(metrics.contains("homeward_ready"), "{metrics}");
    let took = site.stop(ROLE).await;
    assert!(took < STOP, "{took:?}");
}

/// A process that nothing answers can still be stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_waits_for_everything_stops_when_told() {
    let mut site = Site::prepare("http://127.0.0.1:9", Limits::short()).await;
    site.to_broker.cut();
    site.start("policy", &[]);
    site.until("policy", "waiting", |status, failing| status == 503 && failing == ["broker"]).await;
    let took = site.stop("policy").await;
    assert!(took < STOP, "{took:?}");
}

fn migrate(site: &Site, what: &[&str]) {
    let done = site.run(ROLE, &["migrate"]).args(what).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Waits until gRPC health says so, of the service and of the whole.
async fn health(site: &Site, wanted: ServingStatus) {
    let channel = site.nobody(ROLE).channel().unwrap();
    for service in ["", SERVICE] {
        let began = Instant::now();
        loop {
            let request = HealthCheckRequest { service: service.to_owned() };
            let said = HealthClient::new(channel.clone()).check(request).await.map(|answer| answer.into_inner().status());
            if said.as_ref().is_ok_and(|status| *status == wanted) {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "{service:?} never was {wanted:?}: {said:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}
