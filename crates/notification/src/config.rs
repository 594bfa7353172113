//! How notices are sent.

use std::path::PathBuf;
use std::time::Duration;

use homeward_chassis::config::Secret;
use serde::{Deserialize, Serialize};

/// How notices are sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `file` or `smtp`. Default `file`.
    pub transport: Transport,
    /// Who mails come from. Default `Homeward <homeward@localhost>`.
    pub from: String,
    /// The part of Message-IDs after the `@`. Default `homeward.localhost`.
    pub message_id_domain: String,
    /// With `file`: the folder, one `.eml` file a notice, below `data_dir` unless absolute. Default `outbox`.
    pub outbox: PathBuf,
    /// With `smtp`: the mail server.
    pub smtp: Option<Smtp>,
    /// Notices in one go. Default 200.
    pub batch: usize,
    /// How long a worker has the sole right to send a notice; after that it is taken for dead, and another sends it.
    /// Longer than a batch takes at a slow server. Default 1 min.
    #[serde(with = "humantime_serde")]
    pub claim: Duration,
    /// Tries before a notice counts as failed and becomes an incident. Default 12, which with the waits below is about a day and a half.
    pub tries: u32,
    /// First wait after a failed try; doubles. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub retry: Duration,
    /// Longest wait between two tries. Default 6 h.
    #[serde(with = "humantime_serde")]
    pub retry_max: Duration,
}

/// Where notices go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Into files, for trying out and for air-gapped delivery.
    File,
    /// To a mail server.
    Smtp,
}

/// A mail server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// `smtps://mail.example.com` (TLS from the start), `smtp://mail.example.com?tls=required` (STARTTLS), or plain `smtp://127.0.0.1:1025`.
    pub url: String,
    /// The account, where the server wants one.
    #[serde(default)]
    pub username: Option<String>,
    /// Its password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Connections at once. Default 8.
    #[serde(default = "connections")]
    pub connections: u32,
}

fn connections() -> u32 {
    8
}

impl Default for Config {
    fn default() -> Self {
        Self {
            transport: Transport::File,
            from: "Homeward <homeward@localhost>".into(),
            message_id_domain: "homeward.localhost".into(),
            outbox: "outbox".into(),
            smtp: None,
            batch: 200,
            claim: Duration::from_mins(1),
            tries: 12,
            retry: Duration::from_secs(30),
            retry_max: Duration::from_hours(6),
        }
    }
}
