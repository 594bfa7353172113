//! (b): how long an account stays out although its user has enrolled, when there is little else to do.

use homeward_world::Cluster;
use homeward_world::crowd::Person;

use super::throughput::{habits, live};

/// Recoveries measured.
pub const PEOPLE: usize = 400;
/// Recoveries open at once.
const OPEN: usize = 4;

/// Runs them a few at a time, and asks the services' own tables when each thing happened.
pub async fn measure(cluster: &Cluster, people: Vec<Person>) -> anyhow::Result<()> {
    let began = cluster.servers.ask("SELECT now()")?;
    live(cluster, habits(OPEN, 1, OPEN), people).await?;
    let both = [
        (
            "to the command to return",
            "SELECT recovery AS lease, min(at) AS at FROM recovery.timeline WHERE kind = 'enrolled' GROUP BY 1",
        ),
        (
            "to the return's call at the provider",
            "SELECT lease_id AS lease, min(sent_at) AS at FROM policy.attempt WHERE kind = 'return' AND sent_at IS NOT NULL GROUP BY 1",
        ),
    ];
    for (what, reached) in both {
        let sql = format!(
            "SELECT count(*) || ' recoveries: ' || round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)) || ' ms median, ' \
             || round(percentile_cont(0.99) WITHIN GROUP (ORDER BY ms)) || ' ms for 99 of 100' FROM (SELECT \
             1000 * extract(epoch FROM r.at - w.proved_at)::float8 AS ms FROM directory.watch w JOIN ({reached}) r ON r.lease = w.lease \
             WHERE w.proved_at > '{began}') t"
        );
        println!("light load     from the read that proved it {what}, {}", cluster.servers.ask(&sql)?);
    }
    Ok(())
}
