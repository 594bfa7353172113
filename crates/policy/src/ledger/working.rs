//! The leases of one transaction while their events are decided on.

use std::collections::{BTreeMap, HashMap, HashSet};

use homeward_messaging::Batch;
use homeward_store::{StoreError, Tx};
use homeward_types::{AccountId, LeaseId, OrganisationId, Timestamp};

use super::{Happened, Outcome, Shown, told};
use crate::lease::store::{self as leases, Kept, Receipt};
use crate::lease::{Attempt, Decision, Event, Lease, News, VersionShown, decide};

/// Leases, and their live attempts.
pub(super) type Loaded = (HashMap<LeaseId, Kept>, HashMap<LeaseId, Vec<Attempt>>);

/// One lease.
#[derive(Default)]
struct Work {
    /// Its version in the database; `None` if it is new.
    version: Option<i64>,
    /// Whether it was open in the database.
    was_open: bool,
    kept: Option<Kept>,
    changed: bool,
    /// The live attempts, as decisions left them.
    attempts: Vec<Attempt>,
    /// The state that each attempt has in the database; new ones have none.
    stored: HashMap<u32, &'static str>,
    /// Attempts that are to be written.
    to_write: BTreeMap<u32, Attempt>,
    receipts: HashMap<u32, Receipt>,
}

/// The leases of one transaction.
#[derive(Default)]
pub(super) struct Working {
    by_id: BTreeMap<LeaseId, Work>,
    shown: Vec<(OrganisationId, VersionShown)>,
}

impl Working {
    pub(super) async fn load(tx: &mut Tx, happened: &[Happened]) -> Result<Self, StoreError> {
        let (mut kept, mut attempts) = super::load(tx, happened).await?;
        let mut working = Self::default();
        for what in happened {
            let Some(kept) = kept.remove(&what.lease) else { continue };
            let attempts = attempts.remove(&what.lease).unwrap_or_default();
            let work = Work {
                version: Some(kept.lease.version),
                was_open: kept.lease.is_open(),
                stored: attempts.iter().map(|attempt| (attempt.number, attempt.state.name())).collect(),
                attempts,
                kept: Some(kept),
                ..Work::default()
            };
            working.by_id.insert(what.lease, work);
        }
        Ok(working)
    }

    pub(super) fn decide(&self, what: &Happened, now: Timestamp) -> Decision {
        match self.by_id.get(&what.lease) {
            Some(work) => decide(work.kept.as_ref().map(|kept| &kept.lease), &work.attempts, &what.event, now),
            None => decide(None, &[], &what.event, now),
        }
    }

    /// Takes a decision over, and says what it led to.
    pub(super) fn keep(&mut self, what: &Happened, decision: Decision, batch: &mut Batch) -> Outcome {
        let Some(lease) = decision.lease else { return Outcome { kept: None, news: None } };
        if let Some(shown) = decision.shown {
            self.shown.push((lease.organisation.clone(), shown));
        }
        let work = self.by_id.entry(what.lease).or_default();
        work.changed |= decision.changed;
        match &mut work.kept {
            Some(kept) => kept.lease = lease,
            None => work.kept = Some(Kept::new(lease, what.trace.clone())),
        }
        for attempt in decision.attempts {
            work.attempts.retain(|known| known.number != attempt.number);
            work.to_write.insert(attempt.number, attempt.clone());
            work.attempts.push(attempt);
        }
        work.keep_receipt(what);
        work.attempts.retain(Attempt::is_live);
        if let (Some(news), Some(kept)) = (decision.news, &mut work.kept) {
            let id = batch.push(told(news, kept, what.cause));
            if news == News::Opened && work.version.is_none() && kept.opened_message.is_none() {
                kept.opened_message = Some(id);
            }
        }
        Outcome { kept: work.kept.clone(), news: decision.news }
    }

