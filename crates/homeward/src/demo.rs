//! The demo: the story, played through public interfaces only, and verified.

mod mailbox;
mod people;
mod stage;
mod story;
mod timeline;
mod truth;
mod verdict;

use std::process::ExitCode;

use anyhow::Context;
use homeward_chassis::telemetry::{self, TelemetryConfig};

use crate::cli::{Demo, Story};
use crate::exit::{Failure, NOT_VERIFIED};

use stage::{Near, Stage};
use timeline::Timeline;
use verdict::Verdict;

/// Plays the story and prints the report. Success only if everything was verified.
pub async fn run(demo: Demo) -> Result<ExitCode, Failure> {
    // Trace ids are real; what is logged is only what would need a person.
    let telemetry = TelemetryConfig { log_filter: "error".into(), ..TelemetryConfig::default() };
    let guard = telemetry::init(&telemetry, "homeward-demo").context("setting up telemetry")?;
    let timeline = Timeline::begin();
    let stage = Stage::set(&demo, timeline.clone()).await?;
    let accounts = stage.before.accounts.len();
    timeline.headline(&format!("{} ({accounts} accounts, {} in trouble)", title(&demo), demo.recoveries.max(1)));
    let played = story::play(&stage, &demo).await?;
    let verdict = Verdict::of(&stage, &played).await?;
    timeline.headline(&format!("The story took {:.2} s", timeline.elapsed().as_secs_f64()));
    anstream::println!("{}", verdict.report().trim_end());
    if let Some(near) = &stage.near {
        if demo.keep {
            keep(near, &stage.provider).await?;
        }
        near.system.finish().await?;
    }
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

/// Leaves everything running and says how to look around.
async fn keep(near: &Near, provider: &str) -> Result<(), Failure> {
    let file = near.folder.join("help-desk.token");
    crate::token::write(&file, &near.tokens[0])?;
    crate::token::write(&near.folder.join("approver.token"), &near.tokens[1])?;
    anstream::println!(
        "\nStill running; stop with Ctrl-C.\n  console    http://{}  (sign in with the token in {})\n  provider   {}/fake/sign-in\n  \
         command    homeward --help, with HOMEWARD_SERVER=http://{} HOMEWARD_TOKEN_FILE={} HOMEWARD_ORGANISATION={}\n  \
         approver   approver.token lies beside it\n  data       {}",
        near.system.console(),
        file.display(),
        provider,
        near.system.grpc(),
        file.display(),
        stage::ORGANISATION,
        near.folder.display()
    );
    tokio::signal::ctrl_c().await.context("waiting for Ctrl-C")?;
    Ok(())
}
