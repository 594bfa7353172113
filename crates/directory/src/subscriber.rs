//! Takes the commands: begins and ends watches, and reports again what is known to one who asks again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use homeward_chassis::boundary;
use homeward_messaging::{Batch, HandleError, Handler, Outbox, Received, Verdict, inbox};
use homeward_proto::directory::v1::{UnwatchAccount, WatchAccount};
use homeward_store::{Database, StoreError, transaction};
use homeward_types::{Clock, LeaseId, OrganisationId};

use crate::tenant::Tenant;
use crate::watch::{Asked, Watch, store};
use crate::wire;

/// How often a batch is decided anew because another process began one of its watches.
const TRIES: u32 = 5;

/// Handles `directory.watch`.
pub struct Commands {
    /// The service's tables.
    pub db: Database,
    /// The service's messages.
    pub outbox: Outbox,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whom it serves.
    pub tenants: Arc<BTreeMap<OrganisationId, Arc<Tenant>>>,
}

/// One command.
#[derive(Debug, Clone)]
enum Command {
    Watch(Box<Asked>),
    Unwatch(Box<Asked>),
}

impl Command {
    fn lease(&self) -> LeaseId {
        match self {
            Self::Watch(asked) | Self::Unwatch(asked) => asked.lease,
        }
    }
}

#[async_trait]
impl Handler for Commands {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        let (mut commands, mut verdicts) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for received in &batch {
            match self.command(received) {
                Ok(command) => {
                    commands.push(command);
                    verdicts.push(Verdict::Done);
                }
                Err(problem) => verdicts.push(Verdict::DeadLetter(problem)),
            }
        }
        let reports = self.take(&batch, &commands).await?;
        self.outbox.publish(reports);
        for tenant in self.tenants.values() {
            tenant.watch.notify_one();
        }
        Ok(verdicts)
    }

    async fn is_ready(&self) -> bool {
        self.db.ping().await.is_ok()
    }
}

impl Commands {
    fn command(&self, received: &Received) -> Result<Command, String> {
        let envelope = &received.envelope;
        match envelope.kind.as_str() {
            wire::WATCH => {
                let command: WatchAccount = envelope.decode().map_err(|error| error.to_string())?;
                let asked = wire::asked(received, &command).map_err(|error| error.to_string())?;
                if self.tenants.contains_key(&asked.organisation) {
                    Ok(Command::Watch(Box::new(asked)))
                } else {
                    Err(format!("the organisation {} is not configured here", asked.organisation))
                }
            }
            wire::UNWATCH => {
                let command: UnwatchAccount = envelope.decode().map_err(|error| error.to_string())?;
                let asked = wire::unwatched(received, &command).map_err(|error| error.to_string())?;
                Ok(Command::Unwatch(Box::new(asked)))
            }
            other => Err(format!("directory knows no command {other}")),
        }
    }

    /// Commits what a batch asks for, in its order. Gives what is reported again.
    async fn take(&self, batch: &[Received], commands: &[Command]) -> Result<Batch, StoreError> {
        let mut tries = 1;
        loop {
            match self.take_once(batch, commands).await {
                // Another process began one of the watches at the same moment: now it shows.
                Err(error) if error.is_unique_violation() && tries < TRIES => tries += 1,
                taken => return taken,
            }
        }
    }

    async fn take_once(&self, batch: &[Received], commands: &[Command]) -> Result<Batch, StoreError> {
        let mut leases: Vec<LeaseId> = commands.iter().map(Command::lease).collect();
        leases.sort_unstable();
        leases.dedup();
        let _mark = boundary!("commit", "await-enrolment");
        transaction!(self.db, "watch.take", async |tx| -> Result<Batch, StoreError> {
            inbox::hear(tx, batch).await?;
            let known = store::locked(tx, &leases).await?;
            let mut watches = known.clone();
            for command in commands {
                self.apply(&mut watches, command);
            }
            let mut reports = self.outbox.batch();
            for command in commands {
                self.repeat(&mut watches, command, &mut reports);
            }
            let mut changed: Vec<&Watch> = watches.values().filter(|watch| known.get(&watch.lease) != Some(*watch)).collect();
            changed.sort_by_key(|watch| watch.lease);
            let (there, new): (Vec<&Watch>, Vec<&Watch>) =
                changed.into_iter().partition(|watch| known.contains_key(&watch.lease));
            store::begin(tx, &new).await?;
            store::save(tx, &there).await?;
            reports.store(tx).await?;
            Ok(reports)
        })
    }

    fn apply(&self, watches: &mut HashMap<LeaseId, Watch>, command: &Command) {
        let now = self.clock.now();
        match command {
            Command::Unwatch(asked) => {
                let Some(tenant) = self.tenants.get(&asked.organisation) else { return };
                // Of two processes one may be slower with what came first: kept as ended, it does not begin when it comes.
                let new = || Watch::new((**asked).clone(), tenant.limits());
                watches.entry(asked.lease).or_insert_with(new).end(now);
            }
            Command::Watch(asked) => {
                let Some(tenant) = self.tenants.get(&asked.organisation) else { return };
                match watches.get_mut(&asked.lease) {
                    Some(watch) => watch.ask_again((**asked).clone(), now, tenant.limits()),
                    None => {
                        watches.insert(asked.lease, Watch::new((**asked).clone(), tenant.limits()));
                    }
                }
            }
        }
    }

    fn repeat(&self, watches: &mut HashMap<LeaseId, Watch>, command: &Command, reports: &mut Batch) {
        let Command::Watch(asked) = command else { return };
        let (Some(tenant), Some(watch)) = (self.tenants.get(&asked.organisation), watches.get_mut(&asked.lease)) else { return };
        let now = self.clock.now();
        let Some(report) = watch.to_repeat(now, tenant.limits()) else { return };
        if let Some(message) = wire::report(watch, report) {
            watch.reported_at = Some(now);
            reports.push(message);
        }
    }
}
