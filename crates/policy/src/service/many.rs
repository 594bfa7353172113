//! What concerns many at once: returning by a filter, and the drain. Operators only, and each is announced.

use std::collections::HashSet;

use homeward_chassis::auth::Caller;
use homeward_chassis::rpc::Refused;
use homeward_proto::policy::v1;
use homeward_proto::wire::parse;
use homeward_store::audit::{self, Entry};
use homeward_store::{StoreError, Tx, transaction};
use homeward_types::{IncidentId, LeaseId, OrganisationId, Timestamp};
use serde_json::json;

use super::{PolicyRpc, database, invalid, reason};
use crate::incident::Incident;
use crate::lease::store::{self as leases, Kept};
use crate::lease::{News, State};
use crate::ledger::{Changes, Happened};
use crate::organisation;
use crate::restored::{self, store::End};

/// Leases returned in one transaction.
const BATCH: i64 = 100;

/// How far an order about the drain got.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// As asked.
    Done,
    /// The first of two persons who must end it.
    First,
    /// The first person asked again.
    SameAgain,
    /// Not every account was read since policy was restored then.
    Census(Timestamp),
}

impl PolicyRpc {
    pub(super) async fn return_many(
        &self,
        caller: &Caller,
        request: v1::ReturnLeasesRequest,
    ) -> Result<v1::ReturnLeasesResponse, Refused> {
        let id = self.site(&request.organisation)?.id().clone();
        let why = reason(caller, &request.reason)?;
        let wanted = request.leases.iter().map(|lease| parse("leases", lease)).collect::<Result<HashSet<LeaseId>, _>>();
        let wanted = wanted.map_err(|error| invalid(&error))?;
        let what = match (wanted.is_empty(), request.only_overdue) {
            (true, true) => "all that are overdue".to_owned(),
            (true, false) => "all of them".to_owned(),
            (false, _) => format!("{} that were named", wanted.len()),
        };
        self.announce(caller, &id, "returning_many", format!("{why} (asks for the return of open leases: {what})")).await?;
        let due_before = request.only_overdue.then(|| self.ledger.now());
        let (mut returning, mut after) = (0, None);
        loop {
            let ids =
                leases::open_ids(self.ledger.db(), &id, due_before, after, BATCH).await.map_err(|error| database(&error))?;
            let Some(last) = ids.last().copied() else { return Ok(v1::ReturnLeasesResponse { returning }) };
            after = Some(last);
            let ids = ids.into_iter().filter(|id| wanted.is_empty() || wanted.contains(id)).collect();
            returning += self.return_batch(caller, ids, &why).await.map_err(|error| database(&error))?;
        }
    }

    async fn return_batch(&self, caller: &Caller, ids: Vec<LeaseId>, why: &str) -> Result<i64, StoreError> {
        let kept = leases::all_kept(self.ledger.db(), &ids).await?;
        let asked: Vec<Happened> = kept
            .iter()
            .filter(|kept| matches!(kept.lease.state, State::Opening | State::Active))
            .map(|kept: &Kept| self.return_asked(caller, kept, why.to_owned()))
            .collect();
        let outcomes = self.ledger.turn("lease.return_many", &asked).await?;
        Ok(outcomes.iter().filter(|outcome| outcome.news == Some(News::Returning)).count().try_into().unwrap_or(i64::MAX))
    }

    pub(super) async fn drain(&self, caller: &Caller, request: v1::SetDrainRequest) -> Result<v1::SetDrainResponse, Refused> {
        let id = self.site(&request.organisation)?.id().clone();
        let why = reason(caller, &request.reason)?;
        let by = caller.person().id.to_string();
        let now = self.ledger.now();
        let step = transaction!(self.ledger.db(), "organisation.drain", async |tx| -> Result<Step, StoreError> {
            if !request.drain
                && let Some(step) = not_over(tx, &id, &by).await?
            {
                return Ok(step);
            }
            organisation::store::drain(tx, &id, request.drain, &by, &why, now).await?;
            Ok(Step::Done)
        })
        .map_err(|error| database(&error))?;
        let what = match step {
            Step::SameAgain => return Err(second_needed(&by)),
            Step::Census(since) => return Err(census_needed(since)),
            Step::First => "asks for the end of the drain; after a restore from a backup a second person must",
            Step::Done if request.drain => "begins a drain: no new lends, returns go on",
            Step::Done => "ends the drain",
        };
        self.announce(caller, &id, "drain", format!("{why} ({what})")).await?;
        if let (false, Some(bells)) = (request.drain, self.ledger.belfry().of(&id)) {
            bells.lend.ring();
        }
        Ok(v1::SetDrainResponse { draining: request.drain || matches!(step, Step::First) })
    }

    /// Everyone hears of what concerns many, and the audit log keeps it.
    async fn announce(
        &self,
        caller: &Caller,
        organisation: &OrganisationId,
        kind: &'static str,
        sentence: String,
    ) -> Result<(), Refused> {
        let id = IncidentId::new(self.ledger.clock());
        let incident = Incident::announcement(id, organisation, kind, sentence);
        let changes = transaction!(self.ledger.db(), "incident.announce", async |tx| -> Result<Changes, StoreError> {
            let now = self.ledger.now();
            let entry =
                Entry::new(now, organisation, caller.person().id.to_string(), "organisation.announce", organisation.to_string())
                    .detail(json!({ "kind": kind }))
                    .personal(incident.sentence.clone());
            audit::record(tx, &[entry]).await?;
            self.ledger.apply(tx, &[], vec![incident.clone()], now).await
        })
        .map_err(|error| database(&error))?;
        self.ledger.committed(changes);
        Ok(())
    }
}

/// How far somebody gets who asks for the end of a drain; `None` if it ends.
async fn not_over(tx: &mut Tx, id: &OrganisationId, by: &str) -> Result<Option<Step>, StoreError> {
    Ok(match restored::store::end_takes(tx, id).await? {
        End::Census(since) => Some(Step::Census(since)),
        End::Two { first: None } => {
            restored::store::keep_first(tx, id, by).await?;
            Some(Step::First)
        }
        End::Two { first: Some(first) } if first == by => Some(Step::SameAgain),
        End::Two { first: Some(_) } => {
            restored::store::over(tx, id).await?;
            None
        }
        End::One => None,
    })
}

fn second_needed(by: &str) -> Refused {
    Refused::precondition(
        "SECOND_PERSON_NEEDED",
        format!("{by} asked for the end of this drain already; after a restore from a backup it takes a second person"),
        "ask another operator to end it, too",
    )
}

fn census_needed(since: Timestamp) -> Refused {
    Refused::precondition(
        "CENSUS_NEEDED",
        format!("policy's database was restored from a backup ({}), and not every account was read since", since.to_rfc3339()),
        "an incident tells when every account was read; then two operators end the drain",
    )
}
