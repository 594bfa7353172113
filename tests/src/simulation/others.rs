//! Directory, notification and patrol, as far as accounts and cases depend on them. What decides is production's.

use std::collections::{BTreeMap, BTreeSet};

use homeward_directory::{Asked, Report, Watch};
use homeward_patrol::{LeaseCopy, judge};
use homeward_policy::lease::{Asked as ReturnAsked, Event};
use homeward_recovery::saga::command::Notice;
use homeward_recovery::saga::data::{Delivery, Recipient};
use homeward_types::{AccountId, Factor, LeaseId, MessageId, Timestamp};
use uuid::Uuid;

use super::agenda::{Happens, Loop, MS, micros};
use super::broker::{Body, Parcel};
use super::process::Service;
use super::world::World;

/// Directory's watch list, with the account of each.
pub type Watches = BTreeMap<LeaseId, (Watch, usize)>;
/// Whom notification told what: its delivery keys.
pub type Told = BTreeSet<(LeaseId, Notice, Recipient)>;
/// Patrol's copies, with the account of each and when it is read next.
pub type Copies = BTreeMap<LeaseId, (LeaseCopy, usize, Option<Timestamp>)>;

impl World {
    /// A command arrives at directory.
    pub fn directory_hears(&mut self, process: usize, parcel: &Parcel) -> bool {
        let now = self.clock(process);
        let limits = self.draft.limits.clone();
        let id = parcel.lease;
        match &parcel.body {
            Body::Watch { out_at, version, until } => {
                let asked = Asked {
                    lease: id,
                    organisation: self.organisation.id.clone(),
                    account: self.provider.accounts[parcel.account].id.clone(),
                    email: None,
                    seen_out_at: *out_at,
                    out_version: *version,
                    until: *until,
                    trace: homeward_chassis::telemetry::TraceContext::default(),
                    message: MessageId::from_uuid(Uuid::from_u128(parcel.number.into())),
                };
                let known = self.watches.remove(&id);
                let (watch, repeat) = match known {
                    Some((mut watch, _)) => {
                        watch.ask_again(asked, now, &limits);
                        let repeat = watch.to_repeat(now, &limits);
                        (watch, repeat)
                    }
                    None => (Watch::new(asked, &limits), None),
                };
                self.keep_watch(process, id, watch, parcel.account, repeat)
            }
            Body::Unwatch => {
                if let Some((watch, _)) = self.watches.get_mut(&id) {
                    watch.end(now);
                }
                true
            }
            _ => true,
        }
    }

    fn keep_watch(&mut self, process: usize, id: LeaseId, mut watch: Watch, account: usize, report: Option<Report>) -> bool {
        let now = self.clock(process);
        let body = match (report, watch.evidence.absent_at, &watch.evidence.proof) {
            (Some(Report::Absent), Some(at), _) => Some(Body::FactorAbsent(at)),
            (Some(Report::Enrolled), _, Some(proof)) => Some(Body::Enrolled(proof.seen_at)),
            _ => None,
        };
        if body.is_some() {
            watch.reported_at = Some(now);
        }
        if let Some(next) = watch.next_read_at {
            let at = self.true_moment(process, next).max(self.agenda.now() + MS);
            self.agenda.note(at, Happens::Watch(id));
        }
        self.watches.insert(id, (watch, account));
        body.is_none_or(|body| self.answer(process, Service::Directory, id, account, Service::Recovery, body))
    }

