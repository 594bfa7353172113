//! The two brokers, fresh for each test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use base64::Engine;
use homeward_messaging::{Broker, MemoryBroker, RabbitBroker};
use homeward_store::testing::{TestDatabase, sqlite};
use homeward_types::SystemClock;
use uuid::Uuid;

use crate::sending::QUEUES;

/// A broker of a test's own.
pub struct Fresh {
    /// The broker.
    pub broker: Arc<dyn Broker>,
    _remains: Remains,
}

enum Remains {
    Database(#[expect(dead_code, reason = "held until the test ends")] TestDatabase),
    Vhost(#[expect(dead_code, reason = "held until the test ends")] Vhost),
}

/// The in-process broker, with its dead letters in a fresh SQLite file.
pub async fn memory() -> Fresh {
    let database = sqlite().await;
    let broker = MemoryBroker::open(QUEUES, (*database).clone(), Arc::new(SystemClock)).await.unwrap();
    Fresh { broker: Arc::new(broker), _remains: Remains::Database(database) }
}

/// RabbitMQ, in a virtual host of the test's own.
pub async fn rabbit() -> Fresh {
    let vhost = Vhost::make();
    let broker = RabbitBroker::new(&vhost.address, QUEUES, "homeward-test", Arc::new(SystemClock)).unwrap();
    broker.connect().await.unwrap();
    Fresh { broker: Arc::new(broker), _remains: Remains::Vhost(vhost) }
}

/// A virtual host on the test server, gone when dropped.
pub struct Vhost {
    /// For connecting.
    pub address: String,
    name: String,
}

impl Vhost {
    /// Makes one.
    pub fn make() -> Self {
        let name = format!("test-{}", Uuid::new_v4().simple());
        management("PUT", &format!("/api/vhosts/{name}"), "");
        management("PUT", &format!("/api/permissions/{name}/guest"), r#"{"configure":".*","write":".*","read":".*"}"#);
        Self { address: format!("{}/{name}", setting("HOMEWARD_TEST_AMQP")), name }
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        // Best effort: a test that failed has said enough.
        std::panic::catch_unwind(|| management("DELETE", &format!("/api/vhosts/{}", self.name), "")).ok();
    }
}

fn setting(name: &str) -> String {
    let Ok(value) = std::env::var(name) else {
        panic!("{name} is not set: run ./test, which starts private servers, or start them with deploy/local/servers.sh");
    };
    value
}

/// One request to RabbitMQ's management.
fn management(method: &str, path: &str, body: &str) {
    let address = url::Url::parse(&setting("HOMEWARD_TEST_AMQP_MANAGEMENT")).unwrap();
    let credentials = format!("{}:{}", address.username(), address.password().unwrap_or_default());
    let credentials = base64::engine::general_purpose::STANDARD.encode(credentials);
    let (host, port) = (address.host_str().unwrap(), address.port().unwrap());
    let mut stream = TcpStream::connect((host, port)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {credentials}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap_or_default();
    assert!(status.starts_with('2'), "{method} {path}: {answer}");
}
