//! Policy's transactions: production decides, the rows change, the news goes into the outbox.

use homeward_chassis::telemetry::TraceContext;
use homeward_patrol::LeaseCopy;
use homeward_policy::lease::store::Kept;
use homeward_policy::lease::{
    Alarm, Attempt, AttemptState, Decision, Event, Found, Kind, Lease, News, Origin, Place, Reading, State, Subject, Terms,
    VersionShown, decide,
};
use homeward_proto::policy::v1;
use homeward_recovery::wire::lease_fact;
use homeward_types::{LeaseEnd, LeaseId, Timestamp};

use super::agenda::{Loop, micros, moment};
use super::broker::{Body, OutboxRow};
use super::law::Law;
use super::process::Service;
use super::rows::Row;
use super::world::{World, lease_id};

/// Something that happened to a lease of an account.
pub type Happened = (LeaseId, usize, Event);

impl World {
    /// One transaction for all of it. False if its process died before or right after the commit.
    pub fn turn(&mut self, process: usize, happened: Vec<Happened>) -> bool {
        if happened.is_empty() {
            return true;
        }
        if !self.may_commit(process) {
            return false;
        }
        let now = self.clock(process);
        let first = self.outbox_number + 1;
        for (id, account, event) in happened {
            self.decides(id, account, &event, now);
        }
        let messages: Vec<u64> = (first..=self.outbox_number).collect();
        if !self.has_committed(process) {
            return false;
        }
        self.publish_soon(process, messages);
        for which in [Loop::Keeper, Loop::Lends, Loop::Returns, Loop::Reader] {
            self.ring(process, which);
        }
        true
    }

    /// Asks production, and keeps what it decided. True if anything changed.
    pub fn decides(&mut self, id: LeaseId, account: usize, event: &Event, now: Timestamp) -> bool {
        let before = self.rows.by_id.get(&id);
        let (lease, attempts) = before.map_or((None, [].as_slice()), |row| (Some(&row.lease), row.attempts.as_slice()));
        let decision = match self.draft.mutation {
            None => decide(lease, attempts, event, now),
            Some(mutation) => {
                let event = mutation.event(lease, event);
                let mut decision = decide(lease, attempts, &event, now);
                mutation.decision(lease, attempts, &event, &mut decision);
                decision
            }
        };
        let changed = decision.changed;
        let again = decision.alarms.contains(&Alarm::OutAgain);
        self.keep(id, account, decision);
        if let (true, Event::Read { reading, .. }) = (again, event) {
            self.reopen(id, account, reading, now);
        }
        changed
    }

    fn keep(&mut self, id: LeaseId, account: usize, decision: Decision) {
        let Some(lease) = decision.lease else { return };
        match decision.shown {
            Some(VersionShown::ByLend) => self.rows.trust.lend_seen = true,
            Some(VersionShown::ByReturn) => self.rows.trust.return_seen = true,
            None => {}
        }
        self.step(&[1, id.uuid().as_u64_pair().0, lease.version.unsigned_abs(), u64::from(rank(&lease))]);
        let before = self.rows.by_id.get(&id);
        let was_open = before.is_some_and(|row| row.lease.is_open());
        let mut row = before.cloned().unwrap_or_else(|| Row {
            lease: lease.clone(),
            attempts: Vec::new(),
            claims: std::collections::BTreeMap::new(),
            sent: None,
            opened_message: None,
            account,
        });
        let new = before.is_none();
        self.judge_step(id, &row, &lease, new);
        row.lease = lease;
        for attempt in decision.attempts {
            row.attempts.retain(|known| known.number != attempt.number);
            row.attempts.push(attempt);
        }
        row.attempts.retain(Attempt::is_live);
        row.claims.retain(|number, _| row.attempts.iter().any(|a| a.number == *number && a.state == AttemptState::Ready));
        if let Some(news) = decision.news {
            let number = self.tell(news, &row);
            if news == News::Opened && new {
                row.opened_message = Some(number);
            }
        }
        self.figures.leases += u64::from(new && row.lease.is_open());
        let open = row.lease.is_open();
        let ended = was_open && !open;
        self.judge_row(id, &row);
        self.rows.write(id, row);
        if ended || (new && open) {
            self.judge_account(account);
        }
        if ended {
            self.measure_end(id);
        }
    }

