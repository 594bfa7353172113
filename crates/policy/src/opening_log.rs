//! The append-only file of openings and ends, outside the database: where a rebuild after a total loss begins.
//!
//! One JSON object a line. The line of an opening is synced *before* the lease's row is committed, so that no lease can
//! exist without it; a line whose row never came to be is harmless (a rebuild reads the account and finds it at home).
//! Ends follow their commit; those that a crash left out are added at the next start.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use homeward_types::{LeaseEnd, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::lease::{Lease, State};

/// How much of the end of the file is looked at for its newest line.
const TAIL: u64 = 64 * 1024;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When it happened.
    pub at: Timestamp,
    /// `opened` or `closed`.
    pub what: String,
    /// Which lease.
    pub lease: String,
    /// Where.
    pub organisation: String,
    /// Whose account.
    pub account: String,
    /// Where the account must return to.
    pub home: String,
    /// The policy that it is lent to.
    pub recovery_policy: String,
    /// When the lease is due.
    pub due_at: Timestamp,
    /// How the lease ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
}

impl Line {
    /// The line of an opening.
    pub fn opened(lease: &Lease) -> Self {
        Self::of(lease, "opened", lease.opened_at, None)
    }

    /// The line of an end; `None` while the lease is open, and for ids that were never lent.
    pub fn closed(lease: &Lease) -> Option<Self> {
        match &lease.state {
            State::Closed(ending) if ending.end != LeaseEnd::NeverLent => {
                Some(Self::of(lease, "closed", ending.at, Some(ending.end.to_string())))
            }
            State::Closed(_) | State::Opening | State::Active | State::Closing | State::Settling => None,
        }
    }

    fn of(lease: &Lease, what: &str, at: Timestamp, end: Option<String>) -> Self {
        Self {
            at,
            what: what.into(),
            lease: lease.id.to_string(),
            organisation: lease.organisation.to_string(),
            account: lease.account.to_string(),
            home: lease.home.to_string(),
            recovery_policy: lease.recovery_policy.to_string(),
            due_at: lease.due_at,
            end,
        }
    }
}

/// What the file says when it is read through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    /// Openings without an end, oldest first.
    pub open: Vec<Line>,
    /// Leases that are open in the database and ended by the file.
    pub ended: usize,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system refused.
    #[error("{doing} {}; no lends while this lasts, returns go on", path.display())]
    File {
        /// What was attempted.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Lines to write, and whoever waits until they are synced.
type Job = (Vec<Line>, Option<oneshot::Sender<io::Result<()>>>);

/// The file. Cheap to clone; clones share its one writer, which syncs once for all that has gathered.
#[derive(Debug, Clone)]
pub struct OpeningLog {
    path: PathBuf,
    jobs: mpsc::Sender<Job>,
    newest: Option<Timestamp>,
}

impl OpeningLog {
    /// Opens the file for appending, or makes it. Blocks.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let failed = |doing| move |source| LogError::File { doing, path: path.to_owned(), source };
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path).map_err(failed("opening"))?;
        let newest = begin(&mut file).map_err(failed("reading"))?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            // So that the file's name survives a power cut, too.
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("syncing the folder of"))?;
        }
        let (jobs, queue) = mpsc::channel();
        std::thread::Builder::new()
            .name("opening-log".into())
            .spawn(move || write(&mut file, &queue))
            .map_err(failed("starting the writer of"))?;
        Ok(Self { path: path.to_owned(), jobs, newest })
    }

    /// Reads the whole file: openings without an end, and how many of the leases that are `open` in the database ended by it.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn read_through(&self, open: HashSet<String>) -> Result<Book, LogError> {
        let path = self.path.clone();
        let failed = |source| LogError::File { doing: "reading", path: self.path.clone(), source };
        let read = tokio::task::spawn_blocking(move || book(&path, &open)).await;
        read.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)
    }

    /// When the newest thing in the file happened, as it was opened.
    pub fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// Appends lines, and waits until they are synced.
    ///
    /// # Errors
    /// [`LogError`]: they may or may not be there.
    pub async fn append(&self, lines: Vec<Line>) -> Result<(), LogError> {
        if lines.is_empty() {
            return Ok(());
        }
        let (done, synced) = oneshot::channel();
        let gone = || io::Error::other("its writer has stopped");
        let outcome = match self.jobs.send((lines, Some(done))) {
            Ok(()) => synced.await.unwrap_or_else(|_| Err(gone())),
            Err(_) => Err(gone()),
        };
        outcome.map_err(|source| LogError::File { doing: "appending to", path: self.path.clone(), source })
    }

    /// Appends lines without waiting; the next start adds what got lost.
    pub fn append_later(&self, lines: Vec<Line>) {
        if !lines.is_empty() && self.jobs.send((lines, None)).is_err() {
            tracing::error!(path = %self.path.display(), "the writer of the opening log has stopped");
        }
    }
}

