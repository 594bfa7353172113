//! From commands to leases: a batch at a time, one fresh bulk read for each organisation in it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use homeward_chassis::boundary;
use homeward_provider::{Holder, Priority};
use homeward_store::{StoreError, Tx, transaction};
use homeward_types::diagnosis::OpenLease;
use homeward_types::limits::after;
use homeward_types::{AccountId, Email, IncidentId, LeaseId, Organisation, OrganisationId, Refusal, Timestamp};

use super::built::{accept, lasts, line, refuse};
use super::facts::{FreshRead, NotAllowed};
use super::grant::{GrantError, GrantKeys};
use super::{Command, store};
use crate::incident::Incident;
use crate::lease::earlier;
use crate::lease::store as leases;
use crate::ledger::{Changes, Happened, Ledger};
use crate::opening_log::LogError;
use crate::organisation;
use crate::site::Sites;

/// How long an address stays in quarantine after somebody else was found there.
const QUARANTINE: Duration = Duration::from_hours(24);

/// How often a batch is decided anew because another process opened one of its leases at the same moment.
const TRIES: u32 = 5;

/// Why a batch was not decided. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The database.
    #[error("deciding on lends")]
    Store(#[from] StoreError),
    /// The file outside the database.
    #[error("noting openings outside the database")]
    Log(#[from] LogError),
}

/// Takes lends in. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    ledger: Ledger,
    sites: Arc<Sites>,
    keys: Arc<GrantKeys>,
}

/// What is decided of a command before the transaction.
enum Verdict {
    /// The grant does not hold.
    Bad(GrantError),
    /// It came too late.
    Expired,
    /// Nothing is lent now.
    Draining,
    /// To be diagnosed.
    Fair,
}

impl Intake {
    /// An intake that knows these keys of recovery.
    pub fn new(ledger: Ledger, sites: Arc<Sites>, keys: Arc<GrantKeys>) -> Self {
        Self { ledger, sites, keys }
    }

    /// Decides on commands, at most a hundred, of configured organisations. Returns those that cannot be decided yet because
    /// their organisation's provider does not answer.
    ///
    /// # Errors
    /// [`IntakeError`]: what was decided before the error is kept, and deciding it again only answers again.
    pub async fn admit(&self, commands: Vec<Command>) -> Result<Vec<Command>, IntakeError> {
        let commands = self.answer_repeats(commands).await?;
        let mut by_organisation: BTreeMap<OrganisationId, Vec<Command>> = BTreeMap::new();
        for command in commands {
            by_organisation.entry(command.grant.organisation.clone()).or_default().push(command);
        }
        let mut undecided = Vec::new();
        for (organisation, commands) in by_organisation {
            if let Some(settings) = self.ledger.organisation(&organisation) {
                undecided.extend(self.admit_to(settings, commands).await?);
            } else {
                tracing::error!(%organisation, "a lend names an organisation that is not configured");
            }
        }
        Ok(undecided)
    }

    /// An id that is known already is only answered again, whatever the grant: nothing is opened twice.
    async fn answer_repeats(&self, mut commands: Vec<Command>) -> Result<Vec<Command>, StoreError> {
        let mut seen = HashSet::new();
        commands.retain(|command| seen.insert(command.grant.lease));
        let ids: Vec<LeaseId> = commands.iter().map(|command| command.grant.lease).collect();
        let known = leases::known(self.ledger.db(), &ids).await?;
        let (repeats, new): (Vec<_>, Vec<_>) = commands.into_iter().partition(|command| known.contains(&command.grant.lease));
        let again: Vec<Happened> = repeats
            .iter()
            .filter_map(|command| {
                let settings = self.ledger.organisation(&command.grant.organisation)?;
                Some(refuse(command, settings, Refusal::Busy))
            })
            .collect();
        self.ledger.turn("lease.answer_again", &again).await?;
        Ok(new)
    }

    async fn admit_to(&self, settings: &Organisation, commands: Vec<Command>) -> Result<Vec<Command>, IntakeError> {
        let now = self.ledger.now();
        let state = organisation::store::read(self.ledger.db(), &settings.id).await?;
        let mut judged = Vec::with_capacity(commands.len());
        for command in commands {
            let verdict = self.verdict(&command, settings, state.draining, now);
            judged.push((command, verdict));
        }
        let fair: Vec<&Command> = judged.iter().filter(|(_, v)| matches!(v, Verdict::Fair)).map(|(c, _)| c).collect();
        let read = if fair.is_empty() {
            Some(FreshRead::default())
        } else if state.accounts.is_none() {
            // The hard cap is a share of a number that is not known yet.
            None
        } else {
            self.read(settings, &fair).await
        };
        if let Some(read) = &read {
            self.decide(settings, &judged, read).await?;
            return Ok(Vec::new());
        }
        // What needs no read is decided all the same.
        let (fair, clear): (Vec<_>, Vec<_>) = judged.into_iter().partition(|(_, verdict)| matches!(verdict, Verdict::Fair));
        self.decide(settings, &clear, &FreshRead::default()).await?;
        Ok(fair.into_iter().map(|(command, _)| command).collect())
    }

    fn verdict(&self, command: &Command, settings: &Organisation, draining: bool, now: Timestamp) -> Verdict {
        match self.keys.verify(command, settings) {
            Err(error) => Verdict::Bad(error),
            Ok(()) if draining => Verdict::Draining,
            Ok(()) if command.is_expired(now) => Verdict::Expired,
            Ok(()) => Verdict::Fair,
        }
    }