    /// Directory reads a factor.
    pub fn watch_reads(&mut self, id: LeaseId) {
        let process = Service::Directory.processes()[0];
        let later = self.agenda.now() + micros(self.draft.limits.watch);
        if self.processes[process].down {
            self.agenda.note(later, Happens::Watch(id));
            return;
        }
        if self.can_act(process, Happens::Watch(id)).is_none() {
            return;
        }
        let now = self.clock(process);
        let due = |(watch, account): &(Watch, usize)| {
            (watch.until > now && watch.next_read_at.is_some_and(|at| at <= now)).then(|| (watch.clone(), *account))
        };
        let Some((mut watch, account)) = self.watches.get(&id).and_then(due) else { return };
        if self.call().1.is_some() || self.provider.accounts[account].is.gone {
            self.agenda.note(later, Happens::Watch(id));
            return;
        }
        let factor = if self.provider.accounts[account].enrolled { Factor::Enrolled } else { Factor::Absent };
        let limits = self.draft.limits.clone();
        let report = watch.read(factor, now, limits.watch, &limits);
        self.keep_watch(process, id, watch, account, report);
    }

    /// Notification tells somebody, once for each delivery key, and answers each time.
    pub fn notification_hears(&mut self, process: usize, parcel: &Parcel) -> bool {
        let Body::Tell(notice, to) = &parcel.body else { return true };
        let id = parcel.lease;
        if self.told.insert((id, *notice, to.clone())) && *notice == Notice::Invitation {
            self.invited(id);
        }
        let noticed = Body::Noticed(*notice, to.clone(), Delivery::Accepted);
        self.answer(process, Service::Notification, id, parcel.account, Service::Recovery, noticed)
    }

    /// Patrol keeps its copy; older news than what is known changes nothing.
    pub fn patrol_hears(&mut self, process: usize, parcel: &Parcel) -> bool {
        let Body::Copy(copy) = &parcel.body else { return true };
        let now = self.clock(process);
        let known = self.copies.get(&parcel.lease);
        if known.is_none_or(|(known, ..)| known.version < copy.version) {
            let first_seen_out = known.and_then(|(known, ..)| known.first_seen_out);
            let tail_reads = known.map_or(0, |(known, ..)| known.tail_reads);
            let copy = LeaseCopy { first_seen_out, tail_reads, ..(**copy).clone() };
            self.copies.insert(parcel.lease, (copy, parcel.account, Some(now)));
            let at = self.agenda.now() + micros(self.draft.limits.patrol);
            self.wake(process, Loop::Rounds, at);
        }
        true
    }

    /// Patrol reads back what is due, and asks policy for what is long overdue.
    pub fn patrol_round(&mut self, process: usize) {
        let now = self.clock(process);
        let due: Vec<LeaseId> =
            self.copies.iter().filter(|(_, (_, _, next))| next.is_some_and(|at| at <= now)).map(|(id, _)| *id).collect();
        if !due.is_empty() && self.call().1.is_none() {
            let held: BTreeSet<AccountId> =
                self.copies.values().filter(|(copy, ..)| copy.open).map(|(copy, ..)| copy.account.clone()).collect();
            for id in due {
                self.read_back(id, &held, now);
            }
        }
        let next = self.copies.values().filter_map(|(_, _, next)| *next).min();
        if let Some(next) = next {
            let soonest = self.agenda.now() + micros(self.draft.limits.patrol);
            let at = self.true_moment(process, next).max(soonest);
            self.wake(process, Loop::Rounds, at);
        }
    }

    fn read_back(&mut self, id: LeaseId, held: &BTreeSet<AccountId>, now: Timestamp) {
        let Some((mut copy, account, _)) = self.copies.get(&id).cloned() else { return };
        let placement = self.provider.placement(account, self.agenda.now(), now);
        let shown = judge(&self.organisation, &copy, placement.as_ref(), held.contains(&copy.account), now);
        copy.first_seen_out = shown.first_seen_out;
        copy.tail_reads = copy.tails_read(now);
        let next = copy.next_read(&self.draft.limits, now, shown.wrong.is_some());
        self.copies.insert(id, (copy, account, next));
        if shown.ask_return
            && let Some(policy) = self.awake(Service::Policy)
        {
            let asked = ReturnAsked { subject: self.subject(id, account), reason: "patrol".to_owned() };
            self.turn(policy, vec![(id, account, Event::ReturnAsked(asked))]);
        }
    }
}
