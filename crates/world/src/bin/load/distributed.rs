//! The same on real servers: every service a process of its own (one each), PostgreSQL and RabbitMQ as production has them,
//! and what the servers can do at the most, measured in the same run.

mod floor;
mod late;
mod light;
mod parked;
mod recovered;
mod throughput;

use std::path::Path;

use anyhow::Context;
use homeward_world::Cluster;
use homeward_world::cluster::{ROLES, Wishes};
use homeward_world::process::Usage;

use crate::{Bench, part};

/// Everything, one after another, each on a cluster of its own.
pub async fn measure(bench: &Bench, folder: &Path) -> anyhow::Result<()> {
    if bench.args.recoveries > 0 {
        throughput::measure(bench, &folder.join("throughput")).await?;
    }
    if bench.args.parked > 0 {
        parked::measure(bench, &folder.join("parked")).await?;
    }
    Ok(())
}

/// A cluster of one process each, in which so many people need help and so many may be out at once.
async fn cluster(bench: &Bench, folder: &Path, recoveries: usize, out: usize) -> anyhow::Result<Cluster> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    open_to_others(folder)?;
    let accounts = recoveries + 849;
    let lost_phones = bench.lost_phones(recoveries);
    let simulator =
        format!("--zero-delay --accounts {accounts} --stranded {} --lost-phones {lost_phones}", recoveries - lost_phones);
    let limits = toml::Table::try_from(bench.limits(accounts, out)).context("writing limits")?;
    let mut cluster = Cluster::start(&Wishes {
        binary: &bench.binary,
        folder,
        replicas: 1,
        simulator: &simulator,
        traces: None,
        limits,
        environment: &[],
        records: false,
    })?;
    cluster.ready().await?;
    println!("\nservers        {}", cluster.servers.durability()?);
    cluster.knows(accounts).await?;
    Ok(cluster)
}

/// PostgreSQL runs as another user and must reach its folder.
fn open_to_others(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for folder in folder.ancestors().filter(|folder| folder.starts_with(std::env::temp_dir()) && *folder != std::env::temp_dir())
    {
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder, open).with_context(|| format!("opening {}", folder.display()))?;
    }
    Ok(())
}

/// What every process has used.
struct Used(Vec<(&'static str, Usage)>);

impl Used {
    fn now(cluster: &mut Cluster) -> anyhow::Result<Self> {
        let mut used = Vec::new();
        for role in ROLES {
            let service = cluster.of(role).next().with_context(|| format!("no process of {role}"))?;
            used.push((role, service.usage()?));
        }
        for (name, usage) in cluster.servers.usage()? {
            used.push((name, usage));
        }
        used.push(("simulator", cluster.usage("simulator")?));
        used.push(("driver", homeward_world::process::own_usage()?));
        Ok(Self(used))
    }

    /// What was used since `before`, for each of so many recoveries.
    fn costs_since(&self, before: &Self, recoveries: usize) {
        let each = |cpu: std::time::Duration| cpu.as_secs_f64() * 1_000.0 / part(recoveries, 1);
        let costs: Vec<(&str, f64)> = self
            .0
            .iter()
            .zip(&before.0)
            .map(|((name, after), (_, before))| (*name, each(after.cpu.saturating_sub(before.cpu))))
            .collect();
        let outside = ["simulator", "driver"];
        let ours: f64 = costs.iter().filter(|(name, _)| ROLES.contains(name)).map(|(_, cost)| cost).sum();
        let all: f64 = costs.iter().filter(|(name, _)| !outside.contains(name)).map(|(_, cost)| cost).sum();
        println!(
            "CPU            {ours:.2} ms for each recovery in Homeward's processes, {all:.2} ms with PostgreSQL and RabbitMQ"
        );
        for (name, cost) in costs {
            println!("  {name:<14} {cost:.2} ms");
        }
    }
}
