//! Policy's senders: claim, read the addresses, mark, write, keep the answer. Returns first, the overdue before others.

use std::collections::BTreeMap;

use homeward_policy::lease::store::Marking;
use homeward_policy::lease::{Answer, Asked, Event, Kind, Sending, earlier};
use homeward_policy::worker::{BATCH, FLIGHTS, Way, of_move, way};
use homeward_provider::{Priority, ProviderError};
use homeward_types::limits::after;
use homeward_types::{LeaseId, Timestamp};

use super::agenda::{Happens, Loop, MS, Micros, SECOND};
use super::law::Law;
use super::limiter::Path;
use super::turn::Happened;
use super::world::World;

/// A batch that a worker holds under one claim.
#[derive(Debug, Clone)]
pub struct Flight {
    /// Whose.
    pub process: usize,
    kind: Kind,
    token: u64,
    batch: Vec<(LeaseId, u32)>,
    leg: Leg,
    waits_since: Option<Micros>,
    begun: Micros,
    begun_at: Timestamp,
    error: Option<ProviderError>,
}

/// How far it is.
#[derive(Debug, Clone)]
enum Leg {
    /// The addresses are to be read.
    Read,
    /// They are being read.
    Reading,
    /// These are marked, each with its last possible send.
    Write(Vec<(Marking, Timestamp)>),
    /// The provider has answered.
    Answered(Vec<Happened>),
}

impl Flight {
    /// Who goes first.
    fn priority(&self) -> Priority {
        match self.kind {
            Kind::Lend => Priority::Lend,
            Kind::Return => Priority::Return,
        }
    }
}

impl World {
    /// A sender looks for work.
    pub fn send(&mut self, process: usize, kind: Kind) {
        let own = match kind {
            Kind::Lend => Loop::Lends,
            Kind::Return => Loop::Returns,
        };
        let under_way = self.flights.values().filter(|flight| (flight.process, flight.kind) == (process, kind)).count();
        if self.provider.circuits[process].is_silent() || under_way >= FLIGHTS {
            return;
        }
        let now = self.clock(process);
        let soon = self.agenda.now() + SECOND;
        if kind == Kind::Lend && self.rows.held_back(earlier(now, self.draft.limits.probe)) {
            if self.rows.next_ready(kind, now) != (None, false) {
                self.wake(process, own, soon);
            }
            return;
        }
        let most = usize::try_from(BATCH).unwrap_or(1);
        let batch = {
            let unguarded = self.draft.mutation == Some(crate::model::mutation::Mutation::LendBeforeConfirmed);
            self.rows.candidates(kind, now, most, |message| unguarded || !self.outbox.contains_key(&message))
        };
        if batch.is_empty() {
            let (next, left) = self.rows.next_ready(kind, now);
            if let Some(next) = next {
                let at = self.true_moment(process, next);
                self.wake(process, own, at);
            }
            if left {
                self.wake(process, own, soon);
            }
            return;
        }
        let number = self.work_number();
        let until = after(now, self.draft.limits.claim);
        for (id, attempt) in &batch {
            if let Some(row) = self.rows.by_id.get_mut(id) {
                let not_after = row.attempts.iter().find(|one| one.number == *attempt).and_then(|one| one.not_after);
                let until = not_after.map_or(until, |last| last.min(until));
                row.claims.insert(*attempt, (number, until));
            }
        }
        let begun = self.agenda.now();
        let flight =
            Flight { process, kind, token: number, batch, leg: Leg::Read, waits_since: None, begun, begun_at: now, error: None };
        self.flights.insert(number, flight);
        self.flies_on(number);
        self.wake(process, own, begun + 1);
    }

    /// A flight goes on where it stands.
    pub fn flies_on(&mut self, number: u64) {
        let Some(flight) = self.flights.get(&number) else { return };
        if self.can_act(flight.process, Happens::Flight(number)).is_none() {
            return;
        }
        let Some(mut flight) = self.flights.remove(&number) else { return };
        let at = match std::mem::replace(&mut flight.leg, Leg::Read) {
            Leg::Read => Some(self.read_addresses(&mut flight)),
            Leg::Reading => self.addresses_read(&mut flight),
            Leg::Write(marked) => Some(self.write(&mut flight, marked)),
            Leg::Answered(happened) => {
                self.answers_kept(&flight, happened);
                None
            }
        };
        if self.processes[flight.process].down {
            return;
        }
        match at {
            Some(at) => {
                self.flights.insert(number, flight);
                self.agenda.note(at, Happens::Flight(number));
            }
            None => self.flight_ends(&flight),
        }
    }

