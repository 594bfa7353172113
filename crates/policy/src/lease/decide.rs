//! Every decision about a lease: one function from (lease, live attempts, event, time) to what is kept and told.
//!
//! Live attempts are those that are ready or sent, and the lends of unknown outcome; the others decide nothing.

mod answered;
mod opened;
mod read;
mod returned;
mod timed;

use homeward_types::{LeaseEnd, PolicyId, Refusal, Timestamp};

use super::{Attempt, AttemptState, Ending, Event, Kind, Lease, State, settled_from};

/// A fact about a lease that is told to the other services, with the lease's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum News {
    /// The row is committed.
    Opened,
    /// The account was seen out.
    Lent,
    /// The account is being returned.
    Returning,
    /// It was seen at an end; a late effect is waited out.
    Settling,
    /// Over.
    Closed,
    /// A lease was opened for an account that was found out.
    Adopted,
    /// No lease is opened under this id.
    Refused,
}

impl News {
    /// The news as its message kind names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Lent => "lent",
            Self::Returning => "returning",
            Self::Settling => "settling",
            Self::Closed => "closed",
            Self::Adopted => "adopted",
            Self::Refused => "refused",
        }
    }
}

/// What a person must hear of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alarm {
    /// Overdue for too long.
    Overdue,
    /// Too many returns failed.
    FailedReturns,
    /// The home is gone; the account goes to the default home.
    HomeLost {
        /// The home that is gone.
        from: PolicyId,
    },
    /// The account left its home for another protecting policy, by someone else's hand.
    ProtectedElsewhere(PolicyId),
    /// The account is gone.
    Gone,
    /// The account was found out without an open lease.
    FoundOut,
    /// The account of a closed lease was seen out: it must be leased again.
    OutAgain,
}

/// A first proof about an organisation's placement versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VersionShown {
    /// A lend was seen with a later version than home's.
    ByLend,
    /// A return was seen with a later version than the newest out.
    ByReturn,
}

/// What is kept and told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decision {
    /// The lease as it now stands; `None` if the id is not known and stays so.
    pub lease: Option<Lease>,
    /// Whether it differs from before, or its attempts do. Its version then grew by one.
    pub changed: bool,
    /// The attempts that are new or differ from before.
    pub attempts: Vec<Attempt>,
    /// What is told, with the lease as it now stands. Also told, unchanged, in answer to a repeated command.
    pub news: Option<News>,
    /// What a person must hear of.
    pub alarms: Vec<Alarm>,
    /// What the reading proved about versions.
    pub shown: Option<VersionShown>,
}

/// Decides about one lease. Pure: same arguments, same decision.
pub fn decide(lease: Option<&Lease>, attempts: &[Attempt], event: &Event, now: Timestamp) -> Decision {
    let Some(lease) = lease else { return opened::unknown_id(event, now) };
    let mut turn = Turn::new(lease, attempts, now);
    turn.expire_claims();
    turn.on(event);
    turn.follow_up();
    turn.finish()
}

/// One decision in the making.
struct Turn<'a> {
    before: &'a Lease,
    before_attempts: &'a [Attempt],
    lease: Lease,
    attempts: Vec<Attempt>,
    now: Timestamp,
    news: Option<News>,
    alarms: Vec<Alarm>,
    shown: Option<VersionShown>,
}

impl<'a> Turn<'a> {
    fn new(lease: &'a Lease, attempts: &'a [Attempt], now: Timestamp) -> Self {
        Self {
            before: lease,
            before_attempts: attempts,
            lease: lease.clone(),
            attempts: attempts.to_vec(),
            now,
            news: None,
            alarms: Vec::new(),
            shown: None,
        }
    }

    fn on(&mut self, event: &Event) {
        match event {
            Event::LendAccepted(_) => self.lend_repeated(Refusal::Busy),
            Event::LendRefused(refused) => self.lend_repeated(refused.refusal),
            Event::AttemptSent(sending) => self.attempt_sent(*sending),
            Event::AttemptAnswered { number, answer } => self.answered(*number, answer),
            Event::Read { reading, trust } => self.read(reading, *trust),
            Event::ReturnAsked(asked) => self.return_asked(&asked.reason),
            Event::Due => self.begin_return("due: the lease was over"),
            Event::Missed { look, begun_at } => self.missed(*look, *begun_at),
            Event::Released => self.release(),
            Event::HomeLost { default_home } => self.home_lost(default_home),
            Event::FoundOut(_) => self.news = Some(present(&self.lease)),
            Event::Woken => self.woken(),
            Event::Contained(contained) => self.lease.contained = *contained,
            Event::Tick => {}
        }
    }

    /// Ends the lease. What was ready is withdrawn; a return that alone can have brought the account home was taken.
    fn close(&mut self, end: LeaseEnd) {
        let only_return = self.lease.failed_returns == 0 && end == LeaseEnd::Home;
        for attempt in &mut self.attempts {
            match (attempt.kind, attempt.state) {
                (_, AttemptState::Ready) => attempt.state = AttemptState::Void,
                (Kind::Return, AttemptState::Sent { accepted: true, .. }) if only_return => {
                    attempt.state = AttemptState::Taken;
                }
                (Kind::Return | Kind::Lend, AttemptState::Sent { claimed_until, .. }) => {
                    attempt.state = AttemptState::Unknown { claimed_until };
                    self.lease.was_unknown = true;
                }
                (_, AttemptState::Taken | AttemptState::NotTaken | AttemptState::Unknown { .. } | AttemptState::Void) => {}
            }
        }
        match &end {
            LeaseEnd::ProtectedElsewhere(policy) => self.alarms.push(Alarm::ProtectedElsewhere(policy.clone())),
            LeaseEnd::Gone => self.alarms.push(Alarm::Gone),
            LeaseEnd::Home | LeaseEnd::Released | LeaseEnd::NeverLent => {}
        }
        self.lease.state = State::Closed(Ending { end, at: self.now, refusal: None });
        self.lease.return_at = None;
        self.lease.next_read_at = timed::tail_read(&self.lease, self.now);
        self.news = Some(News::Closed);
    }

    /// From when on a read can show that no lend takes effect any more.
    fn settled_from(&self) -> Option<Timestamp> {
        settled_from(&self.attempts, &self.lease.terms)
    }

    fn finish(mut self) -> Decision {
        self.lease.tick_at = timed::next_tick(&self.lease, &self.attempts);
        let attempts: Vec<Attempt> =
            self.attempts.into_iter().filter(|attempt| !self.before_attempts.iter().any(|before| before == attempt)).collect();
        let changed = self.lease != *self.before || !attempts.is_empty();
        if changed {
            self.lease.version += 1;
        }
        Decision { lease: Some(self.lease), changed, attempts, news: self.news, alarms: self.alarms, shown: self.shown }
    }
}

/// What is told of a lease in answer to a repeated command.
fn present(lease: &Lease) -> News {
    match &lease.state {
        State::Opening => News::Opened,
        State::Active => News::Lent,
        State::Closing => News::Returning,
        State::Settling => News::Settling,
        State::Closed(_) => News::Closed,
    }
}
