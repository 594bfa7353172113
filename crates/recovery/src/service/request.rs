//! Opening recoveries: diagnosis, who may ask, proof carried over, one transaction for all of a call.

mod open;

use std::collections::BTreeMap;
use std::sync::Arc;

use homeward_chassis::auth::Caller;
use homeward_chassis::rpc::Refused;
use homeward_proto::recovery::v1::{NewRecovery, RequestRecoveriesRequest, RequestRecoveriesResponse};
use homeward_types::diagnosis::Outcome;
use homeward_types::limits::after;
use homeward_types::{Diagnosis, Organisation, PersonId, ProofKind, RecoveryId, Timestamp};

use super::diagnose::{self, Diagnosed};
use super::problem::{own_account, unread};
use super::{not_too_many, organisation, words};
use crate::case::{Found, Opening, store};
use crate::grant::token_hash;
use crate::parts::Shared;
use crate::saga::data::{Data, Terms};
use crate::saga::outcome::Outcome as Ending;

/// A reason is a sentence or two.
const REASON: usize = 1_000;

/// A key names one request of one requester.
const KEY: usize = 200;

/// What one item of the call asks for, in words that can be stored.
struct Wanted {
    query: String,
    reason: String,
    key: Option<String>,
    prefilled_from: Option<RecoveryId>,
}

/// What becomes of one item.
enum Draft {
    Refused { problem: Refused, diagnosis: Option<Box<Diagnosis>> },
    Known(RecoveryId),
    New { id: RecoveryId, data: Box<Data>, diagnosis: Box<Diagnosis>, key: Option<String> },
}

pub(super) async fn request(
    shared: &Shared,
    caller: &Caller,
    request: RequestRecoveriesRequest,
) -> Result<RequestRecoveriesResponse, Refused> {
    not_too_many(request.recoveries.len())?;
    let organisation = &shared.organisations[&organisation(shared, &request.organisation)?];
    let requester = shared.people.human(&caller.person().id);
    let wanted: Vec<Result<Wanted, Refused>> = request.recoveries.iter().map(wanted).collect();
    let known = known(shared, organisation, &requester, &wanted).await?;
    let asked: Vec<&Wanted> = wanted.iter().flatten().filter(|wanted| !is_known(wanted, &known)).collect();
    let diagnosed = diagnose::all(shared, organisation, asked.iter().map(|wanted| wanted.query.clone()).collect()).await?;
    let carried = carried(shared, organisation, &requester, &asked).await?;
    // The same call may be under way already, here or in another process: what it has opened by now is the answer, and no
    // reason to refuse.
    let meanwhile = if asked.is_empty() { known.clone() } else { self::known(shared, organisation, &requester, &wanted).await? };

    let desk = Desk { shared, organisation, requester, carried, now: shared.clock.now() };
    let drafts = desk.drafts(wanted, &known, meanwhile, diagnosed);
    Ok(RequestRecoveriesResponse { results: open::open(shared, organisation, drafts).await? })
}

fn wanted(item: &NewRecovery) -> Result<Wanted, Refused> {
    let key = words("idempotency_key", &item.idempotency_key, KEY)?;
    let prefilled_from = if item.prefilled_from.is_empty() { None } else { Some(super::recovery_id(&item.prefilled_from)?) };
    let query = diagnose::query(&item.query)?;
    let reason = words("reason", &item.reason, REASON)?;
    Ok(Wanted { query, reason, key: Some(key).filter(|key| !key.is_empty()), prefilled_from })
}

fn is_known(wanted: &Wanted, known: &BTreeMap<String, RecoveryId>) -> bool {
    wanted.key.as_ref().is_some_and(|key| known.contains_key(key))
}

/// What this requester opened with these keys before.
async fn known(
    shared: &Shared,
    organisation: &Organisation,
    requester: &PersonId,
    wanted: &[Result<Wanted, Refused>],
) -> Result<BTreeMap<String, RecoveryId>, Refused> {
    let keys: Vec<&str> = wanted.iter().flatten().filter_map(|wanted| wanted.key.as_deref()).collect();
    store::by_keys(&shared.db, &organisation.id, requester, &keys).await.map_err(|error| unread(&error))
}

/// Proof of earlier recoveries of this requester that ended as not lent, with the account that it is for.
async fn carried(
    shared: &Shared,
    organisation: &Organisation,
    requester: &PersonId,
    asked: &[&Wanted],
) -> Result<BTreeMap<RecoveryId, Data>, Refused> {
    let ids: Vec<_> = asked.iter().filter_map(|wanted| wanted.prefilled_from).map(RecoveryId::uuid).collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let seen = shared.coordinator.read(&ids).await.map_err(|error| unread(&error))?;
    let earlier = seen.into_iter().filter(|(_, seen)| {
        let data = &seen.progress.data;
        data.organisation == organisation.id
            && data.requester == *requester
            && seen.progress.is_closed()
            && Ending::of(data).can_be_prefilled_from()
    });
    Ok(earlier.map(|(id, seen)| (RecoveryId::from_uuid(id), seen.progress.data)).collect())
}