    fn flight_ends(&mut self, flight: &Flight) {
        let own = if flight.kind == Kind::Lend { Loop::Lends } else { Loop::Returns };
        self.wake(flight.process, own, self.agenda.now() + 1);
    }

    fn read_addresses(&mut self, flight: &mut Flight) -> Micros {
        let now = self.agenda.now();
        let since = flight.waits_since.unwrap_or(now);
        match self.admitted(Path::Placements, flight.priority(), since, flight.waits_since.is_some()) {
            Ok(None) => {}
            Ok(Some(again)) => {
                flight.waits_since = Some(since);
                return again;
            }
            Err(error) => {
                (flight.waits_since, flight.error, flight.leg) = (None, Some(error), Leg::Reading);
                return now;
            }
        }
        flight.waits_since = None;
        (flight.begun, flight.begun_at) = (now, self.clock(flight.process));
        let (wait, error) = self.call();
        flight.error = error;
        flight.leg = Leg::Reading;
        now + wait
    }

    /// What the read says of each: to be marked and written, later, or not at all.
    fn addresses_read(&mut self, flight: &mut Flight) -> Option<Micros> {
        let error = self.limited(Path::Placements, flight.error.take());
        self.heard(flight.process, error.as_ref());
        if let Some(error) = error {
            let wait = error.retry_after().unwrap_or_default().max(self.draft.limits.return_retry);
            self.give_back(flight, &flight.batch.clone(), wait);
            return None;
        }
        let (mut markings, mut later, mut given_up) = (Vec::new(), Vec::new(), Vec::new());
        for (id, number) in flight.batch.clone() {
            let Some(candidate) = self.rows.candidate(id, number) else { continue };
            let account = self.rows.by_id[&id].account;
            let moment = self.read_moment(account, flight.begun);
            let placement = self.provider.placement(account, moment, flight.begun_at);
            match way(flight.kind, &candidate, placement.as_ref(), &self.organisation) {
                Way::Write(marking) => markings.push(marking),
                Way::Later => later.push((id, number)),
                Way::GiveUp => {
                    let asked = Asked { subject: self.subject(id, account), reason: "policies changed".to_owned() };
                    given_up.push((id, account, Event::ReturnAsked(asked)));
                }
            }
        }
        self.give_back(flight, &later, self.draft.limits.probe);
        if !self.turn(flight.process, given_up) {
            return None;
        }
        let marked = self.mark(flight, markings);
        if marked.is_empty() {
            return None;
        }
        flight.leg = Leg::Write(marked);
        Some(self.agenda.now() + MS)
    }

    fn give_back(&mut self, flight: &Flight, given: &[(LeaseId, u32)], wait: std::time::Duration) {
        let not_before = after(self.clock(flight.process), wait);
        for (id, number) in given {
            self.rows.change(*id, |row| {
                if row.claims.get(number).is_some_and(|(token, _)| *token == flight.token) {
                    row.claims.remove(number);
                    if let Some(attempt) = row.attempts.iter_mut().find(|attempt| attempt.number == *number) {
                        attempt.not_before = not_before;
                    }
                }
            });
        }
    }

    /// The committed mark before the write; what is not marked leaves the batch.
    fn mark(&mut self, flight: &Flight, markings: Vec<Marking>) -> Vec<(Marking, Timestamp)> {
        if markings.is_empty() || !self.may_commit(flight.process) {
            return Vec::new();
        }
        let now = self.clock(flight.process);
        let mut marked = Vec::new();
        for marking in markings {
            let Some(row) = self.rows.by_id.get(&marking.lease) else { continue };
            let account = row.account;
            let leads = match flight.kind {
                Kind::Lend => &row.lease.recovery_policy,
                Kind::Return => &row.lease.home,
            };
            let held = row.claims.get(&marking.number).filter(|(token, until)| *token == flight.token && *until > now);
            let Some((_, until)) = held.copied().filter(|_| *leads == marking.destination) else { continue };
            let sending = Sending { number: marking.number, claimed_until: until };
            if self.decides(marking.lease, account, &Event::AttemptSent(sending), now) {
                self.judge_mark(flight.kind, &marking);
                self.rows.change(marking.lease, |row| row.sent = Some((marking.number, marking.address.clone(), false)));
                marked.push((marking, until));
            }
        }
        let what = flight.kind.name();
        self.note(|| format!("process {} marks {} {what}s and is about to write", flight.process, marked.len()));
        if self.has_committed(flight.process) { marked } else { Vec::new() }
    }

