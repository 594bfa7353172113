//! Lends coming in: grants are verified, the account is diagnosed again on facts from one fresh read, and a lease is opened
//! or the id is closed as never lent.

mod built;
pub mod facts;
pub mod grant;
pub mod intake;
pub mod store;

use homeward_chassis::telemetry::TraceContext;
use homeward_types::{Grant, MessageId, Timestamp};

/// A lend as recovery asked for it. The grant is what the message says, not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What the message says that recovery permits.
    pub grant: Grant,
    /// The grant as signed.
    pub signed: Vec<u8>,
    /// Recovery's signature.
    pub signature: Vec<u8>,
    /// Which of recovery's keys.
    pub kid: String,
    /// The message.
    pub message: MessageId,
    /// The message must not take effect after this, if it says so.
    pub expires_at: Option<Timestamp>,
    /// The trace that the lease will belong to.
    pub trace: TraceContext,
}

impl Command {
    /// Whether it came too late, whoever asks.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.grant.not_after <= now || self.expires_at.is_some_and(|expires| expires <= now)
    }
}
