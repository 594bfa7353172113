//! The Atlassian adapter: exactly the documented calls of the admin APIs, and nothing else.
//!
//! What it cannot do, because there is no call for it: reset a factor (a person does, on the admin page), end sessions, read
//! a policy's settings or members. A move names accounts by e-mail and is only accepted; the placement read proves it.

mod abilities;
mod client;
mod domains;
mod events;
pub mod export;
mod fault;
mod json;
mod keys;
mod manage;
mod moves;
pub mod paths;
mod placements;
mod presence;
mod self_test;
mod settings;
mod users;

use std::sync::Arc;

use async_trait::async_trait;
use homeward_types::{AccountId, Clock, Email, Placement, Timestamp};

use crate::account::{AccountRecord, Cursor, FactorReading, Holder, Page, Search};
use crate::batch::BatchLimit;
use crate::budget::Usage;
use crate::capabilities::Capabilities;
use crate::care::{AccountToken, Look, ManageCheck, Reset, ResetInstruction, Sighting, TokenId};
use crate::error::ProviderError;
use crate::event::EventPage;
use crate::moving::{MoveAnswer, MoveOrder, TaskId, TaskReport};
use crate::port::IdentityProvider;
use crate::priority::Priority;
use crate::self_test::{Duty, KeyExpiry, SelfTest};
use client::Client;
use domains::Domains;

pub use events::EventAction;
pub use settings::{AtlassianSettings, EventActions, SettingsError};

/// One Atlassian organisation.
pub struct AtlassianProvider {
    client: Client,
    move_batch: BatchLimit,
    placement_batch: BatchLimit,
    domains: Domains,
}

impl AtlassianProvider {
    /// Prepares the adapter; calls nothing yet.
    ///
    /// # Errors
    /// The first setting that cannot work, or that this machine cannot do HTTPS.
    pub fn new(settings: AtlassianSettings, clock: Arc<dyn Clock>) -> Result<Self, SettingsError> {
        Ok(Self {
            move_batch: BatchLimit::new(settings.move_batch),
            placement_batch: BatchLimit::new(settings.placement_batch),
            client: Client::new(settings, clock)?,
            domains: Domains::default(),
        })
    }

    /// Calls made and limits known, path by path.
    pub fn usage(&self) -> Vec<Usage> {
        self.client.budget().usage()
    }
}

#[async_trait]
impl IdentityProvider for AtlassianProvider {
    fn capabilities(&self) -> Capabilities {
        self.abilities()
    }

    async fn page_accounts(&self, cursor: Option<&Cursor>, priority: Priority) -> Result<Page<AccountRecord>, ProviderError> {
        Ok(self.managed_page(cursor, priority).await?)
    }

    async fn find_accounts(&self, by: Search<'_>, priority: Priority) -> Result<Vec<AccountRecord>, ProviderError> {
        Ok(self.search(by, priority).await?)
    }

    async fn last_active(&self, account: &AccountId, priority: Priority) -> Result<Option<Timestamp>, ProviderError> {
        Ok(self.activity(account, priority).await?)
    }

    async fn read_placements(&self, accounts: &[AccountId], priority: Priority) -> Result<Vec<Placement>, ProviderError> {
        Ok(self.placements(accounts, priority).await?)
    }

    async fn read_factors(&self, accounts: &[Holder], priority: Priority) -> Result<Vec<FactorReading>, ProviderError> {
        Ok(self.factors(accounts, priority).await?)
    }

    async fn move_accounts(&self, order: MoveOrder<'_>) -> Vec<MoveAnswer> {
        self.order(order).await
    }

    async fn poll_task(&self, task: &TaskId, priority: Priority) -> Result<Option<TaskReport>, ProviderError> {
        Ok(self.task(task, priority).await?)
    }

    fn reset_instruction(&self, account: &AccountId, email: &Email) -> Option<ResetInstruction> {
        // The template was checked when the adapter was made; an account id cannot spoil it.
        let page = self.client.settings().page(Some(account)).ok()?;
        let how = format!(
            "Open the page as an organisation administrator, choose the managed account {email} ({account}) and reset its \
             two-step verification. Nothing needs to be confirmed here: Homeward reads the result from Atlassian. If the page \
             offers no reset, the account has no two-step verification, or is not in the recovery policy yet."
        );
        Some(ResetInstruction { page, how })
    }

    async fn reset_factor(&self, account: &AccountId, email: &Email, _priority: Priority) -> Result<Reset, ProviderError> {
        self.reset_instruction(account, email).map(Reset::Person).ok_or_else(|| {
            let class = crate::error::ErrorClass::PermanentForOrganisation;
            ProviderError::new("reset", class, None, "admin_page_url is no address; correct it in the configuration")
                .because(crate::reason::Reason::SettingWrong)
                .not_taken()
        })
    }

    async fn disable(&self, account: &AccountId, reason: &str, priority: Priority) -> Result<(), ProviderError> {
        Ok(self.set_enabled(account, false, reason, priority).await?)
    }

    async fn enable(&self, account: &AccountId, priority: Priority) -> Result<(), ProviderError> {
        Ok(self.set_enabled(account, true, "", priority).await?)
    }

    async fn list_tokens(&self, account: &AccountId, priority: Priority) -> Result<Vec<AccountToken>, ProviderError> {
        Ok(self.tokens(account, priority).await?)
    }

    async fn delete_token(&self, account: &AccountId, token: &TokenId, priority: Priority) -> Result<(), ProviderError> {
        Ok(self.remove_token(account, token, priority).await?)
    }

    async fn events_since(
        &self,
        cursor: Option<&Cursor>,
        from: Timestamp,
        priority: Priority,
    ) -> Result<EventPage, ProviderError> {
        Ok(self.events(cursor, from, priority).await?)
    }

    async fn may_manage(&self, account: &AccountId, priority: Priority) -> Result<ManageCheck, ProviderError> {
        Ok(self.check(account, priority).await?)
    }

    async fn presence(&self, accounts: &[AccountId], by: Look, priority: Priority) -> Vec<Sighting> {
        self.look(accounts, by, priority).await
    }

    async fn self_test(&self, duty: Duty) -> SelfTest {
        self.try_out(duty).await
    }

    async fn key_expiries(&self, priority: Priority) -> Vec<KeyExpiry> {
        self.expiries(priority).await
    }
}

#[cfg(test)]
mod tests;
