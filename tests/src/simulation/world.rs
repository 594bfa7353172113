//! Everything that there is in a run, and what happens next.

use std::collections::BTreeMap;

use homeward_recovery::saga::RecoverySaga;
use homeward_types::{LeaseId, Organisation, Policy, PolicyId, Tiers, TwoStep};
use uuid::Uuid;

use super::agenda::{Agenda, Happens, Loop, Micros};
use super::broker::OutboxRow;
use super::cases::Cases;
use super::chance::{Chance, mix};
use super::draft::Draft;
use super::fault::{Armed, Hook, Tally};
use super::law::Law;
use super::lends::Intake;
use super::others::{Copies, Told, Watches};
use super::process::{PROCESSES, Process, Service};
use super::provider::Provider;
use super::reader::Look;
use super::rows::Rows;
use super::sender::Flight;

/// A run.
pub struct World {
    /// What was drawn before it began.
    pub draft: Draft,
    /// The tenant, as configured.
    pub organisation: Organisation,
    /// What happens when.
    pub agenda: Agenda,
    /// Latencies.
    pub chance: Chance,
    /// Who runs.
    pub processes: Vec<Process>,
    /// Faults that lie in wait.
    pub armed: Armed,
    /// Faults that struck.
    pub tally: Tally,
    /// When each loop looks for work next.
    pub wakes: BTreeMap<(usize, Loop), Micros>,
    /// The process that commits now dies right after, for so long.
    pub dies_after: Option<Micros>,
    /// Messages that are committed and not confirmed.
    pub outbox: BTreeMap<u64, OutboxRow>,
    /// The newest of them.
    pub outbox_number: u64,
    /// Messages sent so far.
    pub parcels: u64,
    /// Messages delivered so far.
    pub delivered: u64,
    /// When each queue was purged last.
    pub purged: BTreeMap<Service, Micros>,
    /// The newest message delivered of each lease and queue.
    pub newest: BTreeMap<(Service, LeaseId), u64>,
    /// The identity provider.
    pub provider: Provider,
    /// Policy's database.
    pub rows: Rows,
    /// Batches on their way to the provider, by number.
    pub flights: BTreeMap<u64, Flight>,
    /// Reads of leases under way.
    pub looks: BTreeMap<u64, Look>,
    /// Reads before lends under way.
    pub intakes: BTreeMap<u64, Intake>,
    /// The newest number of all these.
    pub works: u64,
    /// Recovery's definition.
    pub saga: RecoverySaga,
    /// Recovery's database.
    pub cases: Cases,
    /// Directory's.
    pub watches: Watches,
    /// Notification's.
    pub told: Told,
    /// Patrol's.
    pub copies: Copies,
    /// Only policy runs, and nobody hears it.
    pub bare: bool,
    /// The first law that was broken, and when.
    pub broken: Option<(Law, String, Micros)>,
    /// What was measured.
    pub figures: Figures,
    /// When an account came home last.
    pub last_home: Option<Micros>,
    /// When one came home last that was past its time.
    pub last_overdue_home: Option<Micros>,
    /// Marks, where they are measured.
    pub marks: Option<Vec<super::outage::Mark>>,
    /// When a process first heard the provider again after a silence.
    pub answered_at: Option<Micros>,
    /// Everything that happened, folded into one number.
    pub hash: u64,
    /// Everything that happened, for people.
    pub trace: Option<Vec<String>>,
}

/// What a run measures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// The longest that an account was out past its lease's due time.
    pub past_due: Micros,
    /// The longest from the calm, the due time or the wish to return (whichever is last) to a lease's end.
    pub to_end: Micros,
    /// The longest from the calm or the lease's end (whichever is last) to the case's close.
    pub to_close: Micros,
    /// Leases that were opened.
    pub leases: u64,
    /// Leases that were opened because their account was seen out after an end.
    pub reopened: u64,
    /// Things that happened.
    pub events: u64,
}

/// The organisation: two mandatory policies, the optional one to lend to, and one that delegates.
///
/// # Panics
/// Never: the names are well formed.
pub fn organisation(draft: &Draft) -> Organisation {
    let name = |name: &str| -> PolicyId { name.parse().expect("well formed") };
    let policy = |id: &str, two_step| (name(id), Policy { name: id.to_owned(), two_step, factor_lives_in: None });
    Organisation {
        id: "acme".parse().expect("well formed"),
        policies: [
            policy("mandatory", TwoStep::Mandatory),
            policy("mandatory-too", TwoStep::Mandatory),
            policy("recovery", TwoStep::Optional),
            policy("delegated", TwoStep::Delegated),
        ]
        .into(),
        recovery_policy: name("recovery"),
        home_policies: [name("mandatory"), name("mandatory-too")].into(),
        default_home: name("mandatory"),
        tiers: Tiers::default(),
        limits: draft.limits.clone(),
    }
}

/// The id of a case or lease by number: in order of birth, and with bits that differ.
pub fn lease_id(number: usize) -> LeaseId {
    let number = number as u64 + 1;
    LeaseId::from_uuid(Uuid::from_u64_pair(number, mix(number)))
}

