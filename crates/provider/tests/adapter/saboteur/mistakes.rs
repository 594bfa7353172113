//! An adapter that makes one mistake and is otherwise as good as the one inside.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use homeward_provider::{
    AccountRecord, AccountToken, Capabilities, Cursor, Duty, ErrorClass, EventPage, FactorReading, Freshness, Holder,
    IdentityProvider, KeyExpiry, Look, ManageCheck, MoveAccepted, MoveAnswer, MoveOrder, Page, Presence, Priority, ProviderError,
    Reset, ResetInstruction, Search, SelfTest, Sighting, TaskId, TaskReport, TokenId,
};
use homeward_types::diagnosis::Claim;
use homeward_types::{AccountId, Email, Factor, Placement, PlacementVersion, PolicyId, Timestamp};

/// What an adapter can get wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// Leaves out the last account of each list.
    LosesOne,
    /// Takes every account for one of ours.
    CallsEveryoneManaged,
    /// Fails a whole read for one account that is not there.
    FailsOnTheMissing,
    /// Makes a call for each account.
    ReadsOneByOne,
    /// Keeps the first factor that it read.
    RemembersFactors,
    /// Takes whoever holds an address for the account that held it.
    GoesByAddress,
    /// Says placements without their addresses.
    LosesAddresses,
    /// Calls every task a success.
    SilencesTasks,
    /// Refuses more than a few accounts at once.
    RefusesMany,
    /// Gives older placements greater versions.
    TurnsVersions,
    /// Makes up versions that grow with each read.
    CountsVersions,
    /// Dates a read by a moment after it.
    DatesByTheAnswer,
    /// Does not look at the time until which it may send.
    SendsLate,
    /// Does nothing any more after a call was dropped in the middle.
    BreaksWhenCancelled,
    /// Takes every failure for a refusal.
    CallsAllNotTaken,
    /// Says what tasks promised rather than what is read.
    BelievesTasks,
    /// Says that moves are done, and sends none.
    Pretends,
    /// Gives every second call back rather than wait.
    GivesBack,
    /// Calls what a person must mend something to try again.
    RetriesForEver,
    /// Disables nobody.
    ContainsNobody,
    /// Deletes no token.
    LeavesTokens,
    /// Reads events from the start each time.
    ForgetsTheCursor,
    /// Does not pass on the limits that answers tell.
    KeepsLimitsToItself,
    /// Says that no read is ever behind.
    CallsReadsUpToDate,
    /// Never lets go of a page.
    KeepsPages,
}

/// The adapter.
pub struct Saboteur {
    inner: Arc<dyn IdentityProvider>,
    mistake: Mistake,
    count: AtomicI64,
    calls: AtomicU64,
    broken: AtomicBool,
    factors: Mutex<HashMap<AccountId, Factor>>,
    promised: Mutex<HashMap<AccountId, PolicyId>>,
    kept: Mutex<Vec<AccountRecord>>,
}

fn temporary() -> ProviderError {
    ProviderError::new("sabotage", ErrorClass::Retry { after: Duration::ZERO }, None, "a mistake").not_taken()
}

impl Saboteur {
    pub fn new(inner: Arc<dyn IdentityProvider>, mistake: Mistake) -> Self {
        Self {
            inner,
            mistake,
            count: AtomicI64::new(0),
            calls: AtomicU64::new(0),
            broken: AtomicBool::new(false),
            factors: Mutex::default(),
            promised: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == mistake
    }

    fn spoil<T>(&self, answer: Result<T, ProviderError>) -> Result<T, ProviderError> {
        if self.makes(Mistake::GivesBack) && self.calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            return Err(temporary());
        }
        answer.map_err(|error| if self.makes(Mistake::RetriesForEver) { temporary() } else { error })
    }

    fn placement(&self, mut placement: Placement) -> Placement {
        if self.makes(Mistake::LosesAddresses) {
            placement.email = None;
        }
        if self.makes(Mistake::TurnsVersions) {
            placement.version = placement.version.map(|version| PlacementVersion(-version.0));
        }
        if self.makes(Mistake::CountsVersions) {
            placement.version = Some(PlacementVersion(self.count.fetch_add(1, Ordering::SeqCst)));
        }
        if self.makes(Mistake::DatesByTheAnswer) {
            placement.begun_at += Duration::from_hours(1);
        }
        if self.makes(Mistake::BelievesTasks) || self.makes(Mistake::Pretends) {
            let promised = self.promised.lock().expect("no panic").get(&placement.account).cloned();
            placement.policy = promised.or(placement.policy);
        }
        placement
    }

