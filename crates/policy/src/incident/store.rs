//! The table `incident`.

use std::collections::HashSet;

use homeward_store::{StoreError, Tx, on_tx};
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
        insert.push_values(incidents, |mut values, incident| {
            values
                .push_bind(incident.id.uuid())
                .push_bind(incident.organisation.as_str())
                .push_bind(incident.account.as_ref().map(homeward_types::AccountId::as_str))
                .push_bind(incident.lease.map(homeward_types::Id::uuid))
                .push_bind(incident.kind)
                .push_bind(incident.matter.as_str())
                .push_bind(incident.sentence.as_str())
                .push_bind(incident.next_action.as_str())
                .push_bind(incident.next_at)
                .push_bind(incident.safe_action.as_str())
                .push_bind(now);
        });
        insert.push(" ON CONFLICT (matter) DO NOTHING RETURNING id");
        insert.build_query_scalar().persistent(false).fetch_all(c).await
    })?;
    Ok(ids.into_iter().collect())
}
