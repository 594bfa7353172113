//! (d): from `kill -9` to the next recovery that comes to its end.

use std::time::{Duration, Instant};

use anyhow::ensure;
use homeward_world::Cluster;
use homeward_world::cluster::ROLES;
use homeward_world::crowd::{Crowd, Person};
use homeward_world::people::Browsers;

use super::throughput::habits;

/// People who come meanwhile; more than can be served in that time.
pub const PEOPLE: usize = 6_000;
/// Recoveries open at once.
const OPEN: usize = 40;
/// How long the first progress may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Kills one thing after another under load.
pub async fn measure(cluster: &mut Cluster, people: Vec<Person>) -> anyhow::Result<()> {
    let provider = cluster.simulated()?.provider.clone();
    let crowd = Crowd::new(cluster.desk()?.insisting(), Browsers::of(&provider)?, habits(OPEN, 20, 2), people);
    let (living, folder) = (crowd.clone(), cluster.letters());
    let living = tokio::spawn(async move { living.live(&folder).await });
    progress(&crowd, 50).await?;
    for role in ROLES {
        for service in cluster.of(role) {
            service.kill()?;
            service.start()?;
        }
        say(role, &crowd).await?;
    }
    cluster.servers.kill_postgres()?;
    say_with("PostgreSQL", &crowd, cluster).await?;
    cluster.servers.kill_rabbitmq()?;
    say_with("RabbitMQ", &crowd, cluster).await?;
    crowd.stop_asking();
    living.await??;
    Ok(())
}

/// What was under way elsewhere may still be told for a moment; so the first progress is what follows a stop of it.
async fn say(what: &str, crowd: &Crowd) -> anyhow::Result<()> {
    let killed = Instant::now();
    let (mut told, mut at) = (crowd.tally().told, Instant::now());
    let mut longest = Duration::ZERO;
    while killed.elapsed() < PATIENCE {
        let now = crowd.tally().told;
        if now > told {
            longest = longest.max(at.elapsed());
            (told, at) = (now, Instant::now());
            if killed.elapsed() > Duration::from_secs(8) {
                println!("killed         {what:<14} {:>6} ms without a recovery that ended", longest.as_millis());
                return progress(crowd, 20).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    anyhow::bail!("nothing came to its end for {PATIENCE:?} after {what} was killed")
}

async fn say_with(what: &str, crowd: &Crowd, cluster: &Cluster) -> anyhow::Result<()> {
    let began = Instant::now();
    tokio::task::block_in_place(|| cluster.servers.up())?;
    println!("               {what} itself was back after {} ms", began.elapsed().as_millis());
    say(what, crowd).await
}

async fn progress(crowd: &Crowd, more: usize) -> anyhow::Result<()> {
    let (before, began) = (crowd.tally().told, Instant::now());
    while crowd.tally().told < before + more {
        ensure!(began.elapsed() < PATIENCE, "no progress within {PATIENCE:?}: {:?}", crowd.tally());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
