//! Whether accounts are still there and ours, by two different calls: the search, which takes ten ids, and the account itself,
//! for which there is no bulk call.

use std::collections::{HashMap, HashSet};

use futures_util::future::join_all;
use homeward_types::AccountId;

use super::AtlassianProvider;
use super::client::Failed;
use super::moves::refused_like;
use super::users::{IDS_A_SEARCH, User};
use crate::batch::{BatchLimit, Bisection};
use crate::care::{Look, ManageCheck, ManageRefusal, Presence, Sighting};
use crate::error::{ErrorClass, ProviderError};
use crate::priority::Priority;

/// Calls under way at once.
const AT_ONCE: usize = 4;

impl AtlassianProvider {
    /// By search, or by asking for each account itself. A few calls at once, each under the rate budget; none any more when
    /// one failed for a reason that is everybody's.
    pub(super) async fn look(&self, accounts: &[AccountId], by: Look, priority: Priority) -> Vec<Sighting> {
        let mut known = HashSet::with_capacity(accounts.len());
        let asked: Vec<&AccountId> = accounts.iter().filter(|account| known.insert(*account)).collect();
        let a_call = match by {
            Look::Search => IDS_A_SEARCH,
            Look::Itself => 1,
        };
        let mut seen = Vec::with_capacity(asked.len());
        for some in asked.chunks(a_call * AT_ONCE) {
            let calls: Vec<_> = some.chunks(a_call).map(|part| self.look_for(part, by, priority)).collect();
            seen.extend(join_all(calls).await.into_iter().flatten());
            if let Some(error) = seen.iter().filter_map(|sighting| sighting.presence.as_ref().err()).find(|e| is_everybodys(e)) {
                let unsent = refused_like(error, "not asked: a call before it failed");
                let rest = &asked[seen.len()..];
                seen.extend(rest.iter().map(|account| sighting(account, Err(unsent.clone()))));
                break;
            }
        }
        seen
    }

    async fn look_for(&self, part: &[&AccountId], by: Look, priority: Priority) -> Vec<Sighting> {
        match (by, part) {
            (Look::Itself, [account]) => {
                vec![sighting(account, self.by_itself(account, priority).await.map_err(ProviderError::from))]
            }
            (Look::Search | Look::Itself, _) => self.by_search(part, priority).await,
        }
    }

    /// A search that is refused for what is in it is halved, so that one id blocks nobody.
    async fn by_search(&self, part: &[&AccountId], priority: Priority) -> Vec<Sighting> {
        let whole = BatchLimit::new(IDS_A_SEARCH);
        let mut work = Bisection::new(part.len(), &whole);
        let mut seen = Vec::with_capacity(part.len());
        while let Some(range) = work.next_part() {
            let ids = &part[range.clone()];
            match self.search_ids(ids, priority).await {
                Ok(users) => {
                    work.taken(&range);
                    let found: HashMap<&AccountId, Presence> =
                        users.iter().map(|user| (&user.record.account, of_user(user))).collect();
                    let presence = |account| found.get(account).copied().unwrap_or(Presence::NotFound);
                    seen.extend(ids.iter().map(|account| sighting(account, Ok(presence(*account)))));
                }
                Err(failed) => {
                    let halved = failed.refuses_the_batch() && work.refused(&range);
                    if !halved {
                        seen.extend(ids.iter().map(|account| sighting(account, Err(failed.error.clone()))));
                    }
                    if !failed.refuses_the_batch() || work.hopeless() {
                        let rest = work.give_up();
                        let rest = rest.into_iter().flat_map(|range| &part[range]);
                        seen.extend(rest.map(|account| sighting(account, Err(failed.error.clone()))));
                    }
                }
            }
        }
        seen
    }

    /// With the key without scopes; where there is none by its page in the directory, which is a different call than the
    /// search too.
    async fn by_itself(&self, account: &AccountId, priority: Priority) -> Result<Presence, Failed> {
        match self.check(account, priority).await {
            Ok(ManageCheck::NoSuchAccount) => Ok(Presence::NotFound),
            Ok(ManageCheck::MayNot(ManageRefusal::NotManaged)) => Ok(Presence::NotManaged),
            Ok(ManageCheck::May | ManageCheck::MayNot(_)) => Ok(Presence::Managed),
            Err(failed) if failed.error.class == ErrorClass::PermanentForOrganisation => {
                Ok(self.details(account, priority).await?.as_ref().map_or(Presence::NotFound, of_user))
            }
            Err(failed) => Err(failed),
        }
    }
}

fn of_user(user: &User) -> Presence {
    if user.unmanaged { Presence::NotManaged } else { Presence::Managed }
}

fn sighting(account: &AccountId, presence: Result<Presence, ProviderError>) -> Sighting {
    Sighting { account: account.clone(), presence }
}

/// Whether the next call would fail for the same reason: the key, the rate, or nobody there. Anything else may be about the
/// accounts of that call.
fn is_everybodys(error: &ProviderError) -> bool {
    error.class == ErrorClass::PermanentForOrganisation || error.is_for_the_rate() || error.status.is_none()
}