    /// Accounts that were found out get leases, unless one is open already: one question for all of an organisation.
    pub(super) async fn decide_found(
        &self,
        tx: &mut Tx,
        found: Vec<Happened>,
        now: Timestamp,
    ) -> Result<Vec<(Happened, Decision)>, StoreError> {
        let mut by_organisation: BTreeMap<OrganisationId, Vec<Happened>> = BTreeMap::new();
        for what in found {
            if let Event::FoundOut(found) = &what.event {
                by_organisation.entry(found.subject.organisation.clone()).or_default().push(what);
            }
        }
        let mut decided = Vec::new();
        for (organisation, found) in by_organisation {
            let accounts: Vec<&AccountId> = found.iter().filter_map(|what| account(&what.event)).collect();
            let open = leases::open_of_accounts(tx, &organisation, &accounts).await?;
            let mut taken: HashSet<AccountId> = open.into_keys().collect();
            for what in found {
                if account(&what.event).is_some_and(|account| taken.insert(account.clone())) {
                    let decision = self.decide(&what, now);
                    decided.push((what, decision));
                }
            }
        }
        Ok(decided)
    }

    pub(super) async fn write(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let mut new = Vec::new();
        let mut changed = Vec::new();
        let (mut born, mut moved) = (Vec::new(), Vec::new());
        for (id, work) in &self.by_id {
            let Some(kept) = &work.kept else { continue };
            match work.version {
                None => new.push(kept),
                Some(version) if work.changed => changed.push((&kept.lease, version)),
                Some(_) => {}
            }
            for (number, attempt) in &work.to_write {
                match work.stored.get(number) {
                    None => born.push((*id, &kept.lease.organisation, attempt)),
                    Some(before) => moved.push((*id, attempt, *before, work.receipts.get(number))),
                }
            }
        }
        leases::insert(tx, &new).await?;
        leases::update(tx, &changed).await?;
        leases::insert_attempts(tx, &born).await?;
        leases::update_attempts(tx, &moved).await
    }

    /// How many leases were opened less those that ended, by organisation, where that is not nothing.
    pub(super) fn counts(&self) -> Vec<(OrganisationId, i64)> {
        let mut counts: BTreeMap<OrganisationId, i64> = BTreeMap::new();
        for work in self.by_id.values() {
            let Some(kept) = &work.kept else { continue };
            let by = i64::from(kept.lease.is_open()) - i64::from(work.was_open);
            *counts.entry(kept.lease.organisation.clone()).or_default() += by;
        }
        counts.into_iter().filter(|(_, by)| *by != 0).collect()
    }

    pub(super) fn shown(&self) -> Shown<'_> {
        let mut shown: Shown<'_> = self.shown.iter().map(|(organisation, shown)| (organisation, *shown)).collect();
        shown.sort_unstable();
        shown.dedup();
        shown
    }

    /// What changed, and of it what ended now.
    pub(super) fn into_changed(self) -> (Vec<Lease>, Vec<Lease>) {
        let mut changed = Vec::new();
        let mut ended = Vec::new();
        for work in self.by_id.into_values() {
            let Some(kept) = work.kept.filter(|_| work.changed) else { continue };
            if !kept.lease.is_open() && (work.was_open || work.version.is_none()) {
                ended.push(kept.lease.clone());
            }
            changed.push(kept.lease);
        }
        (changed, ended)
    }
}

impl Work {
    /// What the provider said is kept with the attempt, also where it changed nothing.
    fn keep_receipt(&mut self, what: &Happened) {
        let (Event::AttemptAnswered { number, .. }, Some(receipt)) = (&what.event, &what.receipt) else { return };
        self.receipts.insert(*number, receipt.clone());
        if let Some(attempt) = self.attempts.iter().find(|attempt| attempt.number == *number) {
            self.to_write.entry(*number).or_insert_with(|| attempt.clone());
        }
    }
}

fn account(event: &Event) -> Option<&AccountId> {
    if let Event::FoundOut(found) = event { Some(&found.subject.account) } else { None }
}
