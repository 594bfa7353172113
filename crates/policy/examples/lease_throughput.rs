//! How many leases a second policy opens, lends, returns and closes, with recovery and patrol played and the simulated
//! provider (without delay, over HTTP) in the same process: `cargo run --release -p homeward-policy --example lease_throughput -- 2000`.
//! Both databases in turn; nothing is turned off. Needs the servers of `./test`.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on stops where it stands")]
#![expect(dead_code, reason = "the tests' stage holds more than a measurement needs")]

#[path = "../tests/policy/stage/mod.rs"]
mod stage;

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use homeward_proto::policy::v1::LeaseNews;
use homeward_simulator::AccountTruth;
use homeward_types::Limits;
use stage::{Plan, on_both};

/// Leases under way at once: as many as a busy recovery would have.
const WINDOW: usize = 800;

#[tokio::main]
async fn main() {
    let leases: usize = std::env::args().nth(1).map_or(1_000, |text| text.parse().unwrap());
    let plan = || {
        let limits =
            Limits { hard_cap_percent: 100.0, exposure_percent: 100.0, lease: Duration::from_mins(2), ..Limits::short() };
        let mut plan = Plan { limits, ..Plan::default() };
        (plan.simulator.accounts, plan.simulator.stranded) = (leases + 100, leases + 25);
        plan
    };
    on_both(plan, async |stage| {
        stage.earn_trust().await;
        let accounts: Vec<AccountTruth> = (21..21 + leases).map(|n| stage.stranded(n)).collect();
        let calls = || stage.truth().calls().iter().map(|call| call.count).sum::<u64>();
        let (begun, cpu, calls_before) = (Instant::now(), cpu_seconds(), calls());
        futures_util::stream::iter(&accounts)
            .map(async |account| {
                let lease = stage.lend(account).await;
                stage.audience.news(lease, LeaseNews::Lent).await;
                stage.ask_back(lease, account).await;
                stage.audience.news(lease, LeaseNews::Closed).await;
            })
            .buffer_unordered(WINDOW)
            .collect::<Vec<()>>()
            .await;
        let (whole, count) = (begun.elapsed().as_secs_f64(), f64::from(u32::try_from(leases).unwrap()));
        println!(
            "{}: {:.0} leases/s ({leases} in {whole:.2} s), {:.2} ms CPU each, the others included, {} calls to the provider",
            stage.db.system(),
            count / whole,
            (cpu_seconds() - cpu) * 1_000.0 / count,
            calls() - calls_before,
        );
    })
    .await;
}

/// Processor time of this process so far, all threads.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    // utime and stime, in hundredths of a second (proc(5): fields 14 and 15, counted from the first).
    let ticks: u32 = fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap();
    f64::from(ticks) / 100.0
}
