//! `homeward crosscheck`: an export made by hand against what the API says now, a hundred accounts at a time.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::process::ExitCode;
use std::sync::Arc;

use homeward_provider::atlassian::AtlassianProvider;
use homeward_provider::atlassian::export::{Export, Row, Summary};
use homeward_provider::{AccountRecord, IdentityProvider as _, Priority, ProviderError, Search};
use homeward_types::diagnosis::Claim;
use homeward_types::{AccountId, Email, Factor, Policy, PolicyId, SystemClock};
use serde::Serialize;

use crate::cli::{Crosscheck, Output};
use crate::exit::{Failure, REFUSED};
use crate::settings::{OrganisationSettings, Settings};

/// Rows compared at once: what one search takes.
const BATCH: usize = 100;

/// One thing in which the two differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Difference {
    /// The row's line.
    line: u64,
    /// Whose.
    email: Email,
    /// `missing`, `not_managed`, `policy`, `policy_unknown` or `two_step`.
    what: &'static str,
    /// In the export.
    export: String,
    /// By the API.
    api: String,
}

/// How it went.
#[derive(Debug, Default, Serialize)]
struct Counts {
    compared: u64,
    left_out: u64,
    /// Rows whose two-step word is not understood, or of which the API does not say.
    two_step_unknown: u64,
    differences: BTreeMap<&'static str, u64>,
}

/// Compares.
struct Comparison<'a> {
    settings: &'a OrganisationSettings,
    provider: AtlassianProvider,
    output: Output,
    counts: Counts,
}

/// Runs `homeward crosscheck`.
///
/// # Errors
/// What cannot be read.
pub async fn run(args: Crosscheck) -> Result<ExitCode, Failure> {
    let settings = Settings::load(&args.settings.config)?;
    settings.organisations()?;
    let organisation = choose(&settings, &args)?;
    let provider = AtlassianProvider::new(organisation.provider.atlassian(&organisation.limits), Arc::new(SystemClock))
        .map_err(|error| Failure::Configuration(error.to_string()))?;
    let mut comparison = Comparison { settings: organisation, provider, output: args.output, counts: Counts::default() };
    let wrong = |why: String| Failure::Configuration(format!("{}: {why}", args.file.display()));
    let file = File::open(&args.file).map_err(|error| wrong(error.to_string()))?;
    let (mut summary, mut batch) = (Summary::default(), Vec::with_capacity(BATCH));
    for row in Export::open(file).map_err(|error| wrong(error.to_string()))? {
        match summary.add(row) {
            Ok(row) => batch.push(row),
            Err(bad) => {
                comparison.counts.left_out += 1;
                anstream::eprintln!("{}, line {}: left out: {}", args.file.display(), bad.line, bad.reason);
            }
        }
        if batch.len() == BATCH {
            comparison.compare(std::mem::take(&mut batch)).await?;
        }
    }
    comparison.compare(batch).await?;
    comparison.finish()
}

fn choose<'s>(settings: &'s Settings, args: &Crosscheck) -> Result<&'s OrganisationSettings, Failure> {
    let wanted = args.organisation.as_ref();
    let mut matching = settings.organisations.iter().filter(|o| wanted.is_none_or(|wanted| *wanted == o.id));
    match (matching.next(), matching.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(Failure::Configuration("the configuration has no such organisation".into())),
        (Some(_), Some(_)) => {
            Err(Failure::Configuration("the configuration has several organisations; give --organisation".into()))
        }
    }
}

