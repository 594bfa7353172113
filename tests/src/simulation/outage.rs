//! A day of silence with many accounts out: everyone is home soon after the provider answers again, and lends wait meanwhile.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use homeward_policy::lease::{Answer, Asked, Event, Kind, Opened, Reading, Sending};
use homeward_types::limits::after;
use homeward_types::{Factor, LeaseId, Limits};

use super::agenda::{HOUR, MS, Micros, SECOND, date, moment, told};
use super::draft::Draft;
use super::limiter::{Limiter, Path};
use super::provider::OUT;
use super::world::{World, lease_id};
use crate::model::place::Versions;

/// How large.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// Accounts that are out when it begins.
    pub accounts: usize,
    /// Calls that the provider takes in a minute: of each path, or of all together.
    pub per_minute: u32,
    /// All paths share the limit.
    pub shared: bool,
    /// How the provider numbers placements.
    pub versions: Versions,
    /// How long it lasts.
    pub lasts: Micros,
}

/// What was measured. Times are since the first answer after the silence.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was ordered.
    pub order: Order,
    /// Accounts in one move, and in one placement read.
    pub batches: (usize, usize),
    /// The calls that the bound allows for.
    pub calls: u64,
    /// The calls that were made from then on: moves, placement reads; and those that were refused for the rate.
    pub made: (u64, u64, u64),
    /// The bound.
    pub bound: Micros,
    /// When the first return was marked.
    pub first_return: Micros,
    /// When the last account was home.
    pub all_home: Micros,
    /// When the last of those was home that were past their time.
    pub overdue_home: Micros,
    /// When the last lease was closed.
    pub all_closed: Micros,
    /// When the first lend was marked.
    pub first_lend: Micros,
    /// Returns of leases past their time that were marked after one of a lease that was not.
    pub out_of_order: usize,
    /// Lends that waited.
    pub lends: usize,
    /// What went wrong.
    pub broken: Option<String>,
    /// How long it took to compute.
    pub took: Duration,
}

/// Lends that wait through the silence.
const LENDS: usize = 100;

/// One in so many leases is returned although its time is not over.
const EARLY: usize = 20;

/// A mark, where marks are measured.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// When.
    pub at: Micros,
    /// Of what.
    pub kind: Kind,
    /// Under which lease.
    pub lease: LeaseId,
    /// When that is due.
    pub due: Micros,
}

/// Plays it.
pub fn play(order: Order) -> Report {
    let begun = Instant::now();
    let limits = Limits::default();
    let mut world = World::new(draft(order, limits.clone()), false);
    world.bare = true;
    world.processes[1].down = true;
    world.marks = Some(Vec::new());
    lend_all(&mut world, order);
    let silence = world.agenda.now() + MS;
    world.provider.outages.push((silence, silence + order.lasts, true));
    world.provider.limiter = Some(Limiter::new(order.per_minute, order.shared));
    world.starts(0);
    while world.next(silence + HOUR) {}
    ask_and_lend(&mut world, order);
    while world.next(silence + order.lasts - 1) {}
    let before = calls(&world);
    let last = silence + order.lasts + 6 * HOUR;
    let closed = |world: &World| world.rows.open.keys().all(|account| *account >= order.accounts);
    while !closed(&world) && world.next(last) {}
    let all_closed = world.agenda.now();
    let made = calls(&world);
    while world.marks.as_ref().is_some_and(|marks| !marks.iter().any(|mark| mark.kind == Kind::Lend)) && world.next(last) {}
    report(&world, order, &limits, (before, made), all_closed, begun.elapsed())
}

fn draft(order: Order, limits: Limits) -> Draft {
    Draft {
        seed: 1,
        limits,
        versions: order.versions,
        accounts: order.accounts + LENDS,
        cap: 0,
        latency: 400 * MS,
        cases: Vec::new(),
        faults: Vec::new(),
        calm_from: 0,
        skew: 0,
        mutation: None,
    }
}

fn calls(world: &World) -> (u64, u64, u64) {
    let Some(limiter) = &world.provider.limiter else { return (0, 0, 0) };
    let made = |path| limiter.made.get(&path).copied().unwrap_or(0);
    (made(Path::Move), made(Path::Placements), limiter.refused)
}

/// Everyone is lent, by production's decisions, and seen out.
fn lend_all(world: &mut World, order: Order) {
    for account in 0..order.accounts {
        let id = lease_id(account);
        let hours = if account % EARLY == 0 { 30 } else { 4 };
        let lasts = Duration::from_mins(hours * 60 - u64::try_from(account % 200).unwrap_or(0));
        let now = date(world.agenda.now());
        open(world, id, account, lasts);
        let until = after(now, Duration::from_mins(1));
        world.decides(id, account, &Event::AttemptSent(Sending { number: 1, claimed_until: until }), now);
        world.decides(id, account, &Event::AttemptAnswered { number: 1, answer: Answer::Accepted }, now);
        let shown = super::provider::Shown { policy: OUT, version: 2, ..world.provider.accounts[account].is.clone() };
        world.provider.place(account, shown);
        let later = after(now, Duration::from_mins(2));
        if let Some(placement) = world.provider.placement(account, Micros::MAX, later) {
            let reading = Reading::of(&placement, &world.organisation, &world.rows.by_id[&id].lease);
            world.decides(id, account, &Event::Read { reading, trust: world.rows.trust }, later);
        }
    }
    world.outbox.clear();
}

