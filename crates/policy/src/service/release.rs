//! Releasing an account for ever: two different operators, each with a reason.

use homeward_chassis::auth::Caller;
use homeward_chassis::rpc::Refused;
use homeward_proto::policy::v1;
use homeward_store::audit::{self, Entry};
use homeward_store::{StoreError, transaction};
use homeward_types::{LeaseEnd, PersonId};
use serde_json::json;

use super::{PolicyRpc, database, reason};
use crate::lease::store::{self as leases, Kept};
use crate::lease::{Event, State};
use crate::ledger::{Changes, Happened};

/// What the transaction found.
enum Step {
    /// The first person's wish is kept.
    First,
    /// The first person asked again.
    SameAgain(PersonId),
    /// The second person's wish: released, or about to be.
    Second(Box<Changes>),
    /// It cannot be released as it stands.
    Not(Box<Kept>),
}

impl PolicyRpc {
    pub(super) async fn release(
        &self,
        caller: &Caller,
        request: v1::ReleaseLeaseRequest,
    ) -> Result<v1::ReleaseLeaseResponse, Refused> {
        let kept = self.kept(&request.lease).await?;
        let why = reason(caller, &request.reason)?;
        let step = transaction!(self.ledger.db(), "lease.release", async |tx| -> Result<Step, StoreError> {
            let now = self.ledger.now();
            let Some(kept) = leases::locked(tx, &[kept.lease.id]).await?.remove(&kept.lease.id) else {
                return Ok(Step::Not(Box::new(kept.clone())));
            };
            let by = &caller.person().id;
            if !matches!(kept.lease.state, State::Active | State::Closing | State::Settling) || kept.lease.released {
                return Ok(Step::Not(Box::new(kept)));
            }
            let entry =
                Entry::new(now, &kept.lease.organisation, by.to_string(), "lease.release_asked", kept.lease.id.to_string())
                    .detail(json!({ "account": kept.lease.account, "second": kept.release.is_some() }))
                    .personal(why.clone());
            match &kept.release {
                None => {
                    leases::keep_release(tx, kept.lease.id, by, &why).await?;
                    audit::record(tx, &[entry]).await?;
                    Ok(Step::First)
                }
                Some((first, _)) if first == by => Ok(Step::SameAgain(first.clone())),
                Some(_) => {
                    audit::record(tx, &[entry]).await?;
                    let released = Happened { actor: by.to_string(), ..Happened::by_policy(kept.lease.id, Event::Released) };
                    Ok(Step::Second(Box::new(self.ledger.apply(tx, &[released], Vec::new(), now).await?)))
                }
            }
        })
        .map_err(|error| database(&error))?;
        match step {
            Step::First => Ok(v1::ReleaseLeaseResponse { released: false }),
            Step::Second(changes) => {
                self.ledger.committed(*changes);
                Ok(v1::ReleaseLeaseResponse { released: true })
            }
            Step::SameAgain(first) => Err(Refused::precondition(
                "SECOND_PERSON_NEEDED",
                format!("{first} asked for this release already; it takes a second person"),
                "ask another operator to release it, too",
            )),
            Step::Not(kept) => not_now(&kept),
        }
    }
}

fn not_now(kept: &Kept) -> Result<v1::ReleaseLeaseResponse, Refused> {
    let lease = &kept.lease;
    if lease.released || lease.end() == Some(&LeaseEnd::Released) {
        return Ok(v1::ReleaseLeaseResponse { released: true });
    }
    let (message, remedy) = match &lease.state {
        State::Opening => ("the account was not seen out yet".to_owned(), "return the lease instead"),
        State::Active | State::Closing | State::Settling | State::Closed(_) => (
            format!("the lease has ended: {}", lease.end().map(ToString::to_string).unwrap_or_default()),
            "there is nothing to release",
        ),
    };
    Err(Refused::precondition("NOT_OUT", message, remedy))
}
