//! Processes that are told to stop while hundreds of messages are on their way lose nothing, and stop in time.

use std::path::Path;
use std::time::{Duration, Instant};

use homeward_simulator::well_known::policy::RECOVERY;
use homeward_types::Limits;
use homeward_world::Simulated;
use homeward_world::crowd::{Crowd, Fate, Habits, Person};
use homeward_world::people::Browsers;
use homeward_world::simulated::Population;

use crate::site::{PATIENCE, ROLES, STOP, Site};

/// Recoveries.
const PEOPLE: usize = 120;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_stop_under_load_lose_nothing_and_stop_in_time() {
    let place = tempfile::tempdir().unwrap();
    let population = Population { accounts: 600, stranded: PEOPLE / 2, lost_phones: PEOPLE / 2, zero_delay: true };
    let simulated = Simulated::start(Path::new(env!("CARGO_BIN_EXE_homeward")), place.path(), population).unwrap();
    let limits = Limits { exposure_percent: 20.0, hard_cap_percent: 30.0, many_requests: u32::MAX, ..Limits::short() };
    let mut site = Site::prepare(&simulated.provider, limits).await;
    site.start_all().await;
    let before = simulated.accounts().await.unwrap();
    let needy = before.iter().filter(|account| account.email.starts_with("stranded.") || account.email.starts_with("lost."));
    let people: Vec<_> =
        needy.map(|account| Person { email: account.email.clone(), account: account.id.clone(), fate: Fate::Enrols }).collect();
    assert_eq!(people.len(), PEOPLE);
    let habits = Habits { window: 60, bulk: 10, askers: 2, dawdle: Duration::from_secs(2), patience: PATIENCE };
    let desk = site.desk().insisting();
    let crowd = Crowd::new(desk.clone(), Browsers::of(&simulated.provider).unwrap(), habits, people);
    let began = Instant::now();
    let living = tokio::spawn({
        let (crowd, letters) = (crowd.clone(), site.letters());
        async move { crowd.live(&letters).await }
    });
    while crowd.tally().enrolled < 5 {
        assert!(!living.is_finished() && began.elapsed() < PATIENCE, "nobody was helped: {:?}", crowd.tally());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Somebody follows a timeline meanwhile: an answer that goes on must not keep recovery or the console from stopping.
    let watched = desk.recoveries(true).await.unwrap().pop().expect("one is open");
    let watching = watch(&site, &watched.recovery);

    let mut stops = Vec::new();
    for role in ROLES {
        let in_flight = crowd.tally();
        let took = site.stop(role).await;
        assert!(took < STOP, "{role} took {took:?}");
        site.start(role, &[]);
        site.until(role, "ready again", |status, _| status == 200).await;
        stops.push((role, took, in_flight.asked - in_flight.told));
    }
    drop(watching);
    living.await.unwrap().unwrap_or_else(|error| panic!("{error:#}\n{}", site.last_words("recovery")));
    let took = began.elapsed();

    // The last letter is sent a moment before its case is closed.
    while let Some(open) = desk.recoveries(true).await.unwrap().first() {
        assert!(began.elapsed() < PATIENCE * 2, "{} is still at {}: {}", open.recovery, open.step, open.next);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let all = desk.recoveries(false).await.unwrap();
    assert_eq!((all.len(), all.iter().filter(|recovery| recovery.outcome == "enrolled").count()), (PEOPLE, PEOPLE));
    let after = simulated.accounts().await.unwrap();
    let homes = |accounts: &[homeward_simulator::AccountTruth]| {
        let mut homes: Vec<_> = accounts.iter().map(|account| (account.id.clone(), account.policy.clone())).collect();
        homes.sort();
        homes
    };
    assert_eq!(homes(&before), homes(&after), "everybody is where they were");
    assert!(after.iter().all(|account| account.policy.as_deref() != Some(RECOVERY)));
    for (role, took, in_flight) in stops {
        println!("{role}: stopped in {:.2} s with {in_flight} recoveries under way", took.as_secs_f64());
    }
    println!("{PEOPLE} recoveries over six stops in {:.1} s", took.as_secs_f64());
    trace_is_shown(&site, &all[0].recovery, &all[0].trace_id);
}

/// A person's command line that follows one recovery, by way of the console.
fn watch(site: &Site, recovery: &str) -> homeward_world::process::Process {
    let token = site.folder.path().join("requester.token");
    std::fs::write(&token, site.tokens.requester.reveal()).unwrap();
    let mut command = person(site, &["watch", recovery]);
    homeward_world::process::Process::start(&mut command, &site.folder.path().join("watch.log")).unwrap()
}

fn person(site: &Site, arguments: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_homeward"));
    command.args(arguments).env("HOMEWARD_SERVER", site.address("console").replace("127.0.0.1", "localhost"));
    command.env("HOMEWARD_CA_FILE", site.ca_file()).env("HOMEWARD_TOKEN_FILE", site.folder.path().join("requester.token"));
    command.stdout(std::process::Stdio::piped());
    command
}

/// Whoever looks at a recovery finds its trace: on the command line and on the page.
fn trace_is_shown(site: &Site, recovery: &str, trace: &str) {
    assert_eq!(trace.len(), 32);
    let shown = person(site, &["show", recovery]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(trace) && shown.contains(&format!("https://traces.example/trace/{trace}")), "{shown}");
}
