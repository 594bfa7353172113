//! (c): many recoveries that wait: what they take of memory and disk, and how late they are when many fall due at once.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use homeward_world::Cluster;
use homeward_world::cluster::ROLES;
use homeward_world::desk::BULK;

use super::{cluster, late};
use crate::{Bench, part};

/// Parks them before their approval, weighs, and lets some fall due.
pub async fn measure(bench: &Bench, folder: &Path) -> anyhow::Result<()> {
    let count = bench.args.parked;
    let mut cluster = cluster(bench, folder, count, count).await?;
    let people = bench.people(&cluster.simulated()?).await?;
    let before = weigh(&cluster)?;
    println!("memory         {} (nothing waits)", memory(&mut cluster)?);
    let (desk, began) = (cluster.desk()?.insisting(), Instant::now());
    for some in people.chunks(BULK) {
        let recoveries = desk.request(&some.iter().map(|person| person.email.as_str()).collect::<Vec<_>>()).await?;
        desk.prove(&recoveries).await?;
    }
    println!("parked         {count} recoveries in {:.1} s, waiting for their approval", began.elapsed().as_secs_f64());
    late::at_rest(&cluster).await?;
    println!("memory         {} ({count} wait)", memory(&mut cluster)?);
    let after = weigh(&cluster)?;
    println!("on disk        {:.0} bytes for each recovery waiting, in all databases", (after - before) / part(count, 1));
    late::measure(&mut cluster).await
}

/// Of each service.
fn memory(cluster: &mut Cluster) -> anyhow::Result<String> {
    let mut all = Vec::new();
    for role in ROLES {
        let resident = cluster.of(role).next().context("a process of each service")?.usage()?.resident;
        all.push(format!("{role} {} MiB", resident / 1_048_576));
    }
    Ok(all.join(", "))
}

/// The bytes of the database, without what is only log.
fn weigh(cluster: &Cluster) -> anyhow::Result<f64> {
    let bytes = cluster.servers.ask("SELECT pg_database_size('homeward')")?;
    bytes.parse().with_context(|| format!("{bytes} bytes"))
}
