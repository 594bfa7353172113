//! Many people at once: some ask for recoveries, some follow their letters, each in their own time.

mod agenda;

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::desk::{BULK, Ballot, Desk};
use crate::letters::{Letter, Letters};
use crate::people::Browsers;
use agenda::{Agenda, Deed};

/// How often letters are looked for.
const LOOK: Duration = Duration::from_millis(10);

/// Someone who lost a phone, and how the story goes for them.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their address.
    pub email: String,
    /// Their account at the provider.
    pub account: String,
    /// What they, or those who decide about them, do.
    pub fate: Fate,
}

/// How a story goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Follows the invitation and enrols.
    Enrols,
    /// The approver says no.
    Denied,
    /// Finds the phone while the account is out.
    Cancels,
    /// Never gets round to it; the lease runs out.
    NeverEnrols,
}

/// How people behave.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// Recoveries open at once.
    pub window: usize,
    /// Recoveries that one call carries.
    pub bulk: usize,
    /// Help desks that ask at the same time.
    pub askers: usize,
    /// The longest that someone takes to follow a letter; evenly drawn from nothing to this.
    pub dawdle: Duration,
    /// If no recovery closes for so long, something is wrong.
    pub patience: Duration,
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Recoveries asked for.
    pub asked: usize,
    /// Recoveries whose owner was told how it ended.
    pub told: usize,
    /// People who set up a new factor.
    pub enrolled: usize,
    /// People who came too late to sign in.
    pub too_late: usize,
}

/// Everyone outside Homeward.
#[derive(Clone)]
pub struct Crowd(Arc<Shared>);

struct Shared {
    desk: Desk,
    browsers: Browsers,
    habits: Habits,
    room: Semaphore,
    waiting: Mutex<VecDeque<Person>>,
    cases: Mutex<HashMap<String, Case>>,
    took: Mutex<Vec<Duration>>,
    asking: AtomicBool,
    asked: AtomicUsize,
    told: AtomicUsize,
    enrolled: AtomicUsize,
    too_late: AtomicUsize,
}

#[derive(Clone)]
struct Case {
    person: Person,
    asked_at: Instant,
}

impl Crowd {
    /// People who have not begun.
    pub fn new(desk: Desk, browsers: Browsers, habits: Habits, people: impl IntoIterator<Item = Person>) -> Self {
        Self(Arc::new(Shared {
            desk,
            browsers,
            habits,
            room: Semaphore::new(habits.window),
            waiting: Mutex::new(people.into_iter().collect()),
            cases: Mutex::default(),
            took: Mutex::default(),
            asking: AtomicBool::new(true),
            asked: AtomicUsize::default(),
            told: AtomicUsize::default(),
            enrolled: AtomicUsize::default(),
            too_late: AtomicUsize::default(),
        }))
    }

    /// What has happened so far.
    pub fn tally(&self) -> Tally {
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let Shared { asked, told, enrolled, too_late, .. } = &*self.0;
        Tally { asked: read(asked), told: read(told), enrolled: read(enrolled), too_late: read(too_late) }
    }

    /// Nobody asks for another recovery. Those that are open go on.
    pub fn stop_asking(&self) {
        self.0.asking.store(false, Ordering::Relaxed);
        self.0.room.close();
    }

    /// The recoveries asked for so far, each with its person.
    pub fn cases(&self) -> HashMap<String, Person> {
        lock(&self.0.cases).iter().map(|(id, case)| (id.clone(), case.person.clone())).collect()
    }

    /// Those who have not asked yet; they will not any more.
    pub fn not_asked(&self) -> Vec<Person> {
        std::mem::take(&mut *lock(&self.0.waiting)).into()
    }

    /// How long each recovery took, from the request to the owner's last letter.
    pub fn took(&self) -> Vec<Duration> {
        lock(&self.0.took).clone()
    }

