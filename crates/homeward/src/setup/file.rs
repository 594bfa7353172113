//! The configuration file that the answers make.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context;
use homeward_types::{OrganisationId, TwoStep};

use super::keys::{KeptKey, Keys, folder_of};
use super::policies::Policies;
use crate::cli::SetupAtlassian;
use crate::exit::Failure;
use crate::settings::KeyDetail;

/// Everything that was answered.
pub struct Answers<'a> {
    /// What was given on the command line.
    pub args: &'a SetupAtlassian,
    /// Our short name.
    pub organisation: OrganisationId,
    /// Atlassian's id.
    pub org_id: String,
    /// The keys.
    pub keys: Keys,
    /// The policies.
    pub policies: Policies,
    /// The log's ids for an enrolment.
    pub enrolled: Vec<String>,
}

/// The file's text.
pub fn text(answers: &Answers<'_>) -> String {
    let Answers { args, organisation, org_id, keys, policies, enrolled } = answers;
    let homes: Vec<String> = policies.homes.iter().map(|id| quoted(id.as_str())).collect();
    let mut text = format!(
        "# Written by `homeward setup atlassian`. `homeward config example` shows what else can be set, docs/settings.md explains it.\n\
         # Policies' settings cannot be read by any call: change this file when you change a policy at Atlassian.\n\n\
         [[organisations]]\nid = {}\nrecovery_policy = {}\nhome_policies = [{}]\ndefault_home = {}\nsign_in_url = {}\n\n\
         [organisations.policies]\n",
        quoted(organisation.as_str()),
        quoted(policies.recovery.as_str()),
        homes.join(", "),
        quoted(policies.default_home.as_str()),
        quoted(args.sign_in_url.as_str()),
    );
    for (id, policy) in &policies.all {
        let two_step = match policy.two_step {
            TwoStep::Mandatory => "mandatory",
            TwoStep::Optional => "optional",
            TwoStep::Delegated => "delegated",
        };
        let lives_in =
            policy.factor_lives_in.as_ref().map(|name| format!(", factor_lives_in = {}", quoted(name))).unwrap_or_default();
        line(
            &mut text,
            &format!("{} = {{ name = {}, two_step = \"{two_step}\"{lives_in} }}", quoted(id.as_str()), quoted(&policy.name)),
        );
    }
    line(&mut text, "\n[organisations.provider]\nkind = \"atlassian\"");
    line(&mut text, &format!("base_url = {}", quoted(args.base_url.as_str())));
    line(&mut text, &format!("admin_page_url = {}", quoted(&args.admin_page_url)));
    line(&mut text, &format!("org_id = {}", quoted(org_id)));
    for (setting, key) in
        [("api_key", Some(&keys.main)), ("unscoped_key", keys.unscoped.as_ref()), ("patrol_key", keys.patrol.as_ref())]
    {
        if let Some(KeptKey { file, .. }) = key {
            line(&mut text, &format!("{setting}_file = {}", quoted(&file.display().to_string())));
        }
    }
    if let Some(file) = &args.ca_file {
        line(&mut text, &format!("ca_file = {}", quoted(&file.display().to_string())));
    }
    details(&mut text, keys);
    if !enrolled.is_empty() {
        let ids: Vec<String> = enrolled.iter().map(|id| quoted(id)).collect();
        line(&mut text, &format!("\n[organisations.provider.event_actions]\nfactor_enrolled = [{}]", ids.join(", ")));
    }
    line(&mut text, PEOPLE);
    text
}

const PEOPLE: &str = "
# The people who ask, approve and operate: at least two. `homeward token` makes a token and prints its hash.
# [[persons]]
# id = \"mia\"
# name = \"Mia Berg\"
# email = \"mia.berg@example.com\"
# roles = [\"requester\"]                # requester, approver, operator, auditor
# tokens_sha256 = [\"…\"]";

fn details(text: &mut String, keys: &Keys) {
    let known = |detail: &KeyDetail| {
        let label = detail.label.as_ref().map(|label| format!("label = {}", quoted(label)));
        let expires = detail.expires.map(|day| format!("expires = \"{day}\""));
        let known: Vec<String> = [label, expires].into_iter().flatten().collect();
        (!known.is_empty()).then(|| known.join(", "))
    };
    let details = &keys.details;
    let all = [("api_key", &details.api_key), ("unscoped_key", &details.unscoped_key), ("patrol_key", &details.patrol_key)];
    let lines: Vec<String> =
        all.into_iter().filter_map(|(key, detail)| Some(format!("{key} = {{ {} }}", known(detail)?))).collect();
    if !lines.is_empty() {
        line(text, &format!("\n[organisations.provider.key_details]\n{}", lines.join("\n")));
    }
}

fn line(text: &mut String, line: &str) {
    // Writing into a text cannot fail.
    let _ = writeln!(text, "{line}");
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Refuses to replace a file unless that was asked for.
pub fn check_room(file: &Path, force: bool) -> Result<(), Failure> {
    if file.exists() && !force {
        let why = format!("{} is there already; give --force to replace it. Nothing was written", file.display());
        return Err(Failure::Configuration(why));
    }
    Ok(())
}

/// Writes the file beside where it goes, and puts it there in one step: a crash leaves the old one or the new one.
pub fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let folder = folder_of(file)?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = folder.join(format!(".{name}.{}", std::process::id()));
    let done = std::fs::File::create(&beside)
        .and_then(|mut open| open.write_all(text.as_bytes()).and_then(|()| open.sync_all()))
        .and_then(|()| std::fs::rename(&beside, file));
    Ok(done.with_context(|| format!("writing {}", file.display()))?)
}
