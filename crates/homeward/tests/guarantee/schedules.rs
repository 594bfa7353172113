//! Seeded fault schedules on the real process: SQLite, the in-process broker, a hostile provider, and crashes.
//!
//! `HOMEWARD_SEED=7` plays one schedule, `HOMEWARD_SCHEDULES=200` so many, from seed 1 on. The schedule is reproducible; when a
//! fault meets which call is up to the machine. The verdict is the provider's ground truth.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures_util::StreamExt;
use homeward_simulator::{AccountTruth, Fault, FaultState};
use homeward_types::{Limits, Timestamp};
use homeward_world::crowd::{Crowd, Fate, Habits, Person};
use homeward_world::desk::Desk;
use homeward_world::people::Browsers;
use homeward_world::settings::Plan;
use homeward_world::simulated::Population;
use homeward_world::{Simulated, System};

use crate::schedule::{Bounds, CLASSES, Class, Trouble, schedule};
use crate::verdict::{self, Late};

/// Schedules, unless the environment says otherwise.
const SCHEDULES: u64 = 3;
/// Schedules at the same time.
const AT_ONCE: usize = 3;
/// How long trouble lasts.
const LENGTH: Duration = Duration::from_secs(9);
/// Every third schedule breaks the bound.
const BEYOND: u64 = 3;
/// People who need help.
const NEEDY: usize = 60;
/// How late after its due time an account may come home once trouble is over.
const CALM: TimeDelta = TimeDelta::seconds(30);
/// From here on it is worth a line who was late, and when.
const LONG: TimeDelta = TimeDelta::seconds(5);

/// What one schedule came to.
#[derive(Default)]
struct Report {
    fired: BTreeMap<Class, u64>,
    /// The longest time past `due_at` of an account that was due, or on its way home, while such trouble lasted.
    past_due: BTreeMap<Class, TimeDelta>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_any_schedule_of_faults_everybody_comes_home() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds: Vec<u64> = match number("HOMEWARD_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("HOMEWARD_SCHEDULES").unwrap_or(SCHEDULES)).collect(),
    };
    let began = Instant::now();
    let played: Vec<(u64, Report)> = futures_util::stream::iter(seeds)
        .map(async |seed| (seed, tokio::spawn(play(seed)).await.unwrap_or_else(|error| panic!("HOMEWARD_SEED={seed}: {error}"))))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut all = Report::default();
    for (seed, report) in &played {
        let kinds = report.fired.values().filter(|fired| **fired > 0).count();
        assert!(kinds >= CLASSES.len() / 2, "HOMEWARD_SEED={seed}: only {kinds} kinds of faults happened: {:?}", report.fired);
        for (class, fired) in &report.fired {
            *all.fired.entry(*class).or_default() += fired;
        }
        for (class, late) in &report.past_due {
            let longest = all.past_due.entry(*class).or_default();
            *longest = (*longest).max(*late);
        }
    }
    println!("{} schedules in {:.0} s", played.len(), began.elapsed().as_secs_f64());
    println!("{:<20} {:>6}  longest past due_at", "trouble", "times");
    for class in CLASSES {
        let late = all.past_due.get(&class).map_or("-".into(), |late| format!("{:.1} s", seconds(*late)));
        println!("{:<20} {:>6}  {late:>8}", format!("{class:?}"), all.fired.get(&class).copied().unwrap_or(0));
    }
}

async fn play(seed: u64) -> Report {
    let folder = tempfile::Builder::new().prefix("homeward-schedule-").tempdir().unwrap();
    let limits = limits();

    let late = if seed.is_multiple_of(BEYOND) {
        // Past the bound, and near enough to it that patrol still looks closely.
        limits.claim + limits.late_limit + limits.read_lag + Duration::from_millis(500)
    } else {
        limits.late_limit
    };
    let troubles = schedule(seed, LENGTH, Bounds { late, stale: limits.read_lag });
    let (simulated, mut system) = world(folder.path(), &limits);
    let before = simulated.accounts().await.unwrap();
    system.start().await.unwrap();
    system.knows_everybody().await.unwrap();
    let crowd = crowd(&system, &simulated, &before);
    let living = tokio::spawn({
        let (crowd, outbox) = (crowd.clone(), system.outbox());
        async move { crowd.live(&outbox).await }
    });
    let lived = trouble(&troubles, &simulated, &mut system).await;
    simulated.clear_faults().await.unwrap();
    crowd.stop_asking();
    let letters =
        living.await.unwrap().unwrap_or_else(|error| panic!("HOMEWARD_SEED={seed}: {error:#}\n{}", system.last_words()));
    let desk = Desk::of(&system).unwrap().insisting();
    verdict::everybody_is_home(&simulated, &before).await;
    verdict::nobody_is_left_behind(&desk, &simulated, &crowd, &letters, &before).await;
    let leases = system.data.join("policy/leases.log");
    if !seed.is_multiple_of(BEYOND) {
        verdict::nobody_was_out_without_a_lease(&simulated, &leases).await;
    }
    let report = Report {
        fired: fired(&troubles, &simulated.faults().await.unwrap()),
        past_due: past_due(&lived, &simulated, &leases).await,
    };
    println!("HOMEWARD_SEED={seed}: {:?}; {:?}", crowd.tally(), report.fired);
    report
}

