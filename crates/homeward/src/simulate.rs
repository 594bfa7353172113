//! `homeward simulator`: the simulated organisation as a process of its own.

use anyhow::Context;
use homeward_chassis::auth::Bearer;
use homeward_simulator::{Lateness, SHORT_PROFILE, Simulator, SimulatorConfig};

use crate::cli::SimulatorArgs;
use crate::exit::Failure;

/// Runs until it is told to stop.
pub async fn run(args: SimulatorArgs) -> Result<(), Failure> {
    let made_up = args.control_token.is_none() && args.control_token_file.is_none();
    let control_token = match (args.control_token, args.control_token_file) {
        (Some(token), _) => token,
        (None, Some(file)) => {
            let text =
                std::fs::read_to_string(&file).with_context(|| format!("reading the control token in {}", file.display()))?;
            text.trim_end().to_owned()
        }
        (None, None) => Bearer::generate().context("making a token")?.reveal().to_owned(),
    };
    let config = SimulatorConfig {
        accounts: args.accounts,
        stranded: args.stranded,
        lost_phones: args.lost_phones,
        csv: args.csv,
        seed: args.seed,
        listen: args.listen,
        control_listen: args.control_listen,
        control_token,
        lateness: if args.zero_delay { Lateness::none() } else { Lateness::real() },
        time_scale: if args.real_time { 1.0 } else { SHORT_PROFILE },
        ..SimulatorConfig::default()
    };
    let running = Simulator::start(config).await.context("starting the simulator")?;
    println!("provider       {}", running.provider_url);
    println!("control        {}", running.control_url);
    if made_up {
        println!("control token  {}", running.control_token);
    }
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).context("listening for signals")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("waiting for Ctrl-C")?,
        _ = terminate.recv() => {}
    }
    running.shutdown().await;
    Ok(())
}
