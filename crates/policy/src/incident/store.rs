//! The table `incident`.

use std::collections::HashSet;

use homeward_store::{Engine, PushRows, StoreError, Tx, on_tx, row};
use homeward_types::Timestamp;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::Incident;

/// Opens incidents; one whose matter is open already is left out. Says which are new.
///
/// # Errors
/// [`StoreError`].
pub async fn open(tx: &mut Tx, incidents: &[Incident], now: Timestamp) -> Result<HashSet<Uuid>, StoreError> {
    if incidents.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<Uuid> = on_tx!(tx, c : D => {
        let mut insert = QueryBuilder::<D>::new(
            "INSERT INTO incident (id, organisation, account, lease_id, kind, matter, sentence, next_action, next_at, safe_action, opened_at) ");
        insert.push_rows(incidents.iter().map(|incident| row![
            incident.id.uuid(), incident.organisation.as_str(), incident.account.as_ref().map(homeward_types::AccountId::as_str),
            incident.lease.map(homeward_types::Id::uuid), incident.kind, incident.matter.as_str(), incident.sentence.as_str(),
            incident.next_action.as_str(), incident.next_at, incident.safe_action.as_str(), now,
        ]));
        insert.push(" ON CONFLICT (matter) DO NOTHING RETURNING id");
        insert.build_query_scalar().persistent(D::ONE_TEXT).fetch_all(c).await
    })?;
    Ok(ids.into_iter().collect())
}
