//! When to tell people that a key ends (pure), and the loop that watches.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use homeward_provider::{Expiry, KeyExpiry, Priority, ProviderError};
use homeward_store::{StoreError, transaction};
use homeward_types::{IncidentId, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::incident::Incident;
use crate::ledger::Changes;
use crate::site::Site;

/// Days before the end at which people are told.
const DAYS: [u32; 3] = [30, 7, 1];

/// How often the ends are looked at.
const LOOK: Duration = Duration::from_hours(1);

/// Why people are told of a key's end now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// It ends in less than so many days.
    Days(u32),
    /// It has ended.
    Over,
}

impl Notice {
    /// The notice that is due: the nearest of those whose time has come.
    pub fn due(ends_at: Timestamp, now: Timestamp) -> Option<Self> {
        if ends_at <= now {
            return Some(Self::Over);
        }
        DAYS.into_iter().rev().find(|days| now >= ends_at - days_long(*days)).map(Self::Days)
    }

    /// When the next one is due.
    pub fn next(self, ends_at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Over => None,
            Self::Days(days) => {
                let nearer = DAYS.into_iter().find(|nearer| *nearer < days);
                Some(nearer.map_or(ends_at, |nearer| ends_at - days_long(nearer)))
            }
        }
    }

    /// As part of what names the matter.
    pub fn name(self) -> String {
        match self {
            Self::Days(days) => days.to_string(),
            Self::Over => "over".to_owned(),
        }
    }
}

fn days_long(days: u32) -> TimeDelta {
    TimeDelta::days(i64::from(days))
}

/// Looks at the ends of the organisation's keys until the shutdown.
pub async fn watch(site: Arc<Site>, shutdown: CancellationToken) {
    loop {
        let expiries = tokio::select! {
            () = shutdown.cancelled() => return,
            expiries = site.provider().key_expiries(Priority::Sync) => expiries,
        };
        if let Err(error) = announce(&site, &expiries).await {
            tracing::warn!(organisation = %site.id(), error = &error as &dyn std::error::Error, "that a key ends cannot be told yet");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Tells of every key whose end is near; what was told before is not told again.
///
/// # Errors
/// [`StoreError`].
pub async fn announce(site: &Site, expiries: &[KeyExpiry]) -> Result<(), StoreError> {
    let now = site.ledger().now();
    let mut incidents = Vec::new();
    for KeyExpiry { key, fingerprint, expiry } in expiries {
        match expiry {
            Expiry::At { at, .. } => {
                if let Some(notice) = Notice::due(*at, now) {
                    let id = IncidentId::new(site.ledger().clock());
                    incidents.push(Incident::key_expires(id, site.id(), (*key, fingerprint), *at, notice));
                }
            }
            Expiry::Unknown { why } => {
                tracing::debug!(organisation = %site.id(), key = key.setting(), why, "nobody knows when a key ends");
            }
        }
    }
    open(site, incidents).await
}

/// Tells that the provider refuses a key.
///
/// # Errors
/// [`StoreError`].
pub async fn refused(site: &Site, error: &ProviderError) -> Result<(), StoreError> {
    let now = site.ledger().now();
    let id = IncidentId::new(site.ledger().clock());
    open(site, vec![Incident::key_refused(id, site.id(), error, now)]).await
}

/// Opens incidents that are about no lease.
pub(crate) async fn open(site: &Site, incidents: Vec<Incident>) -> Result<(), StoreError> {
    if incidents.is_empty() {
        return Ok(());
    }
    let ledger = site.ledger();
    let changes = transaction!(ledger.db(), "incident.provider", async |tx| -> Result<Changes, StoreError> {
        ledger.apply(tx, &[], incidents.clone(), ledger.now()).await
    })?;
    ledger.committed(changes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_thirty_days_seven_days_and_a_day_before_the_end_and_after_it() {
        let ends_at = Timestamp::from_timestamp(1_800_000_000, 0).expect("a moment");
        let told = |before: TimeDelta| Notice::due(ends_at, ends_at - before);
        let second = TimeDelta::seconds(1);
        for (days, nearer) in [(30, 7), (7, 1), (1, 0)] {
            let edge = days_long(days);
            assert_eq!(told(edge), Some(Notice::Days(days)), "{days}");
            assert_eq!(told(days_long(nearer) + second), Some(Notice::Days(days)), "until the next: {days}");
            assert_ne!(told(edge + second), Some(Notice::Days(days)), "not sooner: {days}");
            assert_eq!(Notice::Days(days).next(ends_at), Some(ends_at - days_long(nearer)));
        }
        assert_eq!(told(days_long(31)), None);
        assert_eq!(told(TimeDelta::zero()), Some(Notice::Over));
        assert_eq!((told(-days_long(400)), Notice::Over.next(ends_at)), (Some(Notice::Over), None));
    }
}
