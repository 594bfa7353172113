//! Starting a simulator, and holding a running one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::SimulatorConfig;
use crate::control::Info;
use crate::handle::Truth;
use crate::seed::csv::CsvError;
use crate::state::{Sim, State};
use crate::{control, http, people, server};

/// Why a simulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be had.
    #[error("the simulator cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The accounts come from a file that cannot be used.
    #[error(transparent)]
    Csv(#[from] CsvError),
    /// A setting that cannot work.
    #[error("{setting} is {value}; it must be more than 0")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        value: String,
    },
}

/// The simulator, before it runs.
#[derive(Debug, Clone, Copy)]
pub struct Simulator;

/// A running simulator. Dropping it stops it.
pub struct Running {
    /// Where the provider and the people's pages are, for example `http://127.0.0.1:18042`.
    pub provider_url: String,
    /// Where the control side is.
    pub control_url: String,
    /// The control side's bearer token.
    pub control_token: String,
    sim: Sim,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Simulator {
    /// Starts a simulator on the runtime of the caller.
    ///
    /// # Errors
    /// [`StartError`] if a port cannot be had or a setting cannot work.
    pub async fn start(config: SimulatorConfig) -> Result<Running, StartError> {
        check(&config)?;
        let (provider, provider_url) = listen(config.listen).await?;
        let (side, control_url) = listen(config.control_listen).await?;
        let sim: Sim = Arc::new(State::new(&config, (provider_url.clone(), control_url.clone()))?);
        let public = http::router(&sim).merge(people::router(&sim));
        let (stop, stopped) = watch::channel(false);
        let tasks = vec![
            tokio::spawn(server::serve(provider, public, stopped.clone())),
            tokio::spawn(server::serve(side, control::router(&sim), stopped)),
        ];
        Ok(Running { provider_url, control_url, control_token: config.control_token, sim, stop, tasks })
    }
}

fn check(config: &SimulatorConfig) -> Result<(), StartError> {
    if !(config.time_scale > 0.0 && config.time_scale.is_finite()) {
        return Err(StartError::Setting { setting: "time_scale", value: config.time_scale.to_string() });
    }
    if config.rate_window.is_zero() {
        return Err(StartError::Setting { setting: "rate_window", value: "0".into() });
    }
    if config.batch_limit == Some(0) {
        return Err(StartError::Setting { setting: "batch_limit", value: "0".into() });
    }
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<(tokio::net::TcpListener, String), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = server::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, format!("http://{bound}")))
}

impl Running {
    /// The ground truth and the control of this simulator, in this process.
    pub fn truth(&self) -> Truth {
        Truth::new(Arc::clone(&self.sim))
    }

    /// What this simulator is: its addresses, organisation and policies.
    pub fn info(&self) -> Info {
        control::information(&self.sim)
    }

    /// The admin console's page of an account.
    pub fn admin_page(&self, account: &str) -> String {
        format!("{}{}", self.provider_url, people::admin_path(account))
    }

    /// Stops: no new connection is taken, and those that are open are cut.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        for task in self.tasks.drain(..) {
            if let Err(error) = task.await {
                tracing::error!(%error, "the simulator's listener did not end well");
            }
        }
    }
}
