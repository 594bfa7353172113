//! `homeward check provider`: what the keys can do, tried out without changing anything.

mod offer;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use homeward_chassis::shutdown::Shutdown;
use homeward_provider::atlassian::{AtlassianProvider, AtlassianSettings};
use homeward_provider::{
    Capabilities, Duty, Expiry, IdentityProvider as _, KeyTest, May, ReadOutcome, ReadTest, Reason, SelfTest, ToldBy,
};
use homeward_types::{OrganisationId, SystemClock};
use serde::Serialize;

use crate::cli::{CheckCommand, CheckProvider, Output};
use crate::exit::{Failure, REFUSED, UNREACHABLE};
use crate::settings::{OrganisationSettings, Settings};

/// What was found of one organisation.
#[derive(Debug, Serialize)]
pub struct Tested {
    organisation: OrganisationId,
    /// What the provider offers, limits and tells late, as far as known after the test.
    capabilities: Capabilities,
    /// How far behind reads are taken to be.
    assumed: offer::Assumed,
    /// The keys that find, move and read back.
    recovery: SelfTest,
    /// Patrol's.
    patrol: SelfTest,
    /// Whether everything that is needed works.
    fine: bool,
}

/// Runs `homeward check …`.
///
/// # Errors
/// What is wrong with the configuration.
pub async fn run(command: CheckCommand) -> Result<ExitCode, Failure> {
    let CheckCommand::Provider(CheckProvider { settings, organisation, output }) = command;
    let settings = Settings::load(&settings.config)?;
    settings.organisations()?;
    let mut tested = Vec::new();
    for settings in settings.organisations.iter().filter(|o| organisation.as_ref().is_none_or(|only| *only == o.id)) {
        tested.push(Tested::of(settings).await?);
    }
    if let (true, Some(organisation)) = (tested.is_empty(), organisation) {
        return Err(Failure::Configuration(format!("the configuration has no organisation {organisation}")));
    }
    print(&tested, output)?;
    Ok(exit_code(&tested))
}

impl Tested {
    /// Tries the keys of an organisation.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub async fn of(settings: &OrganisationSettings) -> Result<Self, Failure> {
        let (recovery, capabilities) = test(settings.provider.atlassian(&settings.limits), Duty::Recovery).await?;
        let (patrol, _) = test(settings.provider.for_patrol(&settings.limits), Duty::Patrol).await?;
        let needs_met = |test: &SelfTest| test.missing().is_empty() && test.refused().next().is_none();
        let moves = recovery.notes.iter().all(|note| note.code != "NO_KEY_MOVES");
        let fine = needs_met(&recovery) && needs_met(&patrol) && moves;
        let assumed = offer::Assumed::of(&settings.limits);
        Ok(Self { organisation: settings.id.clone(), capabilities, assumed, recovery, patrol, fine })
    }
}

/// Tries the keys out beside a start, which waits for nothing of it: an account that is out must be brought home. What is wrong
/// is logged; incidents about keys are policy's and patrol's.
pub fn beside_the_start(settings: &Settings, duties: &'static [Duty], shutdown: &Shutdown) {
    let (organisations, stop) = (settings.organisations.clone(), shutdown.token());
    shutdown.run("provider.self_test", async move {
        for settings in &organisations {
            for duty in duties {
                let reach = match duty {
                    Duty::Recovery => settings.provider.atlassian(&settings.limits),
                    Duty::Patrol => settings.provider.for_patrol(&settings.limits),
                };
                let tested = tokio::select! {
                    () = stop.cancelled() => return,
                    tested = test(reach, *duty) => tested,
                };
                if let Ok((test, _)) = tested {
                    log(&settings.id, &test);
                }
            }
        }
    });
}

fn log(organisation: &OrganisationId, test: &SelfTest) {
    for key in test.refused() {
        tracing::error!(%organisation, duty = ?test.duty, key = key.key.setting(), "the provider refuses the key; returns are tried all the same");
    }
    for read in test.missing() {
        tracing::error!(%organisation, duty = ?test.duty, call = read.call, outcome = ?read.outcome, "a read that is needed does not work");
    }
    for note in &test.notes {
        tracing::warn!(%organisation, duty = ?test.duty, code = note.code, "{}", note.sentence);
    }
    for key in &test.keys {
        for write in &key.writes {
            tracing::info!(%organisation, duty = ?test.duty, key = key.key.setting(), call = write.call, may = ?write.may, "a write that was not tried");
        }
    }
}

/// What the test showed, and what the provider offers as far as it is known after it.
async fn test(settings: AtlassianSettings, duty: Duty) -> Result<(SelfTest, Capabilities), Failure> {
    let provider = AtlassianProvider::new(settings, Arc::new(SystemClock));
    let provider = provider.map_err(|error| Failure::Configuration(format!("organisations, provider: {error}")))?;
    let tested = provider.self_test(duty).await;
    Ok((tested, provider.capabilities()))
}

