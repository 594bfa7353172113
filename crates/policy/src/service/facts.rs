//! Fresh facts for a diagnosis: one bulk read at the provider, and what is open here.

use std::collections::{HashMap, HashSet};

use homeward_chassis::rpc::Refused;
use homeward_proto::policy::v1::{AccountFacts, ReadFactsRequest, ReadFactsResponse};
use homeward_proto::wire::timestamp;
use homeward_proto::words::v1::Factor as WireFactor;
use homeward_provider::{Holder, Priority};
use homeward_store::{StoreError, transaction};
use homeward_types::limits::after;
use homeward_types::{AccountId, Factor, OrganisationId, Timestamp};

use super::refuse::{fault, organisation_id};
use super::PolicyRpc;
use crate::lease::store::{self as leases, OpenRow};
use crate::lend::facts::FreshRead;
use crate::organisation;

/// Most accounts in one call.
const MOST: usize = 100;

impl PolicyRpc {
    pub(super) async fn facts(&self, request: ReadFactsRequest) -> Result<ReadFactsResponse, Refused> {
        let organisation = organisation_id(&self.ledger, &request.organisation)?;
        if request.accounts.len() > MOST {
            return Err(Refused::invalid("TOO_MANY", format!("{} accounts in one call", request.accounts.len()), "ask for at most 100"));
        }
        let parse = |text: &String| {
            text.parse::<AccountId>().map_err(|error| Refused::invalid("ACCOUNT_ID_INVALID", error.to_string(), "give the provider's account id"))
        };
        let accounts: Vec<AccountId> = request.accounts.iter().map(parse).collect::<Result<_, _>>()?;
        let (read, unreachable_since) = self.read(&organisation, &accounts).await?;
        let (open, released) = self.standing(&organisation, &accounts).await?;
        let settling = self.ledger.organisation(&organisation).map(|o| o.limits.late_limit + o.limits.read_lag).unwrap_or_default();
        let facts = accounts.iter().map(|account| AccountFacts {
            account: account.to_string(),
            placement: read.as_ref().and_then(|read| read.placement(account)).map(Into::into),
            factor: WireFactor::from(read.as_ref().map_or(Factor::Unknown, |read| read.factor(account))).into(),
            open_lease: open.get(account).map(|row| row.lease.to_string()).unwrap_or_default(),
            free_at: open.get(account).map(|row| timestamp(after(row.due_at, settling))),
            released: released.contains(account.as_str()),
        });
        Ok(ReadFactsResponse { facts: facts.collect(), unreachable_since: unreachable_since.map(timestamp) })
    }

    /// The provider's answer, or since when there is none.
    async fn read(&self, organisation: &OrganisationId, accounts: &[AccountId]) -> Result<(Option<FreshRead>, Option<Timestamp>), Refused> {
        let Some(site) = self.sites.get(organisation) else { return Ok((None, Some(self.ledger.now()))) };
        let who: Vec<Holder> = accounts.iter().map(|account| Holder { account: account.clone(), email: None }).collect();
        match FreshRead::of(site.provider(), &who, Priority::Lend).await {
            Ok(read) => Ok((Some(read), None)),
            Err(error) => {
                tracing::warn!(%organisation, %error, "facts for a diagnosis could not be read");
                let state = organisation::store::read(self.ledger.db(), organisation).await.map_err(fault)?;
                Ok((None, Some(state.unreachable_since.unwrap_or_else(|| self.ledger.now()))))
            }
        }
    }

    async fn standing(
        &self,
        organisation: &OrganisationId,
        accounts: &[AccountId],
    ) -> Result<(HashMap<AccountId, OpenRow>, HashSet<String>), Refused> {
        let accounts: Vec<&AccountId> = accounts.iter().collect();
        let standing = transaction!(
            self.ledger.db(),
            "lease.standing",
            async |tx| -> Result<(HashMap<AccountId, OpenRow>, HashSet<String>), StoreError> {
                let open = leases::open_of_accounts(tx, organisation, &accounts).await?;
                Ok((open, leases::released_of(tx, organisation, &accounts).await?))
            }
        );
        standing.map_err(fault)
    }
}
