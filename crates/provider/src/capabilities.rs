//! What an adapter can do. Decisions ask this, never the provider's name.

use std::time::Duration;

use homeward_types::ResetMethod;
use serde::Serialize;

/// The way of helping a locked-out user that exposes the account least, of those the provider offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeastExposure {
    /// One-time codes: the account stays protected.
    RecoveryCodes,
    /// A pass for one sign-in, that ends by itself.
    TemporaryPass,
    /// Moving the account into an optional policy for a while.
    #[default]
    PolicyMove,
}

/// What calls are for. A provider may limit each kind by itself, and a kind may take several different calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// Moving accounts.
    Moves,
    /// Asking how far a move is.
    Tasks,
    /// Reading placements in bulk.
    Placements,
    /// Finding accounts, reading factors, and looking for accounts in bulk.
    Searches,
    /// Paging all accounts.
    Pages,
    /// Reading when an account was last active.
    Activity,
    /// Reading the log.
    Events,
    /// Asking for one account: whether it is there, and whether it may be managed.
    OneAccount,
    /// Disabling and enabling.
    Containment,
    /// Listing and deleting an account's own tokens.
    Tokens,
    /// Asking about the organisation itself: domains, keys, the log's actions.
    Organisation,
}

/// Who told a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitSource {
    /// The provider's documentation.
    Published,
    /// The provider's answers, which count more.
    Answers,
}

/// How many calls a provider takes in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct CallLimit {
    /// Calls.
    pub calls: u32,
    /// The period; `None` when nobody tells it.
    #[serde(with = "humantime_serde")]
    pub per: Option<Duration>,
    /// Who says so.
    pub source: LimitSource,
}

/// The rate limit of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct RateLimit {
    /// What it is for.
    pub kind: CallKind,
    /// The call, as errors and spans name it.
    pub call: &'static str,
    /// Its limit as far as it is known; `None` when nobody knows, which is not "without limit".
    pub limit: Option<CallLimit>,
}

/// Whether a read shows what was written before it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Freshness {
    /// Always.
    AtOnce,
    /// Not always: it may be behind.
    Behind {
        /// By this at most; `None` when nobody tells.
        #[serde(with = "humantime_serde")]
        at_most: Option<Duration>,
    },
    /// Nobody knows. To decide as if it were behind is right.
    #[default]
    Unknown,
}

/// Which reads are eventual. The default knows of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
pub struct Eventual {
    /// Where accounts are.
    pub placements: Freshness,
    /// Accounts' factors.
    pub factors: Freshness,
    /// Accounts themselves: addresses, whether they are managed, whether they are there.
    pub accounts: Freshness,
    /// When accounts were last active.
    pub activity: Freshness,
    /// The log.
    pub events: Freshness,
}

/// What the provider offers and how it behaves, as far as decisions depend on it. The default offers nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent yes or no about the provider")]
pub struct Capabilities {
    /// How an old factor is removed.
    pub reset: ResetMethod,
    /// Which way of helping exposes the account least.
    pub least_exposure: LeastExposure,
    /// Whether an account's factor can be read.
    pub factor_readable: bool,
    /// Whether placements come with a version. It is only the provider's claim: rule 3 trusts it after one lend and one return showed it.
    pub placement_versions: bool,
    /// Whether moves name accounts by e-mail, so that the address must be read again immediately before.
    pub moves_keyed_by_email: bool,
    /// Whether moves are accepted first and carried out later, as a task.
    pub moves_are_tasks: bool,
    /// Accounts that fit into one move call at present; the adapter splits larger orders and learns smaller limits.
    pub move_batch: usize,
    /// Accounts that fit into one placement read; the adapter splits.
    pub placement_batch: usize,
    /// Accounts that fit into one factor read when the address is known; the adapter splits.
    pub factor_batch: usize,
    /// Accounts that fit into one search by id; the adapter splits.
    pub search_batch: usize,
    /// The rate limit of each call that the adapter can make, as far as it is known at present.
    pub rate_limits: Vec<RateLimit>,
    /// Which reads are eventual, by the provider's own word. How far behind Homeward takes reads to be is a setting.
    pub eventual: Eventual,
    /// Whether an account can be disabled and enabled (containment).
    pub containment: bool,
    /// Whether a disabled account can be moved between policies; `None` when nobody knows.
    pub disabled_account_movable: Option<bool>,
    /// Whether an account's own tokens can be listed and deleted one by one.
    pub tokens: bool,
    /// Whether sessions can be ended.
    pub sessions: bool,
    /// Whether events can be read since a cursor.
    pub events: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            reset: ResetMethod::Person,
            least_exposure: LeastExposure::PolicyMove,
            factor_readable: false,
            placement_versions: false,
            moves_keyed_by_email: false,
            moves_are_tasks: false,
            move_batch: 1,
            placement_batch: 1,
            factor_batch: 1,
            search_batch: 1,
            rate_limits: Vec::new(),
            eventual: Eventual::default(),
            containment: false,
            disabled_account_movable: None,
            tokens: false,
            sessions: false,
            events: false,
        }
    }
}
