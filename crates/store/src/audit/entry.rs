//! Writing entries, and erasing the personal part of old ones.

use homeward_types::{OrganisationId, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;

use super::link::{Digest, personal};
use super::store;
use crate::error::StoreError;
use crate::tx::Tx;

/// Rows in one statement; 8 values each, far below both engines' limit of 32 766.
const ROWS: usize = 1000;

/// One thing that happened, as it will stand in the log for good.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(super) organisation: String,
    pub(super) at: Timestamp,
    pub(super) actor: String,
    pub(super) action: &'static str,
    pub(super) subject: String,
    pub(super) detail: Value,
    pub(super) trace_id: Option<String>,
    pub(super) personal: Option<String>,
}

impl Entry {
    /// `actor` (a person's or service's name) did `action` (`lease.opened`) to `subject` (an account's, lease's or recovery's id).
    pub fn new(
        at: Timestamp,
        organisation: &OrganisationId,
        actor: impl Into<String>,
        action: &'static str,
        subject: impl Into<String>,
    ) -> Self {
        Self {
            organisation: organisation.as_str().to_owned(),
            at,
            actor: plain(actor.into()),
            action,
            subject: plain(subject.into()),
            detail: Value::Object(serde_json::Map::new()),
            trace_id: None,
            personal: None,
        }
    }

    /// What belongs to it, as a JSON object. Never personal data: this part cannot be erased.
    #[must_use]
    pub fn detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }

    /// The trace that it belongs to, as 32 hexadecimal digits.
    #[must_use]
    pub fn trace(mut self, trace_id: Option<String>) -> Self {
        self.trace_id = trace_id.map(plain);
        self
    }

    /// What it says about a person (a name, an address, a reason in someone's words). May be erased later.
    #[must_use]
    pub fn personal(mut self, text: impl Into<String>) -> Self {
        self.personal = Some(plain(text.into()));
        self
    }
}

/// Without the one character that PostgreSQL cannot store in a text.
fn plain(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// How an entry's personal text is kept beside it.
pub(super) struct Personal {
    pub(super) salt: [u8; 16],
    pub(super) digest: Digest,
}

/// Adds the entries to the log, in this order, together with whatever else the transaction does.
///
/// # Errors
/// [`StoreError::Statement`] if the database refuses.
pub async fn record(tx: &mut Tx, entries: &[Entry]) -> Result<(), StoreError> {
    for rows in entries.chunks(ROWS) {
        let salted = |entry| salt(entry).map(|personal| (entry, personal));
        let rows = rows.iter().map(salted).collect::<Result<Vec<_>, _>>()?;
        store::insert_personal(tx, &rows).await?;
        store::insert_entries(tx, &rows).await?;
    }
    Ok(())
}

fn salt(entry: &Entry) -> Result<Option<Personal>, StoreError> {
    let Some(text) = &entry.personal else { return Ok(None) };
    let mut salt = [0; 16];
    let filled = SystemRandom::new().fill(&mut salt);
    filled.map_err(|_| StoreError::Statement(sqlx::Error::Protocol("the system gave no random bytes".into())))?;
    Ok(Some(Personal { digest: personal(&salt, text), salt }))
}

/// Erases what the log says about a person in the entries of these subjects (the account, its recoveries). The entries
/// themselves stay, and so does the chain. Returns how many texts were erased.
///
/// # Errors
/// [`StoreError::Statement`] if the database refuses.
pub async fn erase_personal(tx: &mut Tx, organisation: &OrganisationId, subjects: &[String]) -> Result<u64, StoreError> {
    store::delete_personal(tx, organisation.as_str(), subjects).await
}
