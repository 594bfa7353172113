//! A day of silence on the real process: 10,000 accounts are out when the provider stops answering, all of their leases fall
//! due, and a day later it answers again. Everyone is home within the bound, and nobody was lent meanwhile.
//!
//! `HOMEWARD_ACCOUNTS` and `HOMEWARD_RATE` (calls a minute of each kind from each key) set other sizes.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use homeward_proto::words::v1::LeaseEnd;
use homeward_simulator::config::RateLimit;
use homeward_simulator::well_known::policy::RECOVERY;
use homeward_simulator::{Effect, Fault, FaultKind};
use homeward_types::{Clock, Limits, Timestamp};

use super::world::World;

/// Accounts that are out.
const ACCOUNTS: u32 = 10_000;
/// Calls of each kind that the provider takes in a minute from each key.
const RATE: u32 = 300;
/// People whose lends come during the silence, and as many whose lends come right after it.
const OTHERS: usize = 20;
/// Accounts in one move, and in one placement read.
const BATCH: u32 = 100;
/// The part of the bound that does not depend on how many are out.
const FIXED: Duration = Duration::from_mins(1);
/// The steps of the clock until every lease is due, and from then to the end of the day, in hours.
const STEPS: ([i64; 5], [i64; 3]) = ([1, 1, 1, 1, 1], [5, 7, 7]);

/// The paths of moves, of their tasks, and of placements: those that the bound counts. Each has its own window. Cleaning up after
/// a recovery takes a call for each account; at such a rate that alone would take a quarter of an hour, with everyone home.
const LIMITED: &str = "/admin/control/";

const READS: &str = "bulk-fetch";
const MOVES: &str = "add-users";
const TASKS: &str = "/task/";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_day_of_silence_everyone_is_home_within_the_bound() {
    let number = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let (accounts, rate) = (number("HOMEWARD_ACCOUNTS", ACCOUNTS), number("HOMEWARD_RATE", RATE));
    let n = usize::try_from(accounts).unwrap();
    let diary = Diary(Instant::now());
    // Everybody may be out at once. Every time is as by default.
    let caps = Limits { exposure_percent: 100.0, hard_cap_percent: 100.0, ..Limits::default() };
    let world = World::begin(n + 2 * OTHERS + 1, caps).await;
    earn_trust(&world, n + 2 * OTHERS).await;
    let out = world.ask(0..n).await;
    let early = world.ask(n..n + OTHERS).await;
    world.approve(&out).await;
    world.until("all were seen out", async || world.exposure().await.out_now == i64::from(accounts)).await;
    assert_eq!(world.out().len(), n);
    diary.note("all are out");

    let last = world.newest();
    silence(&world, accounts, rate, &early).await;
    assert_eq!(world.moves(last), [], "somebody was moved during the silence");
    diary.note("a day of silence is over");
    let before = Calls::of(&world);
    world.truth().clear_faults();
    let probed_at = first_answer(&world, before.reads).await;
    let late = async {
        let late = world.ask(n + OTHERS..n + 2 * OTHERS).await;
        world.approve(&late).await;
        late
    };
    let leased: BTreeSet<String> = out.iter().cloned().collect();
    let ended = async {
        world
            .until("all leases but those of the late have ended", async || {
                !world.open_leases(OTHERS + 1).await.iter().any(|lease| leased.contains(lease))
            })
            .await;
        world.clock.now()
    };
    let (late, closed_at) = tokio::join!(late, ended);
    let after = Calls::of(&world);
    diary.note("everybody is home and every lease of theirs has ended");
    world.until("the late were seen out", async || world.exposure().await.out_now == i64::try_from(late.len()).unwrap()).await;
    let report = Report::of(&world.moves(last), accounts, rate, probed_at, closed_at, [before, after]);
    println!("{report}");
    report.check(n);
    all_closes(&world, &out, &early, &late).await;
    diary.note("every case is closed");
    world.end().await;
}

/// When what happened, by the machine's clock.
struct Diary(Instant);

impl Diary {
    fn note(&self, what: &str) {
        println!("{:>6.1} s  {what}", self.0.elapsed().as_secs_f64());
    }
}

/// One account goes out and comes home, so that versions are trusted from then on.
async fn earn_trust(world: &World, person: usize) {
    let case = world.ask(person..person + 1).await;
    world.approve(&case).await;
    world.until("one is out", async || world.out().len() == 1).await;
    world.clock.step(TimeDelta::minutes(2));
    world.until("it was seen out", async || world.exposure().await.out_now == 1).await;
    world.desk.cancel(&case[0]).await.unwrap();
    world.until("one is home", async || world.out().is_empty()).await;
    world
        .until("versions are trusted", async || {
            world.clock.step(TimeDelta::seconds(30));
            world.exposure().await.versions_trusted
        })
        .await;
    world.until("its lease has ended", async || world.open_leases(1).await.is_empty()).await;
}

