//! PostgreSQL and RabbitMQ of a cluster: killed as by a power cut, started again, asked, and emptied.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::json;

use super::{pid_of, run, script, variables};
use crate::process::{Usage, cpu_of_ended_children, usage_of};
use crate::simulated::http_client;

/// How long killed processes may take to be gone.
const GONE: Duration = Duration::from_secs(20);

/// The two servers.
pub struct Servers {
    folder: PathBuf,
    prepared: PathBuf,
    postgres_port: String,
    amqp_port: String,
    management: String,
    operator: String,
    http: reqwest::Client,
}

/// A message in a queue, as the broker's management shows it.
#[derive(Debug, Deserialize)]
struct Shown {
    payload: String,
}

impl Servers {
    pub(super) fn of(cluster: &Path) -> anyhow::Result<Self> {
        let (folder, prepared) = (cluster.join("servers"), cluster.join("prepared"));
        let ports = variables(&folder.join("ports"))?;
        let port = |name: &str| ports.get(name).cloned().with_context(|| format!("the starter did not choose {name}"));
        let operator = std::fs::read_to_string(prepared.join("rabbitmq/passwords/operator")).context("the broker's operator")?;
        let management = format!("http://127.0.0.1:{}", port("MANAGEMENT_PORT")?);
        let operator = operator.trim().to_owned();
        let (postgres_port, amqp_port) = (port("POSTGRES_PORT")?, port("AMQP_PORT")?);
        Ok(Self { folder, prepared, postgres_port, amqp_port, management, operator, http: http_client()? })
    }

    fn pid(&self, server: &str) -> anyhow::Result<i32> {
        pid_of(&self.folder, server)
    }

    /// What each has used: PostgreSQL with the processes that it started, also those that have ended.
    ///
    /// # Errors
    /// When one does not run.
    pub fn usage(&self) -> anyhow::Result<[(&'static str, Usage); 2]> {
        let postgres = self.pid("postgres")?;
        let mut all = usage_of(postgres)?;
        all.cpu += cpu_of_ended_children(postgres)?;
        for child in children(postgres)? {
            // It may end at this moment.
            let used = usage_of(child).unwrap_or_default();
            all = Usage { cpu: all.cpu + used.cpu, resident: all.resident + used.resident };
        }
        Ok([("PostgreSQL", all), ("RabbitMQ", usage_of(self.pid("rabbitmq")?)?)])
    }

    /// The address of RabbitMQ for its operator, and whose certificate it shows, PEM.
    ///
    /// # Errors
    /// When a file of the starter's cannot be read.
    pub fn broker(&self) -> anyhow::Result<(String, String)> {
        let authority = std::fs::read_to_string(self.prepared.join("people/ca.pem")).context("the authority's certificate")?;
        Ok((format!("amqps://homeward-operator:{}@127.0.0.1:{}/%2f", self.operator, self.amqp_port), authority))
    }

    /// Lets a program of PostgreSQL find the database as its superuser.
    ///
    /// # Errors
    /// When the password cannot be read.
    pub fn address(&self, program: &mut Command) -> anyhow::Result<()> {
        let password = std::fs::read_to_string(self.prepared.join("postgres/passwords/superuser")).context("its password")?;
        program.arg("--host").arg(self.folder.join("postgres")).args(["--port", &self.postgres_port, "--username", "homeward"]);
        program.env("PGPASSWORD", password.trim());
        Ok(())
    }

    /// As a power cut would: every process of PostgreSQL at once.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill_postgres(&self) -> anyhow::Result<()> {
        let pid = self.pid("postgres")?;
        end(&std::iter::once(pid).chain(children(pid)?).collect::<Vec<_>>())
    }

