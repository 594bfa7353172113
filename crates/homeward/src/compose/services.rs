//! Each service on its ground. One function for each role; who calls them decides how many of them share a process.

use std::collections::BTreeMap;
use std::path::Path;
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
use homeward_recovery::grant::GrantKey;
use homeward_store::Database;
use homeward_types::OrganisationId;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

use super::Role;
use super::ground::{Ground, private_folder};
use crate::exit::Failure;
use crate::settings::{OrganisationSettings, Settings};

/// A service, made and not started yet.
pub enum Service {
    /// See its crate.
    Directory(Directory),
    /// See its crate.
    Policy(Policy),
    /// See its crate.
    Recovery(Recovery),
    /// See its crate.
    Notification(Notification),
    /// See its crate.
    Patrol(Patrol),
}

/// A provider for each organisation.
type Providers = BTreeMap<OrganisationId, Arc<dyn IdentityProvider>>;

impl Service {
    /// Adds its gRPC to a server.
    pub fn add_to(&self, server: Server) -> Server {
        match self {
            Self::Directory(service) => server.add(service.rpc()),
            Self::Policy(service) => server.add(service.rpc()),
            Self::Recovery(service) => server.add(service.rpc()),
            Self::Notification(service) => server.add(service.rpc()),
            Self::Patrol(service) => server.add(service.rpc()),
        }
    }

    /// Starts its loops.
    pub fn spawn(&self, shutdown: &Shutdown) {
        match self {
            Self::Directory(service) => service.spawn(shutdown),
            Self::Policy(service) => service.spawn(shutdown),
            Self::Recovery(service) => service.spawn(shutdown),
            Self::Notification(service) => service.spawn(shutdown),
            Self::Patrol(service) => service.spawn(shutdown),
        }
    }

    /// Makes the service of `role` on its migrated database; `None` for the console, which has none.
    ///
    /// # Errors
    /// Why it cannot start.
    pub async fn make(role: Role, settings: &Settings, ground: &Ground, db: Database) -> Result<Option<Self>, Failure> {
        Ok(Some(match role {
            Role::Directory => Self::Directory(directory(settings, ground, db).await?),
            Role::Policy => Self::Policy(policy(settings, ground, db).await?),
            Role::Recovery => Self::Recovery(recovery(settings, ground, db).await?),
            Role::Notification => Self::Notification(notification(settings, ground, db).await?),
            Role::Patrol => Self::Patrol(patrol(settings, ground, db)?),
            Role::Console => return Ok(None),
        }))
    }
}

async fn recovery(settings: &Settings, ground: &Ground, db: Database) -> Result<Recovery, Failure> {
    let folder = ground.private("recovery")?;
    let sign_in_urls = settings.organisations.iter().map(|o| (o.id.clone(), o.sign_in_url.to_string())).collect();
    let config = homeward_recovery::Config {
        public_url: settings.public_url.to_string(),
        sign_in_urls,
        trace_link: settings.telemetry.trace_link.clone(),
        ..homeward_recovery::Config::default()
    };
    let parts = homeward_recovery::Parts {
        db,
        broker: ground.broker.clone(),
        clock: ground.clock.clone(),
        organisations: ground.organisations.clone(),
        persons: ground.persons.clone(),
        directory: ground.client(Role::Recovery, Role::Directory)?,
        policy: ground.client(Role::Recovery, Role::Policy)?,
        grant_key: grant_key(settings)?,
        checkpoints: folder.join("audit.checkpoints"),
        key_folder: folder,
        config,
    };
    Ok(Recovery::new(parts).await.context("starting recovery")?)
}

async fn directory(settings: &Settings, ground: &Ground, db: Database) -> Result<Directory, Failure> {
    let parts = homeward_directory::Parts {
        db,
        broker: ground.broker.clone(),
        clock: ground.clock.clone(),
        organisations: ground.organisations.clone(),
        providers: providers(settings, ground, |o| o.provider.atlassian(&o.limits))?,
    };
    Ok(Directory::new(parts).await.context("starting directory")?)
}

async fn policy(settings: &Settings, ground: &Ground, db: Database) -> Result<Policy, Failure> {
    let folder = ground.private("policy")?;
    let parts = homeward_policy::Parts {
        db,
        broker: ground.broker.clone(),
        clock: ground.clock.clone(),
        organisations: ground.organisations.clone(),
        providers: providers(settings, ground, |o| o.provider.atlassian(&o.limits))?,
        grant_keys: settings.grants.keys()?,
        opening_log: folder.join("leases.log"),
        checkpoints: folder.join("audit.checkpoints"),
        key_folder: folder,
    };
    Ok(Policy::new(parts).await.context("starting policy")?)
}

async fn notification(settings: &Settings, ground: &Ground, db: Database) -> Result<Notification, Failure> {
    private_folder(&ground.folder)?;
    let made = Notification::new(db, ground.broker.clone(), ground.clock.clone(), &settings.notification, &ground.folder).await;
    Ok(made.context("starting notification")?)
}

fn patrol(settings: &Settings, ground: &Ground, db: Database) -> Result<Patrol, Failure> {
    Ok(Patrol::new(homeward_patrol::Parts {
        db,
        broker: ground.broker.clone(),
        clock: ground.clock.clone(),
        organisations: ground.organisations.clone(),
        providers: providers(settings, ground, |o| o.provider.for_patrol(&o.limits))?,
        policy: ground.client(Role::Patrol, Role::Policy)?,
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

/// Recovery's key for grants: the one of the settings, or one made in its folder the first time.
///
/// # Errors
/// When it is none, or cannot be made.
pub fn grant_key(settings: &Settings) -> Result<GrantKey, Failure> {
    let Some(pem) = &settings.grants.signing_key else {
        let folder = settings.data_dir.join("recovery");
        private_folder(&folder)?;
        return Ok(GrantKey::load_or_create(Path::new(&folder)).context("recovery's key for grants")?);
    };
    let key = PrivatePkcs8KeyDer::from_pem_slice(pem.reveal().as_bytes()).ok();
    let key = key.and_then(|key| GrantKey::from_pkcs8(key.secret_pkcs8_der()));
    key.ok_or_else(|| {
        Failure::Configuration(
            "grants.signing_key is not an Ed25519 key in PKCS #8 form, PEM; `openssl genpkey -algorithm ed25519` makes one"
                .into(),
        )
    })
}
