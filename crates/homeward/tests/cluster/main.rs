//! Crashes on real servers: two processes of every service on a PostgreSQL and a RabbitMQ, as `deploy/local` starts them.
//!
//! Hundreds of recoveries are open while processes of services are killed, and both servers as by a power cut; then queues are
//! emptied, processes stand still for longer than every timeout, and everything is started anew one by one. After each part
//! everybody is at home, every case closed, nothing left in an outbox, and among the dead letters lies what the test put there.
//! `HOMEWARD_CLUSTER_KILLS` sets how many services are killed; RabbitMQ dies once for ten of them, PostgreSQL once for twenty.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod faults;
mod mail;
mod part;
mod trace;
mod verdict;

use std::path::Path;
use std::time::{Duration, Instant};

use homeward_world::Cluster;
use homeward_world::cluster::Wishes;

use faults::Faults;
use part::{Part, People};

/// Two of these at once would only take each other's time.
static ONE_CLUSTER: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Services that are killed, unless the environment says otherwise.
const KILLS: usize = 100;
/// Longer than every timeout of the services, the servers and the test's settings: 30 s of a transaction that stands still.
const STANDSTILL: Duration = Duration::from_secs(35);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_paused_or_emptied_everybody_comes_home_and_is_told() {
    let _alone = ONE_CLUSTER.lock().await;
    let kills = std::env::var("HOMEWARD_CLUSTER_KILLS").map_or(KILLS, |text| text.parse().expect("a number of kills"));
    let began = Instant::now();
    let folder = tempfile::Builder::new().prefix("homeward-cluster-").tempdir().unwrap();
    open_to_others(folder.path());
    let mut cluster = start(folder.path()).await;
    println!("up after {:.0} s; {}", began.elapsed().as_secs_f64(), cluster.servers.durability().unwrap());
    let mut people = People::of(&cluster).await;
    let mut faults = Faults::default();

    let mut part = Part::begin("kills", &cluster, &mut people, 100, 400);
    faults.kill_everything(&mut cluster, kills, &mut part).await;
    part.end(&mut cluster, &mut people, &faults).await;

    let mut part = Part::begin("emptied queues", &cluster, &mut people, 60, 120);
    faults.empty_every_queue(&mut cluster, &mut part).await;
    part.end(&mut cluster, &mut people, &faults).await;

    let mut part = Part::begin("standstill", &cluster, &mut people, 40, 120);
    faults.stand_still(&mut cluster, STANDSTILL, &mut part).await;
    part.end(&mut cluster, &mut people, &faults).await;

    let mut part = Part::begin("started anew one by one", &cluster, &mut people, 60, 120);
    faults.start_anew_one_by_one(&mut cluster, &mut part).await;
    part.end(&mut cluster, &mut people, &faults).await;

    println!("{faults}\nall of it in {:.0} s", began.elapsed().as_secs_f64());
    faults.were_enough(kills);
}

async fn start(folder: &Path) -> Cluster {
    let limits = toml::toml! {
        exposure_percent = 20.0
        hard_cap_percent = 40.0
        sync = "1m"
        watch = "150ms"
        approval = "10m"
        proof_valid = "10m"
        slot_wait = "10m"
    };
    let mut cluster = Cluster::start(&Wishes {
        binary: Path::new(env!("CARGO_BIN_EXE_homeward")),
        folder,
        replicas: 2,
        simulator: "--accounts 5000 --stranded 2000 --lost-phones 2000",
        traces: None,
        limits,
        environment: &[("HOMEWARD__NOTIFICATION__CLAIM", "4s")],
        records: true,
    })
    .unwrap();
    cluster.ready().await.unwrap();
    cluster
}

/// PostgreSQL runs as another user, and must reach its folder.
fn open_to_others(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}
