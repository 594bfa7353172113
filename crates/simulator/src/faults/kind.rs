//! The kinds of faults, and which requests a fault meets: plain data, written as JSON on the control side.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::organisation::drift::Drift;
use crate::organisation::moves::Says;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// 429, in the shape of the API asked.
    TooManyRequests,
    /// A 5xx in the shape of the API asked; nothing was done.
    ServerError {
        /// The status, from 500 to 599. Default 500.
        #[serde(default = "server_error")]
        status: u16,
    },
    /// The answer takes this much longer.
    Slow {
        /// Milliseconds.
        by_ms: u64,
    },
    /// The connection is cut and nothing was done.
    CutBefore,
    /// Everything is done, and the connection is cut instead of an answer.
    CutAfter,
    /// Everything is done, and no answer comes for so long; then the connection is cut.
    AppliedTimedOut {
        /// Milliseconds until the cut. Default 120 000, longer than any client waits.
        #[serde(default = "two_minutes")]
        after_ms: u64,
    },
    /// `add-users` is accepted with a task and never takes effect.
    NeverApplied {
        /// What the task says meanwhile.
        #[serde(default)]
        says: Says,
    },
    /// `add-users` is accepted with a task and takes effect this much later.
    AppliedLate {
        /// Milliseconds.
        by_ms: u64,
        /// What the task says meanwhile.
        #[serde(default)]
        says: Says,
    },
    /// `add-users` fails for a part of its users.
    PartialBatch {
        /// For these, named by account id or address; none named: for the first, the third and so on.
        #[serde(default)]
        only: Vec<String>,
    },
    /// A read shows what was true this long ago.
    StaleRead {
        /// Milliseconds.
        by_ms: u64,
    },
    /// An error in a shape that this API does not document.
    WrongShape {
        /// The status. Default 403.
        #[serde(default = "forbidden")]
        status: u16,
    },
    /// An error without a body.
    EmptyBody {
        /// The status. Default 503.
        #[serde(default = "unavailable")]
        status: u16,
    },
    /// A page for people where JSON should be; nothing was done.
    Html {
        /// The status. Default 200.
        #[serde(default = "ok")]
        status: u16,
    },
    /// Everything is done, and the answer's JSON breaks off in the middle.
    TruncatedJson,
    /// 401, as if the key had been revoked.
    RevokedKey,
    /// Just before the call is done, an account changes behind the caller's back: addresses swapped in mid-call,
    /// a deletion between two calls.
    Meanwhile {
        /// The account that changes (not necessarily one that the request names).
        account: String,
        /// How.
        drift: Drift,
    },
    /// Nobody answers: every connection is cut before anything is done.
    Outage,
}

const fn server_error() -> u16 {
    500
}
const fn two_minutes() -> u64 {
    120_000
}
const fn forbidden() -> u16 {
    403
}
const fn unavailable() -> u16 {
    503
}
const fn ok() -> u16 {
    200
}

/// One fault, and which requests it meets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub what: FaultKind,
    /// A pattern over `METHOD /path`; `*` stands for anything, matched anywhere. Default: every request.
    #[serde(default)]
    pub path: String,
    /// Only requests that name this account, by its id or its present address, in the path or the body.
    #[serde(default)]
    pub account: Option<String>,
    /// Only requests with the key of this label.
    #[serde(default)]
    pub key: Option<String>,
    /// How many requests that match pass unharmed first. Default 0.
    #[serde(default)]
    pub skip: u64,
    /// How often it fires before it is spent. Default: without end.
    #[serde(default)]
    pub count: Option<u64>,
    /// How likely each request that matches is to be met. Default 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// Starts so many milliseconds after it was set. Default: at once.
    #[serde(default)]
    pub from_ms: u64,
    /// Lasts so many milliseconds from its start. Default: without end.
    #[serde(default)]
    pub for_ms: Option<u64>,
}

const fn always() -> f64 {
    1.0
}

impl Fault {
    /// A fault that meets every request whose `METHOD /path` matches, without end.
    pub fn on(path: &str, what: FaultKind) -> Self {
        Self {
            what,
            path: path.into(),
            account: None,
            key: None,
            skip: 0,
            count: None,
            probability: 1.0,
            from_ms: 0,
            for_ms: None,
        }
    }

    /// The same, spent after `count` times.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self { count: Some(count), ..self }
    }

    /// The same, only for requests that name this account.
    #[must_use]
    pub fn for_account(self, account: &str) -> Self {
        Self { account: Some(account.into()), ..self }
    }

    /// The same, met by chance.
    #[must_use]
    pub fn with_probability(self, probability: f64) -> Self {
        Self { probability, ..self }
    }

    /// The same, for a window of time from now.
    #[must_use]
    pub fn lasting(self, window: Duration) -> Self {
        Self { for_ms: Some(u64::try_from(window.as_millis()).unwrap_or(u64::MAX)), ..self }
    }

    /// The chaos profile: every kind of fault that comes and goes, each met with `probability`. `late` bounds how late
    /// an effect may be and how old a read; delays of answers are at most a tenth of it.
    pub fn chaos(probability: f64, late: Duration) -> Vec<Self> {
        let by_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
        let moves = "POST *add-users";
        let everywhere = [
            FaultKind::TooManyRequests,
            FaultKind::ServerError { status: 500 },
            FaultKind::ServerError { status: 503 },
            FaultKind::Slow { by_ms: by_ms / 10 },
            FaultKind::CutBefore,
            FaultKind::CutAfter,
            FaultKind::WrongShape { status: 500 },
            FaultKind::EmptyBody { status: 502 },
            FaultKind::Html { status: 200 },
            FaultKind::TruncatedJson,
        ];
        let of_moves = [
            FaultKind::NeverApplied { says: Says::Running },
            FaultKind::NeverApplied { says: Says::Success },
            FaultKind::AppliedLate { by_ms, says: Says::Running },
            FaultKind::AppliedLate { by_ms, says: Says::Success },
            FaultKind::PartialBatch { only: Vec::new() },
        ];
        let reads = ["POST *bulk-fetch", "POST *users/search"];
        let all = everywhere.map(|what| Self::on("", what)).into_iter();
        let all = all.chain(of_moves.map(|what| Self::on(moves, what)));
        let all = all.chain(reads.map(|path| Self::on(path, FaultKind::StaleRead { by_ms })));
        all.map(|fault| fault.with_probability(probability)).collect()
    }
}