    /// One bulk read of everything that the diagnosis needs; `None` if the provider does not answer.
    async fn read(&self, settings: &Organisation, commands: &[&Command]) -> Option<FreshRead> {
        let site = self.sites.get(&settings.id)?;
        let who: Vec<Holder> = commands
            .iter()
            .map(|command| Holder { account: command.grant.account.clone(), email: Some(command.grant.email.clone()) })
            .collect();
        let outcome = boundary!("provider", "lend", FreshRead::of(site.provider(), &who, Priority::Lend).await);
        site.heard(outcome.as_ref().err()).await;
        match outcome {
            Ok(read) => Some(read),
            Err(error) => {
                tracing::warn!(organisation = %settings.id, %error, lends = who.len(), "lends wait: the accounts cannot be read");
                None
            }
        }
    }

    async fn decide(&self, settings: &Organisation, judged: &[(Command, Verdict)], read: &FreshRead) -> Result<(), IntakeError> {
        if judged.is_empty() {
            return Ok(());
        }
        // The line before the row: no lease can exist that the file does not know.
        let now = self.ledger.now();
        let lines = judged
            .iter()
            .filter(|(_, verdict)| matches!(verdict, Verdict::Fair))
            .filter_map(|(command, _)| {
                let allowed = read.diagnose(settings, &command.grant, None, false, now).ok()?;
                line(settings, command, &allowed, now)
            })
            .collect();
        self.ledger.log().append(lines).await?;
        for tries in 1.. {
            let changes = boundary!(
                "commit",
                "lend",
                transaction!(self.ledger.db(), "lease.open", async |tx| -> Result<Changes, StoreError> {
                    self.open(tx, settings, judged, read).await
                })
            );
            match changes {
                Ok(changes) => {
                    self.ledger.committed(changes);
                    break;
                }
                // Somebody else was faster with an id or an account: now that shows.
                Err(error) if error.is_unique_violation() && tries < TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The transaction: the organisation's counter is held, then everything that the diagnosis needs from the database is read.
    async fn open(
        &self,
        tx: &mut Tx,
        settings: &Organisation,
        judged: &[(Command, Verdict)],
        read: &FreshRead,
    ) -> Result<Changes, StoreError> {
        let now = self.ledger.now();
        let accounts: Vec<&AccountId> = judged.iter().map(|(command, _)| &command.grant.account).collect();
        let addresses: Vec<&Email> = judged.iter().map(|(command, _)| &command.grant.email).collect();
        let state = organisation::store::locked(tx, &settings.id).await?;
        let mut open = leases::open_of_accounts(tx, &settings.id, &accounts).await?;
        let past = leases::past_of_accounts(tx, &settings.id, &accounts).await?;
        let since = earlier(now, QUARANTINE);
        let quarantined = store::quarantined(tx, &settings.id, &addresses, since).await?;
        let cap = i64::try_from(settings.limits.hard_cap(state.accounts.unwrap_or(0))).unwrap_or(i64::MAX);
        let mut room = (cap - state.open_leases).max(0);
        let (mut happened, mut incidents, mut used) = (Vec::new(), Vec::new(), Vec::new());
        for (command, verdict) in judged {
            let grant = &command.grant;
            let refusal = match verdict {
                Verdict::Bad(error) => {
                    incidents.push(self.bad_grant(command, error));
                    Some(Refusal::Grant)
                }
                Verdict::Draining => Some(Refusal::Draining),
                Verdict::Expired => Some(Refusal::Expired),
                Verdict::Fair if state.draining => Some(Refusal::Draining),
                Verdict::Fair if quarantined.contains(grant.email.as_str()) => Some(Refusal::Changed),
                Verdict::Fair => None,
            };
            let allowed = refusal.map_or_else(
                || {
                    let other = open.get(&grant.account).map(|open| OpenLease { lease: open.lease, free_at: open.due_at });
                    let released = past.get(&grant.account).is_some_and(|past| past.released);
                    read.diagnose(settings, grant, other, released, now).map_err(|why| refused(command, &why))
                },
                Err,
            );
            let allowed = allowed.and_then(|allowed| if room > 0 { Ok(allowed) } else { Err(Refusal::Cap) });
            match allowed {
                Ok(allowed) => {
                    room -= 1;
                    let row = leases::OpenRow { lease: grant.lease, due_at: after(now, lasts(settings, command)) };
                    open.insert(grant.account.clone(), row);
                    used.push(command);
                    let seen_before = past.get(&grant.account).and_then(|past| past.newest_version);
                    happened.push(accept(command, settings, &allowed, seen_before));
                }
                Err(refusal) => happened.push(refuse(command, settings, refusal)),
            }
        }
        let changes = self.ledger.apply(tx, &happened, incidents, now).await?;
        store::use_grants(tx, &used, now).await?;
        Ok(changes)
    }

    fn bad_grant(&self, command: &Command, error: &GrantError) -> Incident {
        let grant = &command.grant;
        let id = IncidentId::new(self.ledger.clock());
        Incident::bad_grant(grant.lease, id, &grant.organisation, &grant.account, &error.to_string())
    }
}

/// The refusal that a diagnosis leads to. Its words go into the log: the requester gets a diagnosis of its own.
fn refused(command: &Command, why: &NotAllowed) -> Refusal {
    match why {
        NotAllowed::Busy => Refusal::Busy,
        NotAllowed::Changed(what) => {
            tracing::info!(lease = %command.grant.lease, why = what, "a lend is refused: something changed since the approval");
            Refusal::Changed
        }
    }
}
