//! What one fresh bulk read shows of accounts, and the diagnosis that it leads to.

use std::collections::HashMap;
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
    /// Reads placements, factors and records of all of them at once. Where an address is not known, the placement tells it:
    /// reads by address take a tenth of the calls.
    ///
    /// # Errors
    /// [`ProviderError`] of the first call that failed.
    pub async fn of(provider: &dyn IdentityProvider, who: &[Holder], priority: Priority) -> Result<Self, ProviderError> {
        let accounts: Vec<AccountId> = who.iter().map(|holder| holder.account.clone()).collect();
        let (placements, factors) = if who.iter().all(|holder| holder.email.is_some()) {
            tokio::try_join!(provider.read_placements(&accounts, priority), provider.read_factors(who, priority))?
        } else {
            let placements = provider.read_placements(&accounts, priority).await?;
            let factors = provider.read_factors(&with_addresses(who, &placements), priority).await?;
            (placements, factors)
        };
        let mut read = Self::default();
        read.placements.extend(placements.into_iter().map(|placement| (placement.account.clone(), placement)));
        for reading in factors {
            read.factors.insert(reading.account.clone(), reading.factor);
            read.records.extend(reading.record.map(|record| (reading.account, record)));
        }
        // Where the factor's read says nothing of the account itself, the directory does.
        let unknown: Vec<AccountId> = accounts.into_iter().filter(|account| !read.records.contains_key(account)).collect();
        if !unknown.is_empty() {
            let found = provider.find_accounts(Search::Accounts(&unknown), priority).await?;
            read.records.extend(found.into_iter().map(|record| (record.account.clone(), record)));
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

fn with_addresses(who: &[Holder], placements: &[Placement]) -> Vec<Holder> {
    let addresses: HashMap<&AccountId, &Email> =
        placements.iter().filter_map(|placement| Some((&placement.account, placement.email.as_ref()?))).collect();
    let address = |holder: &Holder| holder.email.clone().or_else(|| addresses.get(&holder.account).map(|email| (*email).clone()));
    who.iter().map(|holder| Holder { account: holder.account.clone(), email: address(holder) }).collect()
}
