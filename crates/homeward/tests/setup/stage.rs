//! The simulated organisation, a folder, and the program in it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use homeward_simulator::{Running, Simulator, SimulatorConfig, well_known};
use tempfile::TempDir;

/// What a run of the program left.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub out: String,
    pub err: String,
}

/// An organisation and an empty folder.
pub struct Stage {
    pub simulator: Running,
    pub folder: TempDir,
}

impl Stage {
    pub async fn new() -> Self {
        let config = SimulatorConfig { accounts: 60, ..SimulatorConfig::default() };
        Self { simulator: Simulator::start(config).await.unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A file that holds a secret.
    pub fn key_file(&self, name: &str, key: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, format!("{key}\n")).unwrap();
        path.display().to_string()
    }

    /// Runs the program in the folder, with these lines on standard input.
    pub async fn run(&self, arguments: &[&str], answers: &[&str]) -> Ran {
        let mut child = Command::new(env!("CARGO_BIN_EXE_homeward"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", "/nowhere")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let answers: String = answers.iter().flat_map(|answer| [answer, "\n"]).collect();
        // The program may end without reading all of them.
        let _ = input.write_all(answers.as_bytes());
        drop(input);
        // The simulator answers on this runtime, so the wait must not block it.
        let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { status: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// What a walk is told on the command line, so that only the rest is asked.
    pub fn addresses(&self) -> [String; 2] {
        [format!("--base-url={}", self.simulator.provider_url), format!("--admin-page-url={}", self.simulator.provider_url)]
    }

    /// A configuration of these keys, made by the walk without a question.
    pub async fn configured(&self, main: &str, unscoped: Option<&str>, patrol: Option<&str>) -> Ran {
        let [base_url, admin_page_url] = self.addresses();
        let main = self.key_file("main.key", main);
        let mut arguments =
            vec!["setup", "atlassian", "--yes", "--force", "--organisation=northwind", &base_url, &admin_page_url];
        arguments.extend(["--org-id", well_known::ORGANISATION, "--api-key-file", &main, "--output=json"]);
        let others: Vec<String> =
            [("--unscoped-key-file", "unscoped.key", unscoped), ("--patrol-key-file", "patrol.key", patrol)]
                .into_iter()
                .filter_map(|(flag, file, key)| Some(format!("{flag}={}", self.key_file(file, key?))))
                .collect();
        arguments.extend(others.iter().map(String::as_str));
        let policies = policies();
        arguments.extend(policies.iter().map(String::as_str));
        let recovery = format!("--recovery-policy={}", well_known::policy::RECOVERY);
        arguments.push(&recovery);
        self.run(&arguments, &[]).await
    }

    /// Calls that changed something at the provider.
    pub fn writes(&self) -> u64 {
        let calls = self.simulator.truth().calls();
        let writes = |call: &str| ["add-users", "lifecycle", "DELETE"].iter().any(|part| call.contains(part));
        calls.iter().filter(|call| writes(&call.call)).map(|call| call.count).sum()
    }
}

/// Every policy of the organisation but one, as flags.
pub fn policies() -> Vec<String> {
    use well_known::policy::{ENGINEERING, EVERYONE, GUESTS, RECOVERY, SINGLE_SIGN_ON};
    [
        (EVERYONE, "Everyone:mandatory"),
        (ENGINEERING, "Engineering:mandatory"),
        (RECOVERY, "Recovery:optional"),
        (GUESTS, "Guests:optional"),
        (SINGLE_SIGN_ON, "Single sign-on:delegated:Okta"),
    ]
    .map(|(id, rest)| format!("--policy={id}={rest}"))
    .into()
}
