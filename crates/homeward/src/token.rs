//! Tokens for persons: made here, kept by them; the configuration holds the hash.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use homeward_chassis::auth::Bearer;

use crate::cli::TokenArgs;
use crate::exit::Failure;

/// Makes a token and says what goes where.
pub fn make(args: &TokenArgs) -> Result<(), Failure> {
    let token = Bearer::generate().context("making a token")?;
    match &args.file {
        Some(file) => {
            write(file, &token)?;
            println!("token        in {}: give it to the person", file.display());
        }
        None => println!("token        {}   (give it to the person; it is not kept)", token.reveal()),
    }
    println!("tokens_sha256 = [\"{}\"]   (goes to the person's entry in homeward.toml)", token.sha256());
    Ok(())
}

/// Writes a token into a new file that only its owner can read.
pub fn write(file: &Path, token: &Bearer) -> Result<(), Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut open = options.open(file).with_context(|| format!("writing {}", file.display()))?;
    writeln!(open, "{}", token.reveal()).with_context(|| format!("writing {}", file.display()))?;
    Ok(())
}
