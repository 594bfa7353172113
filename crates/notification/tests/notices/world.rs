//! The service with its neighbours: someone who asks for notices, and someone who hears the answers.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use homeward_chassis::shutdown::Shutdown;
use homeward_messaging::testing::Vhost;
use homeward_messaging::topology::{NOTIFICATION_NOTICES, QUEUES, RECOVERY_EVENTS};
use homeward_messaging::{Broker, HandleError, Handler, MemoryBroker, NewMessage, Outbox, Received, Verdict, consume};
use homeward_notification::{Config, Notification};
use homeward_proto::notification::v1::{NoticeAccepted, NoticeFailed, NoticeKind, SendNotice};
use homeward_store::testing::{TestDatabase, migrated, sqlite};
use homeward_store::{StoreError, on, on_tx, transaction};
use homeward_types::{Clock, SystemClock};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Accepted(String),
    Failed(String, String),
}

pub struct World {
    database: TestDatabase,
    folder: tempfile::TempDir,
    broker: Arc<dyn Broker>,
    asker: Outbox,
    heard: Arc<Mutex<Vec<Answer>>>,
    shutdown: Shutdown,
    neighbours: TestDatabase,
    _vhost: Option<Vhost>,
}

/// One world for each engine.
pub async fn worlds(config: Config) -> Vec<World> {
    let mut all = Vec::new();
    for database in migrated(&Notification::migrations()).await {
        all.push(World::start(database, &config, None).await);
    }
    all
}

/// A world of two processes for each engine: on PostgreSQL with RabbitMQ between them.
pub async fn worlds_of_two(config: Config) -> Vec<World> {
    let mut all = Vec::new();
    for database in migrated(&Notification::migrations()).await {
        let vhost = database.is_postgres().then(Vhost::make);
        let world = World::start(database, &config, vhost).await;
        world.start_another(&config).await;
        all.push(world);
    }
    all
}

pub fn notice(key: &str, kind: NoticeKind) -> SendNotice {
    let fields = [
        ("account_email", "lena@northwind.example"),
        ("requester", "Hana Novak"),
        ("sign_in_url", "https://id.example/login"),
        ("outcome", "enrolled"),
        ("outcome_sentence", "All is well again."),
    ];
    SendNotice {
        delivery_key: key.into(),
        recovery: "0191d1a0-0000-7000-8000-000000000001".into(),
        organisation: "northwind".into(),
        kind: kind.into(),
        recipient_name: "Lena Fischer".into(),
        recipient_email: "lena@northwind.example".into(),
        fields: fields.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect(),
    }
}

impl World {
    async fn start(database: TestDatabase, config: &Config, vhost: Option<Vhost>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let neighbours = sqlite().await;
        neighbours.migrate(&[homeward_messaging::MIGRATIONS]).await.unwrap();
        let broker: Arc<dyn Broker> = match &vhost {
            Some(vhost) => vhost.broker(QUEUES),
            None => Arc::new(MemoryBroker::open(QUEUES, neighbours.clone(), clock.clone()).await.unwrap()),
        };
        let folder = tempfile::tempdir().unwrap();
        let shutdown = Shutdown::new();
        let notification =
            Notification::new(database.clone(), broker.clone(), clock.clone(), config, folder.path()).await.unwrap();
        notification.spawn(&shutdown);
        let asker = Outbox::new(neighbours.clone(), broker.clone(), clock, "recovery");
        let (outbox, stop) = (asker.clone(), shutdown.token());
        tokio::spawn(async move { outbox.run(stop).await });
        let heard = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(consume(broker.clone(), RECOVERY_EVENTS, Arc::new(Ear(heard.clone())), shutdown.token()));
        Self { database, folder, broker, asker, heard, shutdown, neighbours, _vhost: vhost }
    }