fn limits() -> Limits {
    Limits {
        lease: Duration::from_secs(5),
        claim: Duration::from_millis(1_500),
        client_timeout: Duration::from_secs(1),
        patrol: Duration::from_millis(200),
        exposure_percent: 20.0,
        hard_cap_percent: 40.0,
        many_requests: u32::MAX,
        ..Limits::short()
    }
}

fn world(folder: &Path, limits: &Limits) -> (Simulated, System) {
    let binary = Path::new(env!("CARGO_BIN_EXE_homeward"));
    let population = Population { accounts: 2 * NEEDY + 100, stranded: NEEDY, lost_phones: NEEDY, zero_delay: true };
    let simulated = Simulated::start(binary, folder, population).unwrap();
    let plan =
        Plan { provider: &simulated.provider, limits: limits.clone(), staff_letters: true, notice_claim: Duration::from_secs(2) };
    let system = System::prepare(binary, folder, &plan).unwrap();
    one_proof_is_enough(&folder.join("homeward.toml"));
    (simulated, system)
}

/// While the provider is in trouble nobody knows who is an administrator, so everybody counts as one. That is not what is tested.
fn one_proof_is_enough(settings: &Path) {
    let mut text: toml::Table = toml::from_str(&std::fs::read_to_string(settings).unwrap()).unwrap();
    let organisation = text["organisations"][0].as_table_mut().unwrap();
    let tiers = toml::toml! { normal = { proofs = 1, approvers = 1 }
    high = { proofs = 1, approvers = 1 } };
    organisation.insert("tiers".into(), tiers.into());
    std::fs::write(settings, toml::to_string(&text).unwrap()).unwrap();
}

fn crowd(system: &System, simulated: &Simulated, before: &[AccountTruth]) -> Crowd {
    let habits = Habits { window: 24, bulk: 6, askers: 2, dawdle: Duration::from_secs(4), patience: Duration::from_mins(1) };
    let needy = before.iter().filter(|account| account.email.starts_with("stranded.") || account.email.starts_with("lost."));
    let fate = |n: usize| match n % 6 {
        1 => Fate::Cancels,
        3 | 5 => Fate::NeverEnrols,
        _ => Fate::Enrols,
    };
    let person = |(n, account): (usize, &AccountTruth)| Person {
        email: account.email.clone(),
        account: account.id.clone(),
        fate: fate(n),
    };
    let people: Vec<Person> = needy.enumerate().map(person).collect();
    let desk = Desk::of(system).unwrap().insisting();
    Crowd::new(desk, Browsers::of(&simulated.provider).unwrap(), habits, people)
}

/// When each trouble really was.
type Lived = Vec<(Class, Timestamp, Timestamp)>;

/// Plays the schedule.
async fn trouble(troubles: &[Trouble], simulated: &Simulated, system: &mut System) -> Lived {
    let (began, mut lived) = (Instant::now(), Vec::new());
    for trouble in troubles {
        tokio::time::sleep(trouble.from.saturating_sub(began.elapsed())).await;
        let from = now();
        if trouble.class == Class::Crash {
            system.process().unwrap().kill().unwrap();
            system.start().await.unwrap();
        } else {
            simulated.set_faults(&trouble.faults).await.unwrap();
        }
        lived.push((trouble.class, from, now().max(from + TimeDelta::from_std(trouble.lasts).unwrap())));
    }
    tokio::time::sleep(LENGTH.saturating_sub(began.elapsed())).await;
    lived
}

/// How often each class of trouble met the product.
fn fired(troubles: &[Trouble], faults: &[FaultState]) -> BTreeMap<Class, u64> {
    let mut fired: BTreeMap<Class, u64> = BTreeMap::new();
    let times = |fault: &Fault| faults.iter().filter(|state| state.fault == *fault).map(|state| state.fired).sum::<u64>();
    let mut counted: Vec<&Fault> = Vec::new();
    for trouble in troubles {
        let count = fired.entry(trouble.class).or_default();
        if trouble.class == Class::Crash {
            *count += 1;
        }
        for fault in &trouble.faults {
            if !counted.contains(&fault) {
                *count += times(fault);
                counted.push(fault);
            }
        }
    }
    fired
}

/// The longest that anyone was out past the due time, by what troubled the way home.
async fn past_due(lived: &Lived, simulated: &Simulated, leases: &Path) -> BTreeMap<Class, TimeDelta> {
    let mut longest: BTreeMap<Class, TimeDelta> = BTreeMap::new();
    for Late { account, due, back } in verdict::past_due(simulated, leases).await {
        let late = back - due;
        if late > LONG {
            println!("{account} was due at {due} and came home at {back}");
        }
        assert!(late < CALM + TimeDelta::from_std(LENGTH).unwrap(), "{account} was out {late} past its time");
        for (class, _, _) in lived.iter().filter(|(_, from, until)| *from < back && due < *until) {
            let most = longest.entry(*class).or_default();
            *most = (*most).max(late);
        }
    }
    longest
}

fn now() -> Timestamp {
    homeward_types::Clock::now(&homeward_types::SystemClock)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a test are far below 2^52")]
fn seconds(time: TimeDelta) -> f64 {
    time.num_milliseconds() as f64 / 1_000.0
}
