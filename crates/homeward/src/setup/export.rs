//! The managed-accounts export: its policies by name, how many accounts each has and how they stand, and, with a key, which ids
//! the names belong to.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::Path;
use std::process::ExitCode;

use homeward_provider::atlassian::AtlassianProvider;
use homeward_provider::atlassian::export::{Export, PolicyCount, Summary};
use homeward_provider::{IdentityProvider as _, Priority, ProviderError, Search};
use homeward_types::{AccountId, Email, PolicyId};

use super::ask::Asker;
use crate::call::print::table;
use crate::cli::SetupAtlassian;
use crate::exit::Failure;

/// A policy of the export.
pub struct Named {
    /// Its name.
    pub name: String,
    /// What the export says of it.
    pub count: PolicyCount,
    /// Its id, if reads of some of its accounts agree on one.
    pub id: Option<PolicyId>,
    /// How many of those that were read are in it.
    pub agreeing: usize,
    /// How many were read.
    pub read: usize,
}

/// Reads an export through, and tells of each row that was left out.
pub fn read(file: &Path, ask: &Asker) -> Result<Summary, Failure> {
    let wrong = |why: String| Failure::Configuration(format!("{}: {why}", file.display()));
    let open = File::open(file).map_err(|error| wrong(error.to_string()))?;
    let mut summary = Summary::default();
    for row in Export::open(open).map_err(|error| wrong(error.to_string()))? {
        if let Err(bad) = summary.add(row) {
            ask.tell(&format!("{}, line {}: left out: {}", file.display(), bad.line, bad.reason));
        }
    }
    ask.tell(&format!("{}: {} accounts read, {} rows left out", file.display(), summary.rows, summary.bad));
    Ok(summary)
}

/// The policies of the export without their ids.
pub fn unnamed(summary: &Summary) -> Vec<Named> {
    let of = |(name, count): (&String, &PolicyCount)| Named {
        name: name.clone(),
        count: count.clone(),
        id: None,
        agreeing: 0,
        read: 0,
    };
    summary.policies.iter().filter(|(name, _)| !name.is_empty()).map(of).collect()
}

/// The policies of the export, each with the id that most of the accounts that are looked up agree on.
pub async fn name(provider: &AtlassianProvider, summary: &Summary) -> Result<Vec<Named>, ProviderError> {
    let mut named = unnamed(summary);
    let samples: Vec<Email> = named.iter().flat_map(|policy| policy.count.samples.clone()).collect();
    let found = provider.find_accounts(Search::Emails(&samples), Priority::Lend).await?;
    let accounts: HashMap<Email, AccountId> =
        found.into_iter().filter_map(|record| Some((record.email?, record.account))).collect();
    let ids: Vec<AccountId> = accounts.values().cloned().collect();
    let placements = provider.read_placements(&ids, Priority::Lend).await?;
    let placed: HashMap<AccountId, PolicyId> =
        placements.into_iter().filter_map(|placement| Some((placement.account, placement.policy?))).collect();
    for policy in &mut named {
        let mut votes: BTreeMap<&PolicyId, usize> = BTreeMap::new();
        for id in policy.count.samples.iter().filter_map(|email| placed.get(accounts.get(email)?)) {
            *votes.entry(id).or_default() += 1;
        }
        policy.read = votes.values().sum();
        if let Some((id, count)) = votes.into_iter().max_by_key(|(_, count)| *count)
            && count * 2 > policy.read
        {
            (policy.id, policy.agreeing) = (Some(id.clone()), count);
        }
    }
    Ok(named)
}

/// The policies for people.
pub fn shown(named: &[Named]) -> String {
    let words = |words: &BTreeMap<String, u64>| {
        let words: Vec<String> =
            words.iter().filter(|(word, _)| !word.is_empty()).map(|(word, count)| format!("{word} {count}")).collect();
        if words.is_empty() { "–".to_owned() } else { words.join(", ") }
    };
    let row = |policy: &Named| {
        let id = match &policy.id {
            Some(id) => format!("{id} ({} of {} agree)", policy.agreeing, policy.read),
            None if policy.read > 0 => "accounts disagree".to_owned(),
            None => "–".to_owned(),
        };
        let count = &policy.count;
        [
            policy.name.clone(),
            count.kind.clone(),
            count.accounts.to_string(),
            count.enrolled.to_string(),
            count.absent.to_string(),
            count.unknown.to_string(),
            words(&count.words),
            words(&count.single_sign_on),
            id,
        ]
    };
    let head = ["policy", "type", "accounts", "two-step on", "off", "not understood", "its words", "single sign-on", "id"];
    table(head, named.iter().map(row).collect(), "the export names no policy")
}

/// Runs `homeward setup atlassian --accounts FILE --list`.
pub async fn list(args: &SetupAtlassian, ask: &mut Asker) -> Result<ExitCode, Failure> {
    let file = args.accounts.as_deref().ok_or_else(|| Failure::Configuration("give --accounts".into()))?;
    let summary = read(file, ask)?;
    let named = if args.keys.api_key_file.is_some() && args.org_id.is_some() {
        let provider = super::walk::provider_of(args, ask)?;
        match name(&provider, &summary).await {
            Ok(named) => named,
            Err(error) => {
                ask.tell(&format!("The policies' ids could not be read: {error}"));
                unnamed(&summary)
            }
        }
    } else {
        ask.tell("Without --org-id and --api-key-file the policies' ids are not read.");
        unnamed(&summary)
    };
    anstream::println!("{}", shown(&named));
    Ok(ExitCode::SUCCESS)
}
