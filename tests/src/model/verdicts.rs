//! What production says before a lend, and what a lease may end on.

use homeward_types::diagnosis::{AccountStatus, Claim, KnownAccount, OpenLease};
use homeward_types::{Facts as Known, LeaseId, Refusal, diagnose};
use uuid::Uuid;

use super::lease_book::{End, Happening, Stage};
use super::place::{FACTOR, Place, Shown, Versions, account_id, organisation};
use super::scale::now;
use super::setup::Setup;

/// What production's diagnosis says before a lend, for each place and circumstance.
pub struct Verdicts(Vec<((Place, bool, bool), Result<(), Refusal>)>);

impl Verdicts {
    /// Asks for all of them.
    pub fn new(setup: &Setup) -> Self {
        let places = Place::ALL;
        let circumstances = [(false, false), (false, true), (true, false), (true, true)];
        let cases = places.into_iter().flat_map(|place| circumstances.map(|(busy, released)| (place, busy, released)));
        Self(cases.map(|case| (case, verdict(case, setup.versions))).collect())
    }

    /// Whether a lend is accepted for an account seen there, with another lease open or not, once released or not.
    pub fn of(&self, place: Place, busy: bool, released: bool) -> Result<(), Refusal> {
        let found = self.0.iter().find(|(case, _)| *case == (place, busy, released));
        found.map_or(Err(Refusal::Changed), |(_, verdict)| *verdict)
    }
}

fn verdict((place, busy, released): (Place, bool, bool), versions: Versions) -> Result<(), Refusal> {
    let account = KnownAccount {
        account: account_id(),
        email: "mia@acme.example".parse().expect("well formed"),
        name: String::new(),
        claim: Claim::Managed,
        status: AccountStatus::Active,
        synced_from: None,
        administrator: false,
        last_active: Some(now()),
        mail_changed_at: None,
        learned_at: now(),
    };
    let known = Known {
        query: String::new(),
        matches: vec![account],
        closest: Vec::new(),
        placement: Some(Shown { place, version: 1 }.placement(versions, now())),
        factor: FACTOR,
        unreachable_since: None,
        open_recovery: None,
        open_lease: busy.then(|| OpenLease { lease: LeaseId::from_uuid(Uuid::nil()), free_at: now() }),
        released,
        recent_requests: 0,
        repudiated_before: false,
        too_old: std::time::Duration::ZERO,
        now: now(),
    };
    let lends = diagnose(&organisation(), &known).outcome.lends_from().is_some();
    if lends {
        Ok(())
    } else if busy {
        Err(Refusal::Busy)
    } else {
        Err(Refusal::Changed)
    }
}

/// The end that a lease came to is what a read just showed.
pub(super) fn is_seen(happening: Happening, after: Option<Stage>, home: Place) -> bool {
    let seen = match happening {
        Happening::Read { seen, .. } => Some(seen.place),
        Happening::LendAccepted { .. }
        | Happening::LendRefused(_)
        | Happening::Sent(_)
        | Happening::Answered(..)
        | Happening::ReturnAsked
        | Happening::Released
        | Happening::FoundOut { .. }
        | Happening::Tick => None,
    };
    match after {
        Some(Stage::Closed(End::Home)) => seen == Some(home),
        Some(Stage::Closed(End::Elsewhere)) => seen.is_some_and(|place| place.protects() && place != home),
        None | Some(Stage::Closed(_) | Stage::Refused(_) | Stage::Opening | Stage::Active | Stage::Closing | Stage::Settling) => {
            true
        }
    }
}
