//! How many full recoveries a second this service drives, with the others played in the same process and both databases
//! in turn: `cargo run --release -p homeward-recovery --example recovery_throughput -- 1000`.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on stops where it stands")]
#![expect(dead_code, reason = "the tests' world holds more than a measurement needs")]

#[path = "../tests/recovery/world/mod.rs"]
mod world;

use std::time::{Duration, Instant};

use homeward_proto::recovery::v1 as wire;
use homeward_proto::words::v1::ProofKind;
use world::{Wishes, World, new_recovery, on_each_engine};

/// Recoveries in one call.
const BULK: usize = 100;

#[tokio::main]
async fn main() {
    let recoveries: usize = std::env::args().nth(1).map_or(1_000, |text| text.parse().unwrap());
    let wishes = Wishes { accounts: recoveries + 100, repair: Duration::from_mins(1), ..Wishes::default() };
    on_each_engine(wishes, async |world| {
        let begun = Instant::now();
        let cpu = cpu_seconds();
        let wanted: Vec<usize> = (11..recoveries + 11).collect();
        let calls = wanted.chunks(BULK).map(|accounts| drive(&world, accounts));
        futures_util::future::join_all(calls).await;
        let asked = begun.elapsed();
        while open(&world).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let whole = begun.elapsed().as_secs_f64();
        let count = f64::from(u32::try_from(recoveries).unwrap());
        println!(
            "{}: {:.0} recoveries/s ({recoveries} in {whole:.2} s, all approved after {asked:.2?}), {:.2} ms CPU each, the others included",
            world.database().system(),
            count / whole,
            (cpu_seconds() - cpu) * 1_000.0 / count,
        );
        world.end().await;
    })
    .await;
}

/// Asks, proves and approves in three calls.
async fn drive(world: &World, accounts: &[usize]) {
    let wanted = accounts.iter().map(|n| new_recovery(&format!("acc{n}"))).collect();
    let opened: Vec<String> = world.ask_as("rolf", wanted).await.into_iter().map(|result| result.recovery).collect();
    let proof = |id: &String| wire::Proof { recovery: id.clone(), kind: ProofKind::CallBack.into(), evidence: "heard".into() };
    let request = wire::AttachProofsRequest { proofs: opened.iter().map(proof).collect() };
    world.as_person("rolf").attach_proofs(request).await.unwrap();
    let vote = |id: &String| wire::Vote { recovery: id.clone(), approve: true, reason: String::new() };
    let request = wire::CastVotesRequest { votes: opened.iter().map(vote).collect() };
    world.as_person("boris").cast_votes(request).await.unwrap();
}

async fn open(world: &World) -> usize {
    let request =
        wire::ListRecoveriesRequest { organisation: "acme".into(), open_only: true, page_size: 1, ..Default::default() };
    world.as_person("arno").list_recoveries(request).await.unwrap().into_inner().recoveries.len()
}

/// Processor time of this process so far, all threads.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    // utime and stime, in hundredths of a second (proc(5): fields 14 and 15, counted from the first).
    let ticks: u32 = fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap();
    f64::from(ticks) / 100.0
}
