//! The export: listed by policy, and compared with what the API says.

use std::fmt::Write as _;

use homeward_simulator::well_known::{self, LOST_PHONE, MIA_BERG, STORY, key, policy};
use homeward_simulator::{Claim, Drift};

use super::stage::Stage;

const HEADINGS: &str = "Name,Email,Last active,Status,Billable,Policy name,Policy type,SAML SSO,Two-step verification";

/// The export as the admin pages would make it now.
fn write_export(stage: &Stage, more: &str) -> String {
    let mut text = format!("{HEADINGS}\n");
    for account in stage.simulator.truth().page(0, usize::MAX).accounts {
        if account.claim == Claim::Managed {
            let two_step = if account.factor { "Enabled" } else { "Not enabled" };
            let policy = account.policy_name.unwrap_or_default();
            let (name, email) = (account.name, account.email);
            writeln!(text, "{name},{email},,Active,Yes,{policy},Local,No,{two_step}").unwrap();
        }
    }
    text.push_str(more);
    let path = stage.path("export.csv");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_listed_by_name_and_with_a_key_by_id() {
    let stage = Stage::new().await;
    let file = write_export(&stage, "broken row\n");
    let ran = stage.run(&["setup", "atlassian", "--accounts", &file, "--list"], &[]).await;
    assert_eq!(ran.status, 0, "{ran:?}");
    let everyone = ran.out.lines().find(|line| line.contains("Everyone")).unwrap();
    assert!(everyone.contains("Enabled") && everyone.contains("Not enabled"), "{everyone}");
    assert!(ran.err.contains("left out: the row has 1 columns"), "{}", ran.err);
    assert!(!ran.out.contains(policy::EVERYONE), "without a key no id is known");

    let [base_url, _] = stage.addresses();
    let key = stage.key_file("k", key::UNSCOPED);
    let arguments = ["setup", "atlassian", "--yes", "--accounts", &file, "--list", &base_url, "--api-key-file", &key];
    let ran = stage.run(&[&arguments[..], &["--org-id", well_known::ORGANISATION]].concat(), &[]).await;
    let everyone = ran.out.lines().find(|line| line.contains("Everyone")).unwrap_or_else(|| panic!("{ran:?}"));
    assert!(everyone.contains(policy::EVERYONE), "{everyone}");
    assert!(!stage.path("homeward.toml").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_may_be_told_by_the_name_that_the_export_has() {
    let stage = Stage::new().await;
    let file = write_export(&stage, "");
    let [base_url, admin_page_url] = stage.addresses();
    let key = stage.key_file("k", key::UNSCOPED);
    let arguments = [
        "setup",
        "atlassian",
        "--accounts",
        &file,
        "--organisation=northwind",
        "--org-id",
        well_known::ORGANISATION,
        "--api-key-file",
        &key,
        "--api-key-expires=2027-05-01",
        &base_url,
        &admin_page_url,
    ];
    // No account is in the recovery policy, so the export does not name it; the homes are told by name.
    let answers = ["", "", policy::RECOVERY, "", "Everyone", "", "engineering", "", "", "", "yes", ""];
    let ran = stage.run(&arguments, &answers).await;
    assert_eq!(ran.status, 0, "{ran:?}");
    let written: toml::Table = stage.text("homeward.toml").parse().unwrap();
    let organisation = &written["organisations"][0];
    assert_eq!(organisation["policies"][policy::EVERYONE]["name"].as_str(), Some("Everyone"));
    assert_eq!(organisation["policies"][policy::ENGINEERING]["name"].as_str(), Some("Engineering"));
    assert!(ran.err.contains("more than one policy is in use"), "{}", ran.err);
    assert!(ran.err.contains("Recovery") && ran.err.contains("not seen"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_from_the_export_is_named_and_nothing_else() {
    let stage = Stage::new().await;
    stage.configured(key::UNSCOPED, None, None).await;
    let more = "Gone,gone@northwind.example,,Active,Yes,Everyone,Local,No,Enabled\nbroken\n";
    let file = write_export(&stage, more);
    let truth = stage.simulator.truth();
    truth.drift(STORY.id, Drift::Move { policy: policy::RECOVERY.into() }).unwrap();
    truth.drift(LOST_PHONE.id, Drift::Factor { enrolled: false, lost: false }).unwrap();
    truth.drift(MIA_BERG.id, Drift::Unclaim {}).unwrap();
    let ran = stage.run(&["crosscheck", "--file", &file, "--output=json"], &[]).await;
    assert_eq!(ran.status, 3, "{ran:?}");
    let lines: Vec<serde_json::Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (counts, differences) = lines.split_last().unwrap();
    let found: Vec<(&str, &str)> = differences
        .iter()
        .map(|difference| (difference["email"].as_str().unwrap(), difference["what"].as_str().unwrap()))
        .filter(|(_, what)| *what != "policy_unknown")
        .collect();
    for expected in [
        (STORY.email, "policy"),
        (LOST_PHONE.email, "two_step"),
        (MIA_BERG.email, "not_managed"),
        ("gone@northwind.example", "missing"),
    ] {
        assert!(found.contains(&expected), "{expected:?} in {found:?}");
    }
    let named: std::collections::BTreeSet<&str> = found.iter().map(|(email, _)| *email).collect();
    assert_eq!(named.len(), 4, "{found:?}");
    assert_eq!(counts["left_out"], 1);
    assert!(counts["compared"].as_u64().unwrap() > 50, "{counts}");

    let ran = stage.run(&["crosscheck", "--file", &file], &[]).await;
    assert!(ran.out.contains("the API says Recovery") && ran.out.contains("accounts compared"), "{}", ran.out);
    assert_eq!(stage.writes(), 0);
}
