//! What the configuration accepts, and what it says when it does not.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use homeward_chassis::config::{Mode, Overrides, Secret, load};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    mode: Mode,
    provider: Provider,
    #[serde(default)]
    policies: BTreeMap<String, Kind>,
    #[serde(default)]
    persons: Vec<Person>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Provider {
    address: String,
    api_key: Secret,
    #[serde(default)]
    batch: Option<u16>,
    #[serde(default, with = "humantime_serde")]
    timeout: Option<Duration>,
    #[serde(default)]
    checkpoint_file: Option<PathBuf>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Mandatory,
    Optional,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    name: String,
    key: Secret,
}

const GOOD: &str = r#"
[provider]
address = "https://api.example.com"
api_key = "s3cret"
batch = 50
timeout = "30s"
checkpoint_file = "/var/lib/homeward/checkpoints"
[policies]
"A:1.b" = "mandatory"
"#;

/// A folder with a configuration file in it.
struct Folder(TempDir);

impl Folder {
    fn with(text: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("homeward.toml", text, 0o600);
        folder
    }

    fn write(&self, name: &str, text: &str, rights: u32) -> PathBuf {
        let file = self.path(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(rights)).unwrap();
        file
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self, overrides: &Overrides) -> Result<Config, String> {
        let read = load(Some(&self.path("homeward.toml")), overrides);
        read.map_err(|error| homeward_chassis::error_chain(&error).replace(&self.0.path().display().to_string(), "."))
    }
}

fn environment(name: &str, value: &str) -> Overrides {
    Overrides::from_pairs([(name, value)])
}

