//! What can be typed to set Homeward up with a provider, and to check what is set up.

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{Args, Subcommand};
use homeward_types::{OrganisationId, PolicyId};
use url::Url;

use super::{Output, Settings};
use crate::setup::PolicyAnswer;

/// What can be set up.
#[derive(Debug, Subcommand)]
pub enum SetupCommand {
    /// Walk through an Atlassian organisation's id, keys and policies, and write homeward.toml.
    ///
    /// What is not given here is asked on standard input, one line an answer. Keys are read from files or asked without being
    /// shown, never taken from the command line.
    Atlassian(Box<SetupAtlassian>),
}

/// An Atlassian organisation, as far as it is told on the command line.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct SetupAtlassian {
    /// The configuration file to write.
    #[arg(long, short, env = "HOMEWARD_CONFIG", default_value = "homeward.toml")]
    pub config: PathBuf,
    /// Replace the configuration file, and key files that this command writes.
    #[arg(long)]
    pub force: bool,
    /// Ask nothing; an answer that is missing is an error, and what cannot be checked counts as confirmed.
    #[arg(long)]
    pub yes: bool,
    /// Only list what the export of --accounts holds; write nothing.
    #[arg(long, requires = "accounts", conflicts_with = "actions")]
    pub list: bool,
    /// Only list the audit log's actions, for `event_actions`; write nothing.
    #[arg(long)]
    pub actions: bool,
    /// A managed-accounts export (CSV) of the admin pages: shows policies by name, and helps to find their ids.
    #[arg(long)]
    pub accounts: Option<PathBuf>,
    /// Our short name for the organisation.
    #[arg(long, env = "HOMEWARD_ORGANISATION")]
    pub organisation: Option<OrganisationId>,
    /// Atlassian's id of the organisation.
    #[arg(long)]
    pub org_id: Option<String>,
    /// The API's address.
    #[arg(long, default_value = "https://api.atlassian.com")]
    pub base_url: Url,
    /// A further certificate authority to trust, PEM.
    #[arg(long)]
    pub ca_file: Option<PathBuf>,
    /// The page on which a person resets a factor.
    #[arg(long, default_value = "https://admin.atlassian.com/")]
    pub admin_page_url: String,
    /// Where users sign in.
    #[arg(long, default_value = "https://id.atlassian.com/login")]
    pub sign_in_url: Url,
    /// The keys.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// A policy, as ID=NAME:mandatory, ID=NAME:optional or ID=NAME:delegated:WHERE (the identity provider). Repeat it.
    #[arg(long = "policy", value_name = "ID=NAME:TWO_STEP")]
    pub policies: Vec<PolicyAnswer>,
    /// The id of the optional policy that accounts are lent to.
    #[arg(long)]
    pub recovery_policy: Option<PolicyId>,
    /// The id of a mandatory policy that accounts may be lent from. Repeat it. Default: every mandatory one.
    #[arg(long = "home-policy")]
    pub home_policies: Vec<PolicyId>,
    /// Where an account goes when its home is gone. Default: the first home policy.
    #[arg(long)]
    pub default_home: Option<PolicyId>,
    /// An id of the audit log for "two-step verification was set up"; see --actions. Repeat it.
    #[arg(long = "event-enrolled", value_name = "ACTION")]
    pub event_enrolled: Vec<String>,
    /// How to print what was found.
    #[arg(long, short, value_enum, default_value = "text")]
    pub output: Output,
}

/// Where the keys are, and what is known of them.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// A file that holds the API key. It is named in the configuration and not copied.
    #[arg(long)]
    pub api_key_file: Option<PathBuf>,
    /// A file that holds the key without scopes.
    #[arg(long)]
    pub unscoped_key_file: Option<PathBuf>,
    /// A file that holds patrol's key.
    #[arg(long)]
    pub patrol_key_file: Option<PathBuf>,
    /// The day on which the API key ends.
    #[arg(long)]
    pub api_key_expires: Option<NaiveDate>,
    /// The day on which the key without scopes ends.
    #[arg(long)]
    pub unscoped_key_expires: Option<NaiveDate>,
    /// The day on which patrol's key ends.
    #[arg(long)]
    pub patrol_key_expires: Option<NaiveDate>,
    /// What the API key is called at Atlassian.
    #[arg(long)]
    pub api_key_label: Option<String>,
    /// What the key without scopes is called there.
    #[arg(long)]
    pub unscoped_key_label: Option<String>,
    /// What patrol's key is called there.
    #[arg(long)]
    pub patrol_key_label: Option<String>,
}

/// What can be checked.
#[derive(Debug, Subcommand)]
pub enum CheckCommand {
    /// Make each read of the provider once with each key, and say what each key could write. Writes nothing.
    Provider(CheckProvider),
}

/// Which provider to check.
#[derive(Debug, Args)]
pub struct CheckProvider {
    /// Where the configuration is.
    #[command(flatten)]
    pub settings: Settings,
    /// Only this organisation.
    #[arg(long, env = "HOMEWARD_ORGANISATION")]
    pub organisation: Option<OrganisationId>,
    /// How to print.
    #[arg(long, short, value_enum, default_value = "text")]
    pub output: Output,
}

/// What to compare with what.
#[derive(Debug, Args)]
pub struct Crosscheck {
    /// The managed-accounts export (CSV).
    #[arg(long)]
    pub file: PathBuf,
    /// Where the configuration is.
    #[command(flatten)]
    pub settings: Settings,
    /// The organisation; needed if the configuration has several.
    #[arg(long, env = "HOMEWARD_ORGANISATION")]
    pub organisation: Option<OrganisationId>,
    /// How to print: differences one a line, then the counts.
    #[arg(long, short, value_enum, default_value = "text")]
    pub output: Output,
}
