//! Reading the truth out of the organisation.

use crate::account::{Account, Claim};
use crate::truth::{AccountTruth, Summary, TruthPage};

use super::{Organisation, timestamp};

impl Organisation {
    /// The account in a slot as it really is.
    pub(crate) fn truth(&self, slot: usize) -> AccountTruth {
        let account = &self.accounts[slot];
        let placed = *account.placement.now();
        let policy = placed.map(|placed| &self.policies[placed.policy]);
        AccountTruth {
            id: account.id.to_string(),
            name: account.name.to_string(),
            email: account.email.now().to_string(),
            policy: policy.map(|policy| policy.id.clone()),
            policy_name: policy.map(|policy| policy.name.clone()),
            demand: policy.map(|policy| policy.demand),
            version: placed.map(|placed| placed.version),
            factor: *account.factor.now(),
            lost: account.lost,
            claim: account.claim,
            status: account.status,
            membership: account.membership,
            source: account.source,
            administrator: account.administrator,
            signed_in: account.session.is_some(),
            last_active: account.last_active.map(|ms| timestamp(ms.saturating_mul(1_000))),
            tokens: account.tokens.clone(),
        }
    }

    /// The accounts of these ids that exist.
    pub(crate) fn truths<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Vec<AccountTruth> {
        ids.into_iter().filter_map(|id| self.find(id)).map(|slot| self.truth(slot)).collect()
    }

    /// A page of all accounts that exist.
    pub(crate) fn truth_page(&self, from: usize, limit: usize) -> TruthPage {
        let mut slots = (from..self.accounts.len()).filter(|slot| !self.accounts[*slot].gone);
        let accounts = slots.by_ref().take(limit).map(|slot| self.truth(slot)).collect();
        TruthPage { accounts, next: slots.next() }
    }

    /// The digest of all accounts but those excluded. Costs no more than the excluded ones.
    pub(crate) fn summary<'a>(&self, excluded: impl IntoIterator<Item = &'a str>) -> Summary {
        let mut slots: Vec<usize> = excluded.into_iter().filter_map(|id| self.by_id.get(id).copied()).collect();
        slots.sort_unstable();
        slots.dedup();
        let excluded = || slots.iter().map(|slot| &self.accounts[*slot]);
        let there = |account: &&Account| !account.gone;
        let digest = excluded().fold(self.digest, |sum, account| sum.wrapping_sub(account.fingerprint()));
        Summary {
            accounts: self.there - excluded().filter(there).count(),
            managed: self.managed - excluded().filter(there).filter(|account| account.claim == Claim::Managed).count(),
            digest: format!("{digest:032x}"),
            last_effect: self.last_effect(),
        }
    }
}
