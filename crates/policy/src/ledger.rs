//! Where events meet leases: one transaction for a batch, with everything that must be kept together with a change.
//!
//! Leases are locked in id order, decided on by [`decide`](crate::lease::decide), and written back with their attempts, messages, audit entries,
//! incidents and the organisation's counter. After the commit messages are published, loops are woken and the file outside
//! the database learns of ends.

mod again;
mod heard;
mod notes;
mod working;

use std::collections::BTreeMap;
use std::sync::Arc;

use homeward_chassis::boundary;
use homeward_chassis::telemetry::TraceContext;
use homeward_messaging::{Batch, Outbox, Received, inbox};
use homeward_store::{Database, StoreError, Tx, audit, transaction};
use homeward_types::{Clock, IncidentId, LeaseId, MessageId, Organisation, OrganisationId, Timestamp};

use crate::bells::Belfry;
use crate::incident::{self, Incident};
use crate::lease::store::{self as leases, Kept, Receipt};
use crate::lease::{Alarm, Decision, Event, Lease, News, Origin, VersionShown, wire};
use crate::meters::Meters;
use crate::opening_log::{Line, OpeningLog};
use crate::organisation;
use heard::Heard;
use working::Working;

/// Who did what policy does by itself, in the audit log.
pub const POLICY: &str = "policy";

/// Something that happened to a lease.
#[derive(Debug, Clone)]
pub struct Happened {
    /// Which lease.
    pub lease: LeaseId,
    /// What.
    pub event: Event,
    /// By whom: a person's or service's name.
    pub actor: String,
    /// The message that led to it.
    pub cause: Option<MessageId>,
    /// The trace that a new lease belongs to.
    pub trace: TraceContext,
    /// What the provider said, where it answered an attempt.
    pub receipt: Option<Receipt>,
}

impl Happened {
    /// Something that policy itself saw or decided.
    pub fn by_policy(lease: LeaseId, event: Event) -> Self {
        Self { lease, event, actor: POLICY.into(), cause: None, trace: TraceContext::default(), receipt: None }
    }
}

/// What one thing that happened led to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The lease as it then stood; `None` if the id is not known.
    pub kept: Option<Kept>,
    /// What was told.
    pub news: Option<News>,
}

/// Everything that follows a commit.
#[must_use = "messages must be published after the commit"]
pub struct Changes {
    batch: Batch,
    /// One for each thing that happened, in order.
    pub outcomes: Vec<Outcome>,
    changed: Vec<Lease>,
    ended: Vec<Lease>,
    incidents: Vec<&'static str>,
}

/// The leases of this process. Cheap to clone.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    db: Database,
    outbox: Outbox,
    clock: Arc<dyn Clock>,
    organisations: Arc<BTreeMap<OrganisationId, Organisation>>,
    log: OpeningLog,
    belfry: Belfry,
    meters: Meters,
    heard: Heard,
}

impl Ledger {
    /// The leases in this database.
    pub fn new(
        db: Database,
        outbox: Outbox,
        clock: Arc<dyn Clock>,
        organisations: Arc<BTreeMap<OrganisationId, Organisation>>,
        log: OpeningLog,
    ) -> Self {
        let belfry = Belfry::new(organisations.keys());
        Self(Arc::new(Inner {
            db,
            outbox,
            clock,
            organisations,
            log,
            belfry,
            meters: Meters::default(),
            heard: Heard::default(),
        }))
    }

    /// The database.
    pub fn db(&self) -> &Database {
        &self.0.db
    }

    /// The outbox.
    pub fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The configured organisations.
    pub fn organisations(&self) -> &BTreeMap<OrganisationId, Organisation> {
        &self.0.organisations
    }

    /// The settings of an organisation.
    pub fn organisation(&self, id: &OrganisationId) -> Option<&Organisation> {
        self.0.organisations.get(id)
    }

    /// The bells of this process.
    pub fn belfry(&self) -> &Belfry {
        &self.0.belfry
    }

    /// The instruments.
    pub fn meters(&self) -> &Meters {
        &self.0.meters
    }

    /// The file outside the database.
    pub fn log(&self) -> &OpeningLog {
        &self.0.log
    }

    /// Takes note of the senders' numbers (rule 12); the next transactions write them down.
    pub fn hear(&self, batch: &[Received]) {
        self.0.heard.hear(batch);
    }

