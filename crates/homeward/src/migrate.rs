//! `homeward migrate`: brings tables up to date and declares the broker's topology, with rights that services need not have.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use homeward_store::{Database, StoreError};
use homeward_types::SystemClock;

use crate::cli::{self, MigrateWhat};
use crate::compose::{self, Role};
use crate::exit::Failure;
use crate::settings::Settings;

/// How long a server that does not answer yet is waited for.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two attempts.
const BREATH: Duration = Duration::from_millis(500);

/// Migrates what was asked for; without a name everything.
///
/// # Errors
/// What is wrong with the configuration, what the server refused, or that it does not answer.
pub async fn run(args: &cli::Migrate) -> Result<(), Failure> {
    // Whoever migrates needs no key to a provider.
    let settings = Settings::load_for(Role::Notification, &args.settings.config)?;
    let all = args.what.is_empty() || args.what.contains(&MigrateWhat::All);
    for role in Role::WITH_TABLES {
        if all || args.what.contains(&MigrateWhat::of(role)) {
            tables(&settings, role).await?;
            println!("{role}: tables are up to date");
        }
    }
    if (all && settings.storage.broker.is_some()) || args.what.contains(&MigrateWhat::Broker) {
        topology(settings).await?;
        println!("broker: exchanges and queues are declared");
    }
    Ok(())
}

async fn tables(settings: &Settings, role: Role) -> Result<(), Failure> {
    if settings.storage.database.is_none() {
        compose::private_folder(&settings.data_dir)?;
    }
    let db = opened(settings, role).await.with_context(|| format!("opening {role}'s database"))?;
    db.migrate(&role.migrations()).await.with_context(|| format!("bringing {role}'s tables up to date"))?;
    db.close().await;
    Ok(())
}

async fn opened(settings: &Settings, role: Role) -> Result<Database, StoreError> {
    let began = Instant::now();
    loop {
        match compose::database(&settings.storage, &settings.data_dir, role.name()).await {
            Err(StoreError::Open { .. }) if began.elapsed() < PATIENCE => tokio::time::sleep(BREATH).await,
            outcome => return outcome,
        }
    }
}

async fn topology(mut settings: Settings) -> Result<(), Failure> {
    settings.storage.declare = true;
    let broker = compose::broker(&settings.storage, "homeward-migrate", Arc::new(SystemClock))?;
    let broker = broker.ok_or_else(|| Failure::Configuration("storage.broker is missing: there is nothing to declare".into()))?;
    let began = Instant::now();
    loop {
        match broker.connect().await {
            Ok(()) => return Ok(()),
            Err(_) if began.elapsed() < PATIENCE => tokio::time::sleep(BREATH).await,
            Err(error) => return Err(anyhow::Error::from(error).context("declaring exchanges and queues").into()),
        }
    }
}
