//! Questions on standard error, answers from standard input: a person at a terminal, or a script that writes one line for each.

use std::io::{BufRead, IsTerminal, stdin};

use anyhow::Context;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::exit::Failure;

/// Asks.
pub struct Asker {
    asks: bool,
}

impl Asker {
    /// One that asks, or one that only tells what is missing.
    pub fn new(asks: bool) -> Self {
        Self { asks }
    }

    /// Tells something.
    #[expect(clippy::unused_self, reason = "whoever asks also tells")]
    pub fn tell(&self, text: &str) {
        anstream::eprintln!("{}", text.trim_end());
    }

    /// An answer; the default if the line is empty. `flag` is what would have answered it on the command line.
    pub fn ask(&mut self, question: &str, default: Option<&str>, flag: &str) -> Result<String, Failure> {
        match (self.optional(question, default, flag)?, default) {
            (Some(answer), _) => Ok(answer),
            (None, Some(default)) => Ok(default.to_owned()),
            (None, None) => Err(missing(question, flag)),
        }
    }

    /// An answer, or nothing if the line is empty.
    pub fn optional(&mut self, question: &str, default: Option<&str>, flag: &str) -> Result<Option<String>, Failure> {
        if !self.asks {
            return Ok(default.map(str::to_owned));
        }
        let shown = default.map(|default| format!(" [{default}]")).unwrap_or_default();
        anstream::eprint!("{question}{shown}: ");
        let line = line().context("reading an answer")?;
        match line {
            None => Err(missing(question, flag)),
            Some(line) if line.is_empty() => Ok(default.map(str::to_owned)),
            Some(line) => Ok(Some(line)),
        }
    }

    /// A secret, which a terminal does not show; nothing if the line is empty.
    pub fn secret(&mut self, question: &str, flag: &str) -> Result<Option<String>, Failure> {
        if !self.asks {
            return Ok(None);
        }
        anstream::eprint!("{question} (not shown): ");
        let hidden = Hidden::new().context("hiding what is typed")?;
        let line = line().context("reading a secret")?;
        if hidden.is_some() {
            anstream::eprintln!();
        }
        drop(hidden);
        match line {
            None => Err(missing(question, flag)),
            Some(line) => Ok(Some(line).filter(|line| !line.is_empty())),
        }
    }

    /// Whether a person confirms a statement.
    pub fn confirm(&mut self, statement: &str) -> Result<bool, Failure> {
        if !self.asks {
            return Ok(true);
        }
        let answer = self.ask(&format!("{statement} (yes/no)"), None, "--yes")?;
        Ok(matches!(answer.to_lowercase().as_str(), "yes" | "y"))
    }

    /// Whether questions are asked at all.
    pub fn asks(&self) -> bool {
        self.asks
    }
}

fn line() -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let count = stdin().lock().read_line(&mut line)?;
    Ok((count > 0).then(|| line.trim().to_owned()))
}

fn missing(question: &str, flag: &str) -> Failure {
    Failure::Configuration(format!("no answer to \"{question}\"; give {flag}. Nothing was written"))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden(Termios);

impl Hidden {
    /// `None` if standard input is no terminal.
    fn new() -> std::io::Result<Option<Self>> {
        if !stdin().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Flush, &silent)?;
        Ok(Some(Self(before)))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}
