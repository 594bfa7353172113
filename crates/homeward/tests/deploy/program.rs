//! Asks this very program whether it knows a command line and a configuration.

use std::process::{Command, Output};

/// Runs `homeward` with exactly this environment.
fn run(arguments: &[String], environment: &[(String, String)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homeward"));
    command.args(arguments).env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
    command.current_dir(std::env::temp_dir()).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)).trim().to_owned()
}

/// What is wrong with a command line. Nothing is done: `--help` comes last, after everything else was understood.
pub fn misunderstood(arguments: &[String]) -> Option<String> {
    let arguments: Vec<String> = arguments.iter().cloned().chain(["--help".to_owned()]).collect();
    let output = run(&arguments, &[]);
    (!output.status.success()).then(|| format!("homeward {}: {}", arguments.join(" "), said(&output)))
}

/// What is wrong with the configuration of a process with this command: the file that `HOMEWARD_CONFIG` names, and the rest of
/// the environment.
pub fn refused(environment: &[(String, String)], command: &[String]) -> Option<String> {
    let read = match command[0].as_str() {
        "serve" => ["config", "check", "--role", &command[1]],
        // Migrations are no service: they have no certificate, and like notification no key of a provider.
        "migrate" => ["config", "print", "--role", "notification"],
        other => panic!("{other} reads no configuration"),
    };
    let output = run(&read.map(str::to_owned), environment);
    (!output.status.success()).then(|| said(&output))
}

/// Whether the command line takes this variable, which is not a setting.
pub fn takes_variable(name: &str) -> bool {
    let commands: [&[&str]; 5] = [&["list"], &["recover"], &["up"], &["simulator"], &["demo"]];
    let help = |command: &&[&str]| {
        let words: Vec<String> = command.iter().copied().chain(["--help"]).map(str::to_owned).collect();
        said(&run(&words, &[])).contains(&format!("[env: {name}"))
    };
    commands.iter().any(help)
}

#[test]
fn a_command_or_a_setting_that_nobody_knows_is_found() {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(misunderstood(&words("config check")), None);
    assert!(misunderstood(&words("config chekc")).is_some());
    assert!(misunderstood(&words("simulator --listen nowhere")).is_some());
    assert!(takes_variable("HOMEWARD_SERVER") && !takes_variable("HOMEWARD_SERVR"));
    let file = crate::prepared::of("migrate").join("homeward.toml").display().to_string();
    let environment =
        |name: &str| vec![("HOMEWARD_CONFIG".to_owned(), file.clone()), (name.to_owned(), "127.0.0.1:7081".to_owned())];
    assert_eq!(refused(&environment("HOMEWARD__LISTEN__CONSOLE"), &words("migrate all")), None);
    assert!(refused(&environment("HOMEWARD__LISTEN__CONSOEL"), &words("migrate all")).unwrap().contains("no such setting"));
    assert!(refused(&environment("HOMEWARD__LISTEN__CONSOLE"), &words("serve console")).unwrap().contains("services.ca_file"));
}
