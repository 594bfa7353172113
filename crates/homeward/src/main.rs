//! The one binary: command line, `up`, `serve`, `demo`, `simulator`.

mod call;
mod check;
mod cli;
mod compose;
mod crosscheck;
#[cfg(feature = "demo")]
mod demo;
mod exit;
mod keys;
mod migrate;
mod probes;
mod serve;
mod settings;
mod setup;
#[cfg(feature = "demo")]
mod simulate;
mod stop;
mod token;
mod up;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use exit::Failure;

fn main() -> ExitCode {
    // Whatever speaks TLS in this process uses ring; only one provider can be installed, and this is the first line.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(code) => code,
        Err(failure) => {
            anstream::eprintln!("homeward: {failure}");
            failure.exit_code()
        }
    }
}

/// Runs what goes on until it is told to stop.
fn long(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    stop::with_runtime(work).map_err(anyhow::Error::from)?
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    let done = |outcome: Result<(), Failure>| outcome.map(|()| ExitCode::SUCCESS);
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from);
    match command {
        Command::Config(command) => done(settings::command(&command)),
        Command::Setup(command) => runtime()?.block_on(setup::run(command)),
        Command::Check(command) => runtime()?.block_on(check::run(command)),
        Command::Crosscheck(args) => runtime()?.block_on(crosscheck::run(args)),
        Command::Token(args) => done(token::make(&args)),
        #[cfg(feature = "demo")]
        Command::Demo(args) => runtime()?.block_on(demo::run(args)),
        #[cfg(feature = "demo")]
        Command::Simulator(args) => done(runtime()?.block_on(simulate::run(args))),
        Command::Up(args) => done(long(up::run(&args))),
        Command::Serve(args) => done(long(serve::run(&args))),
        Command::Migrate(args) => done(runtime()?.block_on(migrate::run(&args))),
        Command::Keys(command) => done(keys::command(&command)),
        Command::Ask(ask) => runtime()?.block_on(call::run(ask)),
    }
}
