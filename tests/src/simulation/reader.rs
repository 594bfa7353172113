//! Policy's readers: what is due, in batches; while the provider is silent, one account as a probe.

use homeward_policy::lease::{Answer, Event, Place, Reading, State};
use homeward_policy::site::Turned;
use homeward_policy::worker::{BATCH, FLIGHTS, next_look};
use homeward_provider::{Priority, ProviderError};
use homeward_types::limits::after;
use homeward_types::{LeaseId, Timestamp};

use super::agenda::{Happens, Loop, Micros, micros};
use super::limiter::Path;
use super::turn::Happened;
use super::world::World;

/// A read under way.
#[derive(Debug, Clone)]
pub struct Look {
    /// Whose.
    pub process: usize,
    leases: Vec<LeaseId>,
    probe: bool,
    under_way: bool,
    waits_since: Option<Micros>,
    begun: Micros,
    begun_at: Timestamp,
    error: Option<ProviderError>,
}

impl World {
    /// A reader looks for work.
    pub fn read_or_probe(&mut self, process: usize) {
        let looks = self.looks.values().filter(|look| look.process == process);
        let (mut under_way, mut probing) = (0, false);
        for look in looks {
            under_way += 1;
            probing |= look.probe;
        }
        let begun = self.agenda.now();
        if self.provider.circuits[process].is_silent()
            && let Some((_, urgent)) = self.rows.due.first().copied()
        {
            if !probing {
                let at = begun + micros(self.draft.limits.probe);
                self.look(process, vec![urgent], true, at);
            }
            return;
        }
        if under_way >= FLIGHTS {
            return;
        }
        let now = self.clock(process);
        let most = usize::try_from(BATCH).unwrap_or(1);
        let due: Vec<LeaseId> = self.rows.reads.iter().take_while(|(at, _)| *at <= now).take(most).map(|(_, id)| *id).collect();
        if due.is_empty() {
            if let Some((at, _)) = self.rows.reads.first() {
                let at = self.true_moment(process, *at).max(begun + 1);
                self.wake(process, Loop::Reader, at);
            }
            return;
        }
        let until = after(now, self.draft.limits.client_timeout);
        for id in &due {
            self.rows.change(*id, |row| row.lease.next_read_at = Some(until));
        }
        self.look(process, due, false, begun);
        self.wake(process, Loop::Reader, begun + 1);
    }

    fn look(&mut self, process: usize, leases: Vec<LeaseId>, probe: bool, at: Micros) {
        let number = self.work_number();
        let (begun, begun_at) = (at, self.clock(process));
        let look = Look { process, leases, probe, under_way: false, waits_since: None, begun, begun_at, error: None };
        self.looks.insert(number, look);
        self.agenda.note(at, Happens::Look(number));
    }

    /// A read begins, or is over.
    pub fn look_goes_on(&mut self, number: u64) {
        let Some(look) = self.looks.get(&number) else { return };
        if self.can_act(look.process, Happens::Look(number)).is_none() {
            return;
        }
        let Some(mut look) = self.looks.remove(&number) else { return };
        if look.under_way {
            self.look_ends(look);
            return;
        }
        let at = self.look_begins(&mut look);
        self.looks.insert(number, look);
        self.agenda.note(at, Happens::Look(number));
    }

    fn look_begins(&mut self, look: &mut Look) -> Micros {
        let now = self.agenda.now();
        let returning = |id: &LeaseId| matches!(self.rows.by_id[id].lease.state, State::Closing | State::Settling);
        let urgent = look.probe || look.leases.iter().any(returning);
        let priority = if urgent { Priority::Return } else { Priority::Evidence };
        let since = look.waits_since.unwrap_or(now);
        match self.admitted(Path::Placements, priority, since, look.waits_since.is_some()) {
            Ok(None) => {}
            Ok(Some(again)) => {
                look.waits_since = Some(since);
                return again;
            }
            Err(error) => {
                (look.under_way, look.error) = (true, Some(error));
                return now;
            }
        }
        (look.under_way, look.begun, look.begun_at) = (true, now, self.clock(look.process));
        let (wait, error) = self.call();
        look.error = error;
        now + wait
    }

    fn look_ends(&mut self, mut look: Look) {
        let process = look.process;
        let error = self.limited(Path::Placements, look.error.take());
        self.heard(process, error.as_ref());
        self.wake(process, Loop::Reader, self.agenda.now() + 1);
        if look.probe {
            return;
        }
        if let Some(error) = error {
            let wait = error.retry_after().unwrap_or_default().max(self.draft.limits.return_retry);
            let until = after(self.clock(process), wait);
            for id in &look.leases {
                self.rows.change(*id, |row| row.lease.next_read_at = Some(until));
            }
            return;
        }
        let before: Vec<State> = look.leases.iter().map(|id| self.rows.by_id[id].lease.state.clone()).collect();
        let happened: Vec<Happened> = look.leases.iter().map(|id| self.seen(*id, &look)).collect();
        if self.turn(process, happened) {
            self.ask_tasks(process, &look.leases, &before);
        }
    }

    /// What the read says of one lease.
    fn seen(&mut self, id: LeaseId, look: &Look) -> Happened {
        let account = self.rows.by_id[&id].account;
        let moment = self.read_moment(account, look.begun);
        let placement = self.provider.placement(account, moment, look.begun_at);
        let lease = &self.rows.by_id[&id].lease;
        let trust = self.rows.trust;
        let event = match placement {
            Some(placement) => Event::Read { reading: Reading::of(&placement, &self.organisation, lease), trust },
            None if self.provider.accounts[account].is.gone => {
                let begun_at = self.clock(look.process);
                Event::Missed { look: next_look(lease, begun_at), begun_at }
            }
            None => {
                let reading = Reading { place: Place::Nowhere, version: None, begun_at: self.clock(look.process) };
                Event::Read { reading, trust }
            }
        };
        (id, account, event)
    }

    /// A task that is asked about a move that does not show, and names its address among its failures.
    fn ask_tasks(&mut self, process: usize, leases: &[LeaseId], before: &[State]) {
        let mut happened = Vec::new();
        for (id, state) in leases.iter().zip(before) {
            let row = &self.rows.by_id[id];
            let moving =
                matches!(row.lease.state, State::Opening | State::Closing | State::Settling) && row.lease.state == *state;
            let Some((number, _, true)) = row.sent.as_ref().filter(|_| moving) else { continue };
            if self.provider.failed.contains(&(*id, *number)) {
                let answer = Answer::Refused { retry_after: std::time::Duration::ZERO, detail: String::new() };
                happened.push((*id, row.account, Event::AttemptAnswered { number: *number, answer }));
            }
        }
        self.turn(process, happened);
    }

    /// Takes note of how a read went; the first answer after a silence wakes everyone who waits.
    pub fn heard(&mut self, process: usize, error: Option<&ProviderError>) {
        match self.provider.circuits[process].heard(error) {
            None => {}
            Some(Turned::Silent) => {
                self.note(|| format!("the provider is silent for process {process}"));
                self.wake(process, Loop::Reader, self.agenda.now() + 1);
            }
            Some(Turned::Answers) => {
                self.note(|| format!("the provider answers process {process} again"));
                self.figures_answered();
                self.wake_rows(process);
                for which in [Loop::Keeper, Loop::Returns, Loop::Lends, Loop::Reader] {
                    self.wake(process, which, self.agenda.now() + 1);
                }
            }
        }
    }

    fn figures_answered(&mut self) {
        let now = self.agenda.now();
        self.answered_at.get_or_insert(now);
    }
}
