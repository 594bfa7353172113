//! A signed word about how far a chain had come, one line in an append-only file outside the database.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use homeward_types::Timestamp;
use serde::{Deserialize, Serialize};

use super::signer::{Signer, VerifyingKey, file};
use crate::error::StoreError;
use crate::hex::{hex, unhex};

/// How much of the end of a file is looked at for its newest lines.
const TAIL: u64 = 256 * 1024;

/// At `at`, the entry `seq` of this organisation's chain had this hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Whose log it is.
    pub service: String,
    /// Whose chain.
    pub organisation: String,
    /// How many entries the chain had.
    pub seq: i64,
    /// The hash of the newest one, in hexadecimal.
    pub hash: String,
    /// When it was signed, by the service's clock.
    pub at: Timestamp,
    /// Which key signed it ([`VerifyingKey::id`]).
    pub key: String,
    /// The signature, in hexadecimal.
    pub signature: String,
}

/// One line of a checkpoint file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A checkpoint; not yet checked against a key.
    Checkpoint(Checkpoint),
    /// Something else: cut off by a crash while writing, or damaged.
    Unreadable {
        /// Its number, from 1.
        line: usize,
    },
}

impl Checkpoint {
    pub(super) fn sign(signer: &Signer, service: &str, organisation: &str, seq: i64, hash: &[u8], at: Timestamp) -> Self {
        let mut checkpoint = Self {
            service: service.to_owned(),
            organisation: organisation.to_owned(),
            seq,
            hash: hex(hash),
            at,
            key: signer.key().id(),
            signature: String::new(),
        };
        checkpoint.signature = signer.sign(checkpoint.message().as_bytes());
        checkpoint
    }

    /// Whether one of these keys signed it.
    pub fn is_signed_by(&self, keys: &[VerifyingKey]) -> bool {
        keys.iter().any(|key| key.id() == self.key && key.checks(self.message().as_bytes(), &self.signature))
    }

    pub(super) fn hash_bytes(&self) -> Option<Vec<u8>> {
        unhex(&self.hash)
    }

    /// What is signed. JSON quotes each part, so no two checkpoints have the same message.
    fn message(&self) -> String {
        let parts =
            serde_json::json!([self.service, self.organisation, self.seq, self.hash, self.at.timestamp_micros(), self.key]);
        format!("homeward audit checkpoint 1\n{parts}")
    }
}

/// The append-only file that checkpoints go to.
#[derive(Debug, Clone)]
pub struct CheckpointFile {
    path: PathBuf,
}

impl CheckpointFile {
    /// The file at `path`; made by the first checkpoint. Its folder must exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds these lines and waits until they are on the disk. Blocks.
    pub(super) fn append(&self, checkpoints: &[Checkpoint]) -> Result<(), StoreError> {
        let mut text = Vec::new();
        for checkpoint in checkpoints {
            serde_json::to_writer(&mut text, checkpoint).map_err(|source| StoreError::Json { what: "a checkpoint", source })?;
            text.push(b'\n');
        }
        self.append_bytes(&text).map_err(|source| file(&self.path, "adding a checkpoint", source))
    }

    fn append_bytes(&self, text: &[u8]) -> std::io::Result<()> {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&self.path)?;
        let mut whole = Vec::with_capacity(text.len() + 1);
        if ends_inside_a_line(&mut file)? {
            whole.push(b'\n');
        }
        whole.extend_from_slice(text);
        file.write_all(&whole)?;
        file.sync_data()
    }

    /// How far the newest lines of this service go, by organisation. Looks at the end of the file only: a chain that is not
    /// found there is only anchored once more. Blocks.
    pub(super) fn newest(&self, service: &str) -> Result<BTreeMap<String, i64>, StoreError> {
        let bytes = tail(&self.path).map_err(|source| file(&self.path, "reading the checkpoints", source))?;
        let of_service = |line| match line {
            Line::Checkpoint(checkpoint) if checkpoint.service == service => Some((checkpoint.organisation, checkpoint.seq)),
            Line::Checkpoint(_) | Line::Unreadable { .. } => None,
        };
        Ok(parse(&bytes).into_iter().filter_map(of_service).collect())
    }

    /// Every line. A file that does not exist has none.
    ///
    /// # Errors
    /// [`StoreError::File`] if it cannot be read.
    pub fn read(&self) -> Result<Vec<Line>, StoreError> {
        match std::fs::read(&self.path) {
            Ok(bytes) => Ok(parse(&bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(file(&self.path, "reading the checkpoints", error)),
        }
    }
}

/// The last part of the file, from the beginning of a line on.
fn tail(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    if from > 0 {
        let first = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        bytes.drain(..first);
    }
    Ok(bytes)
}

/// Whether a crash cut the last line off.
fn ends_inside_a_line(file: &mut File) -> std::io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn parse(bytes: &[u8]) -> Vec<Line> {
    bytes
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(index, line)| serde_json::from_slice(line).map_or(Line::Unreadable { line: index + 1 }, Line::Checkpoint))
        .collect()
}
