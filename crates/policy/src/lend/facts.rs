//! What one fresh bulk read shows of accounts, and the diagnosis that it leads to.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use homeward_provider::{AccountRecord, Holder, IdentityProvider, Priority, ProviderError, Search};
use homeward_types::diagnosis::{OpenLease, Outcome};
use homeward_types::{
    AccountId, Email, Factor, Facts, Grant, Organisation, Placement, PlacementVersion, PolicyId, Timestamp, diagnose,
};

/// What the provider says of accounts now.
#[derive(Debug, Clone, Default)]
pub struct FreshRead {
    placements: HashMap<AccountId, Placement>,
    factors: HashMap<AccountId, Factor>,
    records: HashMap<AccountId, AccountRecord>,
}

/// A lend that the fresh read allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The home that the read showed.
    pub home: PolicyId,
    /// The placement's version there.
    pub home_version: Option<PlacementVersion>,
    /// The factor that the read showed.
    pub factor: Factor,
}

/// Why it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAllowed {
    /// The account has another open lease.
    Busy,
    /// Something is not as it was approved, in words.
    Changed(String),
}

impl FreshRead {
    /// What was read.
    pub fn new(placements: Vec<Placement>, records: Vec<AccountRecord>) -> Self {
        let placements = placements.into_iter().map(|placement| (placement.account.clone(), placement)).collect();
        let mut read = Self { placements, ..Self::default() };
        read.add(records);
        read
    }

    fn add(&mut self, records: Vec<AccountRecord>) {
        for record in records {
            self.factors.insert(record.account.clone(), record.factor);
            self.records.insert(record.account.clone(), record);
        }
    }

    /// Reads placements, factors and records of all of them at once. Where an address is not known, the placement tells it:
    /// reads by address take a tenth of the calls.
    ///
    /// # Errors
    /// [`ProviderError`] of the first call that failed.
    pub async fn of(provider: &dyn IdentityProvider, who: &[Holder], priority: Priority) -> Result<Self, ProviderError> {
        let accounts: Vec<AccountId> = who.iter().map(|holder| holder.account.clone()).collect();
        let (placements, found) = if who.iter().all(|holder| holder.email.is_some()) {
            tokio::try_join!(provider.read_placements(&accounts, priority), records(provider, who, priority))?
        } else {
            let placements = provider.read_placements(&accounts, priority).await?;
            let found = records(provider, &with_addresses(who, &placements), priority).await?;
            (placements, found)
        };
        let mut read = Self::new(placements, found);
        // Whom no address found, the id does: the address has another holder by now, or there was none.
        let unknown: Vec<AccountId> = accounts.into_iter().filter(|account| !read.records.contains_key(account)).collect();
        if !unknown.is_empty() {
            read.add(provider.find_accounts(Search::Accounts(&unknown), priority).await?);
        }
        Ok(read)
    }

    /// The placement that was read.
    pub fn placement(&self, account: &AccountId) -> Option<&Placement> {
        self.placements.get(account)
    }

    /// The factor that was read.
    pub fn factor(&self, account: &AccountId) -> Factor {
        self.factors.get(account).copied().unwrap_or(Factor::Unknown)
    }

    /// Diagnoses the granted account again, with what policy knows besides (procedure: immediately before the lease opens).
    ///
    /// # Errors
    /// [`NotAllowed`] if the lend is not what was approved any more.
    pub fn diagnose(
        &self,
        organisation: &Organisation,
        grant: &Grant,
        open_lease: Option<OpenLease>,
        released: bool,
        now: Timestamp,
    ) -> Result<Allowed, NotAllowed> {
        let known = self.records.get(&grant.account).and_then(AccountRecord::known);
        let email = known.as_ref().map(|account| account.email.clone());
        let facts = Facts {
            query: grant.account.to_string(),
            matches: known.into_iter().collect(),
            closest: Vec::new(),
            placement: self.placements.get(&grant.account).cloned(),
            factor: self.factor(&grant.account),
            unreachable_since: None,
            open_recovery: None,
            open_lease,
            released,
            recent_requests: grant.recent_requests,
            repudiated_before: grant.repudiated_before,
            // Everything was read just now: only a clock that stepped can make it old.
            too_old: Duration::from_hours(1),
            now,
        };
        let diagnosis = diagnose(organisation, &facts);
        if matches!(diagnosis.outcome, Outcome::LeaseOpen { .. }) {
            return Err(NotAllowed::Busy);
        }
        let changed = |what: String| Err(NotAllowed::Changed(what));
        let Some(home) = diagnosis.outcome.lends_from() else {
            return changed(format!("{}: {}", diagnosis.outcome.code(), diagnosis.sentence()));
        };
        if *home != grant.home {
            return changed(format!("the account was in {} and is in {home}", grant.home));
        }
        if email.as_ref() != Some(&grant.email) {
            return changed("the account holds another address".to_owned());
        }
        if diagnosis.tier > grant.tier {
            return changed("the account needs more care than was given".to_owned());
        }
        let home_version = facts.placement.and_then(|placement| placement.version);
        Ok(Allowed { home: home.clone(), home_version, factor: facts.factor })
    }
}

/// The records of these accounts, by address: with the factor, and with the roles that decide how careful to be, which a read of
/// factors alone does not tell.
async fn records(
    provider: &dyn IdentityProvider,
    who: &[Holder],
    priority: Priority,
) -> Result<Vec<AccountRecord>, ProviderError> {
    let emails: Vec<Email> = who.iter().filter_map(|holder| holder.email.clone()).collect();
    if emails.is_empty() {
        return Ok(Vec::new());
    }
    let asked: HashSet<&AccountId> = who.iter().map(|holder| &holder.account).collect();
    let found = provider.find_accounts(Search::Emails(&emails), priority).await?;
    Ok(found.into_iter().filter(|record| asked.contains(&record.account)).collect())
}

fn with_addresses(who: &[Holder], placements: &[Placement]) -> Vec<Holder> {
    let addresses: HashMap<&AccountId, &Email> =
        placements.iter().filter_map(|placement| Some((&placement.account, placement.email.as_ref()?))).collect();
    let address = |holder: &Holder| holder.email.clone().or_else(|| addresses.get(&holder.account).map(|email| (*email).clone()));
    who.iter().map(|holder| Holder { account: holder.account.clone(), email: address(holder) }).collect()
}
