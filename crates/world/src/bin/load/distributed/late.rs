//! How late timers are: recoveries whose approval runs out at the same moment.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use homeward_world::Cluster;

/// How many fall due at once.
const AT_ONCE: usize = 10_000;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// Waits until every outbox is empty and no letter waits.
pub async fn at_rest(cluster: &Cluster) -> anyhow::Result<()> {
    let sql = "SELECT (SELECT count(*) FROM recovery.outbox) + (SELECT count(*) FROM notification.outbox) \
               + (SELECT count(*) FROM notification.delivery WHERE state = 'pending')";
    until(cluster, sql, "0").await
}

async fn until(cluster: &Cluster, sql: &str, wanted: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    while cluster.servers.ask(sql)? != wanted {
        ensure!(began.elapsed() < PATIENCE, "{sql} is not {wanted} within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Moves the beginning of the present step of some of them, so that their deadlines are the same moment, while recovery does not
/// run; then starts it and looks when each was closed.
pub async fn measure(cluster: &mut Cluster) -> anyhow::Result<()> {
    for service in cluster.of("recovery") {
        service.stop()?;
    }
    // The approval's deadline counts from the moment at which the step was entered.
    let moved = cluster.servers.ask(&format!(
        "WITH chosen AS (SELECT id FROM recovery.saga WHERE step = 'approve' LIMIT {AT_ONCE}), due AS (SELECT now() + interval '15 seconds' AS at) \
         , moved AS (UPDATE recovery.saga s SET entered_at = s.entered_at - (s.due_at - due.at), due_at = due.at FROM due \
         WHERE s.id IN (SELECT id FROM chosen) RETURNING 1) SELECT count(*) FROM moved"
    ))?;
    let due = cluster.servers.ask("SELECT max(due_at) FROM recovery.saga WHERE due_at < now() + interval '1 minute'")?;
    for service in cluster.of("recovery") {
        service.start()?;
        service.ready(Duration::from_mins(1)).await?;
    }
    // The first thing in each case's timeline from that moment on: its expiry.
    let late = format!(
        "SELECT 1000 * extract(epoch FROM min(at) - '{due}')::float8 AS ms FROM recovery.timeline WHERE at >= '{due}' GROUP BY recovery"
    );
    until(cluster, &format!("SELECT count(*) FROM ({late}) t"), &moved).await.context("recoveries whose approval ran out")?;
    let late = cluster.servers.ask(&format!(
        "SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)) || ' ms median, ' || round(percentile_cont(0.99) WITHIN GROUP (ORDER BY ms)) \
         || ' ms for 99 of 100, ' || round(max(ms)) || ' ms at most' FROM ({late}) t"
    ))?;
    println!("lateness       {moved} timers due at one moment: {late}");
    Ok(())
}