    /// One transaction for everything that happened, and what follows its commit.
    ///
    /// # Errors
    /// [`StoreError`]: nothing of it is kept.
    pub async fn turn(&self, name: &'static str, happened: &[Happened]) -> Result<Vec<Outcome>, StoreError> {
        if happened.is_empty() {
            return Ok(Vec::new());
        }
        let state = notes::boundary_state(happened);
        let changes = boundary!(
            "commit",
            state,
            transaction!(self.0.db, name, async |tx| -> Result<Changes, StoreError> {
                let now = self.now();
                self.apply(tx, happened, Vec::new(), now).await
            })
        )?;
        Ok(self.committed(changes))
    }

    /// Decides on everything that happened and writes it, inside a transaction; `incidents` are opened besides.
    /// Hand the result to [`Ledger::committed`] after the commit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn apply(
        &self,
        tx: &mut Tx,
        happened: &[Happened],
        mut incidents: Vec<Incident>,
        now: Timestamp,
    ) -> Result<Changes, StoreError> {
        let mut batch = self.0.outbox.batch();
        let mut working = Working::load(tx, happened).await?;
        let mut entries = Vec::new();
        let mut outcomes = Vec::new();
        let mut again = Vec::new();
        for what in happened {
            let decision = working.decide(what, now);
            if decision.alarms.contains(&Alarm::OutAgain)
                && let (Some(lease), Event::Read { reading, .. }) = (&decision.lease, &what.event)
            {
                again.extend(self.reopened(lease, reading));
            }
            incidents.extend(self.alarmed(&decision));
            entries.extend(notes::entry(what, &decision, now));
            outcomes.push(working.keep(what, decision, &mut batch));
        }
        let found = working.decide_found(tx, again, now).await?;
        for (what, decision) in found {
            incidents.extend(self.alarmed(&decision));
            entries.extend(notes::entry(&what, &decision, now));
            working.keep(&what, decision, &mut batch);
        }
        working.write(tx).await?;
        let opened = incident::store::open(tx, &incidents, now).await?;
        incidents.retain(|incident| opened.contains(&incident.id.uuid()));
        for incident in &incidents {
            batch.push(incident.message());
        }
        for (organisation, by) in working.counts() {
            organisation::store::count_leases(tx, &organisation, by).await?;
        }
        for (organisation, shown) in working.shown() {
            organisation::store::trust(tx, organisation, shown).await?;
        }
        audit::record(tx, &entries).await?;
        inbox::hear(tx, &self.0.heard.take(now)).await?;
        batch.store(tx).await?;
        let (changed, ended) = working.into_changed();
        Ok(Changes { batch, outcomes, changed, ended, incidents: incidents.iter().map(|incident| incident.kind).collect() })
    }

    fn alarmed(&self, decision: &Decision) -> Vec<Incident> {
        let Some(lease) = &decision.lease else { return Vec::new() };
        decision.alarms.iter().filter_map(|alarm| Incident::of(alarm, lease, IncidentId::new(self.clock()))).collect()
    }

    /// What follows a commit: nothing of it can fail the change.
    pub fn committed(&self, changes: Changes) -> Vec<Outcome> {
        self.0.outbox.publish(changes.batch);
        let found = changes.changed.iter().filter(|lease| lease.version == 1 && lease.origin != Origin::Lend).map(Line::opened);
        self.0.log.append_later(found.chain(changes.ended.iter().filter_map(Line::closed)).collect());
        for lease in &changes.ended {
            self.0.meters.ended(lease);
        }
        for kind in changes.incidents {
            self.0.meters.incident(kind);
        }
        self.0.belfry.changed(&changes.changed, self.now());
        changes.outcomes
    }
}

/// The message that tells the news of a lease.
fn told(news: News, kept: &Kept, cause: Option<MessageId>) -> homeward_messaging::NewMessage {
    let message = wire::message(news, kept);
    match cause {
        Some(cause) => message.caused_by(cause),
        None => message,
    }
}

/// Versions that were shown to grow, by organisation.
type Shown<'a> = Vec<(&'a OrganisationId, VersionShown)>;

/// Loads and locks; see [`leases::locked`].
async fn load(tx: &mut Tx, happened: &[Happened]) -> Result<working::Loaded, StoreError> {
    let mut ids: Vec<LeaseId> = happened.iter().map(|what| what.lease).collect();
    ids.sort_unstable();
    ids.dedup();
    let kept = leases::locked(tx, &ids).await?;
    let attempts = leases::live_attempts(tx, &ids).await?;
    Ok((kept, attempts))
}