#[test]
fn the_environment_wins_over_the_file_and_an_option_over_both() {
    let folder = Folder::with(GOOD);
    let config = folder.load(&Overrides::none()).unwrap();
    assert_eq!(config.mode, Mode::Development);
    assert_eq!(config.provider.timeout, Some(Duration::from_secs(30)));
    assert_eq!(config.policies["A:1.b"], Kind::Mandatory);

    let overrides = Overrides::from_pairs([
        ("HOMEWARD__PROVIDER__BATCH", "7"),
        ("HOMEWARD__PROVIDER__API_KEY", "0123"),
        ("HOMEWARD__PERSONS", r#"[{ name = "Mia", key = "k" }]"#),
        ("HOMEWARD__MODE", "production"),
        ("HOMEWARD_BOUNDARY_FILE", "ignored"),
        ("HOME", "ignored"),
    ]);
    let config = folder.load(&overrides).unwrap();
    assert_eq!((config.mode, config.provider.batch), (Mode::Production, Some(7)));
    assert_eq!(config.provider.api_key.reveal(), "0123", "a leading zero may be part of a password");
    assert_eq!(config.persons[0].name, "Mia");
    let config = folder.load(&overrides.with("--set", "provider.batch", "8")).unwrap();
    assert_eq!(config.provider.batch, Some(8));
}

#[test]
fn everything_may_come_from_the_environment() {
    let overrides = Overrides::from_pairs([
        ("HOMEWARD__PROVIDER__ADDRESS", "https://api.example.com"),
        ("HOMEWARD__PROVIDER__API_KEY", "42"),
    ]);
    let config: Config = load(None, &overrides).unwrap();
    assert_eq!(config.provider.api_key, Secret::new("42"));
}

#[test]
fn a_secret_may_lie_in_a_file_and_never_shows_itself() {
    let folder = Folder::with("");
    let key = folder.write("key", "s3cret\n", 0o600);
    let text = GOOD.replace("api_key = \"s3cret\"", &format!("api_key_file = {key:?}"));
    folder.write("homeward.toml", &format!("{text}\n[[persons]]\nname = \"Mia\"\nkey_file = {key:?}\n"), 0o600);
    for config in [folder.load(&Overrides::none()), folder.load(&environment("HOMEWARD__MODE", "production"))] {
        let config = config.unwrap();
        assert_eq!((config.provider.api_key.reveal(), config.persons[0].key.reveal()), ("s3cret", "s3cret"));
        assert!(!format!("{config:?}").contains("s3cret"));
        assert!(!serde_json::to_string(&config).unwrap().contains("s3cret"));
    }
    let file = key.display().to_string();
    let from_environment = Folder::with(&GOOD.replace("api_key = \"s3cret\"\n", ""));
    let config = from_environment.load(&environment("HOMEWARD__PROVIDER__API_KEY_FILE", &file)).unwrap();
    assert_eq!(config.provider.api_key.reveal(), "s3cret");
}

#[test]
fn production_refuses_a_secret_that_everyone_can_read() {
    let folder = Folder::with("");
    let key = folder.write("key", "s3cret", 0o644);
    folder.write("homeward.toml", &GOOD.replace("api_key = \"s3cret\"", &format!("api_key_file = {key:?}")), 0o600);
    assert!(folder.load(&Overrides::none()).is_ok());
    let refused = folder.load(&environment("HOMEWARD__MODE", "production")).unwrap_err();
    insta::assert_snapshot!(refused, @"./homeward.toml: `provider.api_key`: the secret in ./key can be read by everyone on this machine, which production does not allow; run chmod o-r ./key");
}

#[test]
fn production_refuses_a_secret_in_a_file_of_settings_that_everyone_can_read() {
    let folder = Folder::with("");
    let key = folder.write("key", "s3cret", 0o600);
    let production = environment("HOMEWARD__MODE", "production");
    folder.write("homeward.toml", GOOD, 0o644);
    assert!(folder.load(&Overrides::none()).is_ok(), "development takes it");
    let refused = folder.load(&production).unwrap_err();
    insta::assert_snapshot!(refused, @"./homeward.toml: `provider.api_key`: the secret stands in ./homeward.toml, which everyone on this machine can read, and production does not allow that; run chmod o-r ./homeward.toml, or give it as the path of a file under the same name with `_file`");
    folder.write("homeward.toml", GOOD, 0o640);
    assert!(folder.load(&production).is_ok());
    // Only the secret is what nobody may read: one that comes from elsewhere is fine.
    folder.write("homeward.toml", &GOOD.replace("api_key = \"s3cret\"", &format!("api_key_file = {key:?}")), 0o644);
    assert!(folder.load(&production).is_ok());
    folder.write("homeward.toml", &GOOD.replace("api_key = \"s3cret\"\n", ""), 0o644);
    let elsewhere = Overrides::from_pairs([("HOMEWARD__MODE", "production"), ("HOMEWARD__PROVIDER__API_KEY", "s3cret")]);
    assert!(folder.load(&elsewhere).is_ok());
}

#[test]
fn a_secret_that_a_process_must_not_have_is_not_read() {
    let text = GOOD.replace("api_key = \"s3cret\"", "api_key_file = \"/nowhere/key\"");
    let folder = Folder::with(&format!(
        "{text}\n[[persons]]\nname = \"Mia\"\nkey_file = \"/nowhere\"\n[[persons]]\nname = \"Bo\"\nkey = \"k\"\n"
    ));
    assert!(folder.load(&Overrides::none()).is_err());
    let overrides = Overrides::none().withholding(&["provider.api_key", "persons.*.key", "nothing.here", "policies.x"]);
    let config = folder.load(&overrides).unwrap();
    let secrets = [&config.provider.api_key, &config.persons[0].key, &config.persons[1].key];
    assert!(secrets.iter().all(|secret| secret.reveal() == "(withheld)"));
    assert_eq!((config.provider.batch, config.policies.len()), (Some(50), 1));
}

/// `GOOD` with `line` in place of the line that begins alike, or added to `[provider]`.
fn good_but(line: &str) -> String {
    let name = line.split('=').next().unwrap();
    let kept: Vec<_> = GOOD.lines().filter(|old| !old.starts_with(name)).collect();
    kept.join("\n").replace("[provider]", &format!("[provider]\n{line}"))
}

#[test]
fn each_error_names_file_key_and_reason() {
    let in_file = [
        good_but("adress = \"https://api.example.com\""),
        good_but("nonsense = 1"),
        good_but("batch = \"many\""),
        good_but("batch = 70000"),
        good_but("timeout = \"soon\""),
        good_but("api_key = true"),
        good_but("api_key = { path = \"x\" }"),
        good_but("api_key = \"\""),
        good_but("api_key_file = \"/nowhere/key\"").replace("api_key = \"s3cret\"\n", ""),
        GOOD.replace("batch = 50", "api_key_file = \"/nowhere/key\""),
        GOOD.replace("address = \"https://api.example.com\"\n", ""),
        GOOD.replace("\"mandatory\"", "\"mandatori\""),
        GOOD.replace("\"mandatory\"", "\"none\""),
        format!("{GOOD}\n[[persons]]\nname = \"Mia\"\nkey = \"k\"\n[[persons]]\nnam = \"Bo\"\nkey = \"k\"\n"),
        format!("mode = \"produktion\"\n{GOOD}"),
        format!("{GOOD}\n[[persons]]\nkey = \"k\"\n"),
        format!("mode = 3\n{GOOD}"),
        "provider = 3".to_owned(),
        "[provider\naddress = 1".to_owned(),
        String::new(),
    ];
    let mut said: Vec<String> = in_file.iter().map(|text| Folder::with(text).load(&Overrides::none()).expect_err(text)).collect();
    let in_environment = [
        ("HOMEWARD__PROVIDER__BACH", "5"),
        ("HOMEWARD__PROVIDER__BATCH", "-1"),
        ("HOMEWARD__PROVIDER", "x"),
        ("HOMEWARD__PERSONS", "[{"),
        ("HOMEWARD__PROVIDR__ADDRESS", "x"),
    ];
    said.extend(in_environment.map(|(name, value)| Folder::with(GOOD).load(&environment(name, value)).expect_err(name)));
    said.push(Folder::with(GOOD).load(&Overrides::none().with("--set", "provider.batch", "x")).unwrap_err());
    let missing = load::<Config>(Some(Path::new("/nowhere/homeward.toml")), &Overrides::none()).unwrap_err();
    said.push(homeward_chassis::error_chain(&missing));
    insta::assert_snapshot!(said.join("\n"));
    assert!(!said.join("\n").contains("s3cret"));
}
