//! The table `silence`. Only this file reads and writes it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use homeward_store::{Database, StoreError, on, on_tx, transaction};
use homeward_types::{OrganisationId, Timestamp};

/// Every provider that does not answer, and since when.
pub async fn load(db: &Database) -> Result<BTreeMap<OrganisationId, Timestamp>, StoreError> {
    let rows: Vec<(String, DateTime<Utc>)> =
        on!(db, pool => sqlx::query_as("SELECT organisation, since FROM silence").fetch_all(pool).await)?;
    let parsed = rows.into_iter().map(|(organisation, since)| {
        let inconsistent = |error| StoreError::Inconsistent {
            table: "silence",
            column: "organisation",
            row: organisation.clone(),
            reason: format!("{error}"),
        };
        Ok((organisation.parse().map_err(|error: homeward_types::NameError| inconsistent(error))?, since))
    });
    parsed.collect()
}

/// It went silent. The first who noticed is right.
pub async fn begin(db: &Database, organisation: &OrganisationId, now: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO silence (organisation, since) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    transaction!(db, "silence.begin", async |tx| -> Result<(), StoreError> {
        on_tx!(tx, c => sqlx::query(sql).bind(organisation.as_str()).bind(now).execute(c).await.map(drop))?;
        Ok(())
    })
}

/// It answers.
pub async fn end(db: &Database, organisation: &OrganisationId) -> Result<(), StoreError> {
    transaction!(db, "silence.end", async |tx| -> Result<(), StoreError> {
        on_tx!(tx, c => sqlx::query("DELETE FROM silence WHERE organisation = $1").bind(organisation.as_str()).execute(c).await.map(drop))?;
        Ok(())
    })
}
