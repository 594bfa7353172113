//! The walk from the first question to a configuration that works.

use std::os::unix::fs::PermissionsExt as _;

use homeward_simulator::well_known::{self, key, policy};
use serde_json::Value;

use super::stage::Stage;

/// Every question answered, two of them wrongly at first.
const ANSWERS: &[&str] = &[
    "northwind",
    well_known::ORGANISATION,
    key::SCOPED,
    key::UNSCOPED,
    key::READER,
    "2027-05-01",
    "",
    "next year",
    "2027-06-01",
    // The recovery policy, by its id; the names as proposed.
    policy::RECOVERY,
    "",
    // A home policy by somebody in it, first with a mistake.
    "nobody@northwind.example",
    "sam.okafor@northwind.example",
    "",
    policy::ENGINEERING,
    "Engineering",
    "",
    policy::SINGLE_SIGN_ON,
    "",
    "Okta",
    "",
    // Everything that cannot be checked was looked at.
    "yes",
    "user.2fa_enabled",
    "twosv_enabled_by_user",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_is_led_to_a_configuration_that_works() {
    let stage = Stage::new().await;
    let [base_url, admin_page_url] = stage.addresses();
    let ran = stage.run(&["setup", "atlassian", &base_url, &admin_page_url], ANSWERS).await;
    assert_eq!(ran.status, 0, "{ran:?}");
    for told in [
        "cannot check",
        "Two-step verification",
        "Policies that accounts are in",
        "knows no account with that address",
        "That is no day",
        "the log has no such action",
        "not tried",
        "everything that is needed works",
        "first lend and return",
    ] {
        let said = format!("{}{}", ran.out, ran.err).to_lowercase();
        assert!(said.contains(&told.to_lowercase()), "{told} in {said}");
    }
    assert!(ran.err.contains(&format!("policy {}", policy::EVERYONE)), "the address led to the policy: {}", ran.err);

    let text = stage.text("homeward.toml");
    for key in [key::SCOPED, key::UNSCOPED, key::READER] {
        assert!(![&ran.out, &ran.err, &text].iter().any(|shown| shown.contains(key)), "a key was shown");
    }
    let names = ["northwind.atlassian.key", "northwind.atlassian-unscoped.key", "northwind.atlassian-patrol.key"];
    for (name, key) in names.into_iter().zip([key::SCOPED, key::UNSCOPED, key::READER]) {
        assert_eq!(stage.text(name).trim_end(), key);
        assert_eq!(std::fs::metadata(stage.path(name)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let written: toml::Table = text.parse().unwrap();
    let organisation = &written["organisations"][0];
    assert_eq!(organisation["default_home"].as_str(), Some(policy::EVERYONE));
    assert_eq!(organisation["policies"][policy::SINGLE_SIGN_ON]["factor_lives_in"].as_str(), Some("Okta"));
    assert_eq!(organisation["provider"]["key_details"]["api_key"]["expires"].as_str(), Some("2027-05-01"));
    assert_eq!(organisation["provider"]["event_actions"]["factor_enrolled"][0].as_str(), Some("twosv_enabled_by_user"));

    let checked = stage.run(&["config", "check"], &[]).await;
    assert_eq!(checked.status, 0, "{checked:?}");
    assert_eq!(stage.writes(), 0, "nothing was changed at the provider");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_replaced_unless_that_was_asked_for() {
    let stage = Stage::new().await;
    std::fs::write(stage.path("homeward.toml"), "# mine\n").unwrap();
    let [base_url, admin_page_url] = stage.addresses();
    let ran = stage.run(&["setup", "atlassian", &base_url, &admin_page_url], ANSWERS).await;
    assert_eq!(ran.status, 64);
    assert!(ran.err.contains("--force") && ran.err.contains("Nothing was written"), "{ran:?}");
    assert_eq!(stage.text("homeward.toml"), "# mine\n");

    std::fs::remove_file(stage.path("homeward.toml")).unwrap();
    stage.key_file("northwind.atlassian.key", "an old key");
    let ran = stage.run(&["setup", "atlassian", &base_url, &admin_page_url], ANSWERS).await;
    assert_eq!(ran.status, 64, "{ran:?}");
    assert_eq!(stage.text("northwind.atlassian.key"), "an old key\n");
    assert!(!stage.path("homeward.toml").exists());

    let ran = stage.run(&["setup", "atlassian", "--force", &base_url, &admin_page_url], ANSWERS).await;
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(stage.text("northwind.atlassian.key").trim_end(), key::SCOPED);
    let mode = std::fs::metadata(stage.path("northwind.atlassian.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "also where a file was there before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_answers_everything_with_flags() {
    let stage = Stage::new().await;
    let ran = stage.configured(key::SCOPED, Some(key::UNSCOPED), Some(key::READER)).await;
    assert_eq!(ran.status, 0, "{ran:?}");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report[0]["fine"], Value::Bool(true));
    assert_eq!(report[0]["recovery"]["keys"].as_array().map(Vec::len), Some(2));
    let patrol = &report[0]["patrol"]["keys"];
    assert_eq!(patrol.as_array().map(Vec::len), Some(1), "patrol with a key of its own gets no other");
    assert_eq!(patrol[0]["writes"][0]["may"], "no");
    assert!(stage.text("homeward.toml").contains("main.key"), "a file that was given is named, not copied");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_refused_writes_nothing() {
    let stage = Stage::new().await;
    let [base_url, admin_page_url] = stage.addresses();
    let untouched = || !stage.path("homeward.toml").exists() && !stage.path("northwind.atlassian.key").exists();
    // The answers end too soon.
    let ran = stage.run(&["setup", "atlassian", &base_url, &admin_page_url], &ANSWERS[..6]).await;
    assert_eq!(ran.status, 64, "{ran:?}");
    assert!(ran.err.contains("no answer to") && untouched(), "{ran:?}");
    // Nobody looked at what cannot be checked.
    let mut hasty = ANSWERS.to_vec();
    *hasty.iter_mut().find(|answer| **answer == "yes").unwrap() = "no";
    let ran = stage.run(&["setup", "atlassian", &base_url, &admin_page_url], &hasty).await;
    assert!(ran.status == 64 && ran.err.contains("not confirmed") && untouched(), "{ran:?}");
    // The key is mistyped.
    let ran = stage.configured("mistyped", None, None).await;
    assert!(ran.status == 64 && ran.err.contains("KEY_REFUSED") && untouched(), "{ran:?}");
    assert!(!ran.err.contains("mistyped,"), "{ran:?}");
}
