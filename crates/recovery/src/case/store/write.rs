//! Writing cases: opened, ended, repudiated, and what persons said.

use homeward_store::{PushRows, StoreError, Tx, on_tx, only_if, row};
use homeward_types::{Factor, RecoveryId, Tier, Timestamp};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::ROWS;
use crate::case::Opening;
use crate::saga::data::Data;

/// Writes new cases.
///
/// # Errors
/// [`StoreError::is_unique_violation`] if one of the accounts has an open recovery, or a key was used already.
pub async fn insert(tx: &mut Tx, rows: &[(Uuid, &Data, &Opening)]) -> Result<(), StoreError> {
    for chunk in rows.chunks(ROWS) {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new(
                "INSERT INTO recovery (id, organisation, account, requester, idempotency_key, prefilled_from, requested_at, tier, \
                 diagnosis, home, factor, recent_requests, repudiated_before, diagnosis_hash, not_me_hash, is_open) ");
            query.push_rows(chunk.iter().map(|(id, data, opening)| {
                let found = &opening.found;
                row![
                    *id, data.organisation.as_str(), data.account.as_str(), data.requester.as_str(),
                    opening.idempotency_key.as_deref(), opening.prefilled_from.map(RecoveryId::uuid), opening.requested_at,
                    tier_name(data.terms.tier), &found.code, found.home.as_str(), factor_name(found.factor),
                    i64::from(found.recent_requests), found.repudiated_before, &found.diagnosis_hash,
                    opening.not_me_hash.as_slice(), true,
                ]
            }));
            query.build().execute(c).await.map(drop)
        })?;
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("INSERT INTO recovery_personal (recovery, email, name, reason) ");
            query.push_rows(chunk.iter().map(|(id, _, opening)| row![
                *id, opening.email.as_ref().map(homeward_types::Email::as_str), &opening.name, &opening.reason,
            ]));
            query.build().execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

fn factor_name(factor: Factor) -> &'static str {
    match factor {
        Factor::Enrolled => "enrolled",
        Factor::Absent => "absent",
        Factor::Unknown => "unknown",
    }
}

fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Normal => "normal",
        Tier::High => "high",
    }
}

/// How a case ended, to be written.
#[derive(Debug)]
pub struct Closing {
    /// Which case.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// The outcome's code.
    pub outcome: &'static str,
    /// The outcome in a sentence for the staff.
    pub sentence: String,
}

/// Writes how cases ended. A case that was reopened by late news of its lease ends a second time, and keeps its first end.
pub async fn close(tx: &mut Tx, rows: &[Closing]) -> Result<(), StoreError> {
    for chunk in rows.chunks(ROWS) {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new(
                "UPDATE recovery SET is_open = FALSE, closed_at = v.column2, outcome = v.column3, outcome_sentence = v.column4 FROM (");
            query.push_rows(chunk.iter().map(|closing| row![closing.id, closing.at, closing.outcome, &closing.sentence]));
            query.push(concat!(") AS v WHERE recovery.id = v.column1 AND ", only_if!("recovery.is_open")));
            query.build().execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// Writes that owners said "this was not me". The first time counts.
pub async fn repudiate(tx: &mut Tx, ids: &[Uuid], at: Timestamp) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    on_tx!(tx, c : D => {
        let mut query = QueryBuilder::<D>::new("UPDATE recovery SET repudiated_at = ");
        query.push_bind(at).push(" WHERE repudiated_at IS NULL AND id ");
        query.push_one_of(ids.iter().copied()).build().execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Something that a person said about a case.
#[derive(Debug)]
pub struct Text {
    /// Which case.
    pub recovery: Uuid,
    /// What it belongs to.
    pub subject: String,
    /// The words.
    pub text: String,
    /// When.
    pub said_at: Timestamp,
}

/// Keeps what persons said; the newest on a subject stays.
pub async fn add_texts(tx: &mut Tx, rows: &[Text]) -> Result<(), StoreError> {
    for chunk in rows.chunks(ROWS) {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("INSERT INTO recovery_text (recovery, subject, text, said_at) ");
            query.push_rows(chunk.iter().map(|text| row![text.recovery, &text.subject, &text.text, text.said_at]));
            query.push(" ON CONFLICT (recovery, subject) DO UPDATE SET text = excluded.text, said_at = excluded.said_at");
            query.build().execute(c).await.map(drop)
        })?;
    }
    Ok(())
}
