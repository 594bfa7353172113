//! Measures directory: a first and a second sweep of many accounts, and watches from command to proof.
//!
//! `cargo run --release -p homeward-directory --example figures -- [accounts] [watches] [sqlite|postgres]`; without a store both,
//! PostgreSQL only if `HOMEWARD_TEST_POSTGRES` is set. The simulator runs in the same process, so it takes its share of the same
//! cores and of the memory that is printed.
#![expect(clippy::expect_used, clippy::print_stdout, reason = "a measurement stops at what it did not expect, and prints")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use homeward_chassis::shutdown::Shutdown;
use homeward_directory::{Directory, Parts};
use homeward_messaging::topology::{QUEUES, RECOVERY_EVENTS};
use homeward_messaging::{Batch, HandleError, Handler, MemoryBroker, NewMessage, Outbox, Received, Verdict, consume};
use homeward_proto::directory::v1::{FactorAbsent, WatchAccount};
use homeward_proto::wire::timestamp;
use homeward_provider::IdentityProvider;
use homeward_provider::atlassian::{AtlassianProvider, AtlassianSettings};
use homeward_simulator::well_known::{self, policy, stranded_email};
use homeward_simulator::{Drift, Running, Simulator, SimulatorConfig};
use homeward_store::testing::{TestDatabase, postgres, sqlite};
use homeward_store::{StoreError, on, transaction};
use homeward_types::{Clock, Limits, Organisation, Policy, SystemClock, Tiers, TwoStep};
use secrecy::SecretString;
use tokio::sync::mpsc;
use uuid::Uuid;

fn organisation(limits: Limits) -> Organisation {
    let id = |text: &str| text.parse::<homeward_types::PolicyId>().expect("a policy id");
    let named = |name: &str, two_step| Policy { name: name.into(), two_step, factor_lives_in: None };
    Organisation {
        id: "northwind".parse().expect("a name"),
        policies: BTreeMap::from([
            (id(policy::EVERYONE), named("Everyone", TwoStep::Mandatory)),
            (id(policy::RECOVERY), named("Recovery", TwoStep::Optional)),
        ]),
        recovery_policy: id(policy::RECOVERY),
        home_policies: BTreeSet::from([id(policy::EVERYONE)]),
        default_home: id(policy::EVERYONE),
        tiers: Tiers::default(),
        limits,
    }
}

/// Passes on what directory says.
struct Ear {
    absent: mpsc::UnboundedSender<Uuid>,
    enrolled: AtomicUsize,
}

#[async_trait]
impl Handler for Ear {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        for received in &batch {
            if received.envelope.kind.contains("factor-absent") {
                let event: FactorAbsent = received.envelope.decode().expect("our own message");
                self.absent.send(event.lease.parse().expect("a lease")).ok();
            } else if received.envelope.kind.contains("enrolled") {
                self.enrolled.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(vec![Verdict::Done; batch.len()])
    }