    /// Lives until everybody has asked (or nobody asks any more) and every owner was told how it ended.
    ///
    /// # Errors
    /// What went wrong first.
    pub async fn live(&self, outbox: &Path) -> anyhow::Result<Letters> {
        let mut letters = Letters::watch(outbox)?;
        let mut askers = JoinSet::new();
        for _ in 0..self.0.habits.askers {
            askers.spawn(ask(Arc::clone(&self.0)));
        }
        let mut agenda = Agenda::default();
        let (mut progress_at, mut told_before) = (Instant::now(), 0);
        loop {
            while let Some(ended) = askers.try_join_next() {
                ended.context("asking")??;
            }
            for letter in letters.arrived()? {
                self.0.read(&letter, &mut agenda);
            }
            self.0.act(agenda.due(Instant::now())).await?;
            let tally = self.tally();
            if askers.is_empty() && tally.told == tally.asked {
                return Ok(letters);
            }
            if tally.told > told_before {
                (progress_at, told_before) = (Instant::now(), tally.told);
            }
            if progress_at.elapsed() > self.0.habits.patience {
                bail!(
                    "nobody was told how it ended in the last {:?}: {tally:?}; waiting: {}",
                    self.0.habits.patience,
                    self.0.untold(&letters)
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A help desk asks, proves and has it decided, as many at a time as there is room for.
async fn ask(shared: Arc<Shared>) -> anyhow::Result<()> {
    while shared.asking.load(Ordering::Relaxed) {
        let people: Vec<Person> = {
            let mut waiting = lock(&shared.waiting);
            let count = waiting.len().min(shared.habits.bulk.min(BULK));
            waiting.drain(..count).collect()
        };
        let Ok(room) = shared.room.acquire_many(u32::try_from(people.len())?).await else { return Ok(()) };
        if people.is_empty() {
            return Ok(());
        }
        room.forget();
        shared.open(people).await?;
    }
    Ok(())
}

impl Shared {
    async fn open(&self, people: Vec<Person>) -> anyhow::Result<()> {
        let asked_at = Instant::now();
        let emails: Vec<&str> = people.iter().map(|person| person.email.as_str()).collect();
        // Counted before they can be told.
        self.asked.fetch_add(people.len(), Ordering::Relaxed);
        let ids = self.desk.request(&emails).await?;
        let ballots =
            ids.iter().zip(&people).map(|(id, person)| Ballot { recovery: id.clone(), approve: person.fate != Fate::Denied });
        let ballots: Vec<Ballot> = ballots.collect();
        let cases = people.into_iter().map(|person| Case { person, asked_at });
        lock(&self.cases).extend(ids.iter().cloned().zip(cases));
        self.desk.prove(&ids).await?;
        self.desk.vote(&ballots).await
    }

    /// What a letter makes its reader do, and when.
    fn read(&self, letter: &Letter, agenda: &mut Agenda) {
        let Some(Case { person, asked_at }) = lock(&self.cases).get(&letter.recovery).cloned() else { return };
        let now = Instant::now();
        let later = now + self.habits.dawdle.mul_f64(rand::random());
        match (letter.kind.as_str(), letter.to.as_str(), person.fate) {
            ("invitation", _, Fate::Enrols) => agenda.add(later, Deed::Enrol(person.email)),
            ("invitation", _, Fate::Cancels) => agenda.add(later, Deed::Cancel(letter.recovery.clone())),
            ("reset_needed", ..) => agenda.add(later, Deed::Reset(person.account)),
            ("closed", "owner", _) => {
                self.told.fetch_add(1, Ordering::Relaxed);
                self.room.add_permits(1);
                lock(&self.took).push(now - asked_at);
            }
            _ => {}
        }
    }

    async fn act(&self, due: Vec<Deed>) -> anyhow::Result<()> {
        let (mut enrol, mut reset) = (Vec::new(), Vec::new());
        for deed in due {
            match deed {
                Deed::Enrol(email) => enrol.push(email),
                Deed::Reset(account) => reset.push(account),
                Deed::Cancel(recovery) => self.desk.cancel(&recovery).await?,
            }
        }
        if !reset.is_empty() {
            self.browsers.reset(reset).await?;
        }
        if !enrol.is_empty() {
            let done = self.browsers.sign_in_and_enrol(&enrol).await?;
            let enrolled = done.iter().filter(|done| **done).count();
            self.enrolled.fetch_add(enrolled, Ordering::Relaxed);
            self.too_late.fetch_add(done.len() - enrolled, Ordering::Relaxed);
        }
        Ok(())
    }

    /// A few of those who wait for their last letter.
    fn untold(&self, letters: &Letters) -> String {
        let told = |id: &str| letters.has(&Letter { recovery: id.to_owned(), kind: "closed".into(), to: "owner".into() });
        let cases = lock(&self.cases);
        let untold = cases.iter().filter(|(id, _)| !told(id)).take(5);
        untold.map(|(id, case)| format!("{id} ({}, {:?})", case.person.email, case.person.fate)).collect::<Vec<_>>().join("; ")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
