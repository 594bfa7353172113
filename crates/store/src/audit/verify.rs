//! Walks a log against its checkpoints and says what it finds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::checkpoint::{Checkpoint, Line};
use super::link::{Digest, GENESIS, link, personal};
use super::signer::VerifyingKey;
use super::store::{self, LinkedEntry};
use crate::database::Database;
use crate::error::StoreError;

/// Entries read at a time.
const PAGE: i64 = 1000;

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Each organisation's chain, by name.
    pub chains: Vec<Chain>,
    /// Checkpoints that no known key signed.
    pub unsigned: u64,
    /// Lines of the checkpoint file that are no checkpoints: cut off by a crash, or damaged.
    pub unreadable: u64,
}

/// One organisation's chain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// Whose it is.
    pub organisation: String,
    /// Entries that were found whole, from the first one on.
    pub whole: i64,
    /// The newest of these that a signed checkpoint covers; 0: none.
    pub anchored: i64,
    /// Entries that are not linked yet; normally less than a second old.
    pub unlinked: i64,
    /// Entries whose personal text was erased.
    pub erased: i64,
    /// The first thing that is wrong, if something is.
    pub broken: Option<Broken>,
}

/// Where a chain breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The place in the chain.
    pub seq: i64,
    /// What is wrong there.
    pub fault: Fault,
}

/// What can be wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The entry is not there, though the chain, or a checkpoint, goes on.
    Missing,
    /// The entry, or one before it, is not what was linked.
    Altered,
    /// The personal text is not what was recorded.
    PersonalAltered,
    /// A signed checkpoint knows another entry here: the chain was written anew.
    Rewritten,
}

impl Chain {
    /// Linked entries that no checkpoint covers.
    pub fn unanchored(&self) -> i64 {
        self.whole - self.anchored
    }
}

impl Report {
    /// Whether nothing is broken, and every checkpoint is signed by a known key. An unanchored tail and a line cut off by a crash do not count.
    pub fn is_intact(&self) -> bool {
        self.unsigned == 0 && self.chains.iter().all(|chain| chain.broken.is_none())
    }
}

/// Checks every chain of the log of `service` against itself and against its checkpoints (those of other services are left out),
/// which must have been read *before* this is called: the log may grow meanwhile. `keys` are the service's public keys, also earlier ones.
///
/// # Errors
/// [`StoreError`] if the log cannot be read. What it says is in the report.
pub async fn verify(
    database: &Database,
    service: &str,
    checkpoints: &[Line],
    keys: &[VerifyingKey],
) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let anchors = trusted(service, checkpoints, keys, &mut report);
    let ends = store::all_ends(database).await?;
    let counts = store::count_unlinked(database).await?;
    let organisations: BTreeSet<&String> = counts.keys().chain(anchors.keys()).chain(ends.keys()).collect();
    for organisation in organisations {
        let none = BTreeMap::new();
        let mut walk = Walk::new(organisation, anchors.get(organisation).unwrap_or(&none));
        walk.chain.unlinked = counts.get(organisation).copied().unwrap_or(0);
        walk.all(database, ends.get(organisation).copied().unwrap_or(0)).await?;
        report.chains.push(walk.chain);
    }
    Ok(report)
}

/// For each organisation, which hashes signed checkpoints know at which places.
type Anchors = BTreeMap<String, BTreeMap<i64, BTreeSet<Vec<u8>>>>;

fn trusted(service: &str, lines: &[Line], keys: &[VerifyingKey], report: &mut Report) -> Anchors {
    let mut anchors = Anchors::new();
    for line in lines {
        match line {
            Line::Unreadable { .. } => report.unreadable += 1,
            Line::Checkpoint(checkpoint) if checkpoint.service != service => {}
            Line::Checkpoint(checkpoint) => match trusted_hash(checkpoint, keys) {
                None => report.unsigned += 1,
                Some(hash) => {
                    let places = anchors.entry(checkpoint.organisation.clone()).or_default();
                    places.entry(checkpoint.seq).or_default().insert(hash);
                }
            },
        }
    }
    anchors
}

