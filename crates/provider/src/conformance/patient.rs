//! The checks once more, each with the chaos profile on: a patient caller, who tries again what may be tried again, sees
//! nothing else than in quiet times.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use homeward_types::{AccountId, Clock, Email, Placement, PolicyId, Timestamp};
use tokio::time::Instant;

use super::{Calls, Change, Profile, Trouble, Truth, World};
use crate::account::{AccountRecord, Cursor, FactorReading, Holder, Page, Search};
use crate::capabilities::Capabilities;
use crate::care::{AccountToken, Look, ManageCheck, Reset, ResetInstruction, Sighting, TokenId};
use crate::error::{ErrorClass, ProviderError};
use crate::event::EventPage;
use crate::moving::{MoveAnswer, MoveOrder, TaskId, TaskReport};
use crate::port::IdentityProvider;
use crate::priority::Priority;
use crate::self_test::{Duty, KeyExpiry, SelfTest};

/// How likely each fault is to meet each call. There are more than ten of them.
const PROBABILITY: f64 = 0.03;

/// A caller gives up after so long.
const PATIENCE: Duration = Duration::from_secs(25);

/// A [`World`] in which everything goes wrong by chance, seen by a patient caller.
pub struct InChaos<W> {
    world: W,
    provider: Arc<Patient>,
}

/// Tries again what failed by chance: reads, and writes of which a second does no harm.
struct Patient {
    provider: Arc<dyn IdentityProvider>,
    clock: Arc<dyn Clock>,
}

/// How long to wait before a call is made again; `None` if its answer stands.
fn wait<T>(answer: &Result<T, ProviderError>, deadline: Instant) -> Option<Duration> {
    let Err(error) = answer else { return None };
    let wait = match error.class {
        ErrorClass::Retry { after } => after.min(Duration::from_secs(1)),
        ErrorClass::Ambiguous => Duration::ZERO,
        ErrorClass::PermanentForAccount | ErrorClass::PermanentForPolicy | ErrorClass::PermanentForOrganisation => return None,
    };
    (Instant::now() < deadline).then_some(wait)
}

macro_rules! again {
    ($call:expr) => {{
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = $call.await;
            match wait(&answer, deadline) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => break answer,
            }
        }
    }};
}

#[async_trait]
impl IdentityProvider for Patient {
    fn capabilities(&self) -> Capabilities {
        self.provider.capabilities()
    }

    async fn page_accounts(&self, cursor: Option<&Cursor>, priority: Priority) -> Result<Page<AccountRecord>, ProviderError> {
        again!(self.provider.page_accounts(cursor, priority))
    }

    async fn find_accounts(&self, by: Search<'_>, priority: Priority) -> Result<Vec<AccountRecord>, ProviderError> {
        again!(self.provider.find_accounts(by, priority))
    }

    async fn last_active(&self, account: &AccountId, priority: Priority) -> Result<Option<Timestamp>, ProviderError> {
        again!(self.provider.last_active(account, priority))
    }

    async fn read_placements(&self, accounts: &[AccountId], priority: Priority) -> Result<Vec<Placement>, ProviderError> {
        again!(self.provider.read_placements(accounts, priority))
    }

    async fn read_factors(&self, accounts: &[Holder], priority: Priority) -> Result<Vec<FactorReading>, ProviderError> {
        again!(self.provider.read_factors(accounts, priority))
    }

    /// Whoever was not taken, or may have been, is sent again: a second move into the same policy changes nothing.
    async fn move_accounts(&self, order: MoveOrder<'_>) -> Vec<MoveAnswer> {
        let (mut who, mut answers) = (order.who.to_vec(), Vec::new());
        loop {
            let given = self.provider.move_accounts(MoveOrder { who: &who, ..order }).await;
            let over = self.clock.now() >= order.send_before;
            let again = |answer: &MoveAnswer| match &answer.answer {
                Ok(_) => false,
                Err(error) => matches!(error.class, ErrorClass::Retry { .. } | ErrorClass::Ambiguous) && !over,
            };
            let (failed, done): (Vec<MoveAnswer>, Vec<MoveAnswer>) = given.into_iter().partition(again);
            answers.extend(done);
            who.retain(|(account, _)| failed.iter().any(|answer| answer.accounts.contains(account)));
            if who.is_empty() {
                return answers;
            }
            let wait = failed.iter().filter_map(|answer| answer.answer.as_ref().err()?.retry_after()).max();
            tokio::time::sleep(wait.unwrap_or_default().min(Duration::from_secs(1))).await;
        }
    }

