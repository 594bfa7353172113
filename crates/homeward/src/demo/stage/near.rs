//! A stage that is set for the play: simulator and Homeward in this process, everything in one folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use homeward_chassis::auth::{Bearer, PersonConfig};
use homeward_chassis::config::Secret;
use homeward_chassis::rpc::Peer;
use homeward_provider::EventActions;
use homeward_simulator::well_known::{self, policy};
use homeward_simulator::{Lateness, Running, SHORT_PROFILE, Simulator, SimulatorConfig};
use homeward_types::{Limits, Policy, Role, Tiers, TwoStep};

use super::Reach;
use crate::cli::{Demo, Story};
use crate::demo::mailbox::Mailbox;
use crate::demo::story::stranded;
use crate::demo::truth::Truth;
use crate::exit::Failure;
use crate::settings::{KeyDetails, OrganisationSettings, ProviderSettings, Settings};
use crate::up::{Doors, System};

/// The organisation's short name in the demo.
pub const ORGANISATION: &str = "northwind";

/// What was started for the play.
pub struct Near {
    /// Homeward.
    pub system: System,
    /// The help desk's and the approver's tokens, for whoever looks around afterwards.
    pub tokens: [Bearer; 2],
    /// Where everything lies.
    pub folder: PathBuf,
    /// How long a lease lasts, in seconds.
    pub lease_seconds: f64,
    /// The provider.
    _simulator: Running,
    /// The folder, if it is to go with the play.
    _temporary: Option<tempfile::TempDir>,
}

/// Starts the simulator and Homeward.
pub async fn start(demo: &Demo) -> Result<Reach, Failure> {
    let (temporary, folder) = folder(demo)?;
    let simulator = simulator(demo).await?;
    let doors = Doors::any().await?;
    let tokens = [token()?, token()?];
    let settings = settings(demo, &simulator, &doors, folder.clone(), &tokens)?;
    let system = System::start(&settings, doors).await?;
    let [requester, approver] = tokens.clone();
    Ok(Reach {
        organisation: ORGANISATION.into(),
        homeward: Peer::plaintext(format!("http://{}", system.grpc())),
        requester,
        approver,
        provider: simulator.provider_url.clone(),
        truth: Truth::at(&simulator.control_url, &simulator.control_token)?,
        mailbox: Mailbox::Folder(folder.join("outbox")),
        near: Some(Near {
            system,
            tokens,
            folder,
            lease_seconds: limits(demo).lease.as_secs_f64(),
            _simulator: simulator,
            _temporary: temporary,
        }),
    })
}

fn folder(demo: &Demo) -> Result<(Option<tempfile::TempDir>, PathBuf), Failure> {
    if let Some(folder) = &demo.data_dir {
        return Ok((None, folder.clone()));
    }
    let temporary = tempfile::Builder::new().prefix("homeward-demo-").tempdir().context("making a folder for the demo")?;
    if demo.keep {
        return Ok((None, temporary.keep()));
    }
    let path = temporary.path().to_owned();
    Ok((Some(temporary), path))
}

fn token() -> Result<Bearer, Failure> {
    Ok(Bearer::generate().context("making a token")?)
}

async fn simulator(demo: &Demo) -> Result<Running, Failure> {
    let many = demo.recoveries > 1;
    let loops = if many { stranded(demo.recoveries) } else { 0 };
    let config = SimulatorConfig {
        accounts: demo.accounts,
        stranded: loops,
        lost_phones: if many { demo.recoveries - loops } else { 0 },
        lateness: Lateness::real(),
        time_scale: SHORT_PROFILE,
        ..SimulatorConfig::default()
    };
    Ok(Simulator::start(config).await.context("starting the simulated organisation")?)
}

/// The limits profile `short`, with a lease that a demo can wait for where the story needs it to end.
fn limits(demo: &Demo) -> Limits {
    let short = Limits::short();
    match demo.story {
        Story::NeverEnrols => Limits { lease: Duration::from_secs(3), useful_window: Duration::from_millis(500), ..short },
        Story::LostPhone
        | Story::LoginLoop
        | Story::ProviderDown
        | Story::WrongProfile
        | Story::NotManaged
        | Story::Denied
        | Story::Cancelled
        | Story::NotMe => short,
    }
}

fn settings(demo: &Demo, simulator: &Running, doors: &Doors, folder: PathBuf, tokens: &[Bearer; 2]) -> Result<Settings, Failure> {
    let url = |text: String| url::Url::parse(&text).with_context(|| format!("{text} is not an address"));
    let [requester, approver] = tokens;
    Ok(Settings {
        data_dir: folder,
        public_url: url(format!("http://{}", doors.console_address()?))?,
        organisations: vec![organisation(demo, simulator, &url)?],
        persons: vec![
            person("hana", "Hana Novak", well_known::HELP_DESK, &[Role::Requester], requester)?,
            person("tom", "Tom Riley", well_known::APPROVER, &[Role::Approver, Role::Operator], approver)?,
        ],
        ..Settings::default()
    })
}

fn person(id: &str, name: &str, who: well_known::Person, roles: &[Role], token: &Bearer) -> Result<PersonConfig, Failure> {
    Ok(PersonConfig {
        id: id.parse().context("a person's id")?,
        name: name.into(),
        email: Some(who.email.parse().context("a person's address")?),
        roles: roles.iter().copied().collect(),
        accounts: BTreeSet::from([who.id.parse().context("a person's account")?]),
        tokens_sha256: vec![token.sha256()],
    })
}

fn organisation(
    demo: &Demo,
    simulator: &Running,
    url: &impl Fn(String) -> anyhow::Result<url::Url>,
) -> anyhow::Result<OrganisationSettings> {
    let id = |text: &str| text.parse::<homeward_types::PolicyId>().context("a policy's id");
    let policy_of = |name: &str, two_step, lives: Option<&str>| Policy {
        name: name.into(),
        two_step,
        factor_lives_in: lives.map(Into::into),
    };
    let policies = BTreeMap::from([
        (id(policy::EVERYONE)?, policy_of("Everyone", TwoStep::Mandatory, None)),
        (id(policy::ENGINEERING)?, policy_of("Engineering", TwoStep::Mandatory, None)),
        (id(policy::RECOVERY)?, policy_of("Recovery", TwoStep::Optional, None)),
        (id(policy::SINGLE_SIGN_ON)?, policy_of("Single sign-on", TwoStep::Delegated, Some("the identity provider"))),
        (id(policy::GUESTS)?, policy_of("Guests", TwoStep::Optional, None)),
    ]);
    Ok(OrganisationSettings {
        id: ORGANISATION.parse().context("the organisation's name")?,
        provider: ProviderSettings::Atlassian {
            base_url: url(simulator.provider_url.clone())?,
            admin_page_url: format!("{}/fake/admin/users/{{account_id}}", simulator.provider_url),
            org_id: well_known::ORGANISATION.into(),
            directory_id: "-".into(),
            api_key: Secret::new(well_known::key::UNSCOPED),
            unscoped_key: None,
            patrol_key: Some(Secret::new(well_known::key::READER)),
            key_details: KeyDetails::default(),
            ca_file: None,
            event_actions: EventActions::default(),
        },
        policies,
        recovery_policy: id(policy::RECOVERY)?,
        home_policies: BTreeSet::from([id(policy::EVERYONE)?, id(policy::ENGINEERING)?]),
        default_home: id(policy::EVERYONE)?,
        sign_in_url: url(format!("{}/fake/sign-in", simulator.provider_url))?,
        tiers: Tiers::default(),
        limits: limits(demo),
    })
}
