//! The services of the process, each on its own database, and what they need of one another.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use homeward_chassis::rpc::Server;
use homeward_chassis::shutdown::Shutdown;
use homeward_directory::Directory;
use homeward_notification::Notification;
use homeward_patrol::Patrol;
use homeward_policy::Policy;
use homeward_provider::IdentityProvider;
use homeward_provider::atlassian::{AtlassianProvider, AtlassianSettings};
use homeward_recovery::Recovery;
use homeward_types::OrganisationId;

use super::ground::{Ground, private_folder};
use crate::exit::Failure;
use crate::settings::{OrganisationSettings, Settings};

/// Everything that runs.
pub struct Services {
    directory: Directory,
    policy: Policy,
    recovery: Recovery,
    notification: Notification,
    patrol: Patrol,
}

/// A provider for each organisation.
type Providers = BTreeMap<OrganisationId, Arc<dyn IdentityProvider>>;

impl Services {
    /// Makes every service on its own database, brought up to date.
    pub async fn make(settings: &Settings, ground: &Ground) -> Result<Self, Failure> {
        let recovery = recovery(settings, ground).await?;
        Ok(Self {
            directory: directory(settings, ground).await?,
            policy: policy(settings, ground, recovery.public_key().to_vec()).await?,
            notification: notification(settings, ground).await?,
            patrol: patrol(settings, ground).await?,
            recovery,
        })
    }

    /// All of their gRPC behind one edge.
    pub fn server(&self, ground: &Ground) -> Server {
        Server::new(ground.persons.clone(), homeward_proto::FDS)
            .add(self.directory.rpc())
            .add(self.policy.rpc())
            .add(self.recovery.rpc())
            .add(self.notification.rpc())
            .add(self.patrol.rpc())
    }

    /// Starts all their loops.
    pub fn spawn(&self, shutdown: &Shutdown) {
        self.directory.spawn(shutdown);
        self.policy.spawn(shutdown);
        self.recovery.spawn(shutdown);
        self.notification.spawn(shutdown);
        self.patrol.spawn(shutdown);
    }
}

async fn recovery(settings: &Settings, ground: &Ground) -> Result<Recovery, Failure> {
    let db = ground.database("recovery", &Recovery::migrations()).await?;
    let folder = ground.folder.join("recovery");
    private_folder(&folder)?;
    let sign_in_urls = settings.organisations.iter().map(|o| (o.id.clone(), o.sign_in_url.to_string())).collect();
    let config = homeward_recovery::Config {
        public_url: settings.public_url.to_string(),
        sign_in_urls,
        ..homeward_recovery::Config::default()
    };
    let parts = homeward_recovery::Parts {
        db,
        broker: ground.broker.clone(),
        clock: ground.clock.clone(),
        organisations: ground.organisations.clone(),
        persons: ground.persons.clone(),
        directory: ground.recovery_client(),
        policy: ground.recovery_client(),
        checkpoints: folder.join("audit.checkpoints"),
        key_folder: folder,
        config,
    };
    Ok(Recovery::new(parts).await.context("starting recovery")?)
}

async fn directory(settings: &Settings, ground: &Ground) -> Result<Directory, Failure> {
    let parts = homeward_directory::Parts {
        db: ground.database("directory", &Directory::migrations()).await?,
        broker: ground.broker.clone(),
        clock: ground.clock.clone(),
        organisations: ground.organisations.clone(),
        providers: providers(settings, ground, |o| o.provider.atlassian(&o.limits))?,
    };
    Ok(Directory::new(parts).await.context("starting directory")?)
}

async fn policy(settings: &Settings, ground: &Ground, grant_key: Vec<u8>) -> Result<Policy, Failure> {
    let folder = ground.folder.join("policy");
    private_folder(&folder)?;
    let parts = homeward_policy::Parts {
        db: ground.database("policy", &Policy::migrations()).await?,
        broker: ground.broker.clone(),
        clock: ground.clock.clone(),
        organisations: ground.organisations.clone(),
        providers: providers(settings, ground, |o| o.provider.atlassian(&o.limits))?,
        grant_keys: vec![grant_key],
        opening_log: folder.join("leases.log"),
        checkpoints: folder.join("audit.checkpoints"),
        key_folder: folder,
    };
    Ok(Policy::new(parts).await.context("starting policy")?)
}

async fn notification(settings: &Settings, ground: &Ground) -> Result<Notification, Failure> {
    let db = ground.database("notification", &Notification::migrations()).await?;
    let made = Notification::new(db, ground.broker.clone(), ground.clock.clone(), &settings.notification, &ground.folder).await;
    Ok(made.context("starting notification")?)
}

async fn patrol(settings: &Settings, ground: &Ground) -> Result<Patrol, Failure> {
    Ok(Patrol::new(homeward_patrol::Parts {
        db: ground.database("patrol", &Patrol::migrations()).await?,
        broker: ground.broker.clone(),
        clock: ground.clock.clone(),
        organisations: ground.organisations.clone(),
        providers: providers(settings, ground, |o| o.provider.for_patrol(&o.limits))?,
        policy: ground.patrol_client(),
    }))
}

/// A provider for each organisation, with the key that `reach` chooses.
fn providers(
    settings: &Settings,
    ground: &Ground,
    reach: impl Fn(&OrganisationSettings) -> AtlassianSettings,
) -> Result<Providers, Failure> {
    let provider = |o: &OrganisationSettings| {
        let made = AtlassianProvider::new(reach(o), ground.clock.clone());
        let made: Arc<dyn IdentityProvider> = Arc::new(made.with_context(|| format!("the provider of {}", o.id))?);
        Ok((o.id.clone(), made))
    };
    settings.organisations.iter().map(provider).collect()
}
