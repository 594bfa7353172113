//! The letters as their recipients get them: files in the outbox, or mails in a mail catcher. People act on the links in them,
//! as in life.

mod catcher;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use mail_parser::MessageParser;
use tokio::time::Instant;

use catcher::Catcher;

/// How long a person waits for a letter.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often they look.
const LOOK: Duration = Duration::from_millis(20);

/// Where the letters are. Each has a name: its delivery key, `<recovery>.<kind>.<to whom>`.
#[derive(Clone)]
pub enum Mailbox {
    /// Files, `<name>.eml`.
    Folder(PathBuf),
    /// Mails, whose Message-IDs begin with their names.
    Catcher(Catcher),
}

/// A letter that was read.
pub struct Letter {
    body: String,
}

impl Mailbox {
    /// The letters at `place`: a folder, or the address of a Mailpit (`http://…`).
    pub fn at(place: &str) -> anyhow::Result<Self> {
        if place.starts_with("http://") || place.starts_with("https://") {
            return Ok(Self::Catcher(Catcher::at(place)?));
        }
        Ok(Self::Folder(PathBuf::from(place)))
    }

    /// Where the letters lie, for people.
    pub fn place(&self) -> String {
        match self {
            Self::Folder(folder) => folder.display().to_string(),
            Self::Catcher(catcher) => catcher.address().to_owned(),
        }
    }

    /// The letter about `recovery` of this kind (the middle part of its delivery key), once it is there.
    pub async fn wait_for(&self, recovery: &str, kind: &str) -> anyhow::Result<Letter> {
        let began = Instant::now();
        let head = format!("{recovery}.{kind}");
        loop {
            let names = self.names().await?;
            if let Some(name) = names.iter().find(|name| name.starts_with(&head)) {
                return self.open(name).await;
            }
            if began.elapsed() > PATIENCE {
                bail!("no letter {head}* came within {PATIENCE:?}; there are {names:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The letter about `recovery` of this kind, or `None` once one of the `other` kind is there without it.
    pub async fn wait_for_first(&self, recovery: &str, kind: &str, other: &str) -> anyhow::Result<Option<Letter>> {
        let began = Instant::now();
        let (head, other) = (format!("{recovery}.{kind}"), format!("{recovery}.{other}"));
        loop {
            // A letter of the first kind is always written before one of the other.
            let names = self.names().await?;
            if let Some(name) = names.iter().find(|name| name.starts_with(&head)) {
                return self.open(name).await.map(Some);
            }
            if names.iter().any(|name| name.starts_with(&other)) {
                return Ok(None);
            }
            if began.elapsed() > PATIENCE {
                bail!("neither {head} nor {other} came within {PATIENCE:?}; there are {names:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The letter of this name.
    pub async fn open(&self, name: &str) -> anyhow::Result<Letter> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(format!("{name}.eml"));
                Letter::read(&std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?)
            }
            Self::Catcher(catcher) => Letter::read(&catcher.raw(name).await?),
        }
        .with_context(|| format!("the letter {name}"))
    }

    /// The names of all letters.
    pub async fn names(&self) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Folder(folder) => files(folder),
            Self::Catcher(catcher) => catcher.names().await,
        }
    }
}

fn files(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| !name.starts_with('.')).filter_map(|name| name.strip_suffix(".eml").map(str::to_owned)).collect())
}

impl Letter {
    fn read(bytes: &[u8]) -> anyhow::Result<Self> {
        let mail = MessageParser::default().parse(bytes).context("it is not a mail")?;
        let body = mail.body_text(0).context("it has no text")?.into_owned();
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