impl World {
    /// A run that has not begun.
    pub fn new(draft: Draft, traced: bool) -> Self {
        let organisation = organisation(&draft);
        let mut world = Self {
            agenda: Agenda::default(),
            chance: Chance::new(draft.seed, 1),
            processes: vec![Process::default(); PROCESSES],
            armed: Armed::new(&draft.faults),
            tally: Tally::default(),
            wakes: BTreeMap::new(),
            dies_after: None,
            outbox: BTreeMap::new(),
            outbox_number: 0,
            parcels: 0,
            delivered: 0,
            purged: BTreeMap::new(),
            newest: BTreeMap::new(),
            provider: Provider::new(&draft, &organisation),
            rows: Rows::new(&draft),
            flights: BTreeMap::new(),
            looks: BTreeMap::new(),
            intakes: BTreeMap::new(),
            works: 0,
            saga: RecoverySaga::new(),
            cases: Cases::new(&draft, &organisation),
            watches: Watches::default(),
            told: Told::default(),
            copies: Copies::default(),
            bare: false,
            broken: None,
            figures: Figures::default(),
            last_home: None,
            last_overdue_home: None,
            marks: None,
            answered_at: None,
            hash: 0,
            trace: traced.then(Vec::new),
            organisation,
            draft,
        };
        let timed = world.draft.faults.iter().enumerate().filter(|(_, fault)| fault.hook == Hook::Time);
        for (number, fault) in timed {
            world.agenda.note(fault.at, Happens::Strike(number));
        }
        world.persons_begin();
        world
    }

    /// Does what happens next, if it happens until then. False if nothing does.
    pub fn next(&mut self, until: Micros) -> bool {
        let Some(what) = self.agenda.next(until) else { return false };
        self.figures.events += 1;
        self.happens(what);
        true
    }

    fn happens(&mut self, what: Happens) {
        match what {
            Happens::Act(case, act) => self.act(case, act),
            Happens::Strike(number) => self.strike(number),
            Happens::Up(process) => {
                self.note(|| format!("process {process} starts"));
                self.starts(process);
            }
            Happens::Resume(process) => self.starts_again(process),
            Happens::ClockRight(process) => {
                self.processes[process].clock_off = 0;
                self.starts_again(process);
            }
            Happens::Publish(process, life, messages) => self.publish(process, life, messages),
            Happens::Relay(first) => self.relay(first),
            Happens::Confirm(messages) => self.confirmed(&messages),
            Happens::Deliver(parcel) => self.deliver(parcel),
            Happens::Wake(process, which) => self.wakes_up(process, which),
            Happens::Flight(number) => self.flies_on(number),
            Happens::Look(number) => self.look_goes_on(number),
            Happens::Intake(number) => self.intake_ends(number),
            Happens::Land(number) => self.lands(number),
            Happens::Watch(lease) => self.watch_reads(lease),
        }
    }

    fn starts_again(&mut self, process: usize) {
        if !self.processes[process].down {
            self.starts(process);
        }
    }

    fn wakes_up(&mut self, process: usize, which: Loop) {
        let now = self.agenda.now();
        if self.wakes.get(&(process, which)) != Some(&now) {
            return;
        }
        self.wakes.remove(&(process, which));
        let one = &self.processes[process];
        if one.down {
            return;
        }
        if one.paused_until > now {
            let at = one.paused_until;
            self.wake(process, which, at);
            return;
        }
        self.step(&[4, process as u64, which as u64]);
        match which {
            Loop::Keeper => self.keep_time(process),
            Loop::Lends => self.send(process, homeward_policy::lease::Kind::Lend),
            Loop::Returns => self.send(process, homeward_policy::lease::Kind::Return),
            Loop::Reader => self.read_or_probe(process),
            Loop::Waiting => self.try_waiting(process),
            Loop::Timers => self.recovery_timers(process),
            Loop::Rounds => self.patrol_round(process),
        }
    }

    /// What a process held in memory is gone.
    pub fn forget_work(&mut self, process: usize) {
        self.flights.retain(|_, flight| flight.process != process);
        self.looks.retain(|_, look| look.process != process);
        let (lost, kept): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.intakes).into_iter().partition(|(_, intake)| intake.process == process);
        self.intakes = kept;
        for (_, intake) in lost {
            self.again(intake.parcel);
        }
        self.provider.forget_silence(process);
        self.wakes.retain(|(of, _), _| *of != process);
    }

    /// The number of a new piece of work.
    pub fn work_number(&mut self) -> u64 {
        self.works += 1;
        self.works
    }

    /// Notes for people what happened.
    pub fn note(&mut self, words: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let at = super::agenda::told(self.agenda.now());
            trace.push(format!("{at:>14}  {}", words()));
        }
    }

    /// Folds what happened into the run's number.
    pub fn step(&mut self, what: &[u64]) {
        let mut hash = mix(self.hash ^ self.agenda.now().unsigned_abs());
        for number in what {
            hash = mix(hash ^ number);
        }
        self.hash = hash;
    }

    /// A law is broken: the first counts.
    pub fn breaks(&mut self, law: Law, words: impl FnOnce() -> String) {
        if self.broken.is_none() {
            let words = words();
            self.note(|| format!("BROKEN: {}: {words}", law.sentence()));
            self.broken = Some((law, words, self.agenda.now()));
        }
    }
}
