//! What the saga's decisions come to in recovery's own database: rows and messages, in the saga's transaction.

mod audit;
mod rows;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use homeward_messaging::Batch;
use homeward_saga::{Applied, Arrival, Domain, Event, SagaError};
use homeward_store::Tx;
use homeward_types::{Clock, IncidentId, Organisation, OrganisationId, PersonId, RecoveryId, Timestamp};
use tokio::sync::{Notify, broadcast};
use uuid::Uuid;

use crate::case::{self, Case};
use crate::containment::{self, Containment};
use crate::grant::GrantKey;
use crate::incident;
use crate::people::People;
use crate::saga::RecoverySaga;
use crate::saga::command::{Command, Notice};
use crate::saga::data::Recipient;
use crate::slot;
use crate::timeline;
use rows::Rows;
pub use wire::contain;

/// What notices say besides the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// Where the page is reached from outside, without a slash at the end. The links "this was not me" begin with it.
    pub public_url: String,
    /// Where users sign in.
    pub sign_in_url: String,
    /// The same by organisation, where one differs.
    pub sign_in_urls: BTreeMap<OrganisationId, String>,
}

impl Links {
    /// Where users of this organisation sign in.
    pub fn sign_in(&self, organisation: &OrganisationId) -> String {
        self.sign_in_urls.get(organisation).unwrap_or(&self.sign_in_url).clone()
    }
}

/// Recovery's part of every transaction over sagas.
pub struct RecoveryDomain {
    pub(crate) organisations: Arc<BTreeMap<OrganisationId, Organisation>>,
    pub(crate) people: Arc<People>,
    pub(crate) key: Arc<GrantKey>,
    pub(crate) links: Links,
    pub(crate) clock: Arc<dyn Clock>,
    /// Tells watchers which case changed.
    pub(crate) changed: broadcast::Sender<Uuid>,
    /// Somebody waits in a line: learn the cap soon.
    pub(crate) waiting: Arc<Notify>,
}

type Change = Applied<RecoverySaga>;

#[async_trait]
impl Domain<RecoverySaga> for RecoveryDomain {
    async fn apply(
        &self,
        tx: &mut Tx,
        applied: &[Change],
        messages: &mut Batch,
    ) -> Result<Vec<Arrival<RecoverySaga>>, SagaError> {
        let now = self.clock.now();
        let mut rows = Rows::of(self, applied, now);
        let cases = cases(tx, applied).await?;
        let mut follows = wire::send(self, applied, &cases, messages, &mut rows.incidents)?;
        self.begin_containments(tx, applied, &rows.containments, messages, now).await?;
        rows.write(tx, now).await?;
        follows.extend(self.slots(tx, &rows.wishes, now).await?);
        Ok(follows)
    }

    fn committed(&self, applied: &[Change]) {
        for change in applied {
            // Nobody watching is no failure.
            self.changed.send(change.id).ok();
        }
    }
}

impl RecoveryDomain {
    /// The id of a new incident.
    pub(crate) fn incident_id(&self) -> IncidentId {
        IncidentId::new(&*self.clock)
    }

    /// Whether an account of this organisation is disabled when its owner says "this was not me".
    pub(crate) fn contains(&self, organisation: &OrganisationId) -> bool {
        self.organisations.get(organisation).is_none_or(|organisation| organisation.limits.contain_repudiated)
    }

    /// Asks policy to disable accounts that nobody asked for before.
    async fn begin_containments(
        &self,
        tx: &mut Tx,
        applied: &[Change],
        wanted: &[Containment],
        messages: &mut Batch,
        now: Timestamp,
    ) -> Result<(), SagaError> {
        let new = containment::store::begin(tx, wanted, now).await?;
        for wanted in wanted.iter().filter(|wanted| new.contains(&wanted.recovery)) {
            let Some(change) = applied.iter().find(|change| change.id == wanted.recovery.uuid()) else { continue };
            messages.push(contain(wanted, &change.trace));
            if change.progress.data.cleaned {
                // What was opened in the window is not to be trusted: look once more, though it was cleaned before.
                messages.push(wire::clean(change.id, &change.progress.data, &change.trace));
            }
        }
        Ok(())
    }

