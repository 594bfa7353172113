//! Every command that the README names is one that the program takes.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// What clap exits with when a command line makes no sense.
const USAGE: i32 = 2;

/// Runs `homeward` where nothing is configured and nobody answers, so that no command can do anything.
fn run(arguments: &[String]) -> (Option<i32>, String) {
    let nowhere = tempfile::tempdir().unwrap();
    let environment = [
        ("HOMEWARD_SERVER", "http://127.0.0.1:9"),
        ("HOMEWARD_TOKEN", "of-nobody"),
        ("HOMEWARD_ORGANISATION", "northwind"),
        ("PATH", "/nowhere"),
    ];
    std::fs::write(nowhere.path().join("lost.csv"), "account\nmia@example.com\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_homeward"))
        .args(arguments)
        .current_dir(nowhere.path())
        .env_clear()
        .envs(environment)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The README's code, in blocks and between backticks.
fn code(readme: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            found.push(line.trim_start_matches("$ "));
        } else {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// The words of a command line as a shell would hand them over; comments and redirections end it.
fn words(line: &str) -> Vec<String> {
    let line = line.split(" #").next().unwrap_or_default().split('>').next().unwrap_or_default();
    let mut words = Vec::new();
    for (n, part) in line.split('"').enumerate() {
        if n % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn every_command_of_the_readme_exists() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let mut tried = 0;
    for line in code(&readme) {
        let mut words = words(line);
        let program = words.first().map(String::as_str);
        if program == Some("cargo") && words.get(1).is_some_and(|word| word == "run") {
            let own = words.iter().position(|word| word == "--").expect("the program's own words come after --");
            words.drain(..=own);
        } else if program == Some("homeward") && words.len() > 1 {
            words.remove(0);
        } else {
            continue;
        }
        for word in &mut words {
            if word == "ID" {
                "0191d1a0-0000-7000-8000-000000000001".clone_into(word);
            }
        }
        if words[0] == "demo" {
            words.push("--help".into());
        }
        let (status, said) = run(&words);
        assert_ne!(status, Some(USAGE), "README: `{line}`\n{said}");
        tried += 1;
    }
    assert!(tried > 15, "only {tried} commands found: does this test still read the README?");
}

#[test]
fn every_story_of_the_readme_exists() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let stories = readme.split("--story ").nth(1).expect("the README names stories");
    let stories: Vec<&str> = stories.split('`').next().unwrap_or_default().split('|').collect();
    assert!(stories.len() > 5, "{stories:?}");
    for story in stories {
        let (status, said) = run(&["demo".into(), "--story".into(), story.trim().into(), "--help".into()]);
        assert_eq!(status, Some(0), "--story {story}: {said}");
    }
}

#[test]
fn a_command_that_does_not_exist_is_told_apart() {
    assert_eq!(run(&["diagnoze".into()]).0, Some(USAGE));
}

/// The rows of `docs/settings.md`: key and what the last column begins with between backticks, if it does.
fn documented() -> BTreeMap<String, Option<String>> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (key, rest) = row.split_once('`').unwrap();
        let default = rest.trim_end_matches('|').rsplit('|').next().unwrap().trim();
        let default = default.strip_prefix('`').map(|rest| rest.split('`').next().unwrap_or_default().to_owned());
        (key.to_owned(), default)
    })
    .collect()
}

/// Every key with its value; entries of a list share one key, and what people name themselves ends it.
fn flattened(prefix: &str, value: &toml::Value, into: &mut BTreeMap<String, String>) {
    match value {
        toml::Value::Table(table) if prefix != "organisations.policies" => {
            for (key, value) in table {
                let separator = if prefix.is_empty() { "" } else { "." };
                flattened(&format!("{prefix}{separator}{key}"), value, into);
            }
        }
        toml::Value::Array(list) if list.iter().any(toml::Value::is_table) => {
            for value in list {
                flattened(prefix, value, into);
            }
        }
        toml::Value::String(text) => drop(into.insert(prefix.to_owned(), text.clone())),
        toml::Value::Table(_)
        | toml::Value::Array(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => drop(into.insert(prefix.to_owned(), value.to_string())),
    }
}

#[test]
fn every_setting_is_documented_with_its_default() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("homeward.toml");
    let homeward = |arguments: &[&str]| {
        let run = Command::new(env!("CARGO_BIN_EXE_homeward")).args(arguments).env_clear().output().unwrap();
        assert!(run.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    };
    // What can be left out is there: a secret in place of its file, and no limit or tier of its own.
    let example: toml::Table = homeward(&["config", "example"]).parse().unwrap();
    let mut example = toml::Value::Table(example);
    let organisation = &mut example["organisations"][0];
    let organisation = organisation.as_table_mut().unwrap();
    organisation.remove("limits");
    organisation.remove("tiers");
    let provider = organisation["provider"].as_table_mut().unwrap();
    provider.remove("api_key_file");
    provider.insert("api_key".into(), "secret".into());
    std::fs::write(&file, toml::to_string(&example).unwrap()).unwrap();

    let printed: toml::Table = homeward(&["config", "print", "--config", file.to_str().unwrap()]).parse().unwrap();
    let mut in_force = BTreeMap::new();
    flattened("", &toml::Value::Table(printed), &mut in_force);
    let documented = documented();
    let free = ["organisations.provider.admin_page_url", "persons.email", "persons.accounts"];
    for (key, value) in &in_force {
        let default = documented.get(key).unwrap_or_else(|| panic!("docs/settings.md does not tell of {key}"));
        if let Some(default) = default.as_ref().filter(|_| !free.contains(&key.as_str())) {
            // `90days` is written as months and days.
            let same = match (humantime::parse_duration(default), humantime::parse_duration(value)) {
                (Ok(default), Ok(value)) => default == value,
                _ => default == value,
            };
            assert!(same, "docs/settings.md: the default of {key} is {value}, not {default}");
        }
    }
    assert!(in_force.len() > 60, "{in_force:?}");
}
