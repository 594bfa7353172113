//! An account as the replica has it, and what one more read of the provider changes. Pure.

pub mod fold;
pub mod store;

use homeward_provider::{AccountRecord, Origin};
use homeward_types::diagnosis::{AccountStatus, Candidate, Claim, KnownAccount};
use homeward_types::{AccountId, Email, Timestamp};

/// One row of the replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The provider's id.
    pub id: AccountId,
    /// The newest address that a read gave.
    pub email: Option<Email>,
    /// The person's name there; may be empty.
    pub name: String,
    /// Whether the organisation may manage it.
    pub claim: Claim,
    /// Whether it is in use.
    pub status: AccountStatus,
    /// The identity provider that it comes from, in words.
    pub synced_from: Option<String>,
    /// Whether it administers anything; `None` until a search told.
    pub administrator: Option<bool>,
    /// When it was last active, as far as the provider says.
    pub last_active: Option<Timestamp>,
    /// When a read began that showed another address than the one before.
    pub mail_changed_at: Option<Timestamp>,
    /// When the newest read that showed it began.
    pub learned_at: Timestamp,
    /// When the newest search that showed it began: pages say less.
    pub detailed_at: Option<Timestamp>,
    /// Since when two different calls do not find it.
    pub gone_at: Option<Timestamp>,
    /// Grows by one with each change that is announced.
    pub version: i64,
}

impl Account {
    /// The account as the diagnosis takes it; who is not known to be no administrator counts as one.
    ///
    /// `None` without an address: such an account can be neither named to people nor moved.
    pub fn known(&self) -> Option<KnownAccount> {
        Some(KnownAccount {
            account: self.id.clone(),
            email: self.email.clone()?,
            name: self.name.clone(),
            claim: self.claim.clone(),
            status: self.status,
            synced_from: self.synced_from.clone(),
            administrator: self.administrator.unwrap_or(true),
            last_active: self.last_active,
            mail_changed_at: self.mail_changed_at,
            learned_at: self.learned_at,
        })
    }

    /// The account as one to choose from.
    pub fn candidate(&self) -> Option<Candidate> {
        self.known().map(|known| Candidate::of(&known))
    }
}

/// What a read was, as far as it matters for what its silence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A page of all managed accounts: it cannot tell a suspended account from an active one.
    Page,
    /// A search for the account: everything that the provider tells.
    Search,
}

/// A change that is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// It was not known, or was gone, or was not managed; now it is.
    Appeared,
    /// Another name.
    Renamed,
    /// Another address.
    Address,
    /// Another status.
    Status,
    /// The organisation has lost power over it.
    Unclaimed,
    /// Two different calls do not find it.
    Gone,
}

/// What a read makes of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The row afterwards.
    pub account: Account,
    /// What is announced of it; each makes the version grow together.
    pub changes: Vec<Change>,
    /// Whether more differs than when it was read.
    pub differs: bool,
}

/// Takes a read into the replica. What a read does not say stays as it was, and for a new account is taken carefully: not
/// claimed, suspended. A read that began before what is known changes nothing, but for what only searches tell.
pub fn merge(before: Option<&Account>, seen: &AccountRecord, source: Source) -> Merged {
    let Some(before) = before else {
        let account = appeared(seen, source);
        return Merged { account, changes: vec![Change::Appeared], differs: true };
    };
    if seen.begun_at < before.learned_at {
        return late(before, seen, source);
    }
    let mut account = before.clone();
    account.email = seen.email.clone().or(account.email);
    if !seen.name.is_empty() {
        account.name.clone_from(&seen.name);
    }
    account.claim = seen.claim.clone().unwrap_or(account.claim);
    account.status = status(before, seen, source);
    take_details(&mut account, seen);
    account.gone_at = None;
    let changes = changes(before, &account);
    if changes.contains(&Change::Address) {
        account.mail_changed_at = Some(seen.begun_at);
    }
    let differs = account != *before;
    account.version += i64::from(!changes.is_empty());
    account.learned_at = seen.begun_at;
    account.detailed_at = if source == Source::Search { Some(seen.begun_at) } else { account.detailed_at };
    Merged { account, changes, differs }
}

