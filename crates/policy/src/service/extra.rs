//! What is asked for one account at a time, because the provider has no bulk call for it: whether the key may manage it (which
//! shows accounts whose factor lives elsewhere), and when it was last active. Only where somebody waits for a few accounts;
//! what is not answered is not known.

use std::collections::HashMap;

use futures_util::future::join_all;
use homeward_provider::{IdentityProvider, ManageCheck, ManageRefusal, Priority};
use homeward_types::{AccountId, Timestamp};

/// More accounts than this are not asked about one by one.
const FEW: usize = 5;

/// What two further calls said of an account.
#[derive(Debug, Clone, Default)]
pub(super) struct Extra {
    /// Where its factor lives instead, in words.
    pub(super) factor_elsewhere: Option<String>,
    /// When it was last active.
    pub(super) last_active: Option<Timestamp>,
}

/// Asks about a few accounts, all at once; about many it asks nothing.
pub(super) async fn of(provider: &dyn IdentityProvider, accounts: &[AccountId]) -> HashMap<AccountId, Extra> {
    if accounts.len() > FEW {
        return HashMap::new();
    }
    let asked = accounts.iter().map(|account| async move {
        let (manage, last_active) =
            tokio::join!(provider.may_manage(account, Priority::Evidence), provider.last_active(account, Priority::Evidence));
        let factor_elsewhere = manage.ok().and_then(elsewhere);
        (account.clone(), Extra { factor_elsewhere, last_active: last_active.ok().flatten() })
    });
    join_all(asked).await.into_iter().collect()
}

fn elsewhere(check: ManageCheck) -> Option<String> {
    match check {
        ManageCheck::MayNot(ManageRefusal::SingleSignOn) => Some("single sign-on".to_owned()),
        ManageCheck::MayNot(ManageRefusal::SyncedFrom(whence)) => Some(whence),
        ManageCheck::May
        | ManageCheck::MayNot(ManageRefusal::NotManaged | ManageRefusal::Other(_))
        | ManageCheck::NoSuchAccount => None,
    }
}