    /// The clock once more, then the write: one order for each destination.
    fn write(&mut self, flight: &mut Flight, marked: Vec<(Marking, Timestamp)>) -> Micros {
        let now = self.agenda.now();
        let since = flight.waits_since.unwrap_or(now);
        match self.admitted(Path::Move, flight.priority(), since, flight.waits_since.is_some()) {
            Ok(None) => {}
            Ok(Some(again)) => {
                flight.waits_since = Some(since);
                flight.leg = Leg::Write(marked);
                return again;
            }
            Err(error) => return self.not_written(flight, &marked, error),
        }
        flight.waits_since = None;
        let mut orders: BTreeMap<String, Vec<(Marking, Timestamp)>> = BTreeMap::new();
        for one in marked {
            orders.entry(one.0.destination.as_str().to_owned()).or_default().push(one);
        }
        let clock = self.clock(flight.process);
        let paused = self.pause_before_write(flight.process);
        let (mut happened, mut longest) = (Vec::new(), 0);
        for order in orders.into_values() {
            let send_before = order.iter().map(|(_, until)| *until).min().unwrap_or(clock);
            if send_before <= clock {
                let refused = || Answer::Refused { retry_after: std::time::Duration::ZERO, detail: String::new() };
                let answers = order.iter().map(|(marking, _)| (marking.lease, marking.number, refused()));
                happened.extend(answers.collect::<Vec<_>>());
                continue;
            }
            let (answers, wait) = self.order(flight.process, flight.kind, &order, now + paused);
            longest = longest.max(wait);
            happened.extend(answers);
        }
        let happened = happened
            .into_iter()
            .map(|(id, number, answer)| (id, self.rows.by_id[&id].account, Event::AttemptAnswered { number, answer }));
        flight.leg = Leg::Answered(happened.collect());
        now + paused + longest
    }

    /// There was no room for the write in time: nothing left, which proves that nothing happened.
    fn not_written(&mut self, flight: &mut Flight, marked: &[(Marking, Timestamp)], error: ProviderError) -> Micros {
        flight.waits_since = None;
        let answer = of_move(&Err(error));
        let happened = marked.iter().map(|(marking, _)| {
            let event = Event::AttemptAnswered { number: marking.number, answer: answer.clone() };
            (marking.lease, self.rows.by_id[&marking.lease].account, event)
        });
        flight.leg = Leg::Answered(happened.collect());
        self.agenda.now()
    }

    fn answers_kept(&mut self, flight: &Flight, happened: Vec<Happened>) {
        for (id, _, event) in &happened {
            if let Event::AttemptAnswered { number, answer: Answer::Accepted } = event {
                let number = *number;
                self.rows.change(*id, |row| {
                    if let Some(sent) = row.sent.as_mut().filter(|sent| sent.0 == number) {
                        sent.2 = true;
                    }
                });
            }
        }
        self.turn(flight.process, happened);
    }

    /// What the marks themselves must obey.
    fn judge_mark(&mut self, kind: Kind, marking: &Marking) {
        self.note_mark(kind, marking.lease);
        let row = &self.rows.by_id[&marking.lease];
        if kind == Kind::Return {
            return;
        }
        let known = self.rows.lines.contains(&marking.lease)
            && row.opened_message.is_some_and(|message| !self.outbox.contains_key(&message));
        if !row.lease.is_open() || !known {
            self.breaks(Law::LeaseFirst, || format!("lease {}", marking.lease));
        }
        let overdue = self.rows.held_back(earlier(super::agenda::date(self.agenda.now()), self.draft.limits.probe));
        if self.bare && overdue {
            self.breaks(Law::ReturnsFirst, || format!("lease {}", marking.lease));
        }
    }
}
