//! What a programmer could get wrong, one thing at a time. The checker must find each.
//!
//! A mutation changes what goes into or comes out of a production function, or leaves out a guard of the transaction
//! around it. The production functions themselves stay as they are.

use homeward_policy::lease::{
    Answer, Attempt, AttemptState, Decision, Ending, Event, Kind, Lease, News, Opened, Place, Reading, State, settled_from,
};
use homeward_types::LeaseEnd;

use super::place::Versions;
use super::scale::now;
use super::setup::Setup;

/// One mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutation {
    /// The account is moved first, and the lease committed afterwards.
    LeaseAfterMove,
    /// An accepted return closes the lease.
    CloseOnAccepted,
    /// Any read that shows home closes a lease that is being returned, however old it is.
    CloseOnStaleRead,
    /// A return for an unknown id is answered, and leaves no row.
    NoTombstone,
    /// A lease closes at the first proof of home, also with a lend of unknown outcome.
    SkipSettling,
    /// A cancelled case closes without asking for the return.
    CancelThroughLend,
    /// A read that shows the account out while it is being returned, or settling, is ignored.
    IgnoreLateLent,
    /// A case that is leaving ignores the news that the account was lent.
    IgnoreLateLentNews,
    /// The database does not enforce one open lease an account.
    NoOneOpenLeaseIndex,
    /// A case believes older news over newer.
    LowerVersionAccepted,
    /// A read that shows the account out counts, whatever its version.
    OutWithoutVersion,
    /// A lend of unknown outcome is sent again.
    ResendUnknownLend,
    /// A return leaves `ready` attempts as they are.
    ReturnLeavesReady,
    /// The same, and the mark `sent` does not look at the lease's state.
    ReturnLeavesReadyUnguarded,
    /// A lend is sent before the broker has confirmed `lease.opened`.
    LendBeforeConfirmed,
    /// The home is wherever the account was seen.
    HomeUnchecked,
    /// Two coordinators write the same case without looking whether it changed meanwhile.
    NoRowVersion,
    /// A lease takes what the read before it showed for its home's version, whatever earlier leases have seen.
    NoVersionFloor,
    /// Nobody looks whom a move took along whose address has changed hands.
    HolderUnchecked,
}

impl Mutation {
    /// Every one.
    pub const ALL: [Self; 19] = [
        Self::LeaseAfterMove,
        Self::CloseOnAccepted,
        Self::CloseOnStaleRead,
        Self::NoTombstone,
        Self::SkipSettling,
        Self::CancelThroughLend,
        Self::IgnoreLateLent,
        Self::IgnoreLateLentNews,
        Self::NoOneOpenLeaseIndex,
        Self::LowerVersionAccepted,
        Self::OutWithoutVersion,
        Self::ResendUnknownLend,
        Self::ReturnLeavesReady,
        Self::ReturnLeavesReadyUnguarded,
        Self::LendBeforeConfirmed,
        Self::HomeUnchecked,
        Self::NoRowVersion,
        Self::NoVersionFloor,
        Self::HolderUnchecked,
    ];