    /// The news of a lease: to recovery, through both services' own wire forms, and to patrol.
    fn tell(&mut self, news: News, row: &Row) -> u64 {
        let mut bodies = Vec::new();
        if !self.bare {
            let kept = Kept::new(row.lease.clone(), TraceContext::default());
            if let Ok(fact) = lease_fact(&v1::Lease::from(&kept)) {
                bodies.push((Service::Recovery, Body::Lease(Box::new(fact))));
            }
            bodies.push((Service::Patrol, Body::Copy(Box::new(copy(&row.lease)))));
        }
        self.note(|| format!("lease {} of account {} is {}: {}", row.lease.id, row.account, row.lease.state.name(), news.name()));
        let message = OutboxRow { of: Service::Policy, lease: row.lease.id, account: row.account, bodies };
        self.add_messages(vec![message]).first().copied().unwrap_or(0)
    }

    /// The account of a closed lease is out again: a lease of its own, home where it last was protected; none if one is open.
    fn reopen(&mut self, id: LeaseId, account: usize, reading: &Reading, now: Timestamp) {
        let Place::Out(policy) = &reading.place else { return };
        if self.rows.open.contains_key(&account) {
            return;
        }
        let Some(row) = self.rows.by_id.get(&id) else { return };
        let organisation = &self.organisation;
        let home = match row.lease.end() {
            Some(LeaseEnd::ProtectedElsewhere(policy)) if organisation.is_home(policy) => policy,
            Some(_) | None if organisation.is_home(&row.lease.home) => &row.lease.home,
            Some(_) | None => &organisation.default_home,
        };
        let found = Found {
            subject: Subject {
                lease: lease_id(self.rows.found),
                organisation: organisation.id.clone(),
                account: row.lease.account.clone(),
                home: home.clone(),
                recovery_policy: organisation.recovery_policy.clone(),
                terms: Terms::from(&organisation.limits),
            },
            origin: Origin::Reopened,
            policy: policy.clone(),
            version: reading.version,
            begun_at: reading.begun_at,
            reason: "seen out after an end".to_owned(),
        };
        self.rows.found += 1;
        self.figures.reopened += 1;
        self.decides(found.subject.lease, account, &Event::FoundOut(found), now);
    }

    fn measure_end(&mut self, id: LeaseId) {
        let now = self.agenda.now();
        let Some(row) = self.rows.by_id.get(&id) else { return };
        let wanted = row.lease.returning_at.map_or(row.lease.due_at, |at| at.min(row.lease.due_at));
        let from = moment(wanted).max(self.draft.calm_from);
        self.figures.to_end = self.figures.to_end.max(now - from);
    }

    /// An account is protected again: how long was it out past its time?
    pub fn came_home(&mut self, account: usize) {
        let now = self.agenda.now();
        let late = self.rows.open.get(&account).is_some_and(|id| moment(self.rows.by_id[id].lease.due_at) <= now);
        self.last_home = Some(now);
        self.last_overdue_home = if late { Some(now) } else { self.last_overdue_home };
        let open = self.rows.open.get(&account).and_then(|id| self.rows.by_id.get(id));
        let due = open.map(|row| moment(row.lease.due_at));
        let due = due
            .or_else(|| self.rows.by_id.values().filter(|row| row.account == account).map(|row| moment(row.lease.due_at)).max());
        if let Some(due) = due {
            self.figures.past_due = self.figures.past_due.max(now - due);
        }
    }

