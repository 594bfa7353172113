//! Where the processes of a test run: one of each role, with certificates, on a database and a virtual host of the test's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use homeward_chassis::auth::Bearer;
use homeward_chassis::rpc::{Client, Peer};
use homeward_messaging::testing::Vhost;
use homeward_store::testing::{TestDatabase, postgres};
use homeward_types::Limits;
use homeward_world::desk::Desk;
use homeward_world::process::{Process, free_ports};
use homeward_world::settings::{self, Plan, Tokens};
use homeward_world::simulated::http_client;
use homeward_world::system::Connection;
use serde_json::Value;

use crate::authority::Authority;
use crate::wire::Wire;

pub const ROLES: [&str; 6] = ["directory", "policy", "recovery", "notification", "patrol", "console"];

/// How long anything may take on a slow machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// What a stop may take: the product's own word.
pub const STOP: Duration = Duration::from_secs(10);

pub struct Site {
    pub folder: tempfile::TempDir,
    pub authority: Authority,
    pub tokens: Tokens,
    pub to_database: Wire,
    pub to_broker: Wire,
    ports: BTreeMap<&'static str, [u16; 2]>,
    pages: u16,
    processes: BTreeMap<&'static str, Process>,
    environment: BTreeMap<String, String>,
    http: reqwest::Client,
    _remains: (TestDatabase, Vhost),
}

impl Site {
    /// Prepares everything; nothing runs yet. `provider` is where the organisation is.
    pub async fn prepare(provider: &str, limits: Limits) -> Self {
        let folder = tempfile::Builder::new().prefix("homeward-serve-").tempdir().unwrap();
        let authority = Authority::new(&folder.path().join("certificates"));
        let database = postgres().await;
        let vhost = tokio::task::spawn_blocking(Vhost::make).await.unwrap();
        let (database_url, to_database) = through_a_wire(database.address()).await;
        let (broker_url, to_broker) = through_a_wire(&vhost.address).await;
        let numbers = free_ports::<13>().unwrap();
        let ports: BTreeMap<_, _> = ROLES.into_iter().zip(numbers[1..].chunks(2).map(|two| [two[0], two[1]])).collect();
        let tokens = Tokens::generate().unwrap();
        let plan = Plan { provider, limits, staff_letters: true, notice_claim: Duration::from_secs(2) };
        let letters = folder.path().join("letters");
        std::fs::create_dir(&letters).unwrap();
        settings::write(&folder.path().join("homeward.toml"), Path::new("unused"), &plan, &tokens, [0, 0]).unwrap();
        let mut environment = BTreeMap::from([
            ("HOMEWARD__STORAGE__DATABASE".to_owned(), database_url),
            ("HOMEWARD__STORAGE__BROKER".to_owned(), broker_url),
            ("HOMEWARD__SERVICES__CA_FILE".to_owned(), authority.ca_file().display().to_string()),
            ("HOMEWARD__NOTIFICATION__OUTBOX".to_owned(), letters.display().to_string()),
            ("HOMEWARD__TELEMETRY__TRACE_LINK".to_owned(), "https://traces.example/trace/{trace_id}".to_owned()),
        ]);
        for (role, [grpc, _]) in ports.iter().filter(|(role, _)| **role != "console") {
            environment.insert(format!("HOMEWARD__SERVICES__{}", role.to_uppercase()), format!("https://127.0.0.1:{grpc}"));
        }
        let mut site = Self {
            folder,
            authority,
            tokens,
            to_database,
            to_broker,
            ports,
            pages: numbers[0],
            processes: BTreeMap::new(),
            environment,
            http: http_client().unwrap(),
            _remains: (database, vhost),
        };
        for role in ROLES {
            site.authority.issue(role);
        }
        site.tell_policy_of_recoverys_key();
        site
    }

    /// As an administrator does it: recovery's key is asked of recovery, and told policy.
    fn tell_policy_of_recoverys_key(&mut self) {
        let key = self.grant_key(&[]);
        self.environment.insert("HOMEWARD__GRANTS__PUBLIC_KEYS".to_owned(), format!("[{key:?}]"));
    }

    /// The public half of recovery's key, as recovery prints it.
    pub fn grant_key(&self, different: &[(&str, &str)]) -> String {
        let said = self.run("recovery", &["keys", "grant"]).envs(different.iter().copied()).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let key = said.lines().find_map(|line| line.strip_prefix("public key")).expect("it prints the key");
        key.split_whitespace().next().unwrap().to_owned()
    }

