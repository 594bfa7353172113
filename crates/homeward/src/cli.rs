//! The command line: what can be typed, and what it is for.

#[cfg(feature = "demo")]
mod demo;
mod serve;
mod setup;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use homeward_types::{ProofKind, RecoveryId};

use crate::compose::Role;

#[cfg(feature = "demo")]
pub use demo::{Demo, Far, SimulatorArgs, Story};
pub use serve::{KeysCommand, Migrate, MigrateWhat, Serve};
pub use setup::{CheckCommand, CheckProvider, Crosscheck, KeyArgs, SetupAtlassian, SetupCommand};

/// Recovers a lost second factor, and makes sure that the account is put back.
#[derive(Debug, Parser)]
#[command(name = "homeward", version, about, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes:
  0   done
  1   a fault of Homeward's own
  2   the command line makes no sense
  3   refused, or a check found something: the message says why and what to do
  4   something does not answer; the same command can succeed later
  5   no such thing
  6   not known, or not allowed
  7   demo: the story ended, but not everything could be verified
  64  the configuration is wrong; nothing was started";

/// What can be typed.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Play the story: simulator and all services in one process, nothing needed.
    #[cfg(feature = "demo")]
    Demo(Demo),
    /// Run all services in one process, durable under the data directory.
    Up(Settings),
    /// Run one service, on a database server and RabbitMQ.
    Serve(Serve),
    /// Bring tables up to date and declare the broker's queues.
    Migrate(Migrate),
    /// Show public keys that one service must be told of another.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Run the simulated organisation by itself.
    #[cfg(feature = "demo")]
    Simulator(SimulatorArgs),
    /// Walk through a provider's organisation, keys and policies, and write the configuration.
    #[command(subcommand)]
    Setup(SetupCommand),
    /// Try out what is configured, without changing anything.
    #[command(subcommand)]
    Check(CheckCommand),
    /// Compare a managed-accounts export with what the provider says now.
    Crosscheck(Crosscheck),
    /// Check or print the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make a bearer token for a person.
    Token(TokenArgs),
    /// What is asked of a running Homeward.
    #[command(flatten)]
    Ask(Ask),
}

/// What can be asked of a running Homeward.
#[derive(Debug, Subcommand)]
pub enum Ask {
    /// Why can't this account be reset, and what would help?
    Diagnose(Diagnose),
    /// Ask for recoveries.
    Recover(Recover),
    /// Attach proof that the person asking owns the account.
    Prove(Prove),
    /// Approve recoveries.
    Approve(Decide),
    /// Deny recoveries.
    Deny(Decide),
    /// Cancel a recovery; once a lease may exist this means: return now.
    Cancel(Act),
    /// Say that the old factor was removed on the provider's page. Only asks for a read.
    ConfirmReset(One),
    /// End a loan now: one, several, or all.
    ReturnNow(ReturnNow),
    /// Show one recovery with its timeline.
    Show(One),
    /// List recoveries, newest first.
    List(List),
    /// Follow a recovery until it is closed.
    Watch(One),
    /// List leases, or show one.
    Leases(Leases),
    /// How the provider is, as far as lends and returns have shown.
    Provider(AuditArgs),
    /// No new lends, returns go on: the emergency stop.
    Drain(Drain),
    /// Release a lease for ever; needs two operators.
    Release(Act),
    /// List open incidents.
    Incidents(Incidents),
    /// Verify the audit chain.
    Audit(AuditArgs),
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct Settings {
    /// The configuration file.
    #[arg(long, short, env = "HOMEWARD_CONFIG", default_value = "homeward.toml")]
    pub config: PathBuf,
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check it; say what is wrong, where, and what to do.
    Check(ConfigOf),
    /// Print what is in force, defaults included, secrets masked.
    Print(ConfigOf),
    /// Print a documented example.
    Example,
}

/// Which configuration, and as who reads it.
#[derive(Debug, Args)]
pub struct ConfigOf {
    /// As `serve ROLE` reads it: without the secrets of the others, whose files need not be there.
    #[arg(long, value_enum)]
    pub role: Option<Role>,
    /// The configuration.
    #[command(flatten)]
    pub settings: Settings,
}

/// How to make a token.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Write the token into this file (readable by its owner only) instead of printing it.
    #[arg(long)]
    pub file: Option<PathBuf>,
}

/// How to reach Homeward, and how to print.
#[derive(Debug, Args)]
pub struct Reach {
    /// Address of Homeward's gRPC.
    #[arg(long, env = "HOMEWARD_SERVER", default_value = "http://127.0.0.1:7443", global = true)]
    pub server: String,
    /// Whose certificate Homeward must show, PEM; needed with https.
    #[arg(long, env = "HOMEWARD_CA_FILE", global = true)]
    pub ca_file: Option<PathBuf>,
    /// File with your bearer token; the environment variable `HOMEWARD_TOKEN` works too.
    #[arg(long, env = "HOMEWARD_TOKEN_FILE", global = true)]
    pub token_file: Option<PathBuf>,
    /// How to print.
    #[arg(long, short, value_enum, default_value = "text", global = true)]
    pub output: Output,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs: one JSON document, or one a line for streams.
    Json,
}

