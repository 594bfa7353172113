//! `homeward keys`: what one process must be told of another's keys.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::cli::KeysCommand;
use crate::compose::{self, Role};
use crate::exit::Failure;
use crate::settings::Settings;

/// Runs `homeward keys …`.
///
/// # Errors
/// What is wrong with the configuration, or why there is no key.
pub fn command(command: &KeysCommand) -> Result<(), Failure> {
    let KeysCommand::Grant(args) = command;
    let key = compose::grant_key(&Settings::load_for(Role::Recovery, &args.config)?)?;
    println!("public key     {}   (goes to grants.public_keys of policy)", BASE64_STANDARD.encode(key.public_key()));
    println!("name           {}   (as policy's log calls it)", key.kid());
    Ok(())
}
