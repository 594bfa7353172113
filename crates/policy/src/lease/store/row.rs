//! Rows and what they stand for.

use homeward_chassis::telemetry::TraceContext;
use homeward_store::StoreError;
use homeward_types::{Factor, LeaseEnd, LeaseId, MessageId, PersonId, PlacementVersion, Refusal, Timestamp};
use sqlx::types::Json;
use uuid::Uuid;

use super::terms::StoredTerms;
use crate::lease::{Attempt, AttemptState, Ending, Kind, Lease, Missed, Origin, OutSight, Run, Sight, State};

/// A lease with what the store keeps beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The lease.
    pub lease: Lease,
    /// The trace that it belongs to.
    pub trace: TraceContext,
    /// The message that told of its opening.
    pub opened_message: Option<MessageId>,
    /// The first of two persons who release it, and why.
    pub release: Option<(PersonId, String)>,
    /// When the removal of the account's factor was asked of the provider.
    pub reset_at: Option<Timestamp>,
}

impl Kept {
    /// A new lease of a trace.
    pub fn new(lease: Lease, trace: TraceContext) -> Self {
        Self { lease, trace, opened_message: None, release: None, reset_at: None }
    }
}

/// An open lease as others need to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRow {
    /// Which.
    pub lease: LeaseId,
    /// When it is due.
    pub due_at: Timestamp,
}

/// What an account's leases leave behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRow {
    /// Two persons once released it.
    pub released: bool,
    /// The newest placement version that one of them knows.
    pub newest_version: Option<PlacementVersion>,
}

/// A row of the table `lease`.
#[derive(Debug, sqlx::FromRow)]
#[expect(clippy::struct_excessive_bools, reason = "as the lease has them, a column each")]
pub(super) struct LeaseRow {
    id: Uuid,
    organisation: String,
    account: String,
    origin: String,
    version: i64,
    state: String,
    home: String,
    home_version: Option<i64>,
    recovery_policy: String,
    factor_at_lend: String,
    opened_at: Timestamp,
    due_at: Timestamp,
    terms: Json<StoredTerms>,
    newest_begun_at: Option<Timestamp>,
    out_first_at: Option<Timestamp>,
    out_last_at: Option<Timestamp>,
    out_version: Option<i64>,
    out_policy: Option<String>,
    run_policy: Option<String>,
    run_version: Option<i64>,
    run_first_begun_at: Option<Timestamp>,
    back_at: Option<Timestamp>,
    back_version: Option<i64>,
    missed_search_at: Option<Timestamp>,
    missed_itself_at: Option<Timestamp>,
    return_reason: Option<String>,
    returning_at: Option<Timestamp>,
    return_at: Option<Timestamp>,
    failed_returns: i32,
    attempts: i32,
    was_unknown: bool,
    released: bool,
    overdue: bool,
    contained: bool,
    overdue_told: bool,
    reads: i32,
    next_read_at: Option<Timestamp>,
    tick_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    end_kind: Option<String>,
    end_policy: Option<String>,
    refusal: Option<String>,
    traceparent: String,
    tracestate: String,
    opened_message: Option<Uuid>,
    release_by: Option<String>,
    release_reason: Option<String>,
    reset_at: Option<Timestamp>,
}