/// When the newest line happened. Half a line that a crash left is ended, so that the next one stands alone.
fn begin(file: &mut File) -> io::Result<Option<Timestamp>> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    if tail.last().is_some_and(|last| *last != b'\n') {
        file.write_all(b"\n")?;
    }
    Ok(tail.split(|byte| *byte == b'\n').rev().find_map(|line| serde_json::from_slice::<Line>(line).ok()).map(|line| line.at))
}

fn book(path: &Path, open: &HashSet<String>) -> io::Result<Book> {
    let (mut opened, mut ended): (HashMap<String, Line>, usize) = (HashMap::new(), 0);
    for line in BufReader::new(File::open(path)?).lines() {
        // Half a line that a crash left says nothing.
        let Ok(line) = serde_json::from_str::<Line>(&line?) else { continue };
        if line.end.is_none() {
            opened.entry(line.lease.clone()).or_insert(line);
        } else {
            ended += usize::from(open.contains(&line.lease));
            opened.remove(&line.lease);
        }
    }
    let mut open: Vec<Line> = opened.into_values().collect();
    open.sort_by(|a, b| a.lease.cmp(&b.lease));
    Ok(Book { open, ended })
}

fn write(file: &mut File, queue: &mpsc::Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        let jobs: Vec<Job> = std::iter::once(first).chain(queue.try_iter()).collect();
        let outcome = write_all(file, &jobs);
        if let Err(error) = &outcome {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "the opening log cannot be written; no lends while this lasts"
            );
        }
        for (_, waiting) in jobs {
            if let Some(waiting) = waiting {
                // Whoever waited may have gone.
                let _ = waiting.send(outcome.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string())));
            }
        }
    }
}

fn write_all(file: &mut File, jobs: &[Job]) -> io::Result<()> {
    let mut text = Vec::new();
    for line in jobs.iter().flat_map(|(lines, _)| lines) {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    file.write_all(&text)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: u32) -> Line {
        let at = Timestamp::UNIX_EPOCH + chrono::TimeDelta::seconds(n.into());
        Line {
            at,
            what: "opened".into(),
            lease: n.to_string(),
            organisation: "acme".into(),
            account: "alice".into(),
            home: "mandatory".into(),
            recovery_policy: "recovery".into(),
            due_at: at,
            end: None,
        }
    }

    #[tokio::test]
    async fn lines_survive_and_half_a_line_spoils_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leases.log");
        let log = OpeningLog::open(&path).unwrap();
        assert_eq!(log.newest(), None);
        log.append(vec![line(1), line(2)]).await.unwrap();
        drop(log);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"at\":\"19").unwrap();
        let log = OpeningLog::open(&path).unwrap();
        assert_eq!(log.newest(), Some(line(2).at));
        log.append(vec![line(3)]).await.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let read: Vec<Line> = text.lines().filter_map(|text| serde_json::from_str(text).ok()).collect();
        assert_eq!(read, [line(1), line(2), line(3)]);
        assert_eq!(text.lines().count(), 4);
    }

    #[tokio::test]
    async fn whoever_waits_learns_that_it_could_not_be_written() {
        let (jobs, queue) = mpsc::channel();
        std::thread::spawn(move || write(&mut OpenOptions::new().write(true).open("/dev/full").unwrap(), &queue));
        let log = OpeningLog { path: "/dev/full".into(), jobs, newest: None };
        let error = log.append(vec![line(1)]).await.unwrap_err();
        assert_eq!(error.to_string(), "appending to /dev/full; no lends while this lasts, returns go on");
    }
}