fn open(world: &mut World, id: LeaseId, account: usize, lasts: Duration) {
    let now = date(world.agenda.now());
    let mut subject = world.subject(id, account);
    subject.home = world.provider.policies[0].clone();
    let home_version = world.provider.placement(account, Micros::MAX, now).and_then(|placement| placement.version);
    let (factor, not_after) = (Factor::Absent, after(now, Duration::from_hours(40)));
    let opened = Opened { subject, home_version, seen_before: None, factor, lasts, not_after };
    world.rows.lines.insert(id);
    world.decides(id, account, &Event::LendAccepted(opened), now);
}

/// Some are asked home before their time, and others are to be lent.
fn ask_and_lend(world: &mut World, order: Order) {
    let early = (0..order.accounts).filter(|account| account % EARLY == 0);
    let asked = early.map(|account| {
        let id = lease_id(account);
        (id, account, Event::ReturnAsked(Asked { subject: world.subject(id, account), reason: String::new() }))
    });
    let asked = asked.collect();
    world.turn(0, asked);
    for account in order.accounts..order.accounts + LENDS {
        open(world, lease_id(account), account, Duration::from_hours(48));
    }
    world.outbox.clear();
}

fn report(
    world: &World,
    order: Order,
    limits: &Limits,
    (before, made): ((u64, u64, u64), (u64, u64, u64)),
    all_closed: Micros,
    took: Duration,
) -> Report {
    let answered = world.answered_at.unwrap_or(Micros::MAX);
    let batch = limits.batch as u64;
    let parts = (order.accounts as u64).div_ceil(batch);
    let reads = if order.versions == Versions::Trusted { parts } else { 2 * parts };
    let calls = 2 * parts + reads;
    let bound = 60 * SECOND + Micros::try_from(calls).unwrap_or(0) * 60 * SECOND / Micros::from(order.per_minute);
    let marks = world.marks.as_deref().unwrap_or_default();
    let since = |at: Option<Micros>| at.map_or(Micros::MAX, |at| at - answered);
    let of = |kind| marks.iter().filter(move |mark| mark.kind == kind && mark.at >= answered);
    let overdue = |mark: &Mark| mark.due <= answered;
    let mut seen = BTreeSet::new();
    let first: Vec<&Mark> = of(Kind::Return).filter(|mark| seen.insert(mark.lease)).collect();
    let first_early = first.iter().find(|mark| !overdue(mark)).map_or(Micros::MAX, |mark| mark.at);
    Report {
        order,
        batches: (limits.batch, limits.batch),
        calls,
        made: (made.0 - before.0, made.1 - before.1, made.2 - before.2),
        bound,
        first_return: since(of(Kind::Return).map(|mark| mark.at).next()),
        all_home: since(world.last_home),
        overdue_home: since(world.last_overdue_home),
        all_closed: all_closed - answered,
        first_lend: since(of(Kind::Lend).map(|mark| mark.at).next()),
        out_of_order: first.iter().filter(|mark| overdue(mark) && mark.at > first_early).count(),
        lends: marks.iter().filter(|mark| mark.kind == Kind::Lend && mark.at < answered).count(),
        broken: world.broken.as_ref().map(|(law, words, at)| format!("{} ({words}) at {}", law.sentence(), told(*at))),
        took,
    }
}

impl World {
    /// Notes a mark, where marks are measured.
    pub fn note_mark(&mut self, kind: Kind, id: LeaseId) {
        let now = self.agenda.now();
        let due = moment(self.rows.by_id[&id].lease.due_at);
        if let Some(marks) = &mut self.marks {
            marks.push(Mark { at: now, kind, lease: id, due });
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Order { accounts, per_minute, shared, versions, lasts } = self.order;
        let paths = if shared { "all paths together" } else { "each path" };
        writeln!(f, "{accounts} accounts out, {} of silence, versions {versions:?}", told(lasts))?;
        writeln!(f, "  B = {}, R = {}, rate limit {per_minute} calls a minute on {paths}", self.batches.0, self.batches.1)?;
        writeln!(f, "  the bound allows for {} calls: {}", self.calls, told(self.bound))?;
        let (moves, reads, refused) = self.made;
        writeln!(f, "  made since the first answer: {moves} moves, {reads} placement reads; {refused} refused for the rate")?;
        let (first, overdue) = (told(self.first_return), told(self.overdue_home));
        writeln!(f, "  first return after {first}, all overdue home after {overdue}, all home after {}", told(self.all_home))?;
        writeln!(f, "  all leases closed after {}, first lend after {}", told(self.all_closed), told(self.first_lend))?;
        writeln!(f, "  overdue returns behind one that was not: {}; took {:.1} s", self.out_of_order, self.took.as_secs_f64())
    }
}
