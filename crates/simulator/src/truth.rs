//! The ground truth in types: what an account really is, and whether the others were left alone.

use homeward_types::Timestamp;
use serde::{Deserialize, Serialize};

use crate::account::{Claim, Membership, Source, Status, Token};
use crate::policy::Demand;

/// One account as it really is, whatever reads of the provider say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of one another, as the provider shows them")]
pub struct AccountTruth {
    /// The provider's id.
    pub id: String,
    /// The display name.
    pub name: String,
    /// The address.
    pub email: String,
    /// The id of the policy that it is in; `None` for an unmanaged account.
    pub policy: Option<String>,
    /// What people call that policy.
    pub policy_name: Option<String>,
    /// What that policy demands.
    pub demand: Option<Demand>,
    /// The version (`dateAdded`, epoch milliseconds) of being there.
    pub version: Option<i64>,
    /// Whether a factor is enrolled.
    pub factor: bool,
    /// Whether the person cannot show the factor's codes.
    pub lost: bool,
    /// Managed or not.
    pub claim: Claim,
    /// Usable or not.
    pub status: Status,
    /// In use or not.
    pub membership: Membership,
    /// Where it comes from.
    pub source: Source,
    /// An organisation administrator.
    pub administrator: bool,
    /// Signed in at this moment.
    pub signed_in: bool,
    /// When last active.
    pub last_active: Option<Timestamp>,
    /// Its API tokens.
    pub tokens: Vec<Token>,
}

/// A page of accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruthPage {
    /// The accounts, in the order of the organisation.
    pub accounts: Vec<AccountTruth>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<usize>,
}

/// All accounts but some, in one number: equal before and after means that they are untouched in placement, version,
/// factor, address, name, status, membership, claim, role and number of tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// How many accounts the digest covers.
    pub accounts: usize,
    /// Of these, how many are managed.
    pub managed: usize,
    /// The digest, in hexadecimal.
    pub digest: String,
    /// The newest line of the ground-truth log; 0 if there is none.
    pub last_effect: u64,
}
