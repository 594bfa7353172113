//! What a simulated organisation is like: how large, how late, how strict, and how it settles what is undocumented.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use homeward_types::{Clock, SystemClock};
use serde::{Deserialize, Serialize};

use crate::faults::Fault;
use crate::keys::ApiKey;

/// Everything that can be chosen before a simulator starts.
#[derive(Clone)]
pub struct SimulatorConfig {
    /// Managed accounts, the well-known ones included (and at least these). Default 849, as in the story.
    pub accounts: usize,
    /// Of these, how many are in the mandatory policy without a factor
    /// (addresses: [`crate::well_known::stranded_email`]). Default 0.
    pub stranded: usize,
    /// Of these, how many are in the mandatory policy with a factor that is lost
    /// (addresses: [`crate::well_known::lost_phone_email`]). Default 0.
    pub lost_phones: usize,
    /// Instead of generated accounts: a managed-accounts CSV export. Its rows come after the well-known people,
    /// and `accounts`, `stranded` and `lost_phones` are not used.
    pub csv: Option<PathBuf>,
    /// All chance comes from this number: names, ids, delays, chaos. Default 1.
    pub seed: u64,
    /// Where the provider and the people's pages listen. Port 0 takes a free port between 18000 and 32000,
    /// below those that outgoing connections use. Default `127.0.0.1:0`.
    pub listen: SocketAddr,
    /// Where the control side and the ground truth listen; port 0 as above. Default `127.0.0.1:0`.
    pub control_listen: SocketAddr,
    /// The bearer token of the control side.
    pub control_token: String,
    /// How late everything is. Default [`Lateness::none`].
    pub lateness: Lateness,
    /// Divides every duration of `lateness`: with the limits profile `short` use [`SHORT_PROFILE`]. Default 1.
    pub time_scale: f64,
    /// Requests that a key may make a minute, for each path; the first that matches counts. Default: none.
    pub rate_limits: Vec<RateLimit>,
    /// The length of a rate limit's "minute". Headers have minute precision only when it is a minute or more.
    pub rate_window: Duration,
    /// Most users that one `add-users` call may name; more is a 400. `None`: no limit.
    pub batch_limit: Option<usize>,
    /// What `dateAdded` does.
    pub versions: Versions,
    /// How the simulator settles what the documentation leaves open.
    pub quirks: Quirks,
    /// The organisation's API keys. Default: those of [`crate::well_known::key`].
    pub keys: Vec<ApiKey>,
    /// Faults that are there from the start.
    pub faults: Vec<Fault>,
    /// Where the time comes from. Default: the machine's clock.
    pub clock: Arc<dyn Clock>,
}

/// The time scale that fits the limits profile `short`, which is about 600 times faster than the default.
pub const SHORT_PROFILE: f64 = 600.0;

impl Default for SimulatorConfig {
    fn default() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            accounts: 849,
            stranded: 0,
            lost_phones: 0,
            csv: None,
            seed: 1,
            listen: any,
            control_listen: any,
            control_token: "simulator-control".into(),
            lateness: Lateness::none(),
            time_scale: 1.0,
            rate_limits: Vec::new(),
            rate_window: Duration::from_mins(1),
            batch_limit: None,
            versions: Versions::Fresh,
            quirks: Quirks::default(),
            keys: ApiKey::well_known(),
            faults: Vec::new(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// How late the organisation is. A delay is drawn evenly from its range, each time anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lateness {
    /// From accepting `add-users` to the effect: least and most.
    pub task_delay: (Duration, Duration),
    /// A placement read shows what was true up to this long ago.
    pub read_lag: Duration,
    /// A factor read shows what was true up to this long ago.
    pub factor_lag: Duration,
    /// An audit event shows up to this long after it happened.
    pub event_lag: Duration,
    /// Time that any answer takes: least and most.
    pub answer: (Duration, Duration),
}

impl Lateness {
    /// Effects at once, reads always true. For throughput benches.
    pub const fn none() -> Self {
        let zero = Duration::ZERO;
        Self { task_delay: (zero, zero), read_lag: zero, factor_lag: zero, event_lag: zero, answer: (zero, zero) }
    }

    /// As late as we take the real provider to be; within the product's default limits.
    pub const fn real() -> Self {
        Self {
            task_delay: (Duration::from_millis(600), Duration::from_secs(30)),
            read_lag: Duration::from_secs(30),
            factor_lag: Duration::from_secs(45),
            event_lag: Duration::from_mins(1),
            answer: (Duration::from_millis(150), Duration::from_millis(1_500)),
        }
    }

