//! What happens, as it happens: readable on a terminal, plain in a pipe.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use homeward_proto::recovery::v1::WatchRecoveryRequest;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::call::Connection;

/// Who does what a line tells.
#[derive(Clone, Copy)]
pub enum Who {
    /// A person of the story.
    Person(&'static str),
    /// Homeward.
    Homeward,
}

/// The live timeline. Clones print to the same place.
#[derive(Clone)]
pub struct Timeline {
    began: Instant,
    bar: Arc<Mutex<Option<ProgressBar>>>,
}

impl Timeline {
    /// A timeline that begins now.
    pub fn begin() -> Self {
        Self { began: Instant::now(), bar: Arc::default() }
    }

    /// How long ago it began.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Prints a headline.
    pub fn headline(&self, text: &str) {
        let bold = Style::new().bold();
        self.print(&format!("\n{bold}{text}{bold:#}"));
    }

    /// Prints what somebody did.
    pub fn line(&self, who: Who, text: &str) {
        let (name, style) = match who {
            Who::Person(name) => (name, AnsiColor::Cyan.on_default()),
            Who::Homeward => ("Homeward", AnsiColor::Green.on_default()),
        };
        let dim = Style::new().dimmed();
        self.print(&format!("{dim}{:>7.2} s{dim:#}  {style}{name:<14}{style:#} {text}", self.elapsed().as_secs_f64()));
    }

    /// Shows progress towards `total` on a terminal, nothing in a pipe.
    pub fn expect(&self, what: &'static str, total: usize) {
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(u64::try_from(total).unwrap_or(u64::MAX));
            let style =
                ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style);
            bar.set_message(what);
            *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
        }
    }

    /// Moves the progress on.
    pub fn reached(&self, count: usize) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            bar.set_position(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    /// Takes the progress away.
    pub fn arrived(&self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }

    /// Prints the recovery's own timeline as Homeward streams it, until it is closed.
    pub fn follow(&self, homeward: &Connection, recovery: &str) -> JoinHandle<Result<(), tonic::Status>> {
        let (timeline, mut client) = (self.clone(), homeward.recovery());
        let request = WatchRecoveryRequest { recovery: recovery.to_owned() };
        tokio::spawn(async move {
            let mut stream = client.watch_recovery(request).await?.into_inner();
            while let Some(news) = stream.message().await? {
                if let Some(entry) = news.entry {
                    timeline.line(Who::Homeward, &entry.sentence);
                }
            }
            Ok(())
        })
    }

    fn print(&self, text: &str) {
        match self.bar.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(bar) => bar.suspend(|| anstream::println!("{text}")),
            None => anstream::println!("{text}"),
        }
    }
}