/// What every item of a call is judged with.
struct Desk<'a> {
    shared: &'a Shared,
    organisation: &'a Organisation,
    requester: PersonId,
    carried: BTreeMap<RecoveryId, Data>,
    now: Timestamp,
}

impl Desk<'_> {
    /// Judges the items in order, so that the second of two that mean the same finds the first.
    fn drafts(
        &self,
        wanted: Vec<Result<Wanted, Refused>>,
        before: &BTreeMap<String, RecoveryId>,
        mut known: BTreeMap<String, RecoveryId>,
        diagnosed: Vec<Diagnosed>,
    ) -> Vec<Draft> {
        let mut diagnosed = diagnosed.into_iter();
        let mut accounts: BTreeMap<String, RecoveryId> = BTreeMap::new();
        let mut drafts = Vec::with_capacity(wanted.len());
        // Which items were diagnosed was decided by the keys known before; those of other calls and of this one come on top.
        for wanted in wanted {
            let draft = match wanted {
                Err(problem) => Draft::Refused { problem, diagnosis: None },
                Ok(wanted) if is_known(&wanted, before) => Draft::Known(before[wanted.key.as_deref().unwrap_or_default()]),
                Ok(wanted) => match (diagnosed.next(), wanted.key.as_ref().and_then(|key| known.get(key))) {
                    (_, Some(earlier)) => Draft::Known(*earlier),
                    (Some(found), None) => self.judge(wanted, found, &accounts),
                    (None, None) => {
                        let problem = Refused::internal(&std::io::Error::other("a query was not diagnosed"));
                        Draft::Refused { problem, diagnosis: None }
                    }
                },
            };
            if let Draft::New { id, data, key, .. } = &draft {
                accounts.insert(data.account.to_string(), *id);
                known.extend(key.clone().map(|key| (key, *id)));
            }
            drafts.push(draft);
        }
        drafts
    }

    fn judge(&self, wanted: Wanted, found: Diagnosed, accounts: &BTreeMap<String, RecoveryId>) -> Draft {
        let mut diagnosis = found.diagnosis;
        let Some(account) = diagnosis.account.clone() else { return refused(not_helped(&diagnosis), diagnosis) };
        if let Some(recovery) = accounts.get(account.account.as_str()) {
            diagnosis.outcome = Outcome::RecoveryOpen { recovery: *recovery };
        }
        let Some(what) = Found::of(&diagnosis, found.history) else { return refused(not_helped(&diagnosis), diagnosis) };
        if self.shared.people.is_own(&self.requester, &account.account, Some(&account.email)) {
            return refused(own_account(), diagnosis);
        }
        let terms = Terms::of(self.organisation, diagnosis.tier);
        let mut data = Data::new(self.organisation.id.clone(), account.account.clone(), self.requester.clone(), terms);
        if let Some(from) = wanted.prefilled_from {
            match self.carried.get(&from).filter(|earlier| earlier.account == account.account) {
                Some(earlier) => data.proofs = self.still_valid(earlier, &data.terms),
                None => return refused(cannot_prefill(from), diagnosis),
            }
        }
        let id = RecoveryId::new(&*self.shared.clock);
        data.opening = Some(Arc::new(Opening {
            requested_at: self.now,
            email: Some(account.email),
            name: account.name,
            reason: wanted.reason,
            idempotency_key: wanted.key.clone(),
            prefilled_from: wanted.prefilled_from,
            found: what,
            not_me_hash: token_hash(&self.shared.key.not_me_token(id)),
        }));
        Draft::New { id, data: Box::new(data), diagnosis: Box::new(diagnosis), key: wanted.key }
    }

    fn still_valid(&self, earlier: &Data, terms: &Terms) -> BTreeMap<ProofKind, Timestamp> {
        let valid = terms.proof_valid.duration();
        let proofs = earlier.proofs.iter().filter(|(kind, at)| terms.takes(**kind) && self.now <= after(**at, valid));
        proofs.map(|(kind, at)| (*kind, *at)).collect()
    }
}

fn refused(problem: Refused, diagnosis: Diagnosis) -> Draft {
    Draft::Refused { problem, diagnosis: Some(Box::new(diagnosis)) }
}

/// The diagnosis as a refusal: a lend would not help, or must not be.
fn not_helped(diagnosis: &Diagnosis) -> Refused {
    let mut refused = Refused::precondition("NOT_HELPED", diagnosis.sentence(), diagnosis.next());
    refused.reason = diagnosis.outcome.code().to_uppercase().into();
    refused
}

fn cannot_prefill(from: RecoveryId) -> Refused {
    Refused::precondition(
        "CANNOT_PREFILL",
        format!("{from} is not a recovery of this account, asked for by you, that ended as not lent"),
        "ask without it, and attach the proof anew",
    )
}
