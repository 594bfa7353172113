//! Wakes the loops when there is work for them. Losing a ring costs a second: every loop looks by itself, too.

use std::collections::BTreeMap;
use std::time::Duration;

use homeward_types::{Clock, OrganisationId, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How long a loop waits at most before it looks by itself: other processes ring no bells here.
const LOOK: Duration = Duration::from_secs(1);

/// The bells of one organisation's loops.
#[derive(Debug, Default)]
pub struct Bells {
    /// Lends may be ready.
    pub lend: Notify,
    /// Returns may be ready.
    pub returns: Notify,
    /// Accounts may be due to be read.
    pub read: Notify,
}

/// All bells of a process.
#[derive(Debug, Default)]
pub struct Belfry {
    organisations: BTreeMap<OrganisationId, Bells>,
    /// Time may change a lease sooner than the keeper thinks.
    pub tick: Notify,
}

impl Belfry {
    /// Bells for these organisations.
    pub fn new<'a>(organisations: impl Iterator<Item = &'a OrganisationId>) -> Self {
        let organisations = organisations.map(|organisation| (organisation.clone(), Bells::default())).collect();
        Self { organisations, tick: Notify::new() }
    }

    /// The bells of an organisation.
    pub fn of(&self, organisation: &OrganisationId) -> Option<&Bells> {
        self.organisations.get(organisation)
    }
}

/// Waits for the bell, for `due`, for a second, or for the shutdown (then false).
pub async fn wait(bell: &Notify, due: Option<Timestamp>, clock: &dyn Clock, shutdown: &CancellationToken) -> bool {
    let until_due = due.map_or(LOOK, |due| (due - clock.now()).to_std().unwrap_or(Duration::ZERO)).min(LOOK);
    tokio::select! {
        biased;
        () = shutdown.cancelled() => false,
        () = bell.notified() => true,
        () = tokio::time::sleep(until_due) => true,
    }
}