    fn answer(&self, mut answer: MoveAnswer, to: &PolicyId) -> MoveAnswer {
        match &mut answer.answer {
            Ok(_) => {
                let mut promised = self.promised.lock().expect("no panic");
                promised.extend(answer.accounts.iter().map(|account| (account.clone(), to.clone())));
            }
            Err(error) if self.makes(Mistake::CallsAllNotTaken) => *error = error.clone().not_taken(),
            Err(error) if self.makes(Mistake::RetriesForEver) => *error = temporary(),
            Err(_) => {}
        }
        answer
    }
}

#[async_trait]
impl IdentityProvider for Saboteur {
    fn capabilities(&self) -> Capabilities {
        let mut can = self.inner.capabilities();
        if self.makes(Mistake::KeepsLimitsToItself) {
            for limit in &mut can.rate_limits {
                limit.limit = None;
            }
        }
        if self.makes(Mistake::CallsReadsUpToDate) {
            (can.eventual.placements, can.eventual.factors) = (Freshness::AtOnce, Freshness::AtOnce);
        }
        can
    }

    async fn page_accounts(&self, cursor: Option<&Cursor>, priority: Priority) -> Result<Page<AccountRecord>, ProviderError> {
        let mut page = self.spoil(self.inner.page_accounts(cursor, priority).await)?;
        if self.makes(Mistake::LosesOne) {
            page.items.pop();
        }
        if self.makes(Mistake::KeepsPages) {
            // Twice, so that fewer accounts show it.
            self.kept.lock().expect("no panic").extend(page.items.iter().cycle().take(page.items.len() * 2).cloned());
        }
        Ok(page)
    }

    async fn find_accounts(&self, by: Search<'_>, priority: Priority) -> Result<Vec<AccountRecord>, ProviderError> {
        let mut found = self.spoil(self.inner.find_accounts(by, priority).await)?;
        if self.makes(Mistake::LosesOne) {
            found.pop();
        }
        if self.makes(Mistake::CallsEveryoneManaged) {
            for record in &mut found {
                record.claim = Some(Claim::Managed);
            }
        }
        Ok(found)
    }

    async fn last_active(&self, account: &AccountId, priority: Priority) -> Result<Option<Timestamp>, ProviderError> {
        self.inner.last_active(account, priority).await
    }

    async fn read_placements(&self, accounts: &[AccountId], priority: Priority) -> Result<Vec<Placement>, ProviderError> {
        let mut read = Vec::new();
        let size = if self.makes(Mistake::ReadsOneByOne) { 1 } else { accounts.len().max(1) };
        for part in accounts.chunks(size) {
            read.extend(self.spoil(self.inner.read_placements(part, priority).await)?);
        }
        if self.makes(Mistake::FailsOnTheMissing) && read.len() < accounts.len() {
            return Err(temporary());
        }
        Ok(read.into_iter().map(|placement| self.placement(placement)).collect())
    }

    async fn read_factors(&self, accounts: &[Holder], priority: Priority) -> Result<Vec<FactorReading>, ProviderError> {
        if self.makes(Mistake::GoesByAddress) {
            let by = |holder: &Holder| holder.email.clone().expect("the check knows addresses");
            let emails: Vec<Email> = accounts.iter().map(by).collect();
            let found = self.inner.find_accounts(Search::Emails(&emails), priority).await?;
            let reading = |holder: &Holder| {
                let record = found.iter().find(|record| record.email == holder.email)?;
                let (factor, begun_at) = (record.factor, record.begun_at);
                Some(FactorReading { account: holder.account.clone(), factor, begun_at, record: None })
            };
            return Ok(accounts.iter().filter_map(reading).collect());
        }
        let mut read = self.spoil(self.inner.read_factors(accounts, priority).await)?;
        if self.makes(Mistake::RemembersFactors) {
            let mut known = self.factors.lock().expect("no panic");
            for reading in &mut read {
                reading.factor = *known.entry(reading.account.clone()).or_insert(reading.factor);
            }
        }
        Ok(read)
    }

