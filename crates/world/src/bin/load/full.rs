//! Full recoveries, as many as there is room for at once, from the first request to the last owner told.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use homeward_simulator::well_known::policy::RECOVERY;
use homeward_world::crowd::{Crowd, Habits};
use homeward_world::desk::Desk;
use homeward_world::people::Browsers;
use homeward_world::process::{Usage, own_usage};
use homeward_world::{Simulated, System};

use crate::{Bench, part};

/// What the three processes have used.
struct Used {
    homeward: Usage,
    simulator: Usage,
    driver: Usage,
    threads: BTreeMap<String, Duration>,
}

impl Used {
    fn now(simulated: &Simulated, system: &mut System) -> anyhow::Result<Self> {
        Ok(Self {
            homeward: system.process()?.usage()?,
            simulator: simulated.usage()?,
            driver: own_usage()?,
            threads: system.process()?.threads()?,
        })
    }
}

/// Runs them all, checks that each ended well, and prints what it took.
pub async fn measure(bench: &Bench, folder: &Path) -> anyhow::Result<()> {
    let args = &bench.args;
    let (simulated, mut system) = bench.world(folder, args.recoveries, args.window)?;
    let people = bench.people(&simulated).await?;
    system.start().await?;
    system.knows_everybody().await?;
    let habits = Habits {
        window: args.window,
        bulk: args.bulk,
        askers: args.askers,
        dawdle: Duration::ZERO,
        patience: Duration::from_mins(1),
    };
    let desk = Desk::of(&system)?;
    let crowd = Crowd::new(desk.clone(), Browsers::of(&simulated.provider)?, habits, people);
    let before = Used::now(&simulated, &mut system)?;
    let began = Instant::now();
    let reporting = tokio::spawn(report(crowd.clone(), began));
    let letters = crowd.live(&system.outbox()).await?;
    let told = began.elapsed();
    reporting.abort();
    all_closed(&desk).await?;
    let took = began.elapsed();
    let after = Used::now(&simulated, &mut system)?;
    check(bench, &desk, &simulated).await?;

    println!(
        "\nfull           {} recoveries in {:.1} s: {:.0} a second (all told after {:.1} s)",
        args.recoveries,
        took.as_secs_f64(),
        part(args.recoveries, 1) / took.as_secs_f64(),
        told.as_secs_f64()
    );
    println!(
        "               window {}, {} a call, {} askers, {} % with an old factor, {:.1} letters each",
        args.window,
        args.bulk,
        args.askers,
        args.lost_percent,
        part(letters.count(), args.recoveries)
    );
    latency(crowd.took());
    costs(args.recoveries, &before, &after);
    Ok(())
}

/// A line now and then for whoever waits.
pub async fn report(crowd: Crowd, began: Instant) {
    let mut last = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let tally = crowd.tally();
        eprintln!(
            "{:6.1} s  {} asked, {} enrolled, {} told ({:.0} a second)",
            began.elapsed().as_secs_f64(),
            tally.asked,
            tally.enrolled,
            tally.told,
            part(tally.told - last, 5)
        );
        last = tally.told;
    }
}

/// The owner is told just before the recovery is closed.
pub async fn all_closed(desk: &Desk) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let open = desk.recoveries(true).await?;
        if open.is_empty() {
            return Ok(());
        }
        ensure!(began.elapsed() < Duration::from_mins(1), "{} recoveries are still open, for example {:?}", open.len(), open[0]);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn check(bench: &Bench, desk: &Desk, simulated: &Simulated) -> anyhow::Result<()> {
    let all = desk.recoveries(false).await?;
    let enrolled = all.iter().filter(|recovery| recovery.outcome == "enrolled").count();
    ensure!(enrolled == bench.args.recoveries, "{enrolled} of {} ended as enrolled", bench.args.recoveries);
    let accounts = simulated.accounts().await?;
    let out = accounts.iter().filter(|account| account.policy.as_deref() == Some(RECOVERY)).count();
    ensure!(out == 0, "{out} accounts are still out");
    Ok(())
}

/// How long they took, by the people's clocks.
pub fn latency(mut took: Vec<Duration>) {
    took.sort();
    let at = |percent: usize| {
        took.get((took.len() * percent / 100).min(took.len().saturating_sub(1))).copied().unwrap_or_default().as_secs_f64()
    };
    println!("latency        {:.2} s median, {:.2} s for 99 of 100, from request to told", at(50), at(99));
}

fn costs(recoveries: usize, before: &Used, after: &Used) {
    let each = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64() * 1_000.0 / part(recoveries, 1);
    let parts = [
        ("homeward", before.homeward.cpu, after.homeward.cpu),
        ("simulator", before.simulator.cpu, after.simulator.cpu),
        ("driver", before.driver.cpu, after.driver.cpu),
    ];
    let whole: f64 = parts.iter().map(|(_, from, to)| each(*from, *to)).sum();
    println!("CPU            {whole:.2} ms for each recovery");
    for (name, from, to) in parts {
        println!("  {name:<12} {:.2} ms", each(from, to));
    }
    let mut threads: Vec<(&str, f64)> = after
        .threads
        .iter()
        .map(|(name, cpu)| (name.as_str(), each(before.threads.get(name).copied().unwrap_or_default().min(*cpu), *cpu)))
        .collect();
    threads.sort_by(|a, b| b.1.total_cmp(&a.1));
    println!("homeward by thread");
    for (name, cost) in threads.into_iter().filter(|(_, cost)| *cost > 0.005) {
        println!("  {name:<24} {cost:.2} ms");
    }
}
