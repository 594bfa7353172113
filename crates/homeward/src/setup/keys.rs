//! The keys: read from files or asked for, kept in files that only their owner can read, and never printed.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::NaiveDate;
use secrecy::{ExposeSecret as _, SecretString};

use super::ask::Asker;
use super::words;
use crate::cli::{KeyArgs, SetupAtlassian};
use crate::exit::Failure;
use crate::settings::{KeyDetail, KeyDetails};

/// One key and where it is kept.
pub struct KeptKey {
    /// The key.
    pub value: SecretString,
    /// Its file, as the configuration names it.
    pub file: PathBuf,
    /// Whether the file is there, or has to be written.
    there: bool,
}

/// All keys.
pub struct Keys {
    /// For everything that takes it.
    pub main: KeptKey,
    /// For what refuses keys with scopes.
    pub unscoped: Option<KeptKey>,
    /// For patrol.
    pub patrol: Option<KeptKey>,
    /// What is known of them.
    pub details: KeyDetails,
}

impl Keys {
    /// Reads or asks for all of them. Writes nothing.
    pub fn gather(args: &SetupAtlassian, organisation: &str, ask: &mut Asker) -> Result<Self, Failure> {
        ask.tell(words::KEYS);
        let folder = folder_of(&args.config)?;
        let own_file = |what: &str| folder.join(format!("{organisation}.{what}.key"));
        let given = &args.keys;
        let main = one(ask, "The API key", "--api-key-file", given.api_key_file.as_deref(), own_file("atlassian"))?;
        let main = main
            .ok_or_else(|| Failure::Configuration("there is no API key; give --api-key-file. Nothing was written".to_owned()))?;
        let unscoped = one(
            ask,
            "A second key without scopes; empty if the first has none or you have no other",
            "--unscoped-key-file",
            given.unscoped_key_file.as_deref(),
            own_file("atlassian-unscoped"),
        )?;
        let patrol = one(
            ask,
            "A key for patrol; empty to let it use the first",
            "--patrol-key-file",
            given.patrol_key_file.as_deref(),
            own_file("atlassian-patrol"),
        )?;
        let details = details(given, ask, unscoped.is_some(), patrol.is_some())?;
        Ok(Self { main, unscoped, patrol, details })
    }

    /// Writes those that are not in a file yet.
    pub fn write(&self, force: bool) -> Result<(), Failure> {
        [Some(&self.main), self.unscoped.as_ref(), self.patrol.as_ref()]
            .into_iter()
            .flatten()
            .try_for_each(|key| key.write(force))
    }

    /// Refuses to go on if a key's file is in the way.
    pub fn check_room(&self, force: bool) -> Result<(), Failure> {
        let in_the_way = [Some(&self.main), self.unscoped.as_ref(), self.patrol.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| !key.there && key.file.exists());
        match in_the_way.filter(|_| !force) {
            None => Ok(()),
            Some(key) => {
                let why = format!("{} is there already; give --force to replace it. Nothing was written", key.file.display());
                Err(Failure::Configuration(why))
            }
        }
    }
}

impl KeptKey {
    fn write(&self, force: bool) -> Result<(), Failure> {
        if self.there {
            return Ok(());
        }
        if force && self.file.exists() {
            // A file that others may have open, or with other rights, is not written into.
            std::fs::remove_file(&self.file).with_context(|| format!("replacing {}", self.file.display()))?;
        }
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.file)
            .with_context(|| format!("writing {}", self.file.display()))?;
        writeln!(file, "{}", self.value.expose_secret()).with_context(|| format!("writing {}", self.file.display()))?;
        file.sync_all().with_context(|| format!("writing {}", self.file.display()))?;
        Ok(())
    }
}

fn one(ask: &mut Asker, question: &str, flag: &str, given: Option<&Path>, own: PathBuf) -> Result<Option<KeptKey>, Failure> {
    if let Some(file) = given {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let value = text.trim();
        if value.is_empty() {
            return Err(Failure::Configuration(format!("{} is empty. Nothing was written", file.display())));
        }
        let file = std::path::absolute(file).with_context(|| format!("finding {}", file.display()))?;
        return Ok(Some(KeptKey { value: SecretString::from(value.to_owned()), file, there: true }));
    }
    let asked = ask.secret(question, flag)?;
    Ok(asked.map(|value| KeptKey { value: SecretString::from(value), file: own, there: false }))
}

fn details(given: &KeyArgs, ask: &mut Asker, unscoped: bool, patrol: bool) -> Result<KeyDetails, Failure> {
    let mut detail = |there: bool, what: &str, label: &Option<String>, expires: Option<NaiveDate>| {
        let expires = match expires {
            None if there => expiry(ask, what)?,
            known => known,
        };
        Ok::<_, Failure>(KeyDetail { label: label.clone(), expires })
    };
    Ok(KeyDetails {
        api_key: detail(true, "the API key", &given.api_key_label, given.api_key_expires)?,
        unscoped_key: detail(unscoped, "the key without scopes", &given.unscoped_key_label, given.unscoped_key_expires)?,
        patrol_key: detail(patrol, "patrol's key", &given.patrol_key_label, given.patrol_key_expires)?,
    })
}

fn expiry(ask: &mut Asker, what: &str) -> Result<Option<NaiveDate>, Failure> {
    loop {
        let question = format!("The day on which {what} ends, like 2027-05-01; empty if you do not know it");
        match ask.optional(&question, None, "--api-key-expires, --unscoped-key-expires and --patrol-key-expires")? {
            None => return Ok(None),
            Some(answer) => match answer.parse() {
                Ok(day) => return Ok(Some(day)),
                Err(_) => ask.tell("That is no day; write it like 2027-05-01."),
            },
        }
    }
}

/// The folder that a file is in, as an absolute path.
pub fn folder_of(file: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(file).with_context(|| format!("finding {}", file.display()))?;
    Ok(absolute.parent().map(Path::to_path_buf).unwrap_or(absolute))
}
