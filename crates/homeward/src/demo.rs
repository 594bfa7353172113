//! The demo: the story, played through public interfaces only, and verified.

mod mailbox;
mod people;
mod stage;
mod story;
mod timeline;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use homeward_chassis::telemetry::{self, TelemetryConfig};

use crate::cli::{Demo, Story};
use crate::exit::{Failure, NOT_VERIFIED};

use stage::Stage;
use timeline::Timeline;
use verdict::Verdict;

/// Plays the story and prints the report. Success only if everything was verified.
pub async fn run(demo: Demo) -> Result<ExitCode, Failure> {
    // Dropped at the end, and with it everything that the demo made, unless it is to be kept.
    let (_temporary, folder) = folder(&demo)?;
    // Trace ids are real; what is logged is only what would need a person.
    let telemetry = TelemetryConfig { log_filter: "error".into(), ..TelemetryConfig::default() };
    let guard = telemetry::init(&telemetry, "homeward-demo").context("setting up telemetry")?;
    let timeline = Timeline::begin();
    timeline.headline(&format!("{} ({} accounts, {} in trouble)", title(&demo), demo.accounts, demo.recoveries.max(1)));
    let stage = Stage::start(&demo, folder, timeline.clone()).await?;
    let played = story::play(&stage, &demo).await?;
    let verdict = Verdict::of(&stage, &played)?;
    timeline.headline(&format!("The story took {:.2} s", timeline.elapsed().as_secs_f64()));
    anstream::println!("{}", verdict.report().trim_end());
    if demo.keep {
        keep(&stage).await?;
    }
    stage.system.finish().await?;
    guard.shutdown().await;
    Ok(if verdict.verified() { ExitCode::SUCCESS } else { ExitCode::from(NOT_VERIFIED) })
}

fn title(demo: &Demo) -> &'static str {
    match demo.story {
        Story::LostPhone => "A lost phone",
        Story::LoginLoop => "The login loop",
        Story::NeverEnrols => "The user who never enrols",
        Story::ProviderDown => "The provider that goes silent",
        Story::WrongProfile => "The wrong profile",
        Story::NotManaged => "The account that is not managed",
        Story::Denied => "The caller who is not believed",
        Story::Cancelled => "The phone that was found",
        Story::NotMe => "This was not me",
    }
}

fn folder(demo: &Demo) -> Result<(Option<tempfile::TempDir>, PathBuf), Failure> {
    if let Some(folder) = &demo.data_dir {
        return Ok((None, folder.clone()));
    }
    let temporary = tempfile::Builder::new().prefix("homeward-demo-").tempdir().context("making a folder for the demo")?;
    if demo.keep {
        return Ok((None, temporary.keep()));
    }
    let path = temporary.path().to_owned();
    Ok((Some(temporary), path))
}

/// Leaves everything running and says how to look around.
async fn keep(stage: &Stage) -> Result<(), Failure> {
    let file = stage.folder.join("help-desk.token");
    crate::token::write(&file, &stage.tokens[0])?;
    crate::token::write(&stage.folder.join("approver.token"), &stage.tokens[1])?;
    anstream::println!(
        "\nStill running; stop with Ctrl-C.\n  console    http://{}  (sign in with the token in {})\n  provider   {}/fake/sign-in\n  \
         command    homeward --help, with HOMEWARD_SERVER=http://{} HOMEWARD_TOKEN_FILE={} HOMEWARD_ORGANISATION={}\n  \
         approver   approver.token lies beside it\n  data       {}",
        stage.system.console(),
        file.display(),
        stage.simulator.provider_url,
        stage.system.grpc(),
        file.display(),
        stage::ORGANISATION,
        stage.folder.display()
    );
    tokio::signal::ctrl_c().await.context("waiting for Ctrl-C")?;
    Ok(())
}