/// Which organisation.
#[derive(Debug, Args)]
pub struct Where {
    /// The organisation, as the configuration calls it.
    #[arg(long, env = "HOMEWARD_ORGANISATION")]
    pub organisation: String,
    /// How to reach Homeward.
    #[command(flatten)]
    pub reach: Reach,
}

/// Whom to diagnose.
#[derive(Debug, Args)]
pub struct Diagnose {
    /// An e-mail address, an account id, or a name.
    pub account: String,
    /// Where.
    #[command(flatten)]
    pub at: Where,
}

/// Whom to recover.
#[derive(Debug, Args)]
pub struct Recover {
    /// E-mail addresses, account ids or names.
    #[arg(required_unless_present = "file")]
    pub accounts: Vec<String>,
    /// A CSV file with the columns `account` and, if wanted, `reason`.
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// Why, in your words.
    #[arg(long, default_value = "lost second factor")]
    pub reason: String,
    /// A recovery that ended as not lent; its unexpired proof is carried over.
    #[arg(long)]
    pub prefilled_from: Option<RecoveryId>,
    /// Where.
    #[command(flatten)]
    pub at: Where,
}

/// Which proof.
#[derive(Debug, Args)]
pub struct Prove {
    /// The recoveries that it is for.
    #[arg(required = true)]
    pub recoveries: Vec<RecoveryId>,
    /// What kind.
    #[arg(long, value_parser = proof_kind)]
    pub kind: ProofKind,
    /// What was seen or heard.
    #[arg(long)]
    pub evidence: String,
    /// How to reach Homeward.
    #[command(flatten)]
    pub reach: Reach,
}

fn proof_kind(text: &str) -> Result<ProofKind, String> {
    match text {
        "call-back" => Ok(ProofKind::CallBack),
        "manager-vouch" => Ok(ProofKind::ManagerVouch),
        "second-address" => Ok(ProofKind::SecondAddress),
        "vendor" => Ok(ProofKind::Vendor),
        _ => Err("expected call-back, manager-vouch, second-address or vendor".into()),
    }
}

/// What to approve or deny.
#[derive(Debug, Args)]
pub struct Decide {
    /// The recoveries.
    #[arg(required = true)]
    pub recoveries: Vec<RecoveryId>,
    /// Why.
    #[arg(long, default_value = "")]
    pub reason: String,
    /// How to reach Homeward.
    #[command(flatten)]
    pub reach: Reach,
}

/// One recovery and a reason.
#[derive(Debug, Args)]
pub struct Act {
    /// Which.
    pub recovery: RecoveryId,
    /// Why.
    #[arg(long)]
    pub reason: String,
    /// How to reach Homeward.
    #[command(flatten)]
    pub reach: Reach,
}

/// One recovery.
#[derive(Debug, Args)]
pub struct One {
    /// Which.
    pub recovery: RecoveryId,
    /// How to reach Homeward.
    #[command(flatten)]
    pub reach: Reach,
}

/// Which loans to end.
#[derive(Debug, Args)]
pub struct ReturnNow {
    /// The recoveries or leases.
    #[arg(required_unless_present = "all")]
    pub leases: Vec<RecoveryId>,
    /// All open leases of this organisation.
    #[arg(long, value_name = "ORGANISATION", conflicts_with = "leases")]
    pub all: Option<String>,
    /// With --all: only the overdue ones.
    #[arg(long, requires = "all")]
    pub overdue: bool,
    /// Why.
    #[arg(long)]
    pub reason: String,
    /// How to reach Homeward.
    #[command(flatten)]
    pub reach: Reach,
}

/// Which recoveries to list.
#[derive(Debug, Args)]
pub struct List {
    /// Closed ones too.
    #[arg(long)]
    pub all: bool,
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
    /// Where.
    #[command(flatten)]
    pub at: Where,
}

/// Which leases to list.
#[derive(Debug, Args)]
pub struct Leases {
    /// Show this one with its attempts.
    pub lease: Option<RecoveryId>,
    /// Closed ones too.
    #[arg(long)]
    pub all: bool,
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
    /// The organisation, as the configuration calls it.
    #[arg(long, env = "HOMEWARD_ORGANISATION", required_unless_present = "lease")]
    pub organisation: Option<String>,
    /// How to reach Homeward.
    #[command(flatten)]
    pub reach: Reach,
}

/// Whether to drain.
#[derive(Debug, Args)]
pub struct Drain {
    /// End the drain. After a restore from a backup it takes two operators; after one of policy's database, not before every account
    /// was read.
    #[arg(long)]
    pub end: bool,
    /// Why.
    #[arg(long)]
    pub reason: String,
    /// Where.
    #[command(flatten)]
    pub at: Where,
}

/// Which incidents.
#[derive(Debug, Args)]
pub struct Incidents {
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
    /// Where.
    #[command(flatten)]
    pub at: Where,
}

/// Whose audit chain.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Where.
    #[command(flatten)]
    pub at: Where,
}