    /// Every duration divided by `factor` (which must be more than nothing).
    #[must_use]
    pub fn faster(self, factor: f64) -> Self {
        let shrink = |duration: Duration| duration.div_f64(factor);
        Self {
            task_delay: (shrink(self.task_delay.0), shrink(self.task_delay.1)),
            read_lag: shrink(self.read_lag),
            factor_lag: shrink(self.factor_lag),
            event_lag: shrink(self.event_lag),
            answer: (shrink(self.answer.0), shrink(self.answer.1)),
        }
    }
}

/// One rate limit: each key may call each path that matches `path` so often in a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// A pattern over the request's path; `*` stands for anything, also nothing. Matched anywhere in the path.
    pub path: String,
    /// Requests in a window.
    pub per_minute: u32,
}

impl RateLimit {
    /// One limit for every path.
    pub fn everywhere(per_minute: u32) -> Vec<Self> {
        vec![Self { path: String::new(), per_minute }]
    }

    /// The limits that are published: events 10, events-stream 50, last-active dates 200 a minute.
    pub fn published() -> Vec<Self> {
        [("/events-stream", 50), ("/events", 10), ("/last-active-dates", 200)]
            .map(|(path, per_minute)| Self { path: path.into(), per_minute })
            .into()
    }
}

/// What the provider's version of a placement (`dateAdded`) does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Versions {
    /// Every move has a later one than all before.
    Fresh,
    /// Adding an account to a policy that it was in before brings the old one back: a re-add changes nothing.
    KeptOnReAdd,
    /// The field is not there.
    Absent,
}

/// What adding an account to the policy that it is in already means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlreadyMember {
    /// Counted as a success; nothing changes.
    Success,
    /// Counted as a failure; nothing changes.
    Failure,
}

/// What a task read just after the 202 shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstCounters {
    /// All users in progress.
    Running,
    /// All counters zero until the first effect.
    Zero,
    /// No counter at all until the first effect.
    Absent,
}

/// What bulk-fetch says of an id that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownIds {
    /// Leaves it out.
    LeftOut,
    /// Answers the whole call with 404.
    NotFound,
}

/// When the addresses of an `add-users` call are resolved to accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolve {
    /// When the move takes effect: addresses swapped in between move the wrong account.
    AtEffect,
    /// When the call is accepted.
    AtRequest,
}

/// What one address that cannot be moved does to its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadAddress {
    /// It fails alone, in the task.
    FailsAlone,
    /// The whole call is answered with 400 and nothing moves.
    RejectsBatch,
}

/// What can be done with a deactivated account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deactivated {
    /// It can be moved between policies.
    CanMove,
    /// Its move fails in the task.
    CannotMove,
}

/// Which calls without a listed scope a key made with scopes may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnlistedScope {
    /// Any key may call them (User management refuses keys with scopes all the same).
    Allowed,
    /// Keys with scopes are refused.
    Refused,
}

/// What `mfaEnabled` is for an account whose policy delegates to single sign-on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DelegatedFactor {
    /// `false`, as the factor is not here.
    False,
    /// The field is not there.
    LeftOut,
}

/// How the simulator settles what the documentation leaves open. Each choice was made for being the more awkward one
/// that a reader of the documentation must still expect, or the likelier one where both are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// Default: success.
    pub already_member: AlreadyMember,
    /// Default: zero.
    pub first_counters: FirstCounters,
    /// Default: left out.
    pub unknown_ids: UnknownIds,
    /// Default: at the effect.
    pub resolve: Resolve,
    /// Default: fails alone.
    pub bad_address: BadAddress,
    /// Default: can move.
    pub deactivated: Deactivated,
    /// Default: allowed.
    pub unlisted_scope: UnlistedScope,
    /// Default: false.
    pub delegated_factor: DelegatedFactor,
    /// How long a task can be read, in seconds of the simulator's clock. Default one hour.
    pub task_life_seconds: u64,
    /// Whether a 429 carries `Retry-After`, which is not documented. Default: no.
    pub retry_after: bool,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            already_member: AlreadyMember::Success,
            first_counters: FirstCounters::Zero,
            unknown_ids: UnknownIds::LeftOut,
            resolve: Resolve::AtEffect,
            bad_address: BadAddress::FailsAlone,
            deactivated: Deactivated::CanMove,
            unlisted_scope: UnlistedScope::Allowed,
            delegated_factor: DelegatedFactor::False,
            task_life_seconds: 3_600,
            retry_after: false,
        }
    }
}
