//! The letters as their recipients get them: files in the outbox. People act on the links in them, as in life.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use mail_parser::MessageParser;
use tokio::time::Instant;

/// How long a person waits for a letter.
const PATIENCE: Duration = Duration::from_secs(30);

/// The folder of letters.
#[derive(Clone)]
pub struct Mailbox(PathBuf);

/// A letter that was read.
pub struct Letter {
    body: String,
}

impl Mailbox {
    /// The letters in `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Where the letters lie.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The letter about `recovery` of this kind (the middle part of its delivery key), once it is there.
    pub async fn wait_for(&self, recovery: &str, kind: &str) -> anyhow::Result<Letter> {
        let began = Instant::now();
        let head = format!("{recovery}.{kind}");
        loop {
            if let Some(path) = self.find(&head)? {
                return Letter::read(&path);
            }
            if began.elapsed() > PATIENCE {
                bail!("no letter {head}* came within {PATIENCE:?}; there are {:?}", self.names()?);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn find(&self, head: &str) -> anyhow::Result<Option<PathBuf>> {
        Ok(self.names()?.into_iter().find(|name| name.starts_with(head)).map(|name| self.0.join(name)))
    }

    /// The letter about `recovery` of this kind, or `None` once one of the `other` kind is there without it.
    pub async fn wait_for_first(&self, recovery: &str, kind: &str, other: &str) -> anyhow::Result<Option<Letter>> {
        let began = Instant::now();
        loop {
            // In this order: a letter of the first kind is always written before one of the other.
            let other_is_there = self.find(&format!("{recovery}.{other}"))?.is_some();
            if let Some(path) = self.find(&format!("{recovery}.{kind}"))? {
                return Letter::read(&path).map(Some);
            }
            if other_is_there {
                return Ok(None);
            }
            if began.elapsed() > PATIENCE {
                bail!("neither {kind} nor {other} about {recovery} came within {PATIENCE:?}; there are {:?}", self.names()?);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The letter in the file of this name.
    pub fn open(&self, name: &str) -> anyhow::Result<Letter> {
        Letter::read(&self.0.join(name))
    }

    /// The files of all letters.
    pub fn names(&self) -> anyhow::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.0).with_context(|| format!("reading {}", self.0.display()))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names
            .filter(|name| Path::new(name).extension().is_some_and(|ending| ending == "eml") && !name.starts_with('.'))
            .collect())
    }
}

impl Letter {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let mail = MessageParser::default().parse(&bytes).with_context(|| format!("{} is not a mail", path.display()))?;
        let body = mail.body_text(0).with_context(|| format!("{} has no text", path.display()))?.into_owned();
        Ok(Self { body })
    }

    /// The link that the letter asks its reader to follow.
    pub fn link(&self) -> anyhow::Result<&str> {
        self.links().find(|link| !link.contains("/not-me/")).with_context(|| format!("no link in the letter:\n{}", self.body))
    }

    /// The "this was not me" link.
    pub fn not_me_link(&self) -> anyhow::Result<&str> {
        self.links()
            .find(|link| link.contains("/not-me/"))
            .with_context(|| format!("no repudiation link in the letter:\n{}", self.body))
    }

    fn links(&self) -> impl Iterator<Item = &str> {
        self.body.lines().map(str::trim).filter(|line| line.starts_with("http://") || line.starts_with("https://"))
    }
}
