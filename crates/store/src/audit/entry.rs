//! Writing entries, and erasing the personal part of old ones.

use homeward_types::{OrganisationId, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;
use sqlx::QueryBuilder;

use super::link::{Digest, personal};
use crate::error::StoreError;
use crate::on_tx;
use crate::tx::Tx;

/// Rows in one statement; 8 values each, far below both engines' limit of 32 766.
const ROWS: usize = 1000;

/// A statement for more rows than this is not worth a place in a connection's cache: few have the same number again.
const CACHED_ROWS: usize = 32;

/// One thing that happened, as it will stand in the log for good.
#[derive(Debug, Clone)]
pub struct Entry {
    organisation: String,
    at: Timestamp,
    actor: String,
    action: &'static str,
    subject: String,
    detail: Value,
    trace_id: Option<String>,
    personal: Option<String>,
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

struct Personal {
    salt: [u8; 16],
    digest: Digest,
}

/// Adds the entries to the log, in this order, together with whatever else the transaction does.
///
/// # Errors
/// [`StoreError::Statement`] if the database refuses.
pub async fn record(tx: &mut Tx, entries: &[Entry]) -> Result<(), StoreError> {
    for rows in entries.chunks(ROWS) {
        let personal =
            rows.iter().map(|entry| entry.personal.as_deref().map(salted).transpose()).collect::<Result<Vec<_>, _>>()?;
        let rows: Vec<_> = rows.iter().zip(personal).collect();
        insert_personal(tx, &rows).await?;
        insert_entries(tx, &rows).await?;
    }
    Ok(())
}

fn salted(text: &str) -> Result<Personal, StoreError> {
    let mut salt = [0; 16];
    SystemRandom::new()
        .fill(&mut salt)
        .map_err(|_| StoreError::Statement(sqlx::Error::Protocol("the system gave no random bytes".into())))?;
    Ok(Personal { salt, digest: personal(&salt, text) })
}

async fn insert_personal(tx: &mut Tx, rows: &[(&Entry, Option<Personal>)]) -> Result<(), StoreError> {
    let texts: Vec<_> =
        rows.iter().filter_map(|(entry, personal)| Some((personal.as_ref()?, entry.personal.as_deref()?))).collect();
    if texts.is_empty() {
        return Ok(());
    }
    on_tx!(tx, c : D => {
        let mut insert = QueryBuilder::<D>::new("INSERT INTO audit_personal (digest, salt, text) ");
        insert.push_values(&texts, |mut row, (personal, text)| {
            row.push_bind(personal.digest.as_slice()).push_bind(personal.salt.as_slice()).push_bind(*text);
        });
        insert.build().persistent(rows.len() <= CACHED_ROWS).execute(c).await.map(drop)
    })?;
    Ok(())
}

async fn insert_entries(tx: &mut Tx, rows: &[(&Entry, Option<Personal>)]) -> Result<(), StoreError> {
    on_tx!(tx, c : D => {
        let mut insert = QueryBuilder::<D>::new(
            "INSERT INTO audit_entry (organisation, at, actor, action, subject, detail, trace_id, personal) ");
        insert.push_values(rows, |mut row, (entry, personal)| {
            row.push_bind(&entry.organisation).push_bind(entry.at).push_bind(&entry.actor).push_bind(entry.action)
                .push_bind(&entry.subject).push_bind(entry.detail.to_string()).push_bind(&entry.trace_id)
                .push_bind(personal.as_ref().map(|personal| personal.digest.as_slice()));
        });
        insert.build().persistent(rows.len() <= CACHED_ROWS).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Erases what the log says about a person in the entries of these subjects (the account, its recoveries). The entries
/// themselves stay, and so does the chain. Returns how many texts were erased.
///
/// # Errors
/// [`StoreError::Statement`] if the database refuses.
pub async fn erase_personal(tx: &mut Tx, organisation: &OrganisationId, subjects: &[String]) -> Result<u64, StoreError> {
    if subjects.is_empty() {
        return Ok(0);
    }
    Ok(on_tx!(tx, c : D => {
        let mut delete = QueryBuilder::<D>::new(
            "DELETE FROM audit_personal WHERE digest IN (SELECT personal FROM audit_entry WHERE personal IS NOT NULL AND organisation = ");
        delete.push_bind(organisation.as_str()).push(" AND subject IN (");
        let mut list = delete.separated(", ");
        for subject in subjects {
            list.push_bind(subject);
        }
        delete.push("))").build().execute(c).await.map(|done| done.rows_affected())
    })?)
}