/// 0 if everything that is needed works; 4 if nobody answered; 3 if a key may not.
pub fn exit_code(tested: &[Tested]) -> ExitCode {
    if tested.iter().all(|tested| tested.fine) {
        return ExitCode::SUCCESS;
    }
    let refused = |tested: &Tested| tested.recovery.refused().next().is_some() || tested.patrol.refused().next().is_some();
    if tested.iter().any(refused) {
        return ExitCode::from(REFUSED);
    }
    let missing = tested.iter().filter(|tested| !tested.fine).flat_map(|tested| {
        let of = |test: &SelfTest| test.missing().into_iter().cloned().collect::<Vec<ReadTest>>();
        [of(&tested.recovery), of(&tested.patrol)].concat()
    });
    let silent = |read: ReadTest| match read.outcome {
        ReadOutcome::Failed { .. } | ReadOutcome::NotTried { .. } => true,
        ReadOutcome::Works | ReadOutcome::Refused { .. } => false,
    };
    let missing: Vec<bool> = missing.map(silent).collect();
    let unreachable = !missing.is_empty() && missing.into_iter().all(|silent| silent);
    ExitCode::from(if unreachable { UNREACHABLE } else { REFUSED })
}

/// Prints what was found.
///
/// # Errors
/// It cannot be printed.
pub fn print(tested: &[Tested], output: Output) -> Result<(), Failure> {
    match output {
        Output::Json => anstream::println!("{}", serde_json::to_string(tested).map_err(anyhow::Error::from)?),
        Output::Text => tested.iter().for_each(|tested| anstream::println!("{}", text(tested).trim_end())),
    }
    Ok(())
}

fn text(tested: &Tested) -> String {
    let mut text = String::new();
    for (what, test) in [("recovery", &tested.recovery), ("patrol", &tested.patrol)] {
        for key in &test.keys {
            line(&mut text, &format!("{}, for {what}: {}", tested.organisation, key.key.setting()));
            key_text(&mut text, key);
        }
        for note in &test.notes {
            line(&mut text, &format!("  note {}: {}", note.code, note.sentence));
        }
        for read in test.missing() {
            line(&mut text, &format!("  NEEDED for {what}, and no key was seen to do it: {} ({})", read.call, read.purpose));
        }
    }
    line(&mut text, &format!("{}, what the provider offers:", tested.organisation));
    text.push_str(&offer::text(&tested.capabilities, &tested.assumed));
    let verdict = if tested.fine { "everything that is needed works" } else { "something that is needed does not work" };
    line(&mut text, &format!("{}: {verdict}\n", tested.organisation));
    text
}

fn key_text(text: &mut String, key: &KeyTest) {
    if key.is_refused() {
        line(text, &format!("  the key is refused: {}; {}", Reason::KeyRefused.sentence(), Reason::KeyRefused.remedy()));
    }
    let expires = match &key.expiry {
        Expiry::At { at, told_by: ToldBy::Provider } => format!("{} (Atlassian says so)", at.format("%Y-%m-%d %H:%M UTC")),
        Expiry::At { at, told_by: ToldBy::Configuration } => format!("{} (the configuration says so)", at.format("%Y-%m-%d")),
        Expiry::Unknown { why } => format!("unknown: {why}"),
    };
    line(text, &format!("  expires   {expires}"));
    if let Some(scopes) = &key.scopes {
        line(text, &format!("  scopes    {}", scopes.join(" ")));
    }
    for read in &key.reads {
        let outcome = match &read.outcome {
            ReadOutcome::Works => "works".to_owned(),
            ReadOutcome::Refused { reason, sentence } => format!("refused   {reason}: {sentence}"),
            ReadOutcome::Failed { reason, sentence } => format!("failed    {reason}: {sentence}"),
            ReadOutcome::NotTried { why } => format!("not tried {why}"),
        };
        let needed = if read.needed { " (needed)" } else { "" };
        line(text, &format!("  read      {}{needed}\n            {}\n            {outcome}", read.purpose, read.call));
    }
    for write in &key.writes {
        let may = match write.may {
            May::Yes => "yes",
            May::Probably => "probably",
            May::No => "no",
            May::Unknown => "unknown",
        };
        let because = &write.because;
        line(
            text,
            &format!("  could write, not tried: {}\n            {}\n            {may}: {because}", write.purpose, write.call),
        );
    }
}

fn line(text: &mut String, line: &str) {
    // Writing into a text cannot fail.
    let _ = writeln!(text, "{line}");
}