    async fn slots(
        &self,
        tx: &mut Tx,
        wishes: &slot::store::Wishes,
        now: Timestamp,
    ) -> Result<Vec<Arrival<RecoverySaga>>, SagaError> {
        if wishes.is_empty() {
            return Ok(Vec::new());
        }
        let served = slot::store::exchange(tx, wishes, now).await?;
        if served.len() < wishes.asked.len() {
            self.waiting.notify_one();
        }
        Ok(served.into_iter().map(|id| Arrival::input(id, crate::saga::input::Input::SlotTaken)).collect())
    }
}

impl Rows<'_> {
    async fn write(&self, tx: &mut Tx, now: Timestamp) -> Result<(), SagaError> {
        case::store::write::insert(tx, &self.cases).await?;
        case::store::write::close(tx, &self.closings).await?;
        case::store::write::repudiate(tx, &self.repudiated, now).await?;
        case::store::write::add_texts(tx, &self.texts).await?;
        timeline::store::add(tx, &self.timeline).await?;
        incident::store::open(tx, &self.incidents, now).await?;
        homeward_store::audit::record(tx, &self.audit).await?;
        Ok(())
    }
}

/// The cases that messages of these changes speak of.
async fn cases(tx: &mut Tx, applied: &[Change]) -> Result<HashMap<Uuid, Case>, SagaError> {
    let mut cases = HashMap::new();
    let mut wanted = Vec::new();
    for change in applied {
        let data = &change.progress.data;
        if let (Event::Start, Some(opening)) = (&change.event, &data.opening) {
            cases.insert(change.id, Case::born(RecoveryId::from_uuid(change.id), data, opening));
        } else if change.commands.iter().any(speaks_of_the_case) && !cases.contains_key(&change.id) {
            wanted.push(change.id);
        }
    }
    wanted.sort_unstable();
    wanted.dedup();
    cases.extend(case::store::load(tx, &wanted).await?.into_iter().map(|case| (case.id.uuid(), case)));
    Ok(cases)
}

fn speaks_of_the_case(command: &Command) -> bool {
    match command {
        Command::AskApprovers | Command::Lend | Command::Watch | Command::Tell(..) => true,
        Command::WithdrawVotes
        | Command::TakeSlot
        | Command::GiveSlotBack
        | Command::Unwatch
        | Command::ResetFactor
        | Command::Return(_)
        | Command::CleanWindow => false,
    }
}

/// How the owner is called in delivery keys; no person may be called so.
pub const OWNER: &str = "owner";

/// Names one notice to one recipient: `<recovery>.<notice>.<recipient>`. Whoever is told under a key is told once.
pub fn delivery_key(recovery: RecoveryId, notice: Notice, to: &Recipient) -> String {
    let whom = match to {
        Recipient::Owner => OWNER,
        Recipient::Person(person) => person.as_str(),
    };
    format!("{recovery}.{}.{whom}", notice.name())
}

/// What a delivery key names; `None` if it is not one of ours.
pub fn read_delivery_key(key: &str) -> Option<(RecoveryId, Notice, Recipient)> {
    let mut parts = key.splitn(3, '.');
    let recovery = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let notice = Notice::ALL.into_iter().find(|notice| notice.name() == name)?;
    let to = match parts.next()? {
        OWNER => Recipient::Owner,
        person => Recipient::Person(person.parse::<PersonId>().ok()?),
    };
    Some((recovery, notice, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_key_is_read_as_it_was_made() {
        let recovery: RecoveryId = "018f0000-0000-7000-8000-000000000001".parse().unwrap();
        for notice in Notice::ALL {
            for to in [Recipient::Owner, Recipient::Person("rita.m@example.com".parse().unwrap())] {
                assert_eq!(read_delivery_key(&delivery_key(recovery, notice, &to)), Some((recovery, notice, to)));
            }
        }
        for bad in ["", "x", "x.closed.owner", "018f0000-0000-7000-8000-000000000001.nothing.owner"] {
            assert_eq!(read_delivery_key(bad), None, "{bad:?}");
        }
    }
}