    async fn poll_task(&self, task: &TaskId, priority: Priority) -> Result<Option<TaskReport>, ProviderError> {
        again!(self.provider.poll_task(task, priority))
    }

    fn reset_instruction(&self, account: &AccountId, email: &Email) -> Option<ResetInstruction> {
        self.provider.reset_instruction(account, email)
    }

    async fn reset_factor(&self, account: &AccountId, email: &Email, priority: Priority) -> Result<Reset, ProviderError> {
        again!(self.provider.reset_factor(account, email, priority))
    }

    async fn disable(&self, account: &AccountId, reason: &str, priority: Priority) -> Result<(), ProviderError> {
        again!(self.provider.disable(account, reason, priority))
    }

    async fn enable(&self, account: &AccountId, priority: Priority) -> Result<(), ProviderError> {
        again!(self.provider.enable(account, priority))
    }

    async fn list_tokens(&self, account: &AccountId, priority: Priority) -> Result<Vec<AccountToken>, ProviderError> {
        again!(self.provider.list_tokens(account, priority))
    }

    async fn delete_token(&self, account: &AccountId, token: &TokenId, priority: Priority) -> Result<(), ProviderError> {
        again!(self.provider.delete_token(account, token, priority))
    }

    async fn events_since(
        &self,
        cursor: Option<&Cursor>,
        from: Timestamp,
        priority: Priority,
    ) -> Result<EventPage, ProviderError> {
        again!(self.provider.events_since(cursor, from, priority))
    }

    async fn may_manage(&self, account: &AccountId, priority: Priority) -> Result<ManageCheck, ProviderError> {
        again!(self.provider.may_manage(account, priority))
    }

    /// Who failed by chance is looked for again, and nobody else.
    async fn presence(&self, accounts: &[AccountId], by: Look, priority: Priority) -> Vec<Sighting> {
        let deadline = Instant::now() + PATIENCE;
        let (mut left, mut seen) = (accounts.to_vec(), Vec::new());
        loop {
            let (mut again, mut longest) = (Vec::new(), None);
            for sighting in self.provider.presence(&left, by, priority).await {
                match wait(&sighting.presence, deadline) {
                    None => seen.push(sighting),
                    Some(wait) => {
                        longest = longest.max(Some(wait));
                        again.push(sighting.account);
                    }
                }
            }
            let Some(longest) = longest else { break };
            tokio::time::sleep(longest).await;
            left = again;
        }
        seen
    }

    async fn self_test(&self, duty: Duty) -> SelfTest {
        self.provider.self_test(duty).await
    }

    async fn key_expiries(&self, priority: Priority) -> Vec<KeyExpiry> {
        self.provider.key_expiries(priority).await
    }
}

#[async_trait]
impl<W: World> World for InChaos<W> {
    async fn open(profile: Profile) -> Self {
        let world = W::open(profile).await;
        let provider = Arc::new(Patient { provider: world.provider(), clock: world.clock() });
        // Late effects and reads have checks of their own: here they are as late as the profile says.
        world.chaos(PROBABILITY, Duration::ZERO);
        Self { world, provider }
    }

    fn provider(&self) -> Arc<dyn IdentityProvider> {
        Arc::clone(&self.provider) as Arc<dyn IdentityProvider>
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.world.clock()
    }

    fn home(&self) -> PolicyId {
        self.world.home()
    }

    fn recovery(&self) -> PolicyId {
        self.world.recovery()
    }

    fn members(&self, count: usize) -> Vec<(AccountId, Email)> {
        self.world.members(count)
    }

    fn unmanaged(&self) -> (AccountId, Email) {
        self.world.unmanaged()
    }

    fn truth(&self, account: &AccountId) -> Option<Truth> {
        self.world.truth(account)
    }

    fn change(&self, account: &AccountId, change: Change) {
        self.world.change(account, change);
    }

    fn trouble(&self, what: Trouble, calls: Calls, times: Option<u64>) {
        self.world.trouble(what, calls, times);
    }

    fn chaos(&self, probability: f64, late: Duration) {
        self.world.chaos(probability, late);
    }

    fn calm(&self) {
        self.world.calm();
    }

    fn calls(&self) -> u64 {
        self.world.calls()
    }

    fn undocumented_calls(&self) -> u64 {
        self.world.undocumented_calls()
    }

    fn is_chaotic(&self) -> bool {
        true
    }
}
