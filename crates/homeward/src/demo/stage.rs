//! Where the stories are played: the simulated organisation, Homeward as shipped, and the people's tools. Both are started for
//! the play, or run elsewhere already; the people cannot tell.

mod far;
mod near;

use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context;
use homeward_chassis::auth::Bearer;
use homeward_chassis::rpc::Peer;
use homeward_simulator::AccountTruth;
use tokio::task::JoinHandle;

use super::mailbox::Mailbox;
use super::people::{Approver, Browser, HelpDesk};
use super::timeline::Timeline;
use super::truth::Truth;
use crate::call::Connection;
use crate::cli::Demo;
use crate::exit::Failure;

pub use near::{Near, ORGANISATION};

/// How long following a timeline may go on after the recovery is closed.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Everything that a story needs.
pub struct Stage {
    /// What was started for the play; `None` when everything runs elsewhere.
    pub near: Option<Near>,
    /// Where the provider's pages are.
    pub provider: String,
    /// The provider's ground truth, for the verdict.
    pub truth: Truth,
    /// Who asks.
    pub help_desk: HelpDesk,
    /// Who approves.
    pub approver: Approver,
    /// Everybody's browser.
    pub browser: Browser,
    /// The letters.
    pub mailbox: Mailbox,
    /// The live timeline.
    pub timeline: Timeline,
    /// All accounts before anything happened.
    pub before: Before,
    following: Mutex<Vec<JoinHandle<Result<(), tonic::Status>>>>,
}

/// The ground truth before anything happened.
pub struct Before {
    /// Every account.
    pub accounts: Vec<AccountTruth>,
    /// The newest line of the provider's own log then.
    pub last_effect: u64,
}

/// How a stage is reached.
struct Reach {
    near: Option<Near>,
    organisation: String,
    homeward: Peer,
    requester: Bearer,
    approver: Bearer,
    provider: String,
    truth: Truth,
    mailbox: Mailbox,
}

impl Stage {
    /// A stage near or far, as was asked for.
    pub async fn set(demo: &Demo, timeline: Timeline) -> Result<Self, Failure> {
        let reach = if demo.far.remote { far::reach(&demo.far)? } else { near::start(demo).await? };
        let last_effect = reach.truth.log(0).await?.last().map_or(0, |effect| effect.number);
        let before = Before { accounts: reach.truth.accounts().await?, last_effect };
        let connect = |token: &Bearer| Connection::to(&reach.homeward, token);
        Ok(Self {
            help_desk: HelpDesk { homeward: connect(&reach.requester)?, organisation: reach.organisation },
            approver: Approver { homeward: connect(&reach.approver)? },
            browser: Browser::new()?,
            near: reach.near,
            provider: reach.provider,
            truth: reach.truth,
            mailbox: reach.mailbox,
            timeline,
            before,
            following: Mutex::default(),
        })
    }

    /// The provider's admin page of an account.
    pub fn admin_page(&self, account: &str) -> String {
        format!("{}/fake/admin/users/{account}", self.provider)
    }

    /// Prints a recovery's timeline from now on.
    pub fn follow(&self, recovery: &str) {
        let following = self.timeline.follow(&self.help_desk.homeward, recovery);
        self.following.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(following);
    }

    /// Waits until the timelines have told everything.
    pub async fn told_all(&self) -> Result<(), Failure> {
        let following = std::mem::take(&mut *self.following.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        for told in following {
            tokio::time::timeout(LAST_WORDS, told)
                .await
                .context("the timeline did not end with the recovery")?
                .map_err(anyhow::Error::from)??;
        }
        Ok(())
    }
}
