//! The port: everything that Homeward can ask of an identity provider.

use async_trait::async_trait;
use homeward_types::{AccountId, Email, Placement, Timestamp};

use crate::account::{AccountRecord, Cursor, FactorReading, Holder, Page, Search};
use crate::capabilities::Capabilities;
use crate::care::{AccountToken, Look, ManageCheck, Reset, ResetInstruction, Sighting, TokenId};
use crate::error::ProviderError;
use crate::event::EventPage;
use crate::moving::{MoveAnswer, MoveOrder, TaskId, TaskReport};
use crate::priority::Priority;
use crate::self_test::{Duty, KeyExpiry, SelfTest};

/// One organisation at one identity provider, seen with one set of keys.
///
/// Nothing here retries by itself, except where an answer proved that nothing had happened; nothing waits longer than the
/// adapter's timeout. Every `begun_at` was taken from the adapter's clock before the request left. Dropping a future
/// abandons the call: a write may still take effect.
#[async_trait]
pub trait IdentityProvider: Send + Sync + 'static {
    /// What this provider offers. Batch sizes and rate limits change as the adapter learns.
    fn capabilities(&self) -> Capabilities;

    /// One part of the managed accounts; `None` begins. An account may appear twice when others come and go meanwhile.
    /// Says little of each: who administers, where an account comes from and its factor need [`Self::find_accounts`].
    ///
    /// # Errors
    /// [`ProviderError`]; a cursor that the provider forgot is `PermanentForAccount`: begin again.
    async fn page_accounts(&self, cursor: Option<&Cursor>, priority: Priority) -> Result<Page<AccountRecord>, ProviderError>;

    /// The accounts that match, with everything the directory says of them. Any number of names: the adapter splits.
    ///
    /// # Errors
    /// [`ProviderError`] of the first call that failed.
    async fn find_accounts(&self, by: Search<'_>, priority: Priority) -> Result<Vec<AccountRecord>, ProviderError>;

    /// When the account was last active, as far as the provider says (its own delay included).
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn last_active(&self, account: &AccountId, priority: Priority) -> Result<Option<Timestamp>, ProviderError>;

    /// Where the accounts are now. Any number: the adapter splits. One that the provider does not mention is missing.
    ///
    /// # Errors
    /// [`ProviderError`] of the first call that failed.
    async fn read_placements(&self, accounts: &[AccountId], priority: Priority) -> Result<Vec<Placement>, ProviderError>;

    /// The accounts' second factors. Any number: the adapter splits. One that the provider does not find is missing.
    ///
    /// # Errors
    /// [`ProviderError`] of the first call that failed.
    async fn read_factors(&self, accounts: &[Holder], priority: Priority) -> Result<Vec<FactorReading>, ProviderError>;

    /// Moves accounts into a policy. Splits by [`Capabilities::move_batch`] and bisects what is refused as a whole, so that
    /// one bad address blocks nobody. Sends nothing again unless the answer proved that nothing had happened.
    async fn move_accounts(&self, order: MoveOrder<'_>) -> Vec<MoveAnswer>;

    /// How far a task is; `None` if the provider does not know it (any more). Proves nothing about placements.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn poll_task(&self, task: &TaskId, priority: Priority) -> Result<Option<TaskReport>, ProviderError>;

    /// What a person must do to remove the account's factor; `None` where a call does it.
    fn reset_instruction(&self, account: &AccountId, email: &Email) -> Option<ResetInstruction>;

    /// Removes the account's factor, or says what a person must do.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn reset_factor(&self, account: &AccountId, email: &Email, priority: Priority) -> Result<Reset, ProviderError>;

    /// Blocks the account's sign-in. Already disabled counts as done.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn disable(&self, account: &AccountId, reason: &str, priority: Priority) -> Result<(), ProviderError>;

    /// Lets the account sign in again. Already enabled counts as done.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn enable(&self, account: &AccountId, priority: Priority) -> Result<(), ProviderError>;

    /// The account's own tokens.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn list_tokens(&self, account: &AccountId, priority: Priority) -> Result<Vec<AccountToken>, ProviderError>;

    /// Deletes one token. Already gone counts as done.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn delete_token(&self, account: &AccountId, token: &TokenId, priority: Priority) -> Result<(), ProviderError>;

    /// A part of the provider's log after `cursor`; without one, from `from` on.
    ///
    /// # Errors
    /// [`ProviderError`]; a cursor that the provider forgot is `PermanentForAccount`: begin again from a time.
    async fn events_since(
        &self,
        cursor: Option<&Cursor>,
        from: Timestamp,
        priority: Priority,
    ) -> Result<EventPage, ProviderError>;

    /// Whether the key may manage the account, and if not, why.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn may_manage(&self, account: &AccountId, priority: Priority) -> Result<ManageCheck, ProviderError>;

    /// Whether the accounts are there and ours, by one of two different calls. Any number: the adapter splits. Each that was
    /// asked for is told once, whatever became of the others.
    async fn presence(&self, accounts: &[AccountId], by: Look, priority: Priority) -> Vec<Sighting>;

    /// Makes each read that needs no earlier write once with each key, and judges what each key could write, without writing.
    /// Takes a few dozen calls at most. By default nothing is tested.
    async fn self_test(&self, duty: Duty) -> SelfTest {
        SelfTest::untested(duty)
    }

    /// Until when each key is good, as far as the provider or the configuration tells. By default nothing is known.
    async fn key_expiries(&self, _priority: Priority) -> Vec<KeyExpiry> {
        Vec::new()
    }
}
