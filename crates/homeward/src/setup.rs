//! `homeward setup atlassian`: from an administrator's answers to a configuration file that was tried out.

mod ask;
mod export;
mod file;
mod keys;
mod policies;
mod walk;
mod words;

use std::process::ExitCode;

use homeward_provider::atlassian::{AtlassianProvider, AtlassianSettings};
use homeward_types::SystemClock;
use std::sync::Arc;

pub use policies::PolicyAnswer;

use crate::cli::{SetupAtlassian, SetupCommand};
use crate::exit::Failure;

/// Runs `homeward setup …`.
///
/// # Errors
/// What is missing or wrong; nothing was written then.
pub async fn run(command: SetupCommand) -> Result<ExitCode, Failure> {
    let SetupCommand::Atlassian(args) = command;
    atlassian(*args).await
}

async fn atlassian(args: SetupAtlassian) -> Result<ExitCode, Failure> {
    let mut ask = ask::Asker::new(!args.yes);
    if args.list {
        return export::list(&args, &mut ask).await;
    }
    if args.actions {
        return walk::actions(&args, &mut ask).await;
    }
    walk::run(&args, &mut ask).await
}

/// The adapter with what was answered so far.
fn adapter(settings: AtlassianSettings) -> Result<AtlassianProvider, Failure> {
    AtlassianProvider::new(settings, Arc::new(SystemClock)).map_err(|error| Failure::Configuration(error.to_string()))
}