/// A day without an answer, in which lends are asked for.
async fn silence(world: &World, accounts: u32, rate: u32, early: &[String]) {
    world.truth().set_rate_limits(vec![RateLimit { path: LIMITED.into(), per_minute: rate }]);
    world.truth().fault(Fault::on("", FaultKind::Outage));
    world.approve(early).await;
    let (until_due, afterwards) = STEPS;
    for hours in until_due {
        world.clock.step(TimeDelta::hours(hours));
        // The loops look at the clock once a second.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    world.until("all are overdue", async || world.exposure().await.overdue == i64::from(accounts)).await;
    for hours in afterwards {
        let asked = world.calls(READS, &[0]);
        world.clock.step(TimeDelta::hours(hours));
        world.until("the provider was asked in vain", async || world.calls(READS, &[0]) > asked).await;
    }
    assert_eq!(world.exposure().await.overdue, i64::from(accounts));
}

/// When the first read was answered.
async fn first_answer(world: &World, before: u64) -> Timestamp {
    while world.calls(READS, &[200]) <= before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.clock.now()
}

/// Every case ends as it should, and no lease stays open.
async fn all_closes(world: &World, out: &[String], early: &[String], late: &[String]) {
    for case in late {
        world.desk.cancel(case).await.unwrap();
    }
    world.until("no lease is open", async || world.open_leases(1).await.is_empty()).await;
    world.until("all cases are closed", async || !world.has_open_cases().await).await;
    assert!(world.out().is_empty());
    let cases = world.desk.recoveries(false).await.unwrap();
    let all = |ids: &[String], what: &str, so: &dyn Fn(&homeward_proto::recovery::v1::Recovery) -> bool| {
        let ids: BTreeSet<&String> = ids.iter().collect();
        let of: Vec<_> = cases.iter().filter(|case| ids.contains(&case.recovery)).collect();
        assert_eq!(of.len(), ids.len());
        let other = of.into_iter().find(|case| !so(case));
        assert!(other.is_none(), "not {what}: {other:?}");
    };
    all(out, "home", &|case| case.lease_end() == LeaseEnd::Home && case.outcome == "not_enrolled");
    all(early, "refused", &|case| case.outcome == "not_lent");
    all(late, "home", &|case| case.lease_end() == LeaseEnd::Home && case.outcome == "cancelled");
}

/// Calls that were answered, and refused for their rate.
#[derive(Debug, Clone, Copy)]
struct Calls {
    reads: u64,
    moves: u64,
    tasks: u64,
    refused: u64,
}

impl Calls {
    fn of(world: &World) -> Self {
        let answered = |part| world.calls(part, &[200, 202]);
        Self { reads: answered(READS), moves: answered(MOVES), tasks: answered(TASKS), refused: world.calls("", &[429]) }
    }
}

/// What was measured. Times are since the first answer after the silence, by the clock that the provider lives by, too.
struct Report {
    accounts: u32,
    rate: u32,
    /// The calls that the bound allows for.
    calls: u32,
    bound: Duration,
    /// Who came home, and when the last did.
    home: usize,
    all_home: TimeDelta,
    all_ended: TimeDelta,
    /// When the first was lent again.
    first_lend: Option<TimeDelta>,
    made: [Calls; 2],
}

impl Report {
    fn of(moves: &[Effect], accounts: u32, rate: u32, probed_at: Timestamp, ended_at: Timestamp, made: [Calls; 2]) -> Self {
        let home = moves.iter().filter(|effect| effect.from.as_deref() == Some(RECOVERY));
        let lent = moves.iter().filter(|effect| effect.to.as_deref() == Some(RECOVERY));
        let parts = accounts.div_ceil(BATCH);
        let calls = 3 * parts;
        Self {
            accounts,
            rate,
            calls,
            bound: FIXED + Duration::from_mins(1) * calls / rate,
            home: home.clone().count(),
            all_home: home.map(|effect| effect.at - probed_at).max().unwrap(),
            all_ended: ended_at - probed_at,
            first_lend: lent.map(|effect| effect.at - probed_at).min(),
            made,
        }
    }

    fn check(&self, n: usize) {
        assert_eq!(self.home, n, "somebody came home twice, or not at all");
        let bound = TimeDelta::from_std(self.bound).unwrap();
        assert!(self.all_home <= bound, "everybody was home only after {}", self.all_home);
        assert!(self.first_lend.is_none_or(|first| first > self.all_home), "somebody was lent while others were overdue");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: TimeDelta| time.as_seconds_f64();
        writeln!(
            f,
            "n = {} out, B = R = {BATCH}, rate limit {} calls a minute of each kind from each key",
            self.accounts, self.rate
        )?;
        writeln!(f, "the bound allows for {} calls: {:.1} s", self.calls, self.bound.as_secs_f64())?;
        let [before, after] = self.made;
        writeln!(
            f,
            "made since the first answer: {} moves, {} task reads, {} placement reads (patrol's too); {} refused for the rate",
            after.moves - before.moves,
            after.tasks - before.tasks,
            after.reads - before.reads,
            after.refused - before.refused
        )?;
        write!(
            f,
            "everyone home after {:.1} s, every lease ended after {:.1} s",
            seconds(self.all_home),
            seconds(self.all_ended)
        )?;
        self.first_lend.map_or(Ok(()), |first| write!(f, ", first lend after {:.1} s", seconds(first)))
    }
}
