//! A stage that others have set: a running Homeward, a running simulator, and a place where letters arrive.

use std::path::Path;

use anyhow::Context;
use homeward_chassis::auth::Bearer;
use homeward_chassis::rpc::Peer;

use super::Reach;
use crate::cli::Far;
use crate::demo::mailbox::Mailbox;
use crate::demo::truth::Truth;
use crate::exit::Failure;

/// Finds everything where it was said to be.
pub fn reach(far: &Far) -> Result<Reach, Failure> {
    let homeward = Peer { ca_file: far.ca_file.clone(), ..Peer::plaintext(given(far.server.as_ref(), "--server")?.clone()) };
    let token = |file: Option<&std::path::PathBuf>, option| secret(given(file, option)?);
    let control = secret(given(far.control_token_file.as_ref(), "--control-token-file")?)?;
    Ok(Reach {
        near: None,
        organisation: far.organisation.clone(),
        homeward,
        requester: token(far.token_file.as_ref(), "--token-file")?,
        approver: token(far.approver_token_file.as_ref(), "--approver-token-file")?,
        provider: given(far.simulator.as_ref(), "--simulator")?.trim_end_matches('/').to_owned(),
        truth: Truth::at(given(far.control.as_ref(), "--control")?, control.reveal())?,
        mailbox: Mailbox::at(given(far.letters.as_ref(), "--letters")?)?,
    })
}

fn given<'a, T>(value: Option<&'a T>, option: &str) -> Result<&'a T, Failure> {
    value.ok_or_else(|| {
        Failure::Configuration(format!(
            "demo --remote needs {option} (or its variable, see --help); `deploy/local/homeward.sh up DIR` writes all of them to DIR/env"
        ))
    })
}

fn secret(file: &Path) -> Result<Bearer, Failure> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading the token file {}", file.display()))?;
    Ok(Bearer::new(text.trim()).with_context(|| format!("reading the token in {}", file.display()))?)
}
