//! The load bench: how many full recoveries a second the shipped binary does on the embedded default, and what each costs.
//!
//! A *full recovery* is request, proof and vote over the public API, lend, reset (where there is an old factor), enrolment,
//! return, read-backs, every notice accepted, audit rows written, lease closed. Homeward, the simulated organisation (without
//! delay) and this driver are three processes on the same cores. Nothing is turned off: every commit is synced.
//!
//! `cargo build --release && cargo run --release -p homeward-world --bin load`
//!
//! With `--distributed` each service is a process of its own, on a PostgreSQL and a RabbitMQ that `deploy/local` starts; see
//! [`distributed`].

mod distributed;
mod full;
mod parked;
mod start;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use homeward_types::Limits;
use homeward_world::System;
use homeward_world::crowd::{Fate, Person};
use homeward_world::settings::Plan;
use homeward_world::simulated::{Population, Simulated};

/// Measures the shipped binary.
#[derive(Debug, Parser)]
#[command(about)]
struct Args {
    /// Full recoveries.
    #[arg(long, default_value_t = 20_000)]
    recoveries: usize,
    /// Recoveries open at once.
    #[arg(long, default_value_t = 4_000)]
    window: usize,
    /// Recoveries in one call, at most 100.
    #[arg(long, default_value_t = 100)]
    bulk: usize,
    /// Help desks that ask at the same time.
    #[arg(long, default_value_t = 2)]
    askers: usize,
    /// How many of a hundred have an old factor that a person must remove; the others are in the login loop.
    #[arg(long, default_value_t = 50)]
    lost_percent: usize,
    /// Recoveries that are parked to measure the disk that they take; 0 leaves this out.
    #[arg(long, default_value_t = 2_000)]
    parked: usize,
    /// Starts to measure; 0 leaves this out.
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// On PostgreSQL and RabbitMQ, each service a process of its own.
    #[arg(long)]
    distributed: bool,
    /// Requester and approver have no address, so that only owners get letters (three each).
    #[arg(long)]
    owners_only: bool,
    /// How often watched accounts are read. The shipped default is 2 s.
    #[arg(long, default_value = "500ms", value_parser = duration)]
    watch: Duration,
    /// The binary. Default: the one beside this.
    #[arg(long)]
    homeward: Option<PathBuf>,
    /// Where everything durable goes. Default: a new folder for temporary files.
    #[arg(long)]
    folder: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| format!("{text} is not like 500ms or 2s"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        _ => Err(format!("{text} is not like 500ms or 2s")),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    ensure!((1..=100).contains(&args.bulk), "a call carries 1 to 100 recoveries");
    let binary = match &args.homeward {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("homeward"),
    };
    ensure!(binary.exists(), "{} is not there; `cargo build --release` makes it", binary.display());
    let temporary = tempfile::Builder::new().prefix("homeward-load-").tempdir().context("making a folder")?;
    let folder = args.folder.clone().unwrap_or_else(|| temporary.path().to_owned());
    let bench = Bench { args, binary };
    println!("homeward       {}, {} cores", bench.binary.display(), std::thread::available_parallelism()?);
    if bench.args.distributed {
        return distributed::measure(&bench, &folder).await;
    }
    if bench.args.starts > 0 {
        start::measure(&bench, &folder.join("start")).await?;
    }
    if bench.args.parked > 0 {
        parked::measure(&bench, &folder.join("parked")).await?;
    }
    if bench.args.recoveries > 0 {
        full::measure(&bench, &folder.join("full")).await?;
    }
    Ok(())
}

/// What every measurement is made with.
struct Bench {
    args: Args,
    binary: PathBuf,
}

impl Bench {
    /// The shipped limits; but as the simulated organisation has no delay, nothing is waited for that cannot happen, and as
    /// many accounts may be out as the window holds.
    fn limits(&self, accounts: usize, out: usize) -> Limits {
        let ms = Duration::from_millis;
        let percent = (110.0 * part(out, accounts)).clamp(1.0, 100.0);
        Limits {
            read_lag: ms(100),
            factor_lag: ms(100),
            late_limit: Duration::from_secs(1),
            watch: self.args.watch,
            exposure_percent: percent,
            hard_cap_percent: percent,
            ..Limits::default()
        }
    }

    /// An organisation in which `recoveries` people need help, and Homeward for it, not started yet.
    fn world(&self, folder: &Path, recoveries: usize, out: usize) -> anyhow::Result<(Simulated, System)> {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let accounts = recoveries + 849;
        let lost_phones = self.lost_phones(recoveries);
        let population = Population { accounts, stranded: recoveries - lost_phones, lost_phones, zero_delay: true };
        let simulated = Simulated::start(&self.binary, folder, population)?;
        let plan = Plan {
            provider: &simulated.provider,
            limits: self.limits(accounts, out),
            staff_letters: !self.args.owners_only,
            notice_claim: Duration::from_mins(1),
        };
        let system = System::prepare(&self.binary, folder, &plan)?;
        Ok((simulated, system))
    }

    fn lost_phones(&self, recoveries: usize) -> usize {
        recoveries * self.args.lost_percent.min(100) / 100
    }

    /// Those who need help.
    async fn people(&self, simulated: &Simulated) -> anyhow::Result<Vec<Person>> {
        let accounts = simulated.accounts().await?;
        let needy =
            accounts.into_iter().filter(|account| account.email.starts_with("stranded.") || account.email.starts_with("lost."));
        let mut people: Vec<Person> =
            needy.map(|account| Person { email: account.email, account: account.id, fate: Fate::Enrols }).collect();
        // Both kinds mixed, the same way each time.
        people.sort_by(|a, b| a.account.cmp(&b.account));
        Ok(people)
    }
}

/// `n` of `whole`.
#[expect(clippy::cast_precision_loss, reason = "numbers of accounts, letters and bytes are far below 2^52")]
fn part(n: usize, whole: usize) -> f64 {
    n as f64 / whole.max(1) as f64
}
