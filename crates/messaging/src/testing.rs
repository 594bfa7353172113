//! A virtual host of a test's own on the test's RabbitMQ. Tests never skip it: without a server they fail and say how to run.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use homeward_types::SystemClock;
use lapin::uri::AMQPUri;
use uuid::Uuid;

use crate::broker::{Broker, RabbitBroker};
use crate::topology::QueueSpec;

/// Where the broker is.
const AMQP: &str = "HOMEWARD_TEST_AMQP";
/// Where its management answers.
const MANAGEMENT: &str = "HOMEWARD_TEST_AMQP_MANAGEMENT";

/// A virtual host, gone when dropped.
#[derive(Debug)]
pub struct Vhost {
    /// For connecting.
    pub address: String,
    name: String,
}

impl Vhost {
    /// Makes one. Blocks.
    ///
    /// # Panics
    /// If there is no test server, or it refuses.
    pub fn make() -> Self {
        let name = format!("test-{}", Uuid::new_v4().simple());
        told(management("PUT", &format!("/api/vhosts/{name}"), ""));
        told(management("PUT", &format!("/api/permissions/{name}/guest"), r#"{"configure":".*","write":".*","read":".*"}"#));
        Self { address: format!("{}/{name}", setting(AMQP)), name }
    }

    /// A broker there, as a process of its own would have: other connections, the same queues.
    ///
    /// # Panics
    /// If the address cannot be read.
    pub fn broker(&self, queues: &[QueueSpec]) -> Arc<dyn Broker> {
        match RabbitBroker::new(&self.address, queues, self.name.clone(), Arc::new(SystemClock)) {
            Ok(broker) => Arc::new(broker),
            Err(error) => panic!("{AMQP}: {error}"),
        }
    }

    /// The address for another user, who has these permissions here. The user stays as long as the server does. Blocks.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn user(&self, permissions: &str) -> String {
        let name = format!("user-{}", Uuid::new_v4().simple());
        told(management("PUT", &format!("/api/users/{name}"), r#"{"password":"of-a-test","tags":""}"#));
        told(management("PUT", &format!("/api/permissions/{}/{name}", self.name), permissions));
        let (scheme, rest) = self.address.split_once("://").unwrap_or_default();
        let host = rest.split_once('@').map_or(rest, |(_, host)| host);
        format!("{scheme}://{name}:of-a-test@{host}")
    }

    /// Cuts every connection to it, as a firewall or a restarted node would. Says how many there were. Blocks.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn cut(&self) -> usize {
        let listed = told(management("GET", &format!("/api/vhosts/{}/connections?columns=name", self.name), ""));
        let names: Vec<&str> = listed
            .split("\"name\":\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .filter(|name| name.contains("->"))
            .collect();
        // One that has closed by itself meanwhile is as good.
        let cut = |name: &&str| management("DELETE", &format!("/api/connections/{}", encoded(name)), "").is_ok();
        names.iter().filter(|name| cut(name)).count()
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        // Best effort: a test that failed has said enough, and the server goes with its folder.
        management("DELETE", &format!("/api/vhosts/{}", self.name), "").ok();
    }
}

fn setting(name: &str) -> String {
    let Ok(value) = std::env::var(name) else {
        panic!("{name} is not set: run ./test, which starts private servers, or start them with deploy/local/servers.sh");
    };
    value
}

fn told(answer: io::Result<String>) -> String {
    match answer {
        Ok(answer) => answer,
        Err(error) => panic!("RabbitMQ's management: {error}"),
    }
}

/// As a part of a path.
fn encoded(text: &str) -> String {
    let one = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

/// One request to RabbitMQ's management, and its answer.
fn management(method: &str, path: &str, body: &str) -> io::Result<String> {
    let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidInput, reason);
    // It has the form of the broker's own address.
    let address: AMQPUri = setting(MANAGEMENT).replacen("http:", "amqp:", 1).parse().map_err(invalid)?;
    let (host, user) = (&address.authority, &address.authority.userinfo);
    let credentials = BASE64_STANDARD.encode(format!("{}:{}", user.username, user.password));
    let mut stream = TcpStream::connect((host.host.as_str(), host.port))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {credentials}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}",
        host.host
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).unwrap_or_default();
    if status.starts_with('2') { Ok(answer) } else { Err(io::Error::other(format!("{method} {path}: {answer}"))) }
}
