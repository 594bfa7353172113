//! What the servers can do at the most, on the same machine at the same time of day: a recovery cannot be cheaper than the
//! commits and confirms that it is made of.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use homeward_chassis::telemetry::TraceContext;
use homeward_messaging::{Broker, Envelope, QueueSpec, RabbitBroker};
use homeward_types::{Clock, MessageId, SystemClock};
use homeward_world::Cluster;
use homeward_world::cluster::program;
use uuid::Uuid;

use crate::part;

/// How long each is measured.
const LONG: Duration = Duration::from_secs(8);
/// Connections that commit at once: about as many as the services keep busy.
const CLIENTS: usize = 8;
/// Messages that wait for their confirms together, as an outbox publishes them.
const FLIGHT: usize = 100;

/// A queue of the measurement's own.
const QUEUE: QueueSpec = QueueSpec::new("bench.floor", &["bench.command.*.v1"]);

/// Prints both.
pub async fn measure(cluster: &Cluster) -> anyhow::Result<()> {
    let commits = commits(cluster)?;
    println!("floor          {commits:.0} commits a second (pgbench, one update and one insert each, {CLIENTS} clients)");
    for (publishers, flight) in [(CLIENTS, 1), (CLIENTS, FLIGHT)] {
        let confirmed = publishes(cluster, publishers, flight).await?;
        println!(
            "floor          {confirmed:.0} confirmed publishes a second to a quorum queue ({publishers} publishers, {flight} a flight)"
        );
    }
    Ok(())
}

fn commits(cluster: &Cluster) -> anyhow::Result<f64> {
    cluster.servers.ask(
        "CREATE TABLE IF NOT EXISTS floor (id BIGINT PRIMARY KEY, n BIGINT NOT NULL); \
         INSERT INTO floor SELECT g, 0 FROM generate_series(1, 10000) g ON CONFLICT DO NOTHING; \
         CREATE TABLE IF NOT EXISTS floor_log (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at TIMESTAMPTZ NOT NULL, text TEXT NOT NULL)",
    )?;
    let script = tempfile::NamedTempFile::new().context("a file for the script")?;
    std::fs::write(
        script.path(),
        "\\set id random(1, 10000)\nBEGIN;\nUPDATE floor SET n = n + 1 WHERE id = :id;\n\
         INSERT INTO floor_log (at, text) VALUES (now(), 'what a step writes, about as long as one');\nCOMMIT;\n",
    )?;
    let mut pgbench = Command::new(program("pgbench")?);
    cluster.servers.address(&mut pgbench)?;
    pgbench.args(["--no-vacuum", "--jobs", "2", "--client", &CLIENTS.to_string(), "--time", &LONG.as_secs().to_string()]);
    let done = pgbench.arg("--file").arg(script.path()).arg("homeward").output().context("running pgbench")?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    ensure!(done.status.success(), "pgbench: {said} {}", String::from_utf8_lossy(&done.stderr));
    let tps = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next()?.parse().ok());
    tps.with_context(|| format!("pgbench did not say how many: {said}"))
}

async fn publishes(cluster: &Cluster, publishers: usize, flight: usize) -> anyhow::Result<f64> {
    let (address, authority) = cluster.servers.broker()?;
    let broker = RabbitBroker::new(&address, &[QUEUE], "floor", Arc::new(SystemClock)).context("the broker's address")?;
    let broker = Arc::new(broker.trusting(authority));
    broker.connect().await.context("connecting to the broker")?;
    let (began, mut working) = (Instant::now(), tokio::task::JoinSet::new());
    for _ in 0..publishers {
        let broker = Arc::clone(&broker);
        working.spawn(async move {
            let mut confirmed = 0;
            while began.elapsed() < LONG {
                let answers = broker.publish((0..flight).map(|_| envelope()).collect()).await;
                ensure!(answers.iter().all(Result::is_ok), "not confirmed: {answers:?}");
                confirmed += flight;
            }
            Ok(confirmed)
        });
    }
    let mut confirmed = 0;
    while let Some(done) = working.join_next().await {
        confirmed += done??;
    }
    let a_second = part(confirmed, 1) / began.elapsed().as_secs_f64();
    cluster.servers.purge(QUEUE.name).await?;
    Ok(a_second)
}

/// As large as most of ours.
fn envelope() -> Arc<Envelope> {
    Arc::new(Envelope {
        id: MessageId::new(&SystemClock),
        kind: "bench.command.floor.v1".to_owned(),
        organisation: "northwind".parse().unwrap_or_else(|_| unreachable!("a plain word is a name")),
        correlation: Uuid::new_v4(),
        causation: None,
        idempotency_key: Uuid::new_v4().to_string(),
        sender: "bench".to_owned(),
        sender_number: 1,
        entity_version: 1,
        trace: TraceContext::default(),
        at: SystemClock.now(),
        expires_at: None,
        payload: Bytes::from(vec![7; 200]),
    })
}