    /// `homeward …` with the environment of a process of `role`.
    pub fn run(&self, role: &str, arguments: &[&str]) -> Command {
        let [grpc, probes] = self.ports[role];
        let certificates = self.folder.path().join("certificates");
        let mut command = Command::new(env!("CARGO_BIN_EXE_homeward"));
        command.args(arguments).current_dir(self.folder.path()).envs(&self.environment);
        command.env("HOMEWARD__SERVICES__CERTIFICATE_FILE", certificates.join(format!("{role}.pem")));
        command.env("HOMEWARD__SERVICES__KEY_FILE", certificates.join(format!("{role}.key")));
        command.env("HOMEWARD__DATA_DIR", self.folder.path().join(role));
        command.env("HOMEWARD__LISTEN__GRPC__ADDRESS", format!("127.0.0.1:{grpc}"));
        command.env("HOMEWARD__LISTEN__PROBES", format!("127.0.0.1:{probes}"));
        command.env("HOMEWARD__LISTEN__CONSOLE", format!("127.0.0.1:{}", self.pages));
        command
    }

    /// Starts a process; it is not ready yet.
    pub fn start(&mut self, role: &'static str, different: &[(&str, &str)]) {
        let mut command = self.run(role, &["serve", role]);
        command.envs(different.iter().copied()).stdout(Stdio::null());
        self.processes.insert(role, Process::start(&mut command, &self.log(role)).unwrap());
    }

    /// Starts one of each and waits until all are ready.
    pub async fn start_all(&mut self) {
        for role in ROLES {
            self.start(role, &[]);
        }
        for role in ROLES {
            self.until(role, "ready", |status, _| status == 200).await;
        }
    }

    /// Asks it to end; fails if it does not end well. Says how long it took.
    pub async fn stop(&mut self, role: &'static str) -> Duration {
        let mut process = self.processes.remove(role).unwrap();
        let began = Instant::now();
        let ended = tokio::task::spawn_blocking(move || process.stop()).await.unwrap();
        if let Err(error) = ended {
            panic!("{role}: {error:#}\n{}", self.last_words(role));
        }
        began.elapsed()
    }

    fn log(&self, role: &str) -> PathBuf {
        self.folder.path().join(format!("{role}.log"))
    }

    /// The end of its log.
    pub fn last_words(&self, role: &str) -> String {
        let text = std::fs::read_to_string(self.log(role)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Status and text of one of its probes; `None` if nobody answers.
    pub async fn probe(&self, role: &str, path: &str) -> Option<(u16, String)> {
        let [_, probes] = self.ports[role];
        let asked = self.http.get(format!("http://127.0.0.1:{probes}{path}")).timeout(STOP).send().await.ok()?;
        let status = asked.status().as_u16();
        Some((status, asked.text().await.ok()?))
    }

    /// Waits until readiness is as wanted, by its status and the checks that fail.
    pub async fn until(&self, role: &str, what: &str, is_so: impl Fn(u16, &[String]) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let answer = self.probe(role, "/readyz").await;
            let report: Value = answer.as_ref().map_or(Value::Null, |(_, text)| serde_json::from_str(text).unwrap());
            if answer.as_ref().is_some_and(|(status, _)| is_so(*status, &failing(&report))) {
                return report;
            }
            assert!(began.elapsed() < PATIENCE, "{role} never was {what}: {answer:?}\n{}", self.last_words(role));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn address(&self, role: &str) -> String {
        format!("https://127.0.0.1:{}", self.ports[role][0])
    }

    /// A client without a certificate.
    pub fn nobody(&self, role: &str) -> Peer {
        let address = format!("https://localhost:{}", self.ports[role][0]);
        Peer { ca_file: Some(self.authority.ca_file()), ..Peer::plaintext(address) }
    }

    /// A person at the console's gRPC.
    pub fn person(&self, token: &Bearer) -> Client {
        self.nobody("console").client().unwrap().bearing(token)
    }

    /// The people at the console.
    pub fn desk(&self) -> Desk {
        let [approver, _] = &self.tokens.approvers;
        let door = (Connection::new(self.person(&self.tokens.requester)), Connection::new(self.person(approver)));
        Desk::at(vec![door]).unwrap()
    }

    pub fn letters(&self) -> PathBuf {
        self.folder.path().join("letters")
    }

    pub fn ca_file(&self) -> PathBuf {
        self.authority.ca_file()
    }
}

/// The names of the checks that fail.
pub fn failing(report: &Value) -> Vec<String> {
    let checks = report["checks"].as_array().cloned().unwrap_or_default();
    checks.iter().filter(|check| check["ok"] == false).map(|check| check["name"].as_str().unwrap().to_owned()).collect()
}

/// The same address by way of a wire that can be cut.
async fn through_a_wire(address: &str) -> (String, Wire) {
    let after = address.split_once('@').unwrap().1;
    let target = after.split(['/', '?']).next().unwrap();
    let wire = Wire::to(target.to_owned()).await;
    (address.replacen(target, &format!("127.0.0.1:{}", wire.port), 1), wire)
}