fn trusted_hash(checkpoint: &Checkpoint, keys: &[VerifyingKey]) -> Option<Vec<u8>> {
    checkpoint.hash_bytes().filter(|_| checkpoint.is_signed_by(keys))
}

/// A walk along one chain, up to the first thing that is wrong.
struct Walk<'a> {
    chain: Chain,
    before: Digest,
    anchors: &'a BTreeMap<i64, BTreeSet<Vec<u8>>>,
}

impl<'a> Walk<'a> {
    fn new(organisation: &str, anchors: &'a BTreeMap<i64, BTreeSet<Vec<u8>>>) -> Self {
        let chain = Chain { organisation: organisation.to_owned(), ..Chain::default() };
        Self { chain, before: GENESIS, anchors }
    }

    /// `end` is where the database itself says that the chain ends.
    async fn all(&mut self, database: &Database, end: i64) -> Result<(), StoreError> {
        loop {
            let rows = store::page(database, &self.chain.organisation, self.chain.whole, PAGE).await?;
            for row in &rows {
                if let Err(fault) = self.step(row) {
                    self.chain.broken = Some(Broken { seq: self.chain.whole + 1, fault });
                    return Ok(());
                }
            }
            if rows.is_empty() {
                break;
            }
        }
        // Who knows of a later end has seen entries that are gone.
        if self.anchors.keys().next_back().is_some_and(|newest| *newest > self.chain.whole) || end > self.chain.whole {
            self.chain.broken = Some(Broken { seq: self.chain.whole + 1, fault: Fault::Missing });
        }
        Ok(())
    }

    fn step(&mut self, row: &LinkedEntry) -> Result<(), Fault> {
        let expected = self.chain.whole + 1;
        if row.seq != expected {
            return Err(Fault::Missing);
        }
        let hash = link(&self.before, expected, &row.entry);
        if row.hash != hash {
            return Err(Fault::Altered);
        }
        let erased = personal_is_erased(row)?;
        if let Some(known) = self.anchors.get(&expected) {
            if known.len() != 1 || !known.contains(hash.as_slice()) {
                return Err(Fault::Rewritten);
            }
            self.chain.anchored = expected;
        }
        self.chain.whole = expected;
        self.chain.erased += i64::from(erased);
        self.before = hash;
        Ok(())
    }
}

fn personal_is_erased(row: &LinkedEntry) -> Result<bool, Fault> {
    match (&row.entry.personal, &row.salt, &row.text) {
        (None, _, _) => Ok(false),
        (Some(digest), Some(salt), Some(text)) if *digest == personal(salt, text) => Ok(false),
        (Some(_), Some(_), Some(_)) => Err(Fault::PersonalAltered),
        (Some(_), None, _) | (Some(_), _, None) => Ok(true),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is missing, though the chain went on",
            Self::Altered => "is not what was linked",
            Self::PersonalAltered => "has a personal text that is not what was recorded",
            Self::Rewritten => "is not the one that a signed checkpoint knows: the chain was written anew from here or before, or the database restored from a backup",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chain in &self.chains {
            write!(
                f,
                "{}: {} entries whole, {} of them under a signed checkpoint",
                chain.organisation, chain.whole, chain.anchored
            )?;
            if chain.unanchored() > 0 {
                write!(f, "; unanchored tail: {} to {}", chain.anchored + 1, chain.whole)?;
            }
            write!(f, "; {} not linked yet; {} personal texts erased", chain.unlinked, chain.erased)?;
            match &chain.broken {
                Some(broken) => writeln!(f, "; BROKEN: entry {} {}", broken.seq, broken.fault)?,
                None => writeln!(f)?,
            }
        }
        if self.unsigned > 0 {
            writeln!(f, "{} checkpoints are not signed by a known key", self.unsigned)?;
        }
        if self.unreadable > 0 {
            writeln!(f, "{} lines of the checkpoint file cannot be read", self.unreadable)?;
        }
        Ok(())
    }
}
