//! Messages between services: an outbox in each database, a broker that confirms, and queues that lose, repeat, delay and
//! reorder. Delivery is at least once: what a consumer did not acknowledge comes again.

use homeward_patrol::LeaseCopy;
use homeward_recovery::saga::command::Notice;
use homeward_recovery::saga::data::{Delivery, LeaseFact, Recipient};
use homeward_recovery::saga::input::ResetAnswer;
use homeward_types::{LeaseId, PlacementVersion, Timestamp};

use super::agenda::{Happens, MS, Micros, SECOND};
use super::fault::{Hook, Kind};
use super::process::Service;
use super::world::World;

/// What a message says.
#[derive(Debug, Clone)]
pub enum Body {
    /// To policy: lend.
    Lend {
        /// The grant's last moment.
        not_after: Timestamp,
    },
    /// To policy: bring home.
    Return(&'static str),
    /// To policy: remove the old factor.
    Reset,
    /// To policy: end what was opened in the window.
    Clean,
    /// To recovery: where a lease stands.
    Lease(Box<LeaseFact>),
    /// To patrol: the same.
    Copy(Box<LeaseCopy>),
    /// To directory: watch.
    Watch {
        /// When the account was seen out.
        out_at: Timestamp,
        /// In which version.
        version: Option<PlacementVersion>,
        /// Until when.
        until: Option<Timestamp>,
    },
    /// To directory: watch no more.
    Unwatch,
    /// To recovery: about the old factor.
    FactorReset(ResetAnswer),
    /// To recovery: the baseline.
    FactorAbsent(Timestamp),
    /// To recovery: evidence of enrolment.
    Enrolled(Timestamp),
    /// To recovery: the window is dealt with.
    WindowCleaned,
    /// To notification: tell somebody.
    Tell(Notice, Recipient),
    /// To recovery: somebody was told.
    Noticed(Notice, Recipient, Delivery),
}

/// A message on its way to one queue.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// Rises with each that is sent.
    pub number: u64,
    /// Whose queue.
    pub to: Service,
    /// About which lease, or case.
    pub lease: LeaseId,
    /// About which account.
    pub account: usize,
    /// What it says.
    pub body: Body,
    /// When it was sent.
    pub sent_at: Micros,
    /// It comes again: it was not acknowledged, or it waited in a table.
    pub again: bool,
}

/// A row of an outbox: one message, with everyone who hears it.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    /// Whose outbox.
    pub of: Service,
    /// About which lease, or case.
    pub lease: LeaseId,
    /// About which account.
    pub account: usize,
    /// What each queue gets.
    pub bodies: Vec<(Service, Body)>,
}

impl World {
    /// Adds messages to an outbox, in the transaction that they belong to.
    pub fn add_messages(&mut self, rows: Vec<OutboxRow>) -> Vec<u64> {
        rows.into_iter()
            .map(|row| {
                self.outbox_number += 1;
                self.outbox.insert(self.outbox_number, row);
                self.outbox_number
            })
            .collect()
    }

    /// Right after the commit its writer hands them to the broker.
    pub fn publish_soon(&mut self, process: usize, messages: Vec<u64>) {
        if !messages.is_empty() {
            let life = self.processes[process].life;
            self.agenda.note(self.agenda.now() + MS, Happens::Publish(process, life, messages));
        }
    }

    /// A process publishes what it committed, if it still lives the life in which it did.
    pub fn publish(&mut self, process: usize, life: u64, messages: Vec<u64>) {
        let what = Happens::Publish(process, life, messages);
        let Some(Happens::Publish(_, life, messages)) = self.can_act(process, what) else { return };
        if self.processes[process].life == life {
            self.publish_all(messages);
        }
    }

    /// What a dead or paused process left in the outbox is published by another one.
    pub fn relay(&mut self, first: usize) {
        let service = Service::of(first);
        if self.consumer(service).is_none() {
            self.agenda.note(self.agenda.now() + SECOND, Happens::Relay(first));
            return;
        }
        let left: Vec<u64> = self.outbox.iter().filter(|(_, row)| row.of == service).map(|(number, _)| *number).collect();
        self.publish_all(left);
    }

