//! Where kills are aimed, where they hit, and whether that was everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::record::{Place, Record};

/// How often each place must be hit.
const HITS: usize = 3;
/// How many of a hundred kills must fall while many accounts are out.
const IN_SWING: usize = 80;

/// The saga's stored states, and which boundaries their events, messages and calls pass: `c`ommit, `p`ublish, pro`v`ider.
/// A slot is taken within the database; where a person removes the old factor, no call does; letters need no provider.
/// A message counts for the state whose command or news it is, whoever sends it.
const STATES: [(&str, &str); 10] = [
    ("prove", "cp"),
    ("approve", "cp"),
    ("take-slot", "c"),
    ("lend", "cpv"),
    ("reset-factor", "cp"),
    ("invite", "cp"),
    ("await-enrolment", "cpv"),
    ("return", "cpv"),
    ("clean", "cpv"),
    ("close", "cp"),
];

/// What the other services commit, publish and call for the saga.
const OTHERS: [(&str, &str); 11] = [
    ("commit", "recovery.new"),
    ("commit", "lend"),
    ("commit", "read"),
    ("commit", "return"),
    ("commit", "keep"),
    ("commit", "await-enrolment"),
    ("commit", "notice"),
    ("commit", "notice-accepted"),
    ("publish", "notice"),
    ("provider", "read"),
    ("provider", "notice"),
];

fn place(boundary: &str, state: &str) -> Place {
    (boundary.to_owned(), state.to_owned())
}

/// The saga's places at one state, in the order of the histogram's columns.
fn of_state(state: &str) -> [Place; 3] {
    [place("commit", &format!("recovery.{state}")), place("publish", state), place("provider", state)]
}

fn required() -> BTreeSet<Place> {
    let others = OTHERS.map(|(boundary, state)| place(boundary, state));
    let passed = |(state, marks): (&str, &str)| {
        let passes = ['c', 'p', 'v'].map(|mark| marks.contains(mark));
        of_state(state).into_iter().zip(passes).filter_map(|(place, passes)| passes.then_some(place)).collect::<Vec<_>>()
    };
    STATES.into_iter().flat_map(passed).chain(others).collect()
}

/// Keeps count.
pub struct Aim {
    kills: usize,
    hits: BTreeMap<Place, usize>,
    /// Accounts out at each kill.
    out: Vec<usize>,
    aimed: usize,
}

impl Aim {
    pub fn new(kills: usize) -> Self {
        Self { kills, hits: BTreeMap::new(), out: Vec::new(), aimed: 0 }
    }

    fn hits(&self, place: &Place) -> usize {
        self.hits.get(place).copied().unwrap_or(0)
    }

    fn seldom<'a>(&self, places: impl IntoIterator<Item = &'a Place>) -> Vec<Place> {
        places.into_iter().filter(|place| self.hits(place) < HITS).cloned().collect()
    }

    /// The places that were hit too seldom so far, before or after the effect in turns; whichever comes first is hit. What must
    /// be hit goes before what merely was seen. None: this kill falls at random.
    pub fn targets(&self, record: &mut Record) -> Vec<(Place, &'static str)> {
        let mut places = self.seldom(&required());
        if places.is_empty() {
            places = self.seldom(record.seen());
        }
        let before = self.out.len() % 2;
        let moment = |hits: usize| if (before + hits).is_multiple_of(2) { "begin" } else { "end" };
        places.into_iter().map(|place| (self.hits(&place), place)).map(|(hits, place)| (place, moment(hits))).collect()
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
        let mut text = format!("{} kills, {} of them aimed\n{:<20}", self.out.len(), self.aimed, "state of the saga");
        let _ = writeln!(text, "{:>8} {:>8} {:>8}", "commit", "publish", "provider");
        let mut of_saga = BTreeSet::new();
        for (state, _) in STATES {
            let places = of_state(state);
            let [commit, publish, provider] = places.each_ref().map(|place| self.hits(place));
            let _ = writeln!(text, "{state:<20}{commit:>8} {publish:>8} {provider:>8}");
            of_saga.extend(places);
        }
        let _ = writeln!(text, "elsewhere");
        for ((boundary, state), hits) in self.hits.iter().filter(|(place, _)| !of_saga.contains(*place)) {
            let _ = writeln!(text, "  {boundary:<10}{state:<44}{hits:>4}");
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
            let seldom = self.seldom(&required());
            assert!(seldom.is_empty(), "hit less than {HITS} times: {seldom:?}");
        }
    }
}
