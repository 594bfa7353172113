//! `homeward.toml` for a process under test: the simulated organisation, its people, and the limits of the test.

use std::path::Path;

use anyhow::Context;
use homeward_chassis::auth::Bearer;
use homeward_simulator::well_known::{self, policy};
use homeward_types::Limits;
use toml::{Table, toml};

/// The organisation's short name.
pub const ORGANISATION: &str = "northwind";

/// What differs between tests.
pub struct Plan<'a> {
    /// Where the provider's API and the people's pages are.
    pub provider: &'a str,
    /// Times and caps.
    pub limits: Limits,
    /// Whether requester and approvers have addresses, and so get letters.
    pub staff_letters: bool,
    /// How long a worker has a notice for itself after a crash.
    pub notice_claim: std::time::Duration,
}

/// The tokens of the people who act, made anew for each test.
pub struct Tokens {
    /// Asks.
    pub requester: Bearer,
    /// Approve, and operate.
    pub approvers: [Bearer; 2],
}

impl Tokens {
    /// Fresh ones.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn generate() -> anyhow::Result<Self> {
        let one = || Bearer::generate().context("making a token");
        Ok(Self { requester: one()?, approvers: [one()?, one()?] })
    }
}

/// Writes the settings of a Homeward that keeps everything below `data` to `file`.
///
/// # Errors
/// When it cannot be written.
pub fn write(file: &Path, data: &Path, plan: &Plan<'_>, tokens: &Tokens, ports: [u16; 2]) -> anyhow::Result<()> {
    let [grpc, console] = ports.map(|port| format!("127.0.0.1:{port}"));
    let claim = format!("{}ms", plan.notice_claim.as_millis());
    let mut settings = toml! {
        [telemetry]
        log_filter = "info"
    };
    settings.insert("data_dir".into(), data.display().to_string().into());
    settings.insert("public_url".into(), format!("http://{console}").into());
    settings
        .insert("listen".into(), toml::Value::try_from(serde_json::json!({ "grpc": { "address": grpc }, "console": console }))?);
    settings.insert("notification".into(), toml::Value::try_from(serde_json::json!({ "claim": claim }))?);
    settings.insert("organisations".into(), vec![toml::Value::Table(organisation(plan)?)].into());
    settings.insert("persons".into(), persons(plan, tokens)?);
    std::fs::write(file, toml::to_string(&settings)?).with_context(|| format!("writing {}", file.display()))
}

fn organisation(plan: &Plan<'_>) -> anyhow::Result<Table> {
    let provider = serde_json::json!({
        "kind": "atlassian",
        "base_url": plan.provider,
        "admin_page_url": format!("{}/fake/admin/users/{{account_id}}", plan.provider),
        "org_id": well_known::ORGANISATION,
        "api_key": well_known::key::UNSCOPED,
        "patrol_key": well_known::key::READER,
    });
    let policies = serde_json::json!({
        policy::EVERYONE: { "name": "Everyone", "two_step": "mandatory" },
        policy::ENGINEERING: { "name": "Engineering", "two_step": "mandatory" },
        policy::RECOVERY: { "name": "Recovery", "two_step": "optional" },
        policy::SINGLE_SIGN_ON: { "name": "Single sign-on", "two_step": "delegated", "factor_lives_in": "the identity provider" },
        policy::GUESTS: { "name": "Guests", "two_step": "optional" },
    });
    let organisation = serde_json::json!({
        "id": ORGANISATION,
        "provider": provider,
        "policies": policies,
        "recovery_policy": policy::RECOVERY,
        "home_policies": [policy::EVERYONE, policy::ENGINEERING],
        "default_home": policy::EVERYONE,
        "sign_in_url": format!("{}/fake/sign-in", plan.provider),
        "limits": plan.limits,
    });
    Ok(Table::try_from(organisation)?)
}

fn persons(plan: &Plan<'_>, tokens: &Tokens) -> anyhow::Result<toml::Value> {
    let [first, second] = &tokens.approvers;
    let all = [
        ("hana", "Hana Novak", Some(well_known::HELP_DESK), &["requester"][..], &tokens.requester),
        ("tom", "Tom Riley", Some(well_known::APPROVER), &["approver", "operator"], first),
        ("uma", "Uma Quinn", None, &["approver"], second),
    ];
    let persons = all.map(|(id, name, who, roles, token)| {
        let mut person = serde_json::json!({
            "id": id,
            "name": name,
            "roles": roles,
            "accounts": who.map(|who| who.id).into_iter().collect::<Vec<_>>(),
            "tokens_sha256": [token.sha256()],
        });
        if let Some(who) = who.filter(|_| plan.staff_letters) {
            person["email"] = who.email.into();
        }
        person
    });
    Ok(toml::Value::try_from(persons)?)
}