impl Comparison<'_> {
    async fn compare(&mut self, rows: Vec<Row>) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        let unread = |error: ProviderError| {
            Failure::from(homeward_chassis::rpc::Refused::unavailable(
                "PROVIDER",
                format!("the provider could not be read: {error}"),
                "run the comparison again; `homeward check provider` says what the keys can do",
            ))
        };
        let emails: Vec<Email> = rows.iter().map(|row| row.email.clone()).collect();
        let found = self.provider.find_accounts(Search::Emails(&emails), Priority::Sync).await.map_err(unread)?;
        let accounts: HashMap<&Email, &AccountRecord> =
            found.iter().filter_map(|record| Some((record.email.as_ref()?, record))).collect();
        let ids: Vec<AccountId> = accounts.values().map(|record| record.account.clone()).collect();
        let placements = self.provider.read_placements(&ids, Priority::Sync).await.map_err(unread)?;
        let placed: HashMap<&AccountId, &PolicyId> =
            placements.iter().filter_map(|placement| Some((&placement.account, placement.policy.as_ref()?))).collect();
        let mut told = Vec::new();
        for row in &rows {
            self.counts.compared += 1;
            let record = accounts.get(&row.email).copied();
            let policy = record.and_then(|record| placed.get(&record.account).copied());
            let (differences, unknown) = differences(row, record, policy, &self.settings.policies);
            self.counts.two_step_unknown += u64::from(unknown);
            told.extend(differences);
        }
        for difference in told {
            *self.counts.differences.entry(difference.what).or_default() += 1;
            self.tell(&difference)?;
        }
        Ok(())
    }

    fn tell(&self, difference: &Difference) -> Result<(), Failure> {
        match self.output {
            Output::Json => anstream::println!("{}", serde_json::to_string(difference).map_err(anyhow::Error::from)?),
            Output::Text => anstream::println!(
                "line {}, {}: {}: the export says {}, the API says {}",
                difference.line,
                difference.email,
                difference.what,
                difference.export,
                difference.api
            ),
        }
        Ok(())
    }

    fn finish(self) -> Result<ExitCode, Failure> {
        let counts = &self.counts;
        match self.output {
            Output::Json => anstream::println!("{}", serde_json::to_string(counts).map_err(anyhow::Error::from)?),
            Output::Text => {
                let differ: Vec<String> = counts.differences.iter().map(|(what, count)| format!("{count} {what}")).collect();
                let differ = if differ.is_empty() { "no differences".to_owned() } else { differ.join(", ") };
                anstream::println!(
                    "{} accounts compared, {} rows left out, two-step not comparable for {}: {differ}",
                    counts.compared,
                    counts.left_out,
                    counts.two_step_unknown
                );
            }
        }
        Ok(if counts.differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
    }
}

/// What differs for one account, and whether its two-step state cannot be compared.
fn differences(
    row: &Row,
    record: Option<&AccountRecord>,
    placed: Option<&PolicyId>,
    policies: &BTreeMap<PolicyId, Policy>,
) -> (Vec<Difference>, bool) {
    let differs = |what, export: &str, api: String| {
        let or_nothing = |text: &str| if text.is_empty() { "nothing".to_owned() } else { text.to_owned() };
        Difference { line: row.line, email: row.email.clone(), what, export: or_nothing(export), api }
    };
    let Some(record) = record else {
        return (vec![differs("missing", "that it is managed", "no account with this address".into())], false);
    };
    let mut found = Vec::new();
    if !matches!(record.claim, Some(Claim::Managed)) {
        found.push(differs("not_managed", "that it is managed", "that it is not".into()));
    }
    let configured = placed.and_then(|id| policies.get(id));
    match (placed, configured) {
        (Some(_), Some(policy)) if policy.name.eq_ignore_ascii_case(&row.policy) => {}
        (Some(id), Some(policy)) => found.push(differs("policy", &row.policy, format!("{} ({id})", policy.name))),
        (Some(id), None) => {
            found.push(differs("policy_unknown", &row.policy, format!("{id}, which the configuration does not name")));
        }
        (None, _) => found.push(differs("policy", &row.policy, "no policy".into())),
    }
    let unknown = row.factor == Factor::Unknown || record.factor == Factor::Unknown;
    if !unknown && row.factor != record.factor {
        let word = |factor: Factor| match factor {
            Factor::Enrolled => "on",
            Factor::Absent => "off",
            Factor::Unknown => "unknown",
        };
        found.push(differs("two_step", &row.two_step, word(record.factor).to_owned()));
    }
    (found, unknown)
}
