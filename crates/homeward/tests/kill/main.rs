//! Kills the real process with `-9` again and again while hundreds of recoveries run, and checks that nobody is left behind.
//!
//! The simulated organisation and the people live in processes of their own and never die. Most kills are aimed: the process
//! stands still at a crash boundary of a chosen state (see `homeward_chassis::boundary`) and is killed exactly there, until
//! every stored state and every boundary was hit three times; the others fall at random. `HOMEWARD_KILLS` sets how many.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod aim;
mod record;
mod verdict;

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use homeward_simulator::well_known::policy::RECOVERY;
use homeward_simulator::{AccountTruth, Fact};
use homeward_types::Limits;
use homeward_world::crowd::{Crowd, Fate, Habits, Person};
use homeward_world::desk::Desk;
use homeward_world::people::Browsers;
use homeward_world::settings::Plan;
use homeward_world::simulated::Population;
use homeward_world::{Simulated, System};

use aim::Aim;
use record::Record;

/// Kills, unless the environment says otherwise.
const KILLS: usize = 200;
/// From so many on, every state and boundary must have been hit.
const ENOUGH: usize = 200;
/// Accounts out, or about to be, that make a kill count as one in full swing.
const SWING: usize = 50;
/// People of each kind who need help; more than will be asked for.
const NEEDY: usize = 3_500;
/// How long the process runs between its start and a kill, at least and at most.
const RUNS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(700));
/// How long an aimed kill waits for its boundary.
const AIMED: Duration = Duration::from_millis(1_500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_the_process_is_killed_everybody_comes_home_and_is_told() {
    let kills = std::env::var("HOMEWARD_KILLS").map_or(KILLS, |text| text.parse().expect("HOMEWARD_KILLS is a number"));
    let folder = tempfile::Builder::new().prefix("homeward-kill-").tempdir().unwrap();
    let began = Instant::now();
    let (simulated, mut system) = world(folder.path());
    let before = simulated.accounts().await.unwrap();
    let mut record = Record::at(folder.path().join("boundaries"), folder.path().join("halts"));
    system.set("HOMEWARD_BOUNDARY_FILE", record.path().to_owned());
    system.set("HOMEWARD_BOUNDARY_HALT", record.halts().to_owned());
    system.start().await.unwrap();
    system.knows_everybody().await.unwrap();

    let crowd = crowd(&system, &simulated, &before);
    let living = tokio::spawn({
        let (crowd, outbox) = (crowd.clone(), system.outbox());
        async move { crowd.live(&outbox).await }
    });
    let mut out = Out::default();
    while out.count(&simulated).await < SWING {
        assert!(!living.is_finished(), "nobody came to be lent: {}", living.await.unwrap().err().unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let mut aim = Aim::new(kills);
    for _ in 0..kills {
        if living.is_finished() {
            break;
        }
        kill(&mut system, &mut record, &mut aim, &mut out, &simulated).await;
        system.start().await.unwrap();
    }
    record.halt_at(&[]);
    crowd.stop_asking();
    let killed_in = began.elapsed();
    let letters = living.await.unwrap().unwrap_or_else(|error| panic!("{error:#}\n{}", system.last_words()));
    let desk = Desk::of(&system).unwrap().insisting();
    verdict::everybody_is_home(&simulated, &before).await;
    verdict::nobody_is_left_behind(&desk, &simulated, &crowd, &letters, &before).await;
    verdict::nobody_was_out_without_a_lease(&simulated, &system.data.join("policy/leases.log")).await;

    println!(
        "{} kills in {:.0} s, everybody home after {:.0} s; {:?}",
        kills,
        killed_in.as_secs_f64(),
        began.elapsed().as_secs_f64(),
        crowd.tally()
    );
    let late = verdict::past_due(&simulated, &system.data.join("policy/leases.log")).await;
    let longest = late.iter().max_by_key(|late| late.back - late.due);
    let longest = longest.map_or_else(String::new, |late| format!(", {} by {}", late.account, late.back - late.due));
    println!("{} accounts came home after they were due{longest}", late.len());
    println!("{}", aim.histogram());
    aim.check(kills >= ENOUGH, SWING);
}

/// One run of the process from its start to its kill.
async fn kill(system: &mut System, record: &mut Record, aim: &mut Aim, out: &mut Out, simulated: &Simulated) {
    let (least, most) = RUNS;
    tokio::time::sleep(least + most.saturating_sub(least).mul_f64(rand::random())).await;
    let targets = aim.targets(record);
    record.halt_at(&targets);
    let halted = !targets.is_empty() && record.halts_within(AIMED).await;
    let in_swing = out.count(simulated).await;
    system.process().unwrap().kill().unwrap();
    record.halt_at(&[]);
    aim.hit(halted, record.in_progress(), in_swing);
}

/// The simulated organisation in its own process, and Homeward, not started yet.
fn world(folder: &Path) -> (Simulated, System) {
    let binary = Path::new(env!("CARGO_BIN_EXE_homeward"));
    let population = Population { accounts: 2 * NEEDY + 1_000, stranded: NEEDY, lost_phones: NEEDY, zero_delay: false };
    let simulated = Simulated::start(binary, folder, population).unwrap();
    let limits = Limits {
        exposure_percent: 5.0,
        hard_cap_percent: 10.0,
        sync: Duration::from_mins(1),
        watch: Duration::from_millis(150),
        // Who is not lent in time because of the kills asks again, and that is not what is tested here.
        many_requests: u32::MAX,
        ..Limits::short()
    };
    let plan = Plan { provider: &simulated.provider, limits, staff_letters: true, notice_claim: Duration::from_secs(2) };
    let system = System::prepare(binary, folder, &plan).unwrap();
    (simulated, system)
}

fn crowd(system: &System, simulated: &Simulated, before: &[AccountTruth]) -> Crowd {
    let habits = Habits { window: 300, bulk: 20, askers: 2, dawdle: Duration::from_secs(15), patience: Duration::from_mins(2) };
    let needy = before.iter().filter(|account| account.email.starts_with("stranded.") || account.email.starts_with("lost."));
    let mut people: Vec<Person> =
        needy.map(|account| Person { email: account.email.clone(), account: account.id.clone(), fate: Fate::Enrols }).collect();
    people.sort_by(|a, b| a.account.cmp(&b.account));
    for (n, person) in people.iter_mut().enumerate() {
        person.fate = match n % 50 {
            7 => Fate::Denied,
            17 | 37 => Fate::Cancels,
            // Early, so that their leases run out while the others still come and go.
            27 if n < NEEDY / 4 => Fate::NeverEnrols,
            _ => Fate::Enrols,
        };
    }
    let desk = Desk::of(system).unwrap().insisting();
    Crowd::new(desk, Browsers::of(&simulated.provider).unwrap(), habits, people)
}

/// Who is in the recovery policy, from the ground-truth log as it grows.
#[derive(Default)]
struct Out {
    last: u64,
    accounts: HashMap<String, bool>,
}

impl Out {
    async fn count(&mut self, simulated: &Simulated) -> usize {
        for effect in simulated.log(self.last).await.unwrap() {
            self.last = effect.number;
            if effect.fact == Fact::Policy {
                self.accounts.insert(effect.account, effect.to.as_deref() == Some(RECOVERY));
            }
        }
        self.accounts.values().filter(|out| **out).count()
    }
}
