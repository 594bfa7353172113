//! Whether a committed transaction survives a power cut and a failover, as the procedure's guarantees assume.

use crate::database::Database;
use crate::error::StoreError;
use crate::on;

#[derive(Debug, sqlx::FromRow)]
struct Settings {
    fsync: String,
    full_page_writes: String,
    synchronous_commit: String,
    standby_names: String,
    standbys: i64,
}

impl Database {
    /// What an operator should know before relying on this database, one sentence each; empty: nothing. Readiness shows them.
    ///
    /// # Errors
    /// [`StoreError::Statement`] if the database does not tell.
    pub async fn durability_warnings(&self) -> Result<Vec<String>, StoreError> {
        // SQLite is opened with the settings that it needs.
        if !self.is_postgres() {
            return Ok(Vec::new());
        }
        let settings: Settings = on!(self, pool => sqlx::query_as(
            "SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes, \
             current_setting('synchronous_commit') AS synchronous_commit, current_setting('synchronous_standby_names') AS standby_names, \
             (SELECT COUNT(*) FROM pg_stat_replication) AS standbys").fetch_one(pool).await)?;
        Ok(warnings(&settings))
    }
}

fn warnings(settings: &Settings) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, value) in [("fsync", &settings.fsync), ("full_page_writes", &settings.full_page_writes)] {
        if value != "on" {
            warnings.push(format!("PostgreSQL runs with {name} = {value}: a power cut may lose or damage leases; set it to on"));
        }
    }
    if settings.synchronous_commit == "off" {
        warnings.push(
            "PostgreSQL runs with synchronous_commit = off: a crash may forget leases that were reported as open; set it to on"
                .to_owned(),
        );
    }
    if settings.standbys > 0 && settings.standby_names.is_empty() {
        warnings.push(format!(
            "PostgreSQL has {} standby servers and none is synchronous: a failover may forget leases; set synchronous_standby_names",
            settings.standbys
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(on: &str, standby_names: &str, standbys: i64) -> Settings {
        let text = str::to_owned;
        Settings {
            fsync: text(on),
            full_page_writes: text(on),
            synchronous_commit: text(on),
            standby_names: text(standby_names),
            standbys,
        }
    }

    #[test]
    fn each_weakness_is_named() {
        assert!(warnings(&settings("on", "", 0)).is_empty());
        assert!(warnings(&settings("on", "ANY 1 (*)", 2)).is_empty());
        let all = warnings(&settings("off", "", 2));
        for weakness in ["fsync", "full_page_writes", "synchronous_commit", "synchronous_standby_names"] {
            assert!(all.iter().any(|warning| warning.contains(weakness)), "{weakness} in {all:?}");
        }
    }
}