/// Names the row and column that cannot be understood.
struct At(&'static str, String);

impl At {
    fn wrong(&self, column: &'static str, reason: impl std::fmt::Display) -> StoreError {
        StoreError::Inconsistent { table: self.0, column, row: self.1.clone(), reason: reason.to_string() }
    }

    fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(&self, column: &'static str, text: &str) -> Result<T, StoreError> {
        text.parse().map_err(|error| self.wrong(column, error))
    }

    fn count(&self, column: &'static str, number: i32) -> Result<u32, StoreError> {
        u32::try_from(number).map_err(|error| self.wrong(column, error))
    }
}

impl TryFrom<LeaseRow> for Kept {
    type Error = StoreError;
    fn try_from(row: LeaseRow) -> Result<Self, StoreError> {
        let at = At("lease", row.id.to_string());
        let state = row.state(&at)?;
        let sight = row.sight(&at)?;
        let release = match (&row.release_by, row.release_reason) {
            (Some(by), Some(reason)) => Some((at.parse("release_by", by)?, reason)),
            (Some(_) | None, _) => None,
        };
        Ok(Self {
            lease: Lease {
                id: LeaseId::from_uuid(row.id),
                organisation: at.parse("organisation", &row.organisation)?,
                account: at.parse("account", &row.account)?,
                origin: origin(&at, &row.origin)?,
                version: row.version,
                state,
                home: at.parse("home", &row.home)?,
                home_version: row.home_version.map(PlacementVersion),
                recovery_policy: at.parse("recovery_policy", &row.recovery_policy)?,
                factor_at_lend: factor(&at, &row.factor_at_lend)?,
                opened_at: row.opened_at,
                due_at: row.due_at,
                terms: row.terms.0.into(),
                sight,
                return_reason: row.return_reason,
                returning_at: row.returning_at,
                return_at: row.return_at,
                failed_returns: at.count("failed_returns", row.failed_returns)?,
                attempts: at.count("attempts", row.attempts)?,
                was_unknown: row.was_unknown,
                released: row.released,
                overdue: row.overdue,
                contained: row.contained,
                overdue_told: row.overdue_told,
                reads: at.count("reads", row.reads)?,
                next_read_at: row.next_read_at,
                tick_at: row.tick_at,
            },
            trace: TraceContext { traceparent: row.traceparent, tracestate: row.tracestate },
            opened_message: row.opened_message.map(MessageId::from_uuid),
            release,
            reset_at: row.reset_at,
        })
    }
}

impl LeaseRow {
    fn state(&self, at: &At) -> Result<State, StoreError> {
        match self.state.as_str() {
            "opening" => Ok(State::Opening),
            "active" => Ok(State::Active),
            "closing" => Ok(State::Closing),
            "settling" => Ok(State::Settling),
            "closed" => Ok(State::Closed(self.ending(at)?)),
            other => Err(at.wrong("state", format!("{other:?} is not a state"))),
        }
    }

    fn ending(&self, at: &At) -> Result<Ending, StoreError> {
        let end = match (self.end_kind.as_deref(), &self.end_policy) {
            (Some("home"), _) => LeaseEnd::Home,
            (Some("protected_elsewhere"), Some(policy)) => LeaseEnd::ProtectedElsewhere(at.parse("end_policy", policy)?),
            (Some("gone"), _) => LeaseEnd::Gone,
            (Some("released"), _) => LeaseEnd::Released,
            (Some("never_lent"), _) => LeaseEnd::NeverLent,
            (other, _) => return Err(at.wrong("end_kind", format!("{other:?} is not an end"))),
        };
        let ended = self.ended_at.ok_or_else(|| at.wrong("ended_at", "is missing on a closed lease"))?;
        let refusal = self.refusal.as_deref().map(|name| refusal(at, name)).transpose()?;
        Ok(Ending { end, at: ended, refusal })
    }

    fn sight(&self, at: &At) -> Result<Sight, StoreError> {
        let out = match (self.out_first_at, self.out_last_at, &self.out_policy) {
            (Some(first_at), Some(last_at), Some(policy)) => Some(OutSight {
                first_at,
                last_at,
                version: self.out_version.map(PlacementVersion),
                policy: at.parse("out_policy", policy)?,
            }),
            _ => None,
        };
        let run = match (&self.run_policy, self.run_first_begun_at) {
            (Some(policy), Some(first_begun_at)) => Some(Run {
                policy: at.parse("run_policy", policy)?,
                version: self.run_version.map(PlacementVersion),
                first_begun_at,
            }),
            (Some(_) | None, _) => None,
        };
        Ok(Sight {
            newest_begun_at: self.newest_begun_at,
            out,
            run,
            back_at: self.back_at,
            back_version: self.back_version.map(PlacementVersion),
            missed: Missed { search_at: self.missed_search_at, itself_at: self.missed_itself_at },
        })
    }
}

fn origin(at: &At, name: &str) -> Result<Origin, StoreError> {
    [Origin::Lend, Origin::Adopted, Origin::Reopened]
        .into_iter()
        .find(|origin| origin.name() == name)
        .ok_or_else(|| at.wrong("origin", format!("{name:?} is not an origin")))
}

fn refusal(at: &At, name: &str) -> Result<Refusal, StoreError> {
    [Refusal::Changed, Refusal::Busy, Refusal::Expired, Refusal::Cap, Refusal::Grant, Refusal::Draining]
        .into_iter()
        .find(|refusal| refusal.name() == name)
        .ok_or_else(|| at.wrong("refusal", format!("{name:?} is not a refusal")))
}

pub(super) fn factor_name(factor: Factor) -> &'static str {
    match factor {
        Factor::Enrolled => "enrolled",
        Factor::Absent => "absent",
        Factor::Unknown => "unknown",
    }
}

fn factor(at: &At, name: &str) -> Result<Factor, StoreError> {
    [Factor::Enrolled, Factor::Absent, Factor::Unknown]
        .into_iter()
        .find(|factor| factor_name(*factor) == name)
        .ok_or_else(|| at.wrong("factor_at_lend", format!("{name:?} is not a factor")))
}

/// What decides of a row of the table `attempt`.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct AttemptRow {
    pub(super) lease_id: Uuid,
    number: i32,
    kind: String,
    state: String,
    not_before: Timestamp,
    not_after: Option<Timestamp>,
    claimed_until: Option<Timestamp>,
    accepted: bool,
}

impl TryFrom<AttemptRow> for Attempt {
    type Error = StoreError;
    fn try_from(row: AttemptRow) -> Result<Self, StoreError> {
        let at = At("attempt", format!("{}/{}", row.lease_id, row.number));
        let kind = kind(&row.kind).ok_or_else(|| at.wrong("kind", format!("{:?} is not a kind", row.kind)))?;
        let claimed = || row.claimed_until.ok_or_else(|| at.wrong("claimed_until", "is missing on an attempt that was sent"));
        let state = match row.state.as_str() {
            "ready" => AttemptState::Ready,
            "sent" => AttemptState::Sent { claimed_until: claimed()?, accepted: row.accepted },
            "taken" => AttemptState::Taken,
            "not_taken" => AttemptState::NotTaken,
            "unknown" => AttemptState::Unknown { claimed_until: claimed()? },
            "void" => AttemptState::Void,
            other => return Err(at.wrong("state", format!("{other:?} is not a state"))),
        };
        let number = at.count("number", row.number)?;
        Ok(Self { number, kind, state, not_before: row.not_before, not_after: row.not_after })
    }
}

pub(super) fn kind(name: &str) -> Option<Kind> {
    [Kind::Lend, Kind::Return].into_iter().find(|kind| kind.name() == name)
}

/// A count as both engines store it.
pub(super) fn stored(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
