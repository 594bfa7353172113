//! What people do about leases: give back one or many, release, drain.

use homeward_chassis::rpc::Refused;
use homeward_proto::policy::v1::{ReturnLeasesRequest, SetDrainRequest};
use homeward_store::audit::{self, Entry};
use homeward_store::{StoreError, transaction};
use homeward_types::{LeaseId, Person};

use super::PolicyRpc;
use super::refuse::{self, fault, lease_id, no_such_lease, organisation_id};
use crate::lease::store as leases;
use crate::lease::{Asked, Event, Lease, Subject, Terms};
use crate::ledger::Happened;
use crate::organisation;

/// Leases in one transaction.
const BATCH: usize = 100;

impl PolicyRpc {
    /// Asks for the return of these leases; gives them as they then stand. One that is not known is left out: an id is closed
    /// for good only by recovery, which made it.
    pub(super) async fn give_back(&self, ids: &[LeaseId], reason: &str, by: &str) -> Result<Vec<Lease>, Refused> {
        let reason = refuse::reason(reason)?;
        let mut happened = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(kept) = leases::kept(self.ledger.db(), *id).await.map_err(fault)? else { continue };
            let subject = Subject {
                lease: *id,
                organisation: kept.lease.organisation.clone(),
                account: kept.lease.account.clone(),
                home: kept.lease.home.clone(),
                recovery_policy: kept.lease.recovery_policy.clone(),
                terms: Terms::clone(&kept.lease.terms),
            };
            let event = Event::ReturnAsked(Asked { subject, reason: format!("{reason} (asked by {by})") });
            happened.push(Happened { actor: by.to_owned(), ..Happened::by_policy(*id, event) });
        }
        let outcomes = self.ledger.turn("lease.give_back", &happened).await.map_err(fault)?;
        Ok(outcomes.into_iter().filter_map(|outcome| outcome.kept).map(|kept| kept.lease).collect())
    }

    /// Asks for the return of many, page by page. Says how many were open.
    pub(super) async fn give_back_many(&self, request: ReturnLeasesRequest, by: &str) -> Result<i64, Refused> {
        let organisation = organisation_id(&self.ledger, &request.organisation)?;
        let mut returning = 0;
        if !request.leases.is_empty() {
            let ids = request.leases.iter().map(|text| lease_id(text)).collect::<Result<Vec<_>, _>>()?;
            for part in ids.chunks(BATCH) {
                let stands = self.give_back(part, &request.reason, by).await?;
                returning += stands.iter().filter(|lease| lease.is_open()).count();
            }
            return Ok(i64::try_from(returning).unwrap_or(i64::MAX));
        }
        let due_before = request.only_overdue.then(|| self.ledger.now());
        let (mut after, most) = (None, i64::try_from(BATCH).unwrap_or(i64::MAX));
        loop {
            let ids = leases::open_ids(self.ledger.db(), &organisation, due_before, after, most).await.map_err(fault)?;
            let Some(last) = ids.last().copied() else { break };
            after = Some(last);
            self.give_back(&ids, &request.reason, by).await?;
            returning += ids.len();
        }
        tracing::warn!(%organisation, returning, by, "returns of many leases were asked for");
        Ok(i64::try_from(returning).unwrap_or(i64::MAX))
    }

    /// The first person's word is kept; the second's releases.
    pub(super) async fn release(&self, id: LeaseId, reason: &str, by: &Person) -> Result<bool, Refused> {
        let reason = refuse::reason(reason)?;
        let kept = leases::kept(self.ledger.db(), id).await.map_err(fault)?.ok_or_else(no_such_lease)?;
        if !kept.lease.is_open() {
            return Err(Refused::precondition("LEASE_CLOSED", "the lease has ended", "there is nothing to release; see `homeward leases`"));
        }
        let now = self.ledger.now();
        let Some((first, _)) = kept.release.clone() else {
            let entry = Entry::new(now, &kept.lease.organisation, by.id.as_str(), "lease.release_asked", id.to_string());
            let noted = transaction!(self.ledger.db(), "lease.keep_release", async |tx| -> Result<bool, StoreError> {
                audit::record(tx, std::slice::from_ref(&entry)).await?;
                leases::keep_release(tx, id, by.id.as_str(), reason).await
            });
            return match noted.map_err(fault)? {
                true => Ok(false),
                false => Err(Refused::precondition("RELEASE_ASKED", "someone else asked just now", "ask again; yours is then the second word")),
            };
        };
        if first == by.id.as_str() {
            return Err(Refused::denied("SAME_PERSON", "you asked for this release already", "a second operator must ask, too"));
        }
        let event = Happened { actor: by.id.to_string(), ..Happened::by_policy(id, Event::Released) };
        self.ledger.turn("lease.release", &[event]).await.map_err(fault)?;
        tracing::warn!(lease = %id, first, second = %by.id, "a lease was released by two persons");
        Ok(true)
    }

    /// Begins or ends a drain; survives restarts.
    pub(super) async fn drain(&self, request: &SetDrainRequest, by: &str) -> Result<(), Refused> {
        let organisation = organisation_id(&self.ledger, &request.organisation)?;
        let (reason, now) = (refuse::reason(&request.reason)?, self.ledger.now());
        let action = if request.drain { "drain.begun" } else { "drain.ended" };
        let entry = Entry::new(now, &organisation, by, action, organisation.to_string());
        let changed = transaction!(self.ledger.db(), "organisation.drain", async |tx| -> Result<(), StoreError> {
            organisation::store::drain(tx, &organisation, request.drain, by, reason, now).await?;
            audit::record(tx, std::slice::from_ref(&entry)).await
        });
        changed.map_err(fault)?;
        tracing::warn!(%organisation, by, draining = request.drain, "the drain was changed");
        Ok(())
    }
}
