//! Processes: they crash and lose what is not committed, stand still, and their clocks step.

use homeward_types::Timestamp;

use super::agenda::{Happens, Loop, Micros, SECOND, date, shifted};
use super::fault::{Fault, Hook, Kind};
use super::world::World;

/// A service, with the queue that it listens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Owns leases, moves accounts.
    Policy,
    /// Owns cases.
    Recovery,
    /// Reads factors.
    Directory,
    /// Tells people.
    Notification,
    /// Reads back.
    Patrol,
}

/// How many processes there are: two of policy, two of recovery, one of each other.
pub const PROCESSES: usize = 7;

/// How long an outbox row belongs to the writer that made it.
const CLAIMED: Micros = 10 * SECOND;

impl Service {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Policy, Self::Recovery, Self::Directory, Self::Notification, Self::Patrol];

    /// The numbers of its processes.
    pub fn processes(self) -> &'static [usize] {
        match self {
            Self::Policy => &[0, 1],
            Self::Recovery => &[2, 3],
            Self::Directory => &[4],
            Self::Notification => &[5],
            Self::Patrol => &[6],
        }
    }

    /// The service of a process.
    pub fn of(process: usize) -> Self {
        match process {
            0 | 1 => Self::Policy,
            2 | 3 => Self::Recovery,
            4 => Self::Directory,
            5 => Self::Notification,
            _ => Self::Patrol,
        }
    }

    fn loops(self) -> &'static [Loop] {
        match self {
            Self::Policy => &[Loop::Keeper, Loop::Lends, Loop::Returns, Loop::Reader, Loop::Waiting],
            Self::Recovery => &[Loop::Timers],
            Self::Patrol => &[Loop::Rounds],
            Self::Directory | Self::Notification => &[],
        }
    }
}

/// One process.
#[derive(Debug, Clone, Default)]
pub struct Process {
    /// Grows with each start: what an earlier life began is lost.
    pub life: u64,
    /// It is not there.
    pub down: bool,
    /// It stands still until then.
    pub paused_until: Micros,
    /// How far its clock is off.
    pub clock_off: Micros,
}

impl World {
    /// What a process's clock shows.
    pub fn clock(&self, process: usize) -> Timestamp {
        shifted(date(self.agenda.now()), self.processes[process].clock_off)
    }

    /// When a process's clock will show, or showed, this.
    pub fn true_moment(&self, process: usize, shown: Timestamp) -> Micros {
        super::agenda::moment(shown) - self.processes[process].clock_off
    }

    /// Whether a process can do something now. One that stands still does it when it goes on.
    pub fn can_act(&mut self, process: usize, what: Happens) -> Option<Happens> {
        let one = &self.processes[process];
        if one.down {
            return None;
        }
        if one.paused_until > self.agenda.now() {
            let at = one.paused_until;
            self.agenda.note(at, what);
            return None;
        }
        Some(what)
    }

    /// The process of a service that takes the next message; `None` while all are down.
    pub fn consumer(&mut self, service: Service) -> Option<usize> {
        let live: Vec<usize> = service.processes().iter().copied().filter(|process| !self.processes[*process].down).collect();
        let nth = usize::try_from(self.delivered).unwrap_or(0);
        (!live.is_empty()).then(|| live[nth % live.len()])
    }

    /// A fault at its own time.
    pub fn strike(&mut self, number: usize) {
        let fault = self.draft.faults[number];
        match fault.kind {
            Kind::Crash => self.crash(fault.whom, fault.length),
            Kind::Pause => self.pause(fault.whom, fault.length),
            Kind::ClockStep => {
                self.tally.count(Kind::ClockStep);
                self.note(|| format!("the clock of process {} steps by {} µs", fault.whom, fault.length));
                self.processes[fault.whom].clock_off = fault.length;
                let at = self.draft.calm_from.min(self.agenda.now() + fault.length.abs() * 200);
                self.agenda.note(at, Happens::ClockRight(fault.whom));
            }
            Kind::Purge => self.purge(Service::ALL[fault.whom]),
            _ => self.strike_provider(fault),
        }
    }

