//! A broker that is killed with -9 while messages flow: nothing is lost, and everything comes back by itself.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use homeward_messaging::{Broker, HandleError, Handler, MIGRATIONS, Outbox, RabbitBroker, Received, Verdict, consume};
use homeward_store::testing::sqlite;
use homeward_store::{Database, StoreError, on, transaction};
use homeward_types::{MessageId, SystemClock};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::sending::{EVENTS, QUEUES, WORK, eventually, message};

const KILLS: usize = 3;

/// Servers of this test's own, in a folder of their own.
struct Servers {
    folder: PathBuf,
}

impl Servers {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("homeward-killed-{}", Uuid::new_v4().simple()));
        let servers = Self { folder };
        servers.script("up");
        servers
    }

    fn script(&self, command: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/local/servers.sh");
        let done = Command::new(script).arg(command).arg(&self.folder).output().unwrap();
        assert!(done.status.success(), "servers.sh {command}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn address(&self) -> String {
        let settings = std::fs::read_to_string(self.folder.join("env")).unwrap();
        let address = settings.lines().find_map(|line| line.strip_prefix("export HOMEWARD_TEST_AMQP="));
        address.unwrap().to_owned()
    }

    /// As a power cut would. While the process is there, it counts as running and is not started again.
    fn kill_rabbitmq(&self) {
        let process = std::fs::read_to_string(self.folder.join("rabbitmq.process")).unwrap();
        let pid = process.split_whitespace().next().unwrap();
        assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
        let gone = Command::new("timeout").args(["20", "tail", "-f", "/dev/null", "--pid", pid]).status().unwrap();
        assert!(gone.success(), "RabbitMQ ({pid}) was killed and is still there");
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // Best effort: what the test has to say, it has said.
        std::panic::catch_unwind(|| self.script("down")).ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

#[derive(Default)]
struct Counting(Mutex<HashMap<MessageId, usize>>);

#[async_trait]
impl Handler for Counting {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        let mut counts = self.0.lock().unwrap();
        for received in &batch {
            *counts.entry(received.envelope.id).or_default() += 1;
        }
        Ok(vec![Verdict::Done; batch.len()])
    }

    async fn is_ready(&self) -> bool {
        true
    }
}

/// Writes on steadily, whatever the broker does: a command and an event in each transaction.
struct Writer {
    task: JoinHandle<()>,
    stop: CancellationToken,
    sent: Arc<Mutex<Vec<(MessageId, MessageId)>>>,
    unconfirmed: Arc<AtomicUsize>,
}

impl Writer {
    fn start(db: &Database, outbox: &Outbox) -> Self {
        let (stop, sent, unconfirmed) = (CancellationToken::new(), Arc::default(), Arc::default());
        let writing = write(db.clone(), outbox.clone(), stop.clone(), Arc::clone(&sent), Arc::clone(&unconfirmed));
        Self { task: tokio::spawn(writing), stop, sent, unconfirmed }
    }

    /// How many messages the broker did not confirm at once.
    fn unconfirmed(&self) -> usize {
        self.unconfirmed.load(Ordering::SeqCst)
    }

    fn last(&self) -> (MessageId, MessageId) {
        *self.sent.lock().unwrap().last().unwrap()
    }

    async fn stop(self) -> Vec<(MessageId, MessageId)> {
        self.stop.cancel();
        self.task.await.unwrap();
        self.sent.lock().unwrap().clone()
    }
}

async fn write(
    db: Database,
    outbox: Outbox,
    stop: CancellationToken,
    sent: Arc<Mutex<Vec<(MessageId, MessageId)>>>,
    unconfirmed: Arc<AtomicUsize>,
) {
    while !stop.is_cancelled() {
        let (batch, pair) = transaction!(db, "test.decide", async |tx| -> Result<_, StoreError> {
            let mut batch = outbox.batch();
            let pair = (batch.push(message("test.command.a.v1", "a")), batch.push(message("test.event.b.v1", "b")));
            batch.store(tx).await?;
            Ok((batch, pair))
        })
        .unwrap();
        sent.lock().unwrap().push(pair);
        let (outbox, unconfirmed) = (outbox.clone(), Arc::clone(&unconfirmed));
        tokio::spawn(async move { unconfirmed.fetch_add(outbox.publish_confirmed(batch).await.waiting.len(), Ordering::SeqCst) });
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_broker_loses_nothing_and_everything_reconnects() {
    let servers = Arc::new(tokio::task::spawn_blocking(Servers::start).await.unwrap());
    let broker: Arc<dyn Broker> = Arc::new(RabbitBroker::new(&servers.address(), QUEUES, "test", Arc::new(SystemClock)).unwrap());
    let db = sqlite().await;
    db.migrate(&[MIGRATIONS]).await.unwrap();
    let outbox = Outbox::new((*db).clone(), Arc::clone(&broker), Arc::new(SystemClock), "test");
    let stop = CancellationToken::new();
    let running = AbortOnDropHandle::new(tokio::spawn({
        let (outbox, stop) = (outbox.clone(), stop.clone());
        async move { outbox.run(stop).await }
    }));
    let handlers: Vec<Arc<Counting>> = vec![Arc::default(), Arc::default()];
    let consumers: Vec<_> = [WORK, EVENTS]
        .into_iter()
        .zip(&handlers)
        .map(|(queue, handler)| {
            let handler: Arc<dyn Handler> = handler.clone();
            AbortOnDropHandle::new(tokio::spawn(consume(Arc::clone(&broker), queue, handler, CancellationToken::new())))
        })
        .collect();

    let writer = Writer::start(&db, &outbox);
    let count = |at: usize| handlers[at].0.lock().unwrap().len();
    for kill in 1..=KILLS {
        let before = (count(0), count(1));
        eventually("messages flow", async || count(0) > before.0 + 20 && count(1) > before.1 + 20).await;
        let failed = writer.unconfirmed();
        servers.kill_rabbitmq();
        eventually("the kill is felt", async || writer.unconfirmed() > failed).await;
        let again = Arc::clone(&servers);
        tokio::task::spawn_blocking(move || again.script("up")).await.unwrap();
        let last = writer.last();
        eventually(&format!("messages flow after kill {kill}"), async || {
            handlers[0].0.lock().unwrap().contains_key(&last.0) && handlers[1].0.lock().unwrap().contains_key(&last.1)
        })
        .await;
    }
    let sent = writer.stop().await;
    eventually("all arrived", async || {
        sent.iter().all(|(a, b)| handlers[0].0.lock().unwrap().contains_key(a) && handlers[1].0.lock().unwrap().contains_key(b))
    })
    .await;
    eventually("all are confirmed", async || {
        on!(db, pool => sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM outbox").fetch_one(pool).await).unwrap() == 0
    })
    .await;
    let received: usize = handlers.iter().map(|handler| handler.0.lock().unwrap().values().sum::<usize>()).sum();
    println!("{KILLS} kills: {} messages, 0 lost, {} delivered again", 2 * sent.len(), received - 2 * sent.len());
    stop.cancel();
    running.await.unwrap();
    drop(consumers);
}
