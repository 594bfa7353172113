//! How long a start takes, and what a running Homeward needs while nothing happens.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::Bench;

/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(5);

/// Starts on an empty folder several times, then once more on what the last one left.
pub async fn measure(bench: &Bench, folder: &Path) -> anyhow::Result<()> {
    let mut cold = Vec::new();
    for n in 0..bench.args.starts {
        let (_simulated, mut system) = bench.world(&folder.join(n.to_string()), 0, 1)?;
        cold.push(system.start().await?);
        if n + 1 == bench.args.starts {
            system.knows_everybody().await?;
            let before = system.process()?.usage()?;
            tokio::time::sleep(IDLE).await;
            let after = system.process()?.usage()?;
            system.process()?.stop()?;
            let warm = system.start().await?;
            cold.sort();
            println!(
                "\ncold start     {} ms to serving on an empty folder (median of {}; slowest {} ms)",
                ms(cold[cold.len() / 2]),
                cold.len(),
                ms(*cold.last().context("no start")?)
            );
            println!("warm start     {} ms", ms(warm));
            println!("idle           {:.1} MiB resident, 849 accounts", mebibytes(after.resident));
            println!(
                "idle           {:.2} % of one core",
                100.0 * after.cpu.saturating_sub(before.cpu).as_secs_f64() / IDLE.as_secs_f64()
            );
        }
    }
    Ok(())
}

fn ms(duration: Duration) -> u128 {
    duration.as_millis()
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 bytes")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