    async fn is_ready(&self) -> bool {
        true
    }
}

async fn start(database: &TestDatabase, simulator: &Running, broker: &Arc<MemoryBroker>, shutdown: &Shutdown) {
    database.migrate(&Directory::migrations()).await.expect("migrations");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut settings = AtlassianSettings::new(well_known::ORGANISATION, SecretString::from(well_known::key::UNSCOPED));
    settings.base_url = simulator.provider_url.parse().expect("an address");
    let provider: Arc<dyn IdentityProvider> = Arc::new(AtlassianProvider::new(settings, clock.clone()).expect("settings"));
    let organisation = organisation(Limits { sync: Duration::from_secs(1), ..Limits::short() });
    let directory = Directory::new(Parts {
        db: (**database).clone(),
        broker: broker.clone(),
        clock,
        providers: BTreeMap::from([(organisation.id.clone(), provider)]),
        organisations: Arc::new(BTreeMap::from([(organisation.id.clone(), organisation)])),
    });
    directory.await.expect("a start").spawn(shutdown);
}

/// Waits until so many sweeps are complete.
async fn swept(database: &TestDatabase, number: i64) {
    let sql =
        "SELECT COUNT(*) FROM sweep WHERE completed_at IS NOT NULL AND (number > $1 OR (number = $1 AND stage = 'resting'))";
    loop {
        let done: i64 = on!(database, pool => sqlx::query_scalar(sql).bind(number).fetch_one(pool).await).expect("the table");
        if done > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn watch(simulator: &Running, n: usize) -> (Uuid, String, WatchAccount) {
    let account = simulator.truth().by_email(&stranded_email(n)).expect("a stranded account");
    let lease = Uuid::now_v7();
    let command = WatchAccount {
        lease: lease.to_string(),
        organisation: "northwind".into(),
        account: account.id.clone(),
        email: account.email,
        seen_out_at: Some(timestamp(SystemClock.now())),
        out_version: account.version,
        until: Some(timestamp(SystemClock.now() + chrono::TimeDelta::minutes(10))),
    };
    (lease, account.id, command)
}

async fn watches(
    simulator: &Running,
    asker: &Outbox,
    neighbours: &TestDatabase,
    many: usize,
    ear: &Ear,
    mut absent: mpsc::UnboundedReceiver<Uuid>,
) {
    let began = Instant::now();
    let mut accounts = BTreeMap::new();
    let numbers: Vec<usize> = (1..=many).collect();
    for part in numbers.chunks(100) {
        let begun: Vec<_> = part.iter().map(|n| watch(simulator, *n)).collect();
        let batch = transaction!(neighbours, "ask", async |tx| -> Result<Batch, StoreError> {
            let mut batch = asker.batch();
            for (lease, _, command) in &begun {
                let organisation = command.organisation.parse().expect("a name");
                batch.push(NewMessage::new(
                    "directory.command.watch-account.v1",
                    organisation,
                    *lease,
                    lease.to_string(),
                    command,
                ));
            }
            batch.store(tx).await?;
            Ok(batch)
        });
        asker.publish(batch.expect("a commit"));
        accounts.extend(begun.into_iter().map(|(lease, account, _)| (lease, account)));
    }
    for _ in 0..many {
        let lease = absent.recv().await.expect("the ear hears");
        simulator.truth().drift(&accounts[&lease], Drift::Factor { enrolled: true, lost: false }).expect("an account");
    }
    let baselines = began.elapsed();
    while ear.enrolled.load(Ordering::Relaxed) < many {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let all = began.elapsed();
    println!("  {many} watches: baselines in {baselines:.2?}, proofs in {all:.2?}: {:.0}/s", rate(many, all));
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn rate(many: usize, time: Duration) -> f64 {
    many as f64 / time.as_secs_f64()
}

/// As Linux tells it.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let told = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    told.map_or_else(|| "not told".into(), |told| told.trim().to_owned())
}

async fn measure(name: &str, database: TestDatabase, accounts: usize, many: usize) {
    let config = SimulatorConfig { accounts, stranded: many, ..SimulatorConfig::default() };
    let simulator = Simulator::start(config).await.expect("a port");
    let neighbours = sqlite().await;
    neighbours.migrate(&[homeward_messaging::MIGRATIONS]).await.expect("migrations");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let broker = Arc::new(MemoryBroker::open(QUEUES, (*neighbours).clone(), clock.clone()).await.expect("a broker"));
    let shutdown = Shutdown::new();
    let asker = Outbox::new((*neighbours).clone(), broker.clone(), clock, "recovery");
    let (outbox, stop) = (asker.clone(), shutdown.token());
    tokio::spawn(async move { outbox.run(stop).await });
    let (sender, absent) = mpsc::unbounded_channel();
    let ear = Arc::new(Ear { absent: sender, enrolled: AtomicUsize::new(0) });
    tokio::spawn(consume(broker.clone(), RECOVERY_EVENTS, ear.clone(), shutdown.token()));
    println!("{name}:");
    let began = Instant::now();
    start(&database, &simulator, &broker, &shutdown).await;
    swept(&database, 1).await;
    let first = began.elapsed();
    println!("  {accounts} accounts: first sweep {first:.2?}: {:.0}/s", rate(accounts, first));
    let began = Instant::now();
    swept(&database, 2).await;
    println!("  second sweep, with the wait before it: {:.2?}", began.elapsed());
    println!("  most memory until now, simulator included: {}", peak_memory());
    watches(&simulator, &asker, &neighbours, many, &ear, absent).await;
    shutdown.begin("measured");
    shutdown.finish(Duration::from_secs(10)).await.expect("an end");
    simulator.shutdown().await;
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise| arguments.next().map_or(otherwise, |text| text.parse().expect("a number"));
    let (accounts, many) = (number(100_000), number(5_000));
    let only = arguments.next();
    let wanted = |store: &str| only.as_deref().is_none_or(|only| only == store);
    if wanted("sqlite") {
        measure("SQLite", sqlite().await, accounts, many).await;
    }
    if wanted("postgres") && std::env::var_os("HOMEWARD_TEST_POSTGRES").is_some() {
        measure("PostgreSQL", postgres().await, accounts, many).await;
    }
}
