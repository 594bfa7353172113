//! Letters as `.eml` files. A batch is synced to disk in one go.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::{Letter, Transport, TransportError};
use crate::delivery::Try;
use crate::term::Term;

/// A folder of letters.
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`, made if missing, readable by its owner only: letters hold links that act.
    pub async fn open(path: PathBuf) -> Result<Self, TransportError> {
        let make = {
            let path = path.clone();
            move || {
                use std::os::unix::fs::DirBuilderExt;
                std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
            }
        };
        let outcome = tokio::task::spawn_blocking(make).await.unwrap_or_else(|error| Err(io::Error::other(error)));
        outcome.map_err(|source| TransportError::Outbox { path: path.display().to_string(), source })?;
        Ok(Self(path))
    }
}

#[async_trait]
impl Transport for Folder {
    async fn send(&self, letters: Vec<Letter>, term: &Term) -> Vec<Try> {
        let (folder, term) = (self.0.clone(), term.clone());
        let count = letters.len();
        let written = tokio::task::spawn_blocking(move || write_all(&folder, &letters, &term)).await;
        written.unwrap_or_else(|error| vec![Try::Again { problem: format!("writing letters: {error}") }; count])
    }
}

fn write_all(folder: &Path, letters: &[Letter], term: &Term) -> Vec<Try> {
    let written: Vec<Option<io::Result<PathBuf>>> =
        letters.iter().map(|letter| term.holds().then(|| write(folder, letter))).collect();
    let synced = sync(folder);
    written
        .into_iter()
        .map(|path| match (path, &synced) {
            (None, _) => Try::Late,
            (Some(Ok(path)), Ok(())) => Try::Accepted { receipt: path.display().to_string() },
            (Some(Err(error)), _) => Try::Again { problem: format!("writing a letter below {}: {error}", folder.display()) },
            (Some(Ok(_)), Err(error)) => Try::Again { problem: format!("syncing {}: {error}", folder.display()) },
        })
        .collect()
}

/// Writes beside and renames, so that a reader never sees half a letter.
fn write(folder: &Path, letter: &Letter) -> io::Result<PathBuf> {
    let path = folder.join(&letter.file);
    let beside = folder.join(format!(".{}.part", letter.file));
    std::fs::write(&beside, letter.message.formatted())?;
    std::fs::rename(&beside, &path)?;
    Ok(path)
}

/// One sync for the whole batch: the file system that holds the folder is written out, files and names.
fn sync(folder: &Path) -> io::Result<()> {
    rustix::fs::syncfs(File::open(folder)?).map_err(io::Error::from)
}