    /// As a power cut would.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill_rabbitmq(&self) -> anyhow::Result<()> {
        end(&[self.pid("rabbitmq")?])
    }

    /// Starts again what does not run. Blocks until it answers.
    ///
    /// # Errors
    /// What the starter says.
    pub fn up(&self) -> anyhow::Result<()> {
        run(script("servers.sh")
            .arg("up")
            .arg(&self.folder)
            .env("HOMEWARD_PREPARED", &self.prepared)
            .env("HOMEWARD_DURABLE", "1"))
    }

    /// One value, asked of the database by its superuser.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask(&self, sql: &str) -> anyhow::Result<String> {
        let mut psql = Command::new(program("psql")?);
        self.address(&mut psql)?;
        psql.args(["--dbname", "homeward", "--no-psqlrc", "--tuples-only", "--no-align", "--command", sql]);
        let done = psql.output().context("running psql")?;
        if !done.status.success() {
            bail!("{sql}: {}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
    }

    /// How durable they are, as they say themselves.
    ///
    /// # Errors
    /// When they do not answer.
    pub fn durability(&self) -> anyhow::Result<String> {
        let settings = self.ask(
            "SELECT 'PostgreSQL ' || current_setting('server_version') || ', fsync ' || current_setting('fsync') || ', full_page_writes ' \
             || current_setting('full_page_writes') || ', synchronous_commit ' || current_setting('synchronous_commit')",
        )?;
        Ok(format!("{settings}; quorum queues"))
    }

    async fn manage(&self, method: reqwest::Method, path: &str, body: serde_json::Value) -> anyhow::Result<String> {
        let request = self.http.request(method, format!("{}/api{path}", self.management)).json(&body);
        let answer =
            request.basic_auth("homeward-operator", Some(&self.operator)).send().await.context("RabbitMQ's management")?;
        let status = answer.status();
        let text = answer.text().await.context("RabbitMQ's management")?;
        if status.is_success() { Ok(text) } else { bail!("{path}: {status} {text}") }
    }

    /// Throws away what lies in a queue. What a consumer has in hand stays.
    ///
    /// # Errors
    /// When RabbitMQ refuses.
    pub async fn purge(&self, queue: &str) -> anyhow::Result<()> {
        self.manage(reqwest::Method::DELETE, &format!("/queues/%2f/{queue}/contents"), json!({})).await.map(drop)
    }

    /// Puts bytes into a queue that are no message of Homeward's.
    ///
    /// # Errors
    /// When RabbitMQ refuses.
    pub async fn poison(&self, queue: &str, bytes: &str) -> anyhow::Result<()> {
        let message =
            json!({ "properties": { "delivery_mode": 2 }, "routing_key": queue, "payload": bytes, "payload_encoding": "string" });
        let routed = self.manage(reqwest::Method::POST, "/exchanges/%2f/amq.default/publish", message).await?;
        if routed.contains("true") { Ok(()) } else { bail!("{queue} did not get the poison: {routed}") }
    }

    /// The payloads that lie in a queue; they stay there.
    ///
    /// # Errors
    /// When RabbitMQ refuses.
    pub async fn lying_in(&self, queue: &str) -> anyhow::Result<Vec<String>> {
        let ask = json!({ "count": 10_000, "ackmode": "ack_requeue_true", "encoding": "auto", "truncate": 100_000 });
        let text = self.manage(reqwest::Method::POST, &format!("/queues/%2f/{queue}/get"), ask).await?;
        let shown: Vec<Shown> = serde_json::from_str(&text).context("reading a queue")?;
        Ok(shown.into_iter().map(|shown| shown.payload).collect())
    }
}

/// Kills processes, and waits until they are gone, their entries too: while one is there, its server counts as running.
fn end(all: &[i32]) -> anyhow::Result<()> {
    let [first, others @ ..] = all else { return Ok(()) };
    kill(*first)?;
    for pid in others {
        // It may have noticed the first one's end and have ended by itself.
        let _ = kill(*pid);
    }
    let began = Instant::now();
    while all.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
        ensure!(began.elapsed() < GONE, "the killed processes {all:?} are still there after {GONE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn kill(pid: i32) -> anyhow::Result<()> {
    let pid = Pid::from_raw(pid).context("a process's number")?;
    kill_process(pid, Signal::KILL).with_context(|| format!("killing {pid:?}"))
}

/// The processes whose parent this was a moment ago.
fn children(parent: i32) -> anyhow::Result<Vec<i32>> {
    let wanted = parent.to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context("reading the processes")? {
        let path = entry?.path();
        let Some(pid) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(path.join("stat")) else { continue };
        let parent = stat.rsplit_once(')').and_then(|(_, after)| after.split_whitespace().nth(1));
        if parent == Some(wanted.as_str()) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// A program of the newest PostgreSQL of this machine.
///
/// # Errors
/// When there is none.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").context("looking for PostgreSQL")?;
    let mut programs: Vec<PathBuf> = versions.flatten().map(|entry| entry.path().join("bin").join(name)).collect();
    programs.retain(|program| program.exists());
    programs.sort();
    programs.pop().with_context(|| format!("{name} is not below /usr/lib/postgresql"))
}
