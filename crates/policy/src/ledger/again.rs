//! An account that is out although its lease has ended.

use homeward_types::{LeaseEnd, LeaseId};

use super::{Happened, Ledger};
use crate::lease::{Event, Found, Lease, Origin, Place, Reading, Subject, Terms};

impl Ledger {
    /// The account of a closed lease is out again: a lease of its own, home where it last was protected.
    pub(super) fn reopened(&self, lease: &Lease, reading: &Reading) -> Option<Happened> {
        let organisation = self.organisation(&lease.organisation)?;
        let Place::Out(policy) = &reading.place else { return None };
        let home = match lease.end() {
            Some(LeaseEnd::ProtectedElsewhere(policy)) if organisation.is_home(policy) => policy,
            Some(_) | None if organisation.is_home(&lease.home) => &lease.home,
            Some(_) | None => &organisation.default_home,
        };
        let found = Found {
            subject: Subject {
                lease: LeaseId::new(self.clock()),
                organisation: lease.organisation.clone(),
                account: lease.account.clone(),
                home: home.clone(),
                recovery_policy: organisation.recovery_policy.clone(),
                terms: Terms::from(&organisation.limits),
            },
            origin: Origin::Reopened,
            policy: policy.clone(),
            version: reading.version,
            begun_at: reading.begun_at,
            reason: format!("seen out after lease {} had ended", lease.id),
        };
        Some(Happened::by_policy(found.subject.lease, Event::FoundOut(found)))
    }
}
