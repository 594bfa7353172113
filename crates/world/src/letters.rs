//! Letters as they arrive in the folder of the file outbox. The system tells us of each one; nobody reads the folder over and over.

use std::collections::{HashMap, HashSet};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// A letter: its file's name says what it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Letter {
    /// Which recovery it is about.
    pub recovery: String,
    /// What about: `requested`, `invitation`, `closed` and so on.
    pub kind: String,
    /// To whom: `owner`, or a person's id.
    pub to: String,
}

impl Letter {
    /// From a name like `<recovery>.<kind>.<to>.eml`.
    pub fn of(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(".eml")?.splitn(3, '.');
        let mut next = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
        Some(Self { recovery: next()?, kind: next()?, to: next()? })
    }
}

/// The folder, watched.
pub struct Letters {
    folder: PathBuf,
    watch: OwnedFd,
    known: HashSet<Letter>,
    again: HashMap<Letter, usize>,
}

impl Letters {
    /// Watches `folder` from now on.
    ///
    /// # Errors
    /// When it cannot be watched.
    pub fn watch(folder: &Path) -> anyhow::Result<Self> {
        let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).context("watching a folder")?;
        inotify::add_watch(&watch, folder, WatchFlags::MOVED_TO).with_context(|| format!("watching {}", folder.display()))?;
        Ok(Self { folder: folder.to_owned(), watch, known: HashSet::new(), again: HashMap::new() })
    }

    /// Letters that have come since the last call. A letter that is written again after a crash is not new.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn arrived(&mut self) -> anyhow::Result<Vec<Letter>> {
        let mut room = [MaybeUninit::uninit(); 8 * 1024];
        let (mut names, mut missed) = (Vec::new(), false);
        let mut reader = Reader::new(&self.watch, &mut room);
        loop {
            match reader.next() {
                Ok(event) => {
                    missed |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
                    names.extend(event.file_name().map(|name| name.to_string_lossy().into_owned()));
                }
                Err(Errno::WOULDBLOCK) => break,
                Err(error) => return Err(error).context("reading what came into the folder"),
            }
        }
        if missed {
            names = self.all()?;
        }
        let mut new = Vec::new();
        for letter in names.iter().filter_map(|name| Letter::of(name)) {
            if self.known.insert(letter.clone()) {
                new.push(letter);
            } else if !missed {
                *self.again.entry(letter).or_default() += 1;
            }
        }
        Ok(new)
    }

    /// How often letters were sent once more, those that were.
    pub fn repeated(&self) -> &HashMap<Letter, usize> {
        &self.again
    }

    /// Whether this letter has come.
    pub fn has(&self, letter: &Letter) -> bool {
        self.known.contains(letter)
    }

    /// About how many recoveries letters of this kind have come.
    pub fn recoveries(&self, kind: &str) -> usize {
        self.known
            .iter()
            .filter(|letter| letter.kind == kind)
            .map(|letter| letter.recovery.as_str())
            .collect::<HashSet<_>>()
            .len()
    }

    /// How many have come.
    pub fn count(&self) -> usize {
        self.known.len()
    }

    fn all(&self) -> anyhow::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.folder).with_context(|| format!("reading {}", self.folder.display()))?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_seen_once_and_half_a_letter_never() {
        let folder = tempfile::tempdir().unwrap();
        let mut letters = Letters::watch(folder.path()).unwrap();
        assert!(letters.arrived().unwrap().is_empty());
        let put = |name: &str| {
            let beside = folder.path().join(format!(".{name}.part"));
            std::fs::write(&beside, "a letter").unwrap();
            std::fs::rename(beside, folder.path().join(name)).unwrap();
        };
        put("r1.invitation.owner.eml");
        put("r1.closed.owner.eml");
        std::fs::write(folder.path().join(".r2.closed.owner.eml.part"), "half").unwrap();
        put("something-else");
        let came: Vec<String> = letters.arrived().unwrap().into_iter().map(|letter| letter.kind).collect();
        assert_eq!(came, ["invitation", "closed"]);
        put("r1.closed.owner.eml");
        assert!(letters.arrived().unwrap().is_empty());
    }
}