    fn publish_all(&mut self, messages: Vec<u64>) {
        for number in &messages {
            let Some(row) = self.outbox.get(number).cloned() else { continue };
            for (to, body) in row.bodies {
                self.route(to, row.lease, row.account, body);
            }
        }
        if !messages.is_empty() {
            let later = self.chance.within(MS, 20 * MS);
            self.agenda.note(self.agenda.now() + later, Happens::Confirm(messages));
        }
    }

    /// The broker has them: their rows go.
    pub fn confirmed(&mut self, messages: &[u64]) {
        let mut lends = false;
        for number in messages {
            lends |= self.outbox.remove(number).is_some_and(|row| row.of == Service::Policy);
        }
        if lends {
            for process in Service::Policy.processes() {
                self.wake(*process, super::agenda::Loop::Lends, self.agenda.now() + 1);
            }
        }
    }

    fn route(&mut self, to: Service, lease: LeaseId, account: usize, body: Body) {
        if self.bare && to != Service::Policy {
            return;
        }
        self.parcels += 1;
        let now = self.agenda.now();
        let parcel = Parcel { number: self.parcels, to, lease, account, body, sent_at: now, again: false };
        let mut at = now + self.chance.within(MS, 30 * MS);
        if let Some(fault) = self.strikes(Hook::Message, account) {
            self.tally.count(fault.kind);
            self.note(|| format!("{}: {:?} to {to:?} about {lease}", fault.kind.name(), parcel.body));
            match fault.kind {
                Kind::Loss => return,
                Kind::Duplicate => {
                    let again = at + self.chance.within(MS, SECOND);
                    self.agenda.note(again, Happens::Deliver(Box::new(parcel.clone())));
                }
                _ => at += fault.length,
            }
        }
        self.agenda.note(at, Happens::Deliver(Box::new(parcel)));
    }

    /// Every message that is in a queue now is lost.
    pub fn purge(&mut self, service: Service) {
        self.note(|| format!("the queue of {service:?} is purged"));
        self.purged.insert(service, self.agenda.now());
    }

    /// A message arrives at a consumer.
    pub fn deliver(&mut self, parcel: Box<Parcel>) {
        if self.purged.get(&parcel.to).is_some_and(|at| parcel.sent_at < *at) {
            self.tally.count(Kind::Purge);
            return;
        }
        self.delivered += 1;
        let Some(process) = self.consumer(parcel.to) else {
            self.agenda.note(self.agenda.now() + SECOND / 4, Happens::Deliver(parcel));
            return;
        };
        let Some(Happens::Deliver(parcel)) = self.can_act(process, Happens::Deliver(parcel)) else { return };
        let newest = self.newest.entry((parcel.to, parcel.lease)).or_default();
        if parcel.number < *newest && !parcel.again {
            self.tally.count(Kind::Reorder);
        }
        *newest = (*newest).max(parcel.number);
        self.step(&[3, parcel.number, process as u64]);
        self.note(|| format!("{:?} {process} hears about {}: {:?}", parcel.to, parcel.lease, parcel.body));
        let acknowledged = match parcel.to {
            Service::Policy => self.policy_hears(process, &parcel),
            Service::Recovery => self.recovery_hears(process, &parcel),
            Service::Directory => self.directory_hears(process, &parcel),
            Service::Notification => self.notification_hears(process, &parcel),
            Service::Patrol => self.patrol_hears(process, &parcel),
        };
        if !acknowledged {
            self.again(parcel);
        }
    }

    /// A delivery that was not acknowledged comes again.
    pub fn again(&mut self, mut parcel: Box<Parcel>) {
        parcel.again = true;
        self.agenda.note(self.agenda.now() + 50 * MS, Happens::Deliver(parcel));
    }
}