    /// The mistake in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::LeaseAfterMove => "lease after move",
            Self::CloseOnAccepted => "close on accepted",
            Self::CloseOnStaleRead => "close on a stale read",
            Self::NoTombstone => "no tombstone",
            Self::SkipSettling => "skip settling",
            Self::CancelThroughLend => "cancel through a lend",
            Self::IgnoreLateLent => "ignore a late lent",
            Self::IgnoreLateLentNews => "ignore a late lent, in recovery",
            Self::NoOneOpenLeaseIndex => "one-open-lease index off",
            Self::LowerVersionAccepted => "lower version accepted",
            Self::OutWithoutVersion => "out-read without version check",
            Self::ResendUnknownLend => "re-send of an unknown lend",
            Self::ReturnLeavesReady => "return leaves ready attempts",
            Self::ReturnLeavesReadyUnguarded => "return leaves ready attempts, and the mark does not look",
            Self::LendBeforeConfirmed => "lend sent before lease.opened is confirmed",
            Self::HomeUnchecked => "home := current placement unchecked",
            Self::NoRowVersion => "row version not compared",
            Self::NoVersionFloor => "no version floor",
            Self::HolderUnchecked => "holder of the address not looked at",
        }
    }

    /// The smallest world in which the mistake can show.
    pub fn world(self) -> Setup {
        let (alone, one) = (Setup::leases_alone(Versions::Trusted), Setup::one_lease(Versions::Trusted));
        let world = match self {
            Self::NoTombstone | Self::CancelThroughLend | Self::IgnoreLateLentNews | Self::LowerVersionAccepted => one,
            Self::NoOneOpenLeaseIndex => Setup { looks: 2, ..alone },
            Self::HolderUnchecked => Setup::pairs_swapped(),
            Self::NoRowVersion => Setup { coordinators: 2, ..one },
            Self::LeaseAfterMove
            | Self::CloseOnAccepted
            | Self::CloseOnStaleRead
            | Self::SkipSettling
            | Self::IgnoreLateLent
            | Self::OutWithoutVersion
            | Self::ResendUnknownLend
            | Self::ReturnLeavesReady
            | Self::ReturnLeavesReadyUnguarded
            | Self::LendBeforeConfirmed
            | Self::HomeUnchecked
            | Self::NoVersionFloor => alone,
        };
        Setup { mutation: Some(self), ..world }
    }

    /// Changes what policy's decision is asked.
    pub fn event(self, lease: Option<&Lease>, event: &Event) -> Event {
        match (self, event, lease) {
            (Self::NoVersionFloor, Event::LendAccepted(opened), None) => {
                Event::LendAccepted(Opened { seen_before: None, ..opened.clone() })
            }
            (Self::OutWithoutVersion, Event::Read { reading, trust }, Some(lease)) if is_out(reading) => {
                let later = lease.home_version.map(|home| homeward_types::PlacementVersion(home.0 + 1));
                let version = reading.version.max(later);
                Event::Read { reading: Reading { version, ..reading.clone() }, trust: *trust }
            }
            (Self::IgnoreLateLent, Event::Read { reading, trust }, Some(lease))
                if is_out(reading) && matches!(lease.state, State::Closing | State::Settling) =>
            {
                Event::Read { reading: Reading { place: Place::Nowhere, ..reading.clone() }, trust: *trust }
            }
            _ => event.clone(),
        }
    }

    /// Changes what policy decided.
    pub fn decision(self, lease: Option<&Lease>, attempts: &[Attempt], event: &Event, decision: &mut Decision) {
        let was = lease.map(|lease| &lease.state);
        match (self, event, was) {
            (
                Self::CloseOnAccepted,
                Event::AttemptAnswered { number, answer: Answer::Accepted },
                Some(State::Closing | State::Settling),
            ) if attempts.iter().any(|attempt| attempt.number == *number && attempt.kind == Kind::Return) => close(decision),
            (Self::CloseOnStaleRead, Event::Read { reading, .. }, Some(State::Closing | State::Settling)) => {
                let settled =
                    lease.is_some_and(|lease| settled_from(attempts, &lease.terms).is_none_or(|from| reading.begun_at >= from));
                if matches!(reading.place, Place::Protecting(_)) && settled {
                    close(decision);
                }
            }
            (Self::SkipSettling, _, _)
                if decision.lease.as_ref().is_some_and(|lease| lease.state == State::Settling && !lease.released) =>
            {
                close(decision);
            }
            (Self::NoTombstone, Event::ReturnAsked(_), None) => {
                *decision = Decision { news: Some(News::Closed), ..Decision::default() };
            }
            (
                Self::ResendUnknownLend,
                Event::AttemptAnswered { number, answer: Answer::Unknown { .. } },
                Some(State::Opening),
            ) => {
                let again =
                    decision.attempts.iter_mut().filter(|attempt| attempt.number == *number && attempt.kind == Kind::Lend);
                again.for_each(|attempt| attempt.state = AttemptState::Ready);
            }
            (Self::ReturnLeavesReady | Self::ReturnLeavesReadyUnguarded, _, _) => {
                let begins = decision.lease.as_ref().is_some_and(|lease| lease.state == State::Closing);
                if begins {
                    decision.attempts.retain(|attempt| attempt.state != AttemptState::Void);
                }
            }
            _ => {}
        }
    }
}

fn is_out(reading: &Reading) -> bool {
    matches!(reading.place, Place::Out(_))
}

fn close(decision: &mut Decision) {
    let Some(lease) = &mut decision.lease else { return };
    if lease.is_open() {
        lease.state = State::Closed(Ending { end: LeaseEnd::Home, at: now(), refusal: None });
        decision.changed = true;
        decision.news = Some(News::Closed);
    }
}
