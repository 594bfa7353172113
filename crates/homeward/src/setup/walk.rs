//! The walk: organisation, keys, policies, what cannot be checked, the file, the test.

use std::process::ExitCode;

use homeward_provider::Priority;
use homeward_provider::atlassian::{AtlassianProvider, AtlassianSettings, EventAction};
use homeward_types::{Limits, OrganisationId};
use secrecy::ExposeSecret as _;
use secrecy::SecretString;

use super::ask::Asker;
use super::file::{self, Answers};
use super::keys::Keys;
use super::policies::{self, Finder};
use super::{adapter, export, words};
use crate::check::{self, Tested};
use crate::cli::SetupAtlassian;
use crate::exit::Failure;
use crate::settings::Settings;

/// Runs the walk.
pub async fn run(args: &SetupAtlassian, ask: &mut Asker) -> Result<ExitCode, Failure> {
    file::check_room(&args.config, args.force)?;
    ask.tell(words::WELCOME);
    let organisation = organisation(args, ask)?;
    let org_id = org_id(args, ask)?;
    let keys = Keys::gather(args, organisation.as_str(), ask)?;
    keys.check_room(args.force)?;
    let provider = adapter(settings(args, &org_id, &keys))?;
    let named = named(args, ask, &provider).await?;
    let mut finder = Finder::survey(&provider, &named, ask).await?;
    let policies = policies::gather(args, ask, &mut finder).await?;
    ask.tell(&policies::checked(&policies, &finder));
    ask.tell(words::CANNOT_CHECK);
    if !ask.confirm("Is each of these as it should be?")? {
        return Err(Failure::Configuration("what cannot be checked was not confirmed. Nothing was written".into()));
    }
    let enrolled = enrolled(args, ask, &provider).await?;
    let answers = Answers { args, organisation, org_id, keys, policies, enrolled };
    answers.keys.write(args.force)?;
    file::write(&args.config, &file::text(&answers))?;
    finish(args, ask).await
}

/// The file is there: it must be one that every other command takes, and then it is tried out.
async fn finish(args: &SetupAtlassian, ask: &Asker) -> Result<ExitCode, Failure> {
    let settings = Settings::load(&args.config)?;
    settings.organisations()?;
    settings.check()?;
    ask.tell(&format!("\n{} is written. Trying the keys out; nothing is changed at Atlassian.\n", args.config.display()));
    let mut tested = Vec::new();
    for organisation in &settings.organisations {
        tested.push(Tested::of(organisation).await?);
    }
    check::print(&tested, args.output)?;
    ask.tell(words::LATER);
    ask.tell("Next: add the people to the file, then `homeward config check` and `homeward up`.");
    Ok(check::exit_code(&tested))
}

fn organisation(args: &SetupAtlassian, ask: &mut Asker) -> Result<OrganisationId, Failure> {
    if let Some(organisation) = &args.organisation {
        return Ok(organisation.clone());
    }
    loop {
        let answer = ask.ask("Your short name for the organisation, like acme", None, "--organisation")?;
        match answer.parse() {
            Ok(organisation) => return Ok(organisation),
            Err(error) => ask.tell(&format!("  {error}")),
        }
    }
}

fn org_id(args: &SetupAtlassian, ask: &mut Asker) -> Result<String, Failure> {
    if let Some(id) = &args.org_id {
        return Ok(id.clone());
    }
    ask.tell(words::ORGANISATION);
    ask.ask("The organisation's id", None, "--org-id")
}

fn settings(args: &SetupAtlassian, org_id: &str, keys: &Keys) -> AtlassianSettings {
    let limits = Limits::default();
    let copy = |key: &SecretString| SecretString::from(key.expose_secret().to_owned());
    AtlassianSettings {
        base_url: args.base_url.clone(),
        admin_page_url: args.admin_page_url.clone(),
        ca_file: args.ca_file.clone(),
        unscoped_key: keys.unscoped.as_ref().map(|key| copy(&key.value)),
        timeout: limits.client_timeout,
        ..AtlassianSettings::new(org_id, copy(&keys.main.value))
    }
}

/// The adapter for what only lists, from flags and files.
pub fn provider_of(args: &SetupAtlassian, ask: &mut Asker) -> Result<AtlassianProvider, Failure> {
    let org_id = org_id(args, ask)?;
    let organisation = args.organisation.as_ref().map_or("organisation", OrganisationId::as_str);
    let keys = Keys::gather(args, organisation, ask)?;
    adapter(settings(args, &org_id, &keys))
}

async fn named(args: &SetupAtlassian, ask: &Asker, provider: &AtlassianProvider) -> Result<Vec<export::Named>, Failure> {
    let Some(file) = &args.accounts else { return Ok(Vec::new()) };
    let summary = export::read(file, ask)?;
    let named = match export::name(provider, &summary).await {
        Ok(named) => named,
        Err(error) => {
            ask.tell(&format!("The policies' ids could not be read: {error}"));
            export::unnamed(&summary)
        }
    };
    ask.tell(&export::shown(&named));
    Ok(named)
}

/// Runs `homeward setup atlassian --actions`.
pub async fn actions(args: &SetupAtlassian, ask: &mut Asker) -> Result<ExitCode, Failure> {
    let provider = provider_of(args, ask)?;
    let actions = provider.event_actions(Priority::Lend).await;
    let actions = actions.map_err(|error| Failure::Configuration(format!("the log's actions cannot be read: {error}")))?;
    for EventAction { id, display_name } in &actions {
        anstream::println!("{id}\t{display_name}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The log's ids for an enrolment: never guessed, because a wrong one would be wrong evidence.
async fn enrolled(args: &SetupAtlassian, ask: &mut Asker, provider: &AtlassianProvider) -> Result<Vec<String>, Failure> {
    if !args.event_enrolled.is_empty() || !ask.asks() {
        return Ok(args.event_enrolled.clone());
    }
    let actions = match provider.event_actions(Priority::Lend).await {
        Ok(actions) => actions,
        Err(error) => {
            ask.tell(&format!("The audit log's actions cannot be read, so reads alone are evidence: {error}"));
            return Ok(Vec::new());
        }
    };
    let about = |action: &&EventAction| {
        let name = action.display_name.to_lowercase();
        name.contains("two-step") || name.contains("two step") || name.contains("2sv") || action.id.contains("twosv")
    };
    ask.tell("\nActions of the audit log that seem to be about two-step verification:");
    for action in actions.iter().filter(about) {
        ask.tell(&format!("  {}  {}", action.id, action.display_name));
    }
    loop {
        let question = "The id that means: a user set up two-step verification; empty if none does for certain";
        let Some(id) = ask.optional(question, None, "--event-enrolled")? else { return Ok(Vec::new()) };
        if actions.iter().any(|action| action.id == id) {
            return Ok(vec![id]);
        }
        ask.tell("  the log has no such action");
    }
}
