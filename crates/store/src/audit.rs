//! The append-only record of each decision, each attempt and each result.
//!
//! [`record`] adds entries in the transaction of their cause. A [`Chainer`] links them within a second: each entry's hash
//! covers the one before it, and a signed [`Checkpoint`] of the newest hash goes to a file outside the database. [`verify`]
//! walks the chain against the checkpoints and names the first entry that was altered, removed or slipped in, and what no
//! checkpoint covers yet. Personal data sits in a table of its own and can be erased ([`erase_personal`]): the chain holds
//! only its salted digest.
//!
//! What it cannot show: an entry removed before it was linked (under a second), and a chain rewritten from its end by someone
//! who also rewrites the checkpoint file and holds the key. Ship the file to a place of its own.

mod chainer;
mod checkpoint;
mod entry;
mod link;
mod signer;
mod store;
mod verify;

pub use chainer::{Chainer, Tick};
pub use checkpoint::{Checkpoint, CheckpointFile, Line};
pub use entry::{Entry, erase_personal, record};
pub use signer::{Signer, VerifyingKey};
pub use verify::{Broken, Chain, Fault, Report, verify};

use crate::migrate::Migrations;

/// The tables of the audit log, for `Database::migrate`.
pub const MIGRATIONS: Migrations = crate::migrations!("audit", ["0001_audit"]);
