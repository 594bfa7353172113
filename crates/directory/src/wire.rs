//! Between the wire's words and directory's own.

use homeward_messaging::{NewMessage, Received};
use homeward_proto::directory::v1 as directory;
use homeward_proto::wire::{WireError, moment, moment_optional, parse, parse_optional, timestamp};
use homeward_proto::words::v1 as words;
use homeward_types::{OrganisationId, PlacementVersion};
use uuid::Uuid;

use crate::account::store::{Changed, status_name};
use crate::account::{Account, Change};
use crate::watch::{Asked, Report, Watch};

/// The command that begins a watch.
pub const WATCH: &str = "directory.command.watch-account.v1";
/// The command that ends one.
pub const UNWATCH: &str = "directory.command.unwatch-account.v1";

/// What a watch command asks for. One without an end is left to the caller, who knows how long a lease can be.
pub fn asked(received: &Received, command: &directory::WatchAccount) -> Result<Asked, WireError> {
    Ok(Asked {
        lease: parse("lease", &command.lease)?,
        organisation: parse("organisation", &command.organisation)?,
        account: parse("account", &command.account)?,
        email: parse_optional("email", &command.email)?,
        seen_out_at: moment("seen_out_at", command.seen_out_at)?,
        out_version: command.out_version.map(PlacementVersion),
        until: moment_optional("until", command.until)?,
        trace: received.trace(),
        message: received.envelope.id,
    })
}

/// The watch that is over, as a watch that was asked for when this was said: it may have come before the command that begins it.
pub fn unwatched(received: &Received, command: &directory::UnwatchAccount) -> Result<Asked, WireError> {
    Ok(Asked {
        lease: parse("lease", &command.lease)?,
        organisation: parse("organisation", &command.organisation)?,
        account: parse("account", &command.account)?,
        email: None,
        seen_out_at: received.envelope.at,
        out_version: None,
        until: None,
        trace: received.trace(),
        message: received.envelope.id,
    })
}

/// What is known of a watch, for whoever asked for it; `None` if it is not known.
pub fn report(watch: &Watch, report: Report) -> Option<NewMessage> {
    let (lease, organisation, account) = (watch.lease.to_string(), watch.organisation.to_string(), watch.account.to_string());
    let (whose, id) = (watch.organisation.clone(), watch.lease.uuid());
    let message = match report {
        Report::Absent => {
            let begun_at = Some(timestamp(watch.evidence.absent_at?));
            let payload = directory::FactorAbsent { lease, organisation, account, begun_at };
            NewMessage::new("directory.event.factor-absent.v1", whose, id, format!("{id}/factor-absent"), &payload)
                .in_state("reset-factor")
        }
        Report::Enrolled => {
            let proof = watch.evidence.proof.as_ref()?;
            let (seen_at, evidence) = (Some(timestamp(proof.seen_at)), proof.words.clone());
            let payload = directory::AccountEnrolled { lease, organisation, account, seen_at, evidence };
            NewMessage::new("directory.event.account-enrolled.v1", whose, id, format!("{id}/account-enrolled"), &payload)
                .in_state("await-enrolment")
        }
    };
    Some(message.caused_by(watch.message).within(watch.trace.clone()))
}

/// Tells what changed of an account. It belongs to no recovery.
pub fn account_changed(organisation: &OrganisationId, changed: &Changed) -> NewMessage {
    let Changed { account, changes } = changed;
    let payload = directory::AccountChanged {
        organisation: organisation.to_string(),
        account: account.id.to_string(),
        version: account.version,
        changes: changes.iter().map(|change| directory::AccountChange::from(*change).into()).collect(),
        email: account.email.as_ref().map(ToString::to_string).unwrap_or_default(),
        status: status_name(account.status).into(),
    };
    let key = format!("{}/{}", account.id, account.version);
    NewMessage::new("directory.event.account-changed.v1", organisation.clone(), Uuid::nil(), key, &payload)
        .of_version(account.version)
        .in_state("sync")
}

impl From<Change> for directory::AccountChange {
    fn from(change: Change) -> Self {
        match change {
            Change::Appeared => Self::Appeared,
            Change::Renamed => Self::Renamed,
            Change::Address => Self::Address,
            Change::Status => Self::Status,
            Change::Unclaimed => Self::Unclaimed,
            Change::Gone => Self::Gone,
        }
    }
}

/// An account as the wire has it; `None` without an address.
pub fn account(account: &Account) -> Option<words::Account> {
    account.known().as_ref().map(words::Account::from)
}

/// An account as one to choose from; `None` without an address.
pub fn candidate(account: &Account) -> Option<words::Candidate> {
    account.candidate().as_ref().map(words::Candidate::from)
}
