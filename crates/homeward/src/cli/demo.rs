//! What the demo and the simulator are told.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// How the demo is played.
#[derive(Debug, Args)]
pub struct Demo {
    /// Which story.
    #[arg(long, value_enum, default_value = "lost-phone")]
    pub story: Story,
    /// How many recoveries at once.
    #[arg(long, default_value_t = 1)]
    pub recoveries: usize,
    /// How many accounts the organisation has.
    #[arg(long, default_value_t = 849)]
    pub accounts: usize,
    /// Leave everything running afterwards.
    #[arg(long)]
    pub keep: bool,
    /// Use this folder, and leave it behind.
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// Where it is played, if not here.
    #[command(flatten)]
    pub far: Far,
}

/// A Homeward and a simulator that run already; `deploy/local/homeward.sh up DIR` writes all of this to `DIR/env`.
#[derive(Debug, Args)]
#[command(next_help_heading = "With --remote")]
pub struct Far {
    /// Play against a Homeward that runs already.
    #[arg(long, conflicts_with_all = ["keep", "data_dir", "accounts"])]
    pub remote: bool,
    /// Address of Homeward's gRPC: the console's.
    #[arg(long, env = "HOMEWARD_SERVER")]
    pub server: Option<String>,
    /// Whose certificate Homeward must show, PEM; needed with https.
    #[arg(long, env = "HOMEWARD_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// The organisation, as the configuration calls it.
    #[arg(long, env = "HOMEWARD_ORGANISATION", default_value = "northwind")]
    pub organisation: String,
    /// File with a requester's token.
    #[arg(long, env = "HOMEWARD_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// File with an approver's token.
    #[arg(long, env = "HOMEWARD_APPROVER_TOKEN_FILE")]
    pub approver_token_file: Option<PathBuf>,
    /// Where the simulator's API and pages are.
    #[arg(long, env = "HOMEWARD_SIMULATOR")]
    pub simulator: Option<String>,
    /// Where the simulator's control is.
    #[arg(long, env = "HOMEWARD_SIMULATOR_CONTROL")]
    pub control: Option<String>,
    /// File with the control's token.
    #[arg(long, env = "HOMEWARD_SIMULATOR_TOKEN_FILE")]
    pub control_token_file: Option<PathBuf>,
    /// Where letters arrive: the outbox folder, or the address of a Mailpit.
    #[arg(long, env = "HOMEWARD_LETTERS")]
    pub letters: Option<String>,
}

/// The stories that the demo can play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Story {
    /// A lost phone, helped and returned.
    LostPhone,
    /// The story's login loop: mandatory, and nothing to reset.
    LoginLoop,
    /// The user never enrols; the account comes home all the same.
    NeverEnrols,
    /// The provider stops answering while the account is out.
    ProviderDown,
    /// Two people with nearly the same name.
    WrongProfile,
    /// The account is not managed by the organisation.
    NotManaged,
    /// The approver says no.
    Denied,
    /// The requester cancels while the account is out.
    Cancelled,
    /// The owner says "this was not me" while the account is out.
    NotMe,
}

/// How the simulated organisation behaves.
#[derive(Debug, Args)]
pub struct SimulatorArgs {
    /// Where the provider's API and the fake pages listen.
    #[arg(long, default_value = "127.0.0.1:7090")]
    pub listen: SocketAddr,
    /// Where control and ground truth listen.
    #[arg(long, default_value = "127.0.0.1:7091")]
    pub control_listen: SocketAddr,
    /// The token for control; made up and printed when not given.
    #[arg(long, env = "HOMEWARD_SIMULATOR_TOKEN", hide_env_values = true)]
    pub control_token: Option<String>,
    /// A file with that token.
    #[arg(long, env = "HOMEWARD_SIMULATOR_TOKEN_FILE", conflicts_with = "control_token")]
    pub control_token_file: Option<PathBuf>,
    /// How many accounts.
    #[arg(long, default_value_t = 849)]
    pub accounts: usize,
    /// Of these, how many are in the mandatory policy without a factor.
    #[arg(long, default_value_t = 0)]
    pub stranded: usize,
    /// Of these, how many have a factor that is lost.
    #[arg(long, default_value_t = 0)]
    pub lost_phones: usize,
    /// Take the accounts from a managed-accounts CSV export instead.
    #[arg(long)]
    pub csv: Option<PathBuf>,
    /// What everything random is drawn from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Answer at once and never lag: for measuring Homeward, not the provider.
    #[arg(long)]
    pub zero_delay: bool,
    /// As late as the real provider may be; otherwise 600 times faster, which fits the limits profile `short`.
    #[arg(long, conflicts_with = "zero_delay")]
    pub real_time: bool,
}