    pub async fn try_start(config: &Config) -> Result<(), String> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let database = sqlite().await;
        let broker = Arc::new(MemoryBroker::open(QUEUES, database.clone(), clock.clone()).await.unwrap());
        let folder = tempfile::tempdir().unwrap();
        let started = Notification::new(database.clone(), broker, clock, config, folder.path()).await;
        started.map(drop).map_err(|error| homeward_chassis::error_chain(&error))
    }

    pub async fn send(&self, notices: Vec<SendNotice>) {
        let batch = transaction!(self.neighbours, "test.ask", async |tx| -> Result<homeward_messaging::Batch, StoreError> {
            let mut batch = self.asker.batch();
            for notice in &notices {
                let (organisation, key) = (notice.organisation.parse().unwrap(), notice.delivery_key.clone());
                batch.push(NewMessage::new("notification.command.send-notice.v1", organisation, Uuid::nil(), key, notice));
            }
            batch.store(tx).await?;
            Ok(batch)
        })
        .unwrap();
        self.asker.publish(batch);
    }

    /// The first `count` answers, once there are so many.
    pub async fn answers(&self, count: usize) -> Vec<Answer> {
        self.until("answers", || self.so_far().len() >= count).await;
        self.so_far()
    }

    pub fn so_far(&self) -> Vec<Answer> {
        self.heard.lock().unwrap().clone()
    }

    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "no {what} in {PATIENCE:?}; heard {:?}", self.so_far());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn outbox(&self) -> PathBuf {
        self.folder.path().join("outbox")
    }

    pub fn letters(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.outbox()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    pub async fn dead_letters(&self) -> usize {
        self.broker.dead(&NOTIFICATION_NOTICES, 10).await.unwrap().len()
    }

    /// One more process on the same database, folder and broker.
    pub async fn start_another(&self, config: &Config) {
        let (clock, db): (Arc<dyn Clock>, _) = (Arc::new(SystemClock), self.database.reopen().await);
        let another = Notification::new(db, self.broker.clone(), clock, config, self.folder.path()).await.unwrap();
        another.spawn(&self.shutdown);
    }

    /// Recipient's name, address and fields as the database keeps them.
    pub async fn kept(&self, key: &str) -> (String, String, String) {
        let sql = "SELECT recipient_name, recipient_email, CAST(fields AS TEXT) FROM delivery WHERE delivery_key = $1";
        on!(self.database, pool => sqlx::query_as(sql).bind(key).fetch_one(pool).await).unwrap()
    }

    /// Waits until a try was noted.
    pub async fn until_tried(&self, key: &str) {
        let began = Instant::now();
        let sql = "SELECT attempts FROM delivery WHERE delivery_key = $1";
        loop {
            let attempts: Option<i32> =
                on!(self.database, pool => sqlx::query_scalar(sql).bind(key).fetch_optional(pool).await).unwrap();
            if attempts.is_some_and(|attempts| attempts > 0) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "never tried");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The row of a notice whose worker died a minute ago.
    pub async fn leave_behind(&self, notice: &SendNotice) {
        let then = SystemClock.now() - chrono::TimeDelta::minutes(1);
        let fields: std::collections::BTreeMap<_, _> = notice.fields.clone().into_iter().collect();
        transaction!(self.database, "test.leave_behind", async |tx| -> Result<(), StoreError> {
            on_tx!(tx, c => sqlx::query("INSERT INTO delivery (delivery_key, recovery, organisation, kind, recipient_name, recipient_email, fields, state, attempts, claimed_until, receipt, problem, traceparent, tracestate, message, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', 0, $8, '', '', '', '', $9, $8)")
                .bind(&notice.delivery_key).bind(&notice.recovery).bind(&notice.organisation).bind(notice.kind().as_str_name().trim_start_matches("NOTICE_KIND_").to_lowercase())
                .bind(&notice.recipient_name).bind(&notice.recipient_email).bind(sqlx::types::Json(&fields)).bind(then).bind(Uuid::nil())
                .execute(c).await.map(drop))?;
            Ok(())
        })
        .unwrap();
    }

    pub fn engine(&self) -> &'static str {
        self.database.system()
    }

    pub async fn stop(self) {
        self.shutdown.begin("the test is over");
        self.shutdown.finish(Duration::from_secs(10)).await.unwrap();
    }
}

/// Hears what recovery would hear.
struct Ear(Arc<Mutex<Vec<Answer>>>);

#[async_trait]
impl Handler for Ear {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        for received in &batch {
            let answer = if received.envelope.kind.contains("accepted") {
                Answer::Accepted(received.envelope.decode::<NoticeAccepted>().unwrap().delivery_key)
            } else {
                let failed = received.envelope.decode::<NoticeFailed>().unwrap();
                Answer::Failed(failed.delivery_key, failed.problem)
            };
            self.0.lock().unwrap().push(answer);
        }
        Ok(vec![Verdict::Done; batch.len()])
    }

    async fn is_ready(&self) -> bool {
        true
    }
}
