//! Homeward as deploy/local/homeward.sh starts it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A Homeward in a folder of its own. Stopped when dropped, whatever happened.
pub struct Site {
    folder: TempDir,
}

/// What `status` says.
pub struct Status {
    pub all_ready: bool,
    pub text: String,
}

impl Site {
    /// Starts everything; ready when this returns.
    pub fn up(replicas: usize) -> Self {
        let site = Self { folder: tempfile::Builder::new().prefix("homeward-local-").tempdir().unwrap() };
        let output = script(&["up", &site.folder(), "--replicas", &replicas.to_string()]);
        assert!(output.status.success(), "{}\n{}", said(&output), site.logs());
        site
    }

    pub fn folder(&self) -> String {
        self.folder.path().display().to_string()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn status(&self) -> Status {
        let output = script(&["status", &self.folder()]);
        Status { all_ready: output.status.success(), text: said(&output) }
    }

    pub fn logs(&self) -> String {
        said(&script(&["logs", &self.folder()]))
    }

    pub fn down(&self) {
        let output = script(&["down", &self.folder()]);
        assert!(output.status.success(), "{}", said(&output));
    }

    /// Runs the command line as the help desk, as `DIR/env` sets it up.
    pub fn homeward(&self, arguments: &[&str]) -> Output {
        let env = std::fs::read_to_string(self.path("env")).unwrap();
        let variables = env.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        Command::new(env!("CARGO_BIN_EXE_homeward")).args(arguments).env_clear().envs(variables).output().unwrap()
    }

    /// The environment that a process of ours was started with.
    pub fn environment(&self, name: &str) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(self.path(&format!("{name}.environment"))).unwrap();
        text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Where every process answers probes.
    pub fn probes(&self) -> Vec<String> {
        let text = self.status().text;
        text.lines().filter_map(|line| line.split_once("probes ")).map(|(_, address)| address.trim().to_owned()).collect()
    }

    /// A secret that was prepared.
    pub fn prepared(&self, name: &str) -> String {
        std::fs::read_to_string(self.path("prepared").join(name)).unwrap().trim_end().to_owned()
    }

    /// `kill -9`.
    pub fn kill(&self, name: &str) {
        let process = std::fs::read_to_string(self.path(&format!("{name}.process"))).unwrap();
        let pid = rustix::process::Pid::from_raw(process.split(' ').next().unwrap().parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    /// Processes that name this folder in their command line or environment: the servers' and ours.
    pub fn left_running(&self) -> Vec<String> {
        let folder = self.folder();
        let names_it = |process: &Path| {
            ["cmdline", "environ"]
                .iter()
                .any(|file| std::fs::read(process.join(file)).is_ok_and(|text| String::from_utf8_lossy(&text).contains(&folder)))
        };
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
        let ours = processes.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().parse::<u32>().is_ok()));
        let command = |process: &Path| std::fs::read_to_string(process.join("cmdline")).unwrap_or_default().replace('\0', " ");
        ours.filter(|process| names_it(process)).map(|process| command(&process)).collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let output = script(&["down", &self.folder()]);
        if std::thread::panicking() {
            eprintln!("{}\n{}", said(&output), self.logs());
        }
    }
}

/// The top of the repository.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Runs the starter with this very program; the test's data may be lost with the machine's power.
pub fn script(arguments: &[&str]) -> Output {
    let mut command = Command::new(top().join("deploy/local/homeward.sh"));
    command.args(arguments).env("HOMEWARD_BINARY", env!("CARGO_BIN_EXE_homeward")).env("HOMEWARD_DURABLE", "");
    command.output().unwrap()
}

/// All that a process said.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What a page says.
pub async fn get(address: &str) -> String {
    reqwest::get(address).await.unwrap().text().await.unwrap()
}
