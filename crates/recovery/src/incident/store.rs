//! The table `incident`.

use homeward_store::{Database, PushRows, StoreError, Tx, on, on_tx, row};
use homeward_types::{IncidentId, OrganisationId, Timestamp};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::Incident;

/// Rows in one statement; 11 values each.
const ROWS: usize = 500;

/// An incident as it is stored.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Stored {
    /// Which.
    pub id: Uuid,
    /// The case; `None` when it is about none.
    pub recovery: Option<Uuid>,
    /// The account; empty when it is about none.
    pub account: String,
    /// Stable, for programs.
    pub kind: String,
    /// For people.
    pub sentence: String,
    /// What Homeward does next by itself.
    pub next_action: String,
    /// When.
    pub next_at: Option<Timestamp>,
    /// What a person can safely do.
    pub safe_action: String,
    /// When it was opened.
    pub opened_at: Timestamp,
}

/// Opens incidents, except those that are known already.
pub async fn open(tx: &mut Tx, incidents: &[Incident], now: Timestamp) -> Result<(), StoreError> {
    for chunk in incidents.chunks(ROWS) {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new(
                "INSERT INTO incident (id, key, organisation, recovery, account, kind, sentence, next_action, next_at, safe_action, opened_at) ");
            query.push_rows(chunk.iter().map(|incident| row![
                incident.id.uuid(), &incident.key, incident.organisation.as_str(),
                incident.recovery.map(homeward_types::RecoveryId::uuid),
                incident.account.as_ref().map_or("", |account| account.as_str()), &incident.kind, &incident.sentence,
                &incident.next_action, incident.next_at, &incident.safe_action, now,
            ]));
            query.push(" ON CONFLICT (key) DO NOTHING").build().execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// Incidents of an organisation, newest first, with ids below `before`.
pub async fn page(
    db: &Database,
    organisation: &OrganisationId,
    before: Option<IncidentId>,
    most: i64,
) -> Result<Vec<Stored>, StoreError> {
    let sql = "SELECT id, recovery, account, kind, sentence, next_action, next_at, safe_action, opened_at FROM incident \
               WHERE organisation = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    let before = before.map_or(Uuid::max(), IncidentId::uuid);
    Ok(on!(db, pool => sqlx::query_as(sql).bind(organisation.as_str()).bind(before).bind(most).fetch_all(pool).await)?)
}
