//! The crash boundary: tells a crash test what was in progress when it killed the process.
//!
//! Costs one atomic load unless [`record_to`] was called.

use std::fmt::Display;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

static RECORD: OnceLock<File> = OnceLock::new();

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

/// From now on every boundary of this process is appended to `path`, one line as it begins and one as it ends.
///
/// # Errors
/// If the file cannot be opened for appending.
pub fn record_to(path: &Path) -> std::io::Result<()> {
    let file = File::options().create(true).append(true).open(path)?;
    RECORD.set(file).map_err(|_| std::io::Error::other("boundaries are recorded already"))
}

/// Begins a boundary; used through [`boundary!`](crate::boundary!).
pub fn enter<S: Display>(name: &'static str, state: impl FnOnce() -> S) -> Mark {
    Mark(RECORD.get().map(|_| {
        let open = Open { name, state: state().to_string().replace(char::is_whitespace, "-") };
        open.write("begin");
        open
    }))
}

/// A boundary in progress. Ends when dropped, which a killed process never does.
#[must_use = "the boundary ends when this is dropped"]
pub struct Mark(Option<Open>);

struct Open {
    name: &'static str,
    state: String,
}

impl Open {
    fn write(&self, moment: &str) {
        let line = format!("{} {} {moment}\n", self.name, self.state);
        // One write in append mode: lines of several threads do not mix, and a killed process leaves no half line.
        if let Some(Err(error)) = RECORD.get().map(|mut file| file.write_all(line.as_bytes())) {
            tracing::warn!(%error, "cannot record a crash boundary");
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if let Some(open) = &self.0 {
            open.write("end");
        }
    }
}
