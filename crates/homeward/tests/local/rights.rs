//! What a service cannot do with its own database role and broker user, tried on the real servers.

use std::process::Command;
use std::sync::Arc;

use homeward_chassis::error_chain;
use homeward_messaging::{Broker, Envelope, RabbitBroker, topology};
use homeward_types::{Clock, SystemClock};

use crate::site::Site;

/// Fails with what is allowed and should not be.
pub async fn are_as_few_as_promised(site: &Site) {
    database(site);
    broker(site).await;
}

fn database(site: &Site) {
    let as_recovery = |sql: &str| psql(&site.prepared("recovery/database.url"), sql);
    assert_eq!(as_recovery("SELECT count(*) >= 0 FROM recovery.migration"), Ok("t".to_owned()));
    for (sql, refusal) in [
        ("SELECT 1 FROM policy.lease", "permission denied for schema policy"),
        ("CREATE TABLE recovery.mine (i INTEGER)", "permission denied for schema recovery"),
        ("CREATE SCHEMA mine", "permission denied for database"),
        ("TRUNCATE recovery.migration", "permission denied for table migration"),
        ("DROP TABLE recovery.migration", "must be owner of table migration"),
    ] {
        let refused = as_recovery(sql).unwrap_err();
        assert!(refused.contains(refusal), "{sql}: {refused}");
    }
    let plain = site.prepared("recovery/database.url").replace("sslmode=verify-full", "sslmode=disable");
    assert!(psql(&plain, "SELECT 1").unwrap_err().contains("no encryption"), "without TLS nobody comes in");
}

fn psql(address: &str, sql: &str) -> Result<String, String> {
    let output =
        Command::new("psql").args([address, "--no-psqlrc", "--tuples-only", "--no-align", "--command", sql]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

async fn broker(site: &Site) {
    let of = |role: &str| {
        let address = site.prepared(&format!("{role}/broker.url"));
        let broker = RabbitBroker::new(&address, topology::QUEUES, "a test", Arc::new(SystemClock)).unwrap();
        broker.trusting(site.prepared("notification/ca.pem")).without_declaring()
    };
    let notification = of("notification");
    notification.check().await.unwrap();
    let refused = |error: String| error.contains("ACCESS_REFUSED") || error.contains("access to");
    let taken = notification.subscribe(&topology::POLICY_LEND).await.err().map(|error| error_chain(&error));
    assert!(taken.clone().is_some_and(refused), "notification takes policy's messages: {taken:?}");
    // An account moves on recovery's word only, and lends need its signature besides.
    for kind in ["policy.command.return-account.v1", "policy.command.lend-account.v1", "policy.event.lease-closed.v1"] {
        let said = notification.publish(vec![Arc::new(message(kind))]).await.remove(0).err().map(|error| error_chain(&error));
        assert!(said.clone().is_some_and(refused), "notification says {kind}: {said:?}");
    }
}

fn message(kind: &str) -> Envelope {
    Envelope {
        id: homeward_types::Id::new(&SystemClock),
        kind: kind.to_owned(),
        organisation: "northwind".parse().unwrap(),
        correlation: uuid::Uuid::nil(),
        causation: None,
        idempotency_key: "a test".to_owned(),
        sender: "notification".to_owned(),
        sender_number: 1,
        entity_version: 0,
        trace: homeward_chassis::telemetry::TraceContext::default(),
        at: SystemClock.now(),
        expires_at: None,
        payload: Vec::new().into(),
    }
}
