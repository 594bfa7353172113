//! What an adapter can do. Decisions ask this, never the provider's name.

use homeward_types::ResetMethod;

/// The way of helping a locked-out user that exposes the account least, of those the provider offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LeastExposure {
    /// One-time codes: the account stays protected.
    RecoveryCodes,
    /// A pass for one sign-in, that ends by itself.
    TemporaryPass,
    /// Moving the account into an optional policy for a while.
    #[default]
    PolicyMove,
}

/// What the provider offers and how it behaves, as far as decisions depend on it. The default offers nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
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
            containment: false,
            disabled_account_movable: None,
            tokens: false,
            sessions: false,
            events: false,
        }
    }
}