    /// A process dies. What it had not committed is lost; what it had not published is left to others.
    pub fn crash(&mut self, process: usize, length: Micros) {
        let one = &mut self.processes[process];
        if one.down {
            return;
        }
        (one.down, one.paused_until) = (true, 0);
        one.life += 1;
        self.tally.count(Kind::Crash);
        self.note(|| format!("process {process} ({:?}) crashes", Service::of(process)));
        self.forget_work(process);
        let at = (self.agenda.now() + length).min(self.draft.calm_from);
        self.agenda.note(at, Happens::Up(process));
        self.relay_later(process);
    }

    fn pause(&mut self, process: usize, length: Micros) {
        let now = self.agenda.now();
        let one = &mut self.processes[process];
        if one.down || one.paused_until > now {
            return;
        }
        one.paused_until = now + length;
        self.tally.count(Kind::Pause);
        self.note(|| format!("process {process} ({:?}) stands still for {length} µs", Service::of(process)));
        self.agenda.note(now + length, Happens::Resume(process));
        self.relay_later(process);
    }

    /// A pause between a worker's last look at its clock and its write: how long.
    pub fn pause_before_write(&mut self, process: usize) -> Micros {
        match self.strikes(Hook::Write, process) {
            Some(fault) => {
                let length = fault.length.min(self.draft.calm_from - self.agenda.now()).max(0);
                self.pause(process, length);
                (self.processes[process].paused_until - self.agenda.now()).max(0)
            }
            None => 0,
        }
    }

    fn relay_later(&mut self, process: usize) {
        let service = Service::of(process).processes()[0];
        self.agenda.note(self.agenda.now() + CLAIMED + SECOND, Happens::Relay(service));
    }

    /// A process starts, or goes on: all its loops look for work.
    pub fn starts(&mut self, process: usize) {
        self.processes[process].down = false;
        for which in Service::of(process).loops() {
            self.wake(process, *which, self.agenda.now());
        }
    }

    /// Which fault strikes at a hook, before the calm.
    pub fn strikes(&mut self, hook: Hook, whom: usize) -> Option<Fault> {
        let calm = self.agenda.now() >= self.draft.calm_from;
        self.armed.pass(hook, whom).filter(|_| !calm)
    }

    /// A process is about to commit. False if it dies first; then nothing of it is kept.
    pub fn may_commit(&mut self, process: usize) -> bool {
        match self.strikes(Hook::Commit, process) {
            Some(fault) if fault.at == 0 => {
                self.crash(process, fault.length);
                false
            }
            Some(fault) => {
                self.dies_after = Some(fault.length);
                true
            }
            None => true,
        }
    }

    /// A process has committed. False if it dies now: nobody acknowledges, publishes or goes on.
    pub fn has_committed(&mut self, process: usize) -> bool {
        match self.dies_after.take() {
            Some(length) => {
                self.crash(process, length);
                false
            }
            None => true,
        }
    }

    /// A loop is to look for work at a moment, unless it will sooner.
    pub fn wake(&mut self, process: usize, which: Loop, at: Micros) {
        let at = at.max(self.agenda.now());
        let known = self.wakes.get(&(process, which)).copied();
        if known.is_none_or(|known| known > at) {
            self.wakes.insert((process, which), at);
            self.agenda.note(at, Happens::Wake(process, which));
        }
    }

    /// Rings the bell of one of policy's loops, if there will be work for it: the process that rings hears it at once, the
    /// others when they look by themselves.
    pub fn ring(&mut self, process: usize, which: Loop) {
        let Some(work) = self.rows.next_work(which) else { return };
        let now = self.agenda.now();
        for other in Service::Policy.processes() {
            let from = if *other == process { now + 1 } else { now + self.chance.within(1, SECOND) };
            let at = self.true_moment(*other, work).max(from);
            self.wake(*other, which, at);
        }
    }
}