    /// Policy does what time changes.
    pub fn keep_time(&mut self, process: usize) {
        let mut before = Vec::new();
        loop {
            let now = self.clock(process);
            let most = usize::try_from(homeward_policy::worker::BATCH).unwrap_or(1);
            let due: Vec<LeaseId> =
                self.rows.ticks.iter().take_while(|(at, _)| *at <= now).take(most).map(|(_, id)| *id).collect();
            if due.is_empty() || due == before {
                break;
            }
            let ticks = due.iter().map(|id| (*id, self.rows.by_id[id].account, Event::Tick)).collect();
            if !self.turn(process, ticks) {
                return;
            }
            before = due;
        }
        if let Some((at, _)) = self.rows.ticks.first() {
            let at = self.true_moment(process, *at).max(self.agenda.now() + 1);
            self.wake(process, Loop::Keeper, at);
        }
    }

    /// As the store's `wake`: the provider answers again, and whatever waits for its next try need not.
    pub fn wake_rows(&mut self, process: usize) {
        let now = self.clock(process);
        let waits = |row: &Row| {
            row.lease.is_open()
                && (row.lease.return_at.is_some_and(|at| at > now) || row.lease.next_read_at.is_some_and(|at| at > now))
        };
        let ids: Vec<LeaseId> = self.rows.due.iter().map(|(_, id)| *id).filter(|id| waits(&self.rows.by_id[id])).collect();
        for id in ids {
            self.rows.change(id, |row| {
                let lease = &mut row.lease;
                lease.version += 1;
                if lease.return_at.is_some_and(|at| at > now) {
                    (lease.return_at, lease.tick_at) = (Some(now), Some(now));
                }
                lease.next_read_at = lease.next_read_at.map(|at| at.min(now));
            });
        }
    }

    /// How long after the calm a lease may take to end at the most: a write under way until its effect shows, one more try of
    /// the return, its reads.
    pub fn bound_of_end(&self) -> i64 {
        let limits = &self.draft.limits;
        let parts = [
            limits.claim,
            limits.late_limit,
            limits.read_lag * 3,
            limits.return_retry_max,
            limits.patrol,
            limits.gone_apart * 2,
            limits.client_timeout,
            limits.probe,
        ];
        parts.into_iter().map(micros).sum::<i64>() + 15 * super::agenda::SECOND
    }
}

fn copy(lease: &Lease) -> LeaseCopy {
    let ending = match &lease.state {
        State::Closed(ending) => Some(ending),
        State::Opening | State::Active | State::Closing | State::Settling => None,
    };
    LeaseCopy {
        id: lease.id,
        organisation: lease.organisation.clone(),
        account: lease.account.clone(),
        version: lease.version,
        open: lease.is_open(),
        ended: ending.map(|ending| ending.end.to_string()).unwrap_or_default(),
        opened_at: Some(lease.opened_at),
        due_at: Some(lease.due_at),
        closed_at: ending.map(|ending| ending.at),
        ever_out: lease.sight.out.is_some(),
        first_seen_out: None,
        tail_reads: 0,
        trace: TraceContext::default(),
    }
}

/// Grows along the way; closing and settling may alternate.
pub fn rank(lease: &Lease) -> u8 {
    match lease.state {
        State::Opening => 0,
        State::Active => 1,
        State::Closing | State::Settling => 2,
        State::Closed(_) => 3,
    }
}

/// Whether a ready lend stands beside a lease.
pub fn has_ready_lend(row: &Row) -> bool {
    row.attempts.iter().any(|attempt| attempt.kind == Kind::Lend && attempt.state == AttemptState::Ready)
}

/// A lease that is broken says so.
pub fn not_forward(before: &Lease, after: &Lease) -> Option<Law> {
    let back = rank(after) < rank(before);
    let another_end = matches!((before.end(), after.end()), (Some(old), Some(new)) if old != new);
    (back || another_end || after.version < before.version).then_some(Law::ForwardOnly)
}
