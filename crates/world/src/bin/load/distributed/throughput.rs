//! (a) and (e): full recoveries a second, durable steps a second, and what each costs in every process. Then (b) and (d) on the
//! same cluster.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use homeward_simulator::well_known::policy::RECOVERY;
use homeward_world::Cluster;
use homeward_world::crowd::{Crowd, Habits, Person};
use homeward_world::desk::Desk;
use homeward_world::letters::Letters;
use homeward_world::people::Browsers;

use super::{Used, cluster, floor, light, recovered};
use crate::{Bench, full, part};

/// Recoveries before those that are measured.
const WARM_UP: usize = 500;

/// Runs them all, checks that each ended well, and prints what it took.
pub async fn measure(bench: &Bench, folder: &Path) -> anyhow::Result<()> {
    let args = &bench.args;
    let extra = WARM_UP + light::PEOPLE + recovered::PEOPLE;
    let mut cluster = cluster(bench, folder, args.recoveries + extra, args.window).await?;
    floor::measure(&cluster).await?;
    let simulated = cluster.simulated()?;
    let mut early = bench.people(&simulated).await?;
    let mut people = early.split_off(WARM_UP);
    let later = people.split_off(args.recoveries);

    let habits = habits(args.window, args.bulk, args.askers);
    warm_up(&cluster, habits, early).await?;
    let steps_before = steps(&cluster)?;
    let before = Used::now(&mut cluster)?;
    let began = Instant::now();
    let (crowd, letters) = live(&cluster, habits, people).await?;
    let told = began.elapsed();
    full::all_closed(&cluster.desk()?).await?;
    let took = began.elapsed();
    let after = Used::now(&mut cluster)?;
    let steps = steps(&cluster)? - steps_before;
    let desk = cluster.desk()?;
    check(&desk, &cluster, WARM_UP + args.recoveries).await?;

    println!(
        "distributed    {} recoveries in {:.1} s: {:.0} a second, {:.0} durable steps a second (all told after {:.1} s)",
        args.recoveries,
        took.as_secs_f64(),
        part(args.recoveries, 1) / took.as_secs_f64(),
        steps / took.as_secs_f64(),
        told.as_secs_f64()
    );
    println!(
        "               window {}, {} a call, {} askers, {} % with an old factor, {:.1} letters and {:.1} steps each",
        args.window,
        args.bulk,
        args.askers,
        args.lost_percent,
        part(letters.count(), args.recoveries),
        steps / part(args.recoveries, 1)
    );
    full::latency(crowd.took());
    after.costs_since(&before, args.recoveries);
    let mut later = later.into_iter();
    light::measure(&cluster, later.by_ref().take(light::PEOPLE).collect()).await?;
    recovered::measure(&mut cluster, later.collect()).await
}

/// A database that is a minute old knows its tables: its own `autovacuum` looks at them once a minute. Nobody is to wait for that.
async fn warm_up(cluster: &Cluster, habits: Habits, people: Vec<Person>) -> anyhow::Result<()> {
    live(cluster, habits, people).await?;
    full::all_closed(&cluster.desk()?).await?;
    cluster.servers.ask("ANALYZE").map(drop)
}

/// How people behave who never wait.
pub fn habits(window: usize, bulk: usize, askers: usize) -> Habits {
    Habits { window, bulk, askers, dawdle: Duration::ZERO, patience: Duration::from_mins(1) }
}

/// All of them come and are told how it ended.
pub async fn live(cluster: &Cluster, habits: Habits, people: Vec<Person>) -> anyhow::Result<(Crowd, Letters)> {
    let desk = cluster.desk()?.insisting();
    let provider = cluster.simulated()?.provider.clone();
    let crowd = Crowd::new(desk, Browsers::of(&provider)?, habits, people);
    let reporting = tokio::spawn(full::report(crowd.clone(), Instant::now()));
    let letters = crowd.live(&cluster.letters()).await;
    reporting.abort();
    Ok((crowd, letters?))
}

/// Changes of sagas that were committed so far.
fn steps(cluster: &Cluster) -> anyhow::Result<f64> {
    let sum = cluster.servers.ask("SELECT coalesce(sum(row_version), 0) FROM recovery.saga")?;
    sum.parse().with_context(|| format!("{sum} steps"))
}

async fn check(desk: &Desk, cluster: &Cluster, recoveries: usize) -> anyhow::Result<()> {
    let all = desk.recoveries(false).await?;
    let enrolled = all.iter().filter(|recovery| recovery.outcome == "enrolled").count();
    ensure!(enrolled == recoveries, "{enrolled} of {recoveries} ended as enrolled");
    let accounts = cluster.simulated()?.accounts().await?;
    let out = accounts.iter().filter(|account| account.policy.as_deref() == Some(RECOVERY)).count();
    ensure!(out == 0, "{out} accounts are still out");
    Ok(())
}
