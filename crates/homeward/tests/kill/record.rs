//! What the process writes about its crash boundaries, and where it is told to stand still.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A boundary in a state: `("commit", "lend")`.
pub type Place = (String, String);

/// The record and the file of halts.
pub struct Record {
    path: PathBuf,
    halts: PathBuf,
    read: u64,
    /// Boundaries of the present process that began and did not end.
    open: BTreeMap<Place, isize>,
    seen: BTreeSet<Place>,
    /// Where the present process stands still.
    halted: BTreeSet<Place>,
}

impl Record {
    /// The record in one file, the halts in another.
    pub fn at(path: PathBuf, halts: PathBuf) -> Self {
        Self { path, halts, read: 0, open: BTreeMap::new(), seen: BTreeSet::new(), halted: BTreeSet::new() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn halts(&self) -> &Path {
        &self.halts
    }

    /// Every place that was ever passed.
    pub fn seen(&mut self) -> &BTreeSet<Place> {
        self.read_on();
        &self.seen
    }

    /// From now on the process stands still at these, before or after the effect.
    pub fn halt_at(&mut self, targets: &[(Place, &'static str)]) {
        let lines: Vec<String> =
            targets.iter().map(|((boundary, state), moment)| format!("{boundary} {state} {moment}")).collect();
        let beside = self.halts.with_extension("new");
        std::fs::write(&beside, lines.join("\n")).unwrap();
        std::fs::rename(beside, &self.halts).unwrap();
    }

    /// Whether the process comes to stand still in time.
    pub async fn halts_within(&mut self, patience: Duration) -> bool {
        let began = Instant::now();
        loop {
            self.read_on();
            if !self.halted.is_empty() || began.elapsed() > patience {
                return !self.halted.is_empty();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// What was in progress when the process was killed, and where it stood still before. The next process begins with nothing.
    pub fn in_progress(&mut self) -> BTreeSet<Place> {
        self.read_on();
        let open = std::mem::take(&mut self.open).into_iter().filter(|(_, count)| *count > 0).map(|(place, _)| place);
        let mut places = std::mem::take(&mut self.halted);
        places.extend(open);
        places
    }

    fn read_on(&mut self) {
        let Ok(mut file) = File::open(&self.path) else { return };
        let mut text = String::new();
        file.seek(SeekFrom::Start(self.read)).unwrap();
        file.read_to_string(&mut text).unwrap();
        // The last line may be half written at this moment.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.read += u64::try_from(whole).unwrap();
        for line in text[..whole].lines() {
            self.note(line);
        }
    }

    /// `<boundary> <state>[+<state>…] begin|end [halt]`
    fn note(&mut self, line: &str) {
        let mut words = line.split(' ');
        let (Some(boundary), Some(states), Some(moment)) = (words.next(), words.next(), words.next()) else { return };
        let halt = words.next() == Some("halt");
        for state in states.split('+') {
            let place = (boundary.to_owned(), state.to_owned());
            if halt {
                self.halted.insert(place);
            } else {
                self.seen.insert(place.clone());
                *self.open.entry(place).or_default() += if moment == "begin" { 1 } else { -1 };
            }
        }
    }
}