/// A page of the sync may overtake a search that somebody waits for. What pages do not say is news all the same: without it
/// the account would count as an administrator's until the next search.
fn late(before: &Account, seen: &AccountRecord, source: Source) -> Merged {
    let mut account = before.clone();
    let newest = before.detailed_at.is_none_or(|at| at < seen.begun_at);
    if source == Source::Search && newest && before.gone_at.is_none() {
        take_details(&mut account, seen);
        if seen.status == Some(AccountStatus::Suspended) && account.status == AccountStatus::Active {
            account.status = AccountStatus::Suspended;
        }
        account.detailed_at = Some(seen.begun_at);
    }
    let changes = changes(before, &account);
    account.version += i64::from(!changes.is_empty());
    Merged { differs: account != *before, account, changes }
}

/// What no page contradicts: details that only searches tell, and activity, of which the latest counts.
fn take_details(account: &mut Account, seen: &AccountRecord) {
    match &seen.origin {
        Origin::SyncedFrom(provider) => account.synced_from = Some(provider.clone()),
        Origin::Here => account.synced_from = None,
        Origin::Unknown => {}
    }
    account.administrator = seen.administrator.or(account.administrator);
    account.last_active = account.last_active.max(seen.last_active);
}

/// Takes in that a page-through and a search, begun at `begun_at`, both missed the account.
pub fn missed(before: &Account, begun_at: Timestamp) -> Merged {
    if before.gone_at.is_some() || begun_at < before.learned_at {
        return Merged { account: before.clone(), changes: Vec::new(), differs: false };
    }
    let account =
        Account { status: AccountStatus::Deleted, gone_at: Some(begun_at), version: before.version + 1, ..before.clone() };
    Merged { account, changes: vec![Change::Gone], differs: true }
}

fn appeared(seen: &AccountRecord, source: Source) -> Account {
    Account {
        id: seen.account.clone(),
        email: seen.email.clone(),
        name: seen.name.clone(),
        claim: seen.claim.clone().unwrap_or(Claim::NotClaimed),
        status: seen.status.unwrap_or(AccountStatus::Suspended),
        synced_from: match &seen.origin {
            Origin::SyncedFrom(provider) => Some(provider.clone()),
            Origin::Here | Origin::Unknown => None,
        },
        administrator: seen.administrator,
        last_active: seen.last_active,
        mail_changed_at: None,
        learned_at: seen.begun_at,
        detailed_at: (source == Source::Search).then_some(seen.begun_at),
        gone_at: None,
        version: 1,
    }
}

fn status(before: &Account, seen: &AccountRecord, source: Source) -> AccountStatus {
    match (seen.status, source) {
        (Some(AccountStatus::Active), Source::Page) if before.status == AccountStatus::Suspended => AccountStatus::Suspended,
        (Some(status), Source::Page | Source::Search) => status,
        // Gone, and there again, and nothing said of its status: the careful reading.
        (None, Source::Page | Source::Search) if before.gone_at.is_some() => AccountStatus::Suspended,
        (None, Source::Page | Source::Search) => before.status,
    }
}

fn changes(before: &Account, after: &Account) -> Vec<Change> {
    let managed = |account: &Account| account.claim == Claim::Managed;
    let back = before.gone_at.is_some();
    [
        (back || (managed(after) && !managed(before)), Change::Appeared),
        (before.name != after.name, Change::Renamed),
        (before.email != after.email, Change::Address),
        (before.status != after.status && !back, Change::Status),
        (managed(before) && !managed(after), Change::Unclaimed),
    ]
    .into_iter()
    .filter_map(|(holds, change)| holds.then_some(change))
    .collect()
}

#[cfg(test)]
mod tests;