    async fn move_accounts(&self, mut order: MoveOrder<'_>) -> Vec<MoveAnswer> {
        let all = |error| vec![MoveAnswer { accounts: order.who.iter().map(|(id, _)| id.clone()).collect(), answer: Err(error) }];
        if self.makes(Mistake::RefusesMany) && order.who.len() > 13 {
            return all(ProviderError::new("sabotage", ErrorClass::PermanentForAccount, Some(400), "too many").not_taken());
        }
        if self.makes(Mistake::BreaksWhenCancelled) && self.broken.swap(true, Ordering::SeqCst) {
            return all(temporary());
        }
        if self.makes(Mistake::Pretends) {
            let accounts = order.who.iter().map(|(id, _)| id.clone()).collect();
            return vec![self.answer(MoveAnswer { accounts, answer: Ok(MoveAccepted::Applied) }, order.to)];
        }
        if self.makes(Mistake::SendsLate) {
            order.send_before += Duration::from_secs(5);
        }
        let answers = self.inner.move_accounts(order).await;
        self.broken.store(false, Ordering::SeqCst);
        answers.into_iter().map(|answer| self.answer(answer, order.to)).collect()
    }

    async fn poll_task(&self, task: &TaskId, priority: Priority) -> Result<Option<TaskReport>, ProviderError> {
        let mut report = self.inner.poll_task(task, priority).await?;
        if let Some(report) = report.as_mut().filter(|_| self.makes(Mistake::SilencesTasks)) {
            (report.failed, report.failures) = (0, Vec::new());
        }
        Ok(report)
    }

    fn reset_instruction(&self, account: &AccountId, email: &Email) -> Option<ResetInstruction> {
        self.inner.reset_instruction(account, email)
    }

    async fn reset_factor(&self, account: &AccountId, email: &Email, priority: Priority) -> Result<Reset, ProviderError> {
        self.inner.reset_factor(account, email, priority).await
    }

    async fn disable(&self, account: &AccountId, reason: &str, priority: Priority) -> Result<(), ProviderError> {
        if self.makes(Mistake::ContainsNobody) {
            return Ok(());
        }
        self.inner.disable(account, reason, priority).await
    }

    async fn enable(&self, account: &AccountId, priority: Priority) -> Result<(), ProviderError> {
        self.inner.enable(account, priority).await
    }

    async fn list_tokens(&self, account: &AccountId, priority: Priority) -> Result<Vec<AccountToken>, ProviderError> {
        self.inner.list_tokens(account, priority).await
    }

    async fn delete_token(&self, account: &AccountId, token: &TokenId, priority: Priority) -> Result<(), ProviderError> {
        if self.makes(Mistake::LeavesTokens) {
            return Ok(());
        }
        self.inner.delete_token(account, token, priority).await
    }

    async fn events_since(
        &self,
        cursor: Option<&Cursor>,
        from: Timestamp,
        priority: Priority,
    ) -> Result<EventPage, ProviderError> {
        let cursor = cursor.filter(|_| !self.makes(Mistake::ForgetsTheCursor));
        self.inner.events_since(cursor, from, priority).await
    }

    async fn may_manage(&self, account: &AccountId, priority: Priority) -> Result<ManageCheck, ProviderError> {
        self.spoil(self.inner.may_manage(account, priority).await)
    }

    async fn presence(&self, accounts: &[AccountId], by: Look, priority: Priority) -> Vec<Sighting> {
        let mut seen = Vec::new();
        let size = if self.makes(Mistake::ReadsOneByOne) { 1 } else { accounts.len().max(1) };
        for part in accounts.chunks(size) {
            seen.extend(self.inner.presence(part, by, priority).await);
        }
        for sighting in &mut seen {
            if self.makes(Mistake::CallsEveryoneManaged) {
                sighting.presence = Ok(Presence::Managed);
            }
            let told = std::mem::replace(&mut sighting.presence, Ok(Presence::Managed));
            sighting.presence = self.spoil(told);
        }
        seen
    }

    async fn self_test(&self, duty: Duty) -> SelfTest {
        self.inner.self_test(duty).await
    }

    async fn key_expiries(&self, priority: Priority) -> Vec<KeyExpiry> {
        self.inner.key_expiries(priority).await
    }
}
