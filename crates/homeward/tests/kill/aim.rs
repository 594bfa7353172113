//! Where kills are aimed, where they hit, and whether that was everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::record::{Place, Record};

/// How often each place must be hit.
const HITS: usize = 3;
/// How many of a hundred kills must fall while many accounts are out.
const IN_SWING: usize = 80;

/// The saga's stored states: an event that arrives in one is committed there.
const STATES: [&str; 10] =
    ["prove", "approve", "take-slot", "lend", "reset-factor", "invite", "await-enrolment", "return", "clean", "close"];
/// States with messages of their own; a slot is taken within the database.
const SPEAKING: [&str; 9] = ["prove", "approve", "lend", "reset-factor", "invite", "await-enrolment", "return", "clean", "close"];
/// States whose work needs the provider, and (`notice`) the transport of letters.
const PROVIDER: [&str; 4] = ["lend", "await-enrolment", "return", "notice"];

/// Keeps count.
pub struct Aim {
    kills: usize,
    hits: BTreeMap<Place, usize>,
    /// Accounts out at each kill.
    out: Vec<usize>,
    aimed: usize,
    /// Counts kills, so that before and after take turns.
    turn: usize,
}

impl Aim {
    pub fn new(kills: usize) -> Self {
        Self { kills, hits: BTreeMap::new(), out: Vec::new(), aimed: 0, turn: 0 }
    }

    /// What must be hit.
    fn required() -> BTreeSet<Place> {
        let of = |boundary: &str, states: &[&str]| {
            states.iter().map(|state| (boundary.to_owned(), (*state).to_owned())).collect::<Vec<_>>()
        };
        [of("commit", &["new"]), of("commit", &STATES), of("publish", &SPEAKING), of("provider", &PROVIDER)]
            .into_iter()
            .flatten()
            .collect()
    }

    /// The places that were hit too seldom so far, before or after the effect in turns; whichever comes first is hit. What must
    /// be hit goes before what merely was seen. None: this kill falls at random.
    pub fn targets(&mut self, record: &mut Record) -> Vec<(Place, &'static str)> {
        self.turn += 1;
        let moment = |place: &Place| {
            if (self.turn + self.hits.get(place).copied().unwrap_or(0)).is_multiple_of(2) { "begin" } else { "end" }
        };
        let seldom = |place: &Place| self.hits.get(place).copied().unwrap_or(0) < HITS;
        let open: Vec<Place> = Self::required().into_iter().filter(seldom).collect();
        let places = if open.is_empty() { record.seen().iter().filter(|place| seldom(place)).cloned().collect() } else { open };
        places
            .into_iter()
            .map(|place| {
                let moment = moment(&place);
                (place, moment)
            })
            .collect()
    }

    /// A kill, where the process stood still or not, with this in progress, and so many accounts out.
    pub fn hit(&mut self, halted: bool, in_progress: BTreeSet<Place>, out: usize) {
        self.aimed += usize::from(halted);
        for place in in_progress {
            *self.hits.entry(place).or_default() += 1;
        }
        self.out.push(out);
    }

    /// How often each state was hit at each boundary.
    pub fn histogram(&self) -> String {
        let mut text = format!("{} kills, {} of them aimed\n", self.out.len(), self.aimed);
        let states: BTreeSet<&String> = self.hits.keys().map(|(_, state)| state).collect();
        let _ = writeln!(text, "{:<44} {:>8} {:>8} {:>8}", "state", "commit", "publish", "provider");
        for state in states {
            let at = |boundary: &str| self.hits.get(&(boundary.to_owned(), state.clone())).copied().unwrap_or(0);
            let _ = writeln!(text, "{state:<44} {:>8} {:>8} {:>8}", at("commit"), at("publish"), at("provider"));
        }
        let mut out = self.out.clone();
        out.sort_unstable();
        let _ = write!(
            text,
            "accounts out at a kill: at least {}, median {}, at most {}",
            out[0],
            out[out.len() / 2],
            out[out.len() - 1]
        );
        text
    }

    /// Whether it was enough.
    pub fn check(&self, everywhere: bool, swing: usize) {
        assert_eq!(self.out.len(), self.kills, "there were not enough people to go on killing");
        let in_swing = self.out.iter().filter(|out| **out >= swing).count();
        assert!(
            in_swing * 100 >= self.kills * IN_SWING,
            "only {in_swing} of {} kills fell while {swing} accounts were out",
            self.kills
        );
        if everywhere {
            let seldom: Vec<Place> =
                Self::required().into_iter().filter(|place| self.hits.get(place).copied().unwrap_or(0) < HITS).collect();
            assert!(seldom.is_empty(), "hit less than {HITS} times: {seldom:?}");
        }
    }
}
