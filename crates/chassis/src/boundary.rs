//! The crash boundary: tells a crash test what was in progress when it killed the process, and holds the process still
//! at the place where the test wants to kill it.
//!
//! Costs one atomic load unless a crash test [listens](listen).
//!
//! The record has one line for each moment of a boundary, `<boundary> <state> begin` and `<boundary> <state> end`. The
//! second file, if there is one, asks for halts: while `commit lend begin` stands in it as a line, whatever enters
//! `commit` in the state `lend` writes `commit lend begin halt` to the record and stands still, before the effect; with
//! `commit lend end`, after it. A batch names its states with `+` between them, and halts for each of them. It goes on
//! when the line is taken out of the file, as a paused worker does.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use crate::config;

/// How often what stands still looks whether it is to go on.
const LOOK: Duration = Duration::from_millis(5);

static LISTENER: OnceLock<Listener> = OnceLock::new();

struct Listener {
    record: File,
    halts: Option<PathBuf>,
}

/// Marks what follows as in progress, in `state`, until the value is dropped (or, with a third argument, while it runs).
///
/// The names in use are `commit`, `publish` and `provider`. The state is only evaluated when a crash test listens.
/// ```
/// # use homeward_chassis::boundary;
/// # fn commit() -> Result<(), ()> { Ok(()) }
/// let done = boundary!("commit", "lend", commit());
/// let _until_the_end_of_this_block = boundary!("publish", "return");
/// # assert!(done.is_ok());
/// ```
#[macro_export]
macro_rules! boundary {
    ($name:literal, $state:expr) => {
        $crate::boundary::enter($name, || ::std::string::ToString::to_string(&$state))
    };
    ($name:literal, $state:expr, $work:expr) => {{
        let mark = $crate::boundary::enter($name, || ::std::string::ToString::to_string(&$state));
        let outcome = $work;
        drop(mark);
        outcome
    }};
}

/// Records and halts as the environment asks: `HOMEWARD_BOUNDARY_FILE`, and with it `HOMEWARD_BOUNDARY_HALT`.
/// Does nothing if it asks for nothing.
///
/// # Errors
/// As [`listen`].
pub fn listen_if_asked() -> io::Result<()> {
    match config::boundary_file() {
        Some(record) => listen(&record, config::boundary_halt()),
        None => Ok(()),
    }
}

/// From now on every boundary of this process is appended to `record`, and those that stand in the file `halts` halt.
///
/// # Errors
/// If the record cannot be opened for appending, or is kept already.
pub fn listen(record: &Path, halts: Option<PathBuf>) -> io::Result<()> {
    let record = File::options().create(true).append(true).open(record)?;
    LISTENER.set(Listener { record, halts }).map_err(|_| io::Error::other("boundaries are recorded already"))
}

/// As [`listen`], and nothing halts.
///
/// # Errors
/// As [`listen`].
pub fn record_to(record: &Path) -> io::Result<()> {
    listen(record, None)
}

/// Begins a boundary; used through [`boundary!`](crate::boundary!).
pub fn enter<S: Display>(name: &'static str, state: impl FnOnce() -> S) -> Mark {
    Mark(LISTENER.get().map(|listener| {
        let open = Open { listener, name, state: state().to_string().replace(char::is_whitespace, "-") };
        open.pass("begin");
        open
    }))
}

/// A boundary in progress. Ends when dropped, which a killed process never does.
#[must_use = "the boundary ends when this is dropped"]
pub struct Mark(Option<Open>);

struct Open {
    listener: &'static Listener,
    name: &'static str,
    state: String,
}

impl Open {
    fn pass(&self, moment: &str) {
        self.write(moment);
        if self.listener.asks_for_halt(self.name, &self.state, moment) {
            self.write(&format!("{moment} halt"));
            let stand_still = || {
                while self.listener.asks_for_halt(self.name, &self.state, moment) {
                    std::thread::park_timeout(LOOK);
                }
            };
            // Other tasks of this thread must not stand still with it.
            let runtime = tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor());
            if runtime.is_ok_and(|flavor| flavor == tokio::runtime::RuntimeFlavor::MultiThread) {
                tokio::task::block_in_place(stand_still);
            } else {
                stand_still();
            }
        }
    }

    fn write(&self, moment: &str) {
        let line = format!("{} {} {moment}\n", self.name, self.state);
        // One write in append mode: lines of several threads do not mix, and a killed process leaves no half line.
        if let Err(error) = (&self.listener.record).write_all(line.as_bytes()) {
            tracing::warn!(%error, "cannot record a crash boundary");
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if let Some(open) = &self.0 {
            open.pass("end");
        }
    }
}

impl Listener {
    /// Whether a line of the halt file means this moment. Read anew each time, so that the test can change its mind.
    fn asks_for_halt(&self, name: &str, states: &str, moment: &str) -> bool {
        let Some(asked) = self.halts.as_ref().and_then(|path| std::fs::read_to_string(path).ok()) else { return false };
        asked.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(name)
                && words.next().is_some_and(|state| states.split('+').any(|one| one == state))
                && words.next() == Some(moment)
        })
    }
}
