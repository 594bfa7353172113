//! Policy around its decisions: commands that arrive, workers that write to the provider, reads, census.
//!
//! Each function is one transaction, with the guards that the store's statements have.

use homeward_policy::lease::{Kind, VersionShown};
use homeward_types::Refusal;

use super::action::Action;
use super::fault::Fault;
use super::law::Law;
use super::lease_book::{End, Happening, Outcome, Reply, Stage};
use super::machine::{Machine, small};
use super::mutation::Mutation;
use super::place::{Effect, Place, Shown};
use super::setup::Pace;
use super::state::{Busy, Leases, Look, State, Why};
use super::verdicts::is_seen;

impl Machine {
    /// One transaction about a lease: the decision, its row, its news.
    pub fn lease_happens(&self, state: &mut State, lease: usize, happening: Happening) -> Outcome {
        let facts = self.leases.facts(state.leases[lease].row);
        let (before, home) = (facts.stage, facts.home);
        let outcome = self.leases.happen(state.leases[lease].row, happening);
        state.leases[lease].row = outcome.row;
        // Nobody compares the versions of a lease without a case.
        let compared = lease < self.setup.cases.len() && state.cases[lease].row > 0;
        state.leases[lease].version += u8::from(outcome.changed && compared);
        let after = self.leases.facts(outcome.row).stage;
        if let (Some(before), Some(after)) = (before, after) {
            let back = after.rank() < before.rank();
            let another_end = matches!((before, after), (Stage::Closed(old), Stage::Closed(new)) if old != new);
            if back || another_end {
                state.broken = Some(Law::ForwardOnly);
            }
        }
        if before.is_none() && outcome.row > 0 {
            state.leases[lease].confirmed = false;
        }
        for busy in state.workers.as_mut_slice() {
            let over = match busy.kind {
                Kind::Lend => outcome.lend_over,
                Kind::Return => outcome.return_over,
            };
            // The answer would find an attempt that decides nothing any more.
            if over {
                busy.leases = busy.leases.without(lease);
            }
        }
        state.workers.retain(|busy| !busy.leases.is_empty());
        match outcome.shown {
            Some(VersionShown::ByLend) => state.trust.0 = true,
            Some(VersionShown::ByReturn) => state.trust.1 = true,
            None => {}
        }
        let ended = before.is_some_and(Stage::is_open) && after.is_some_and(|after| !after.is_open());
        if ended {
            let account = &mut state.accounts[self.setup.account_of(lease)];
            account.seen_before = account.seen_before.max(outcome.knows);
        }
        if ended && !is_seen(happening, after, home) {
            state.broken = Some(Law::EndIsSeen);
        }
        if after == Some(Stage::Closed(End::Released)) {
            state.accounts[self.setup.account_of(lease)].released = true;
        }
        // A repeated answer says nothing that is not under way already, where messages stay for ever.
        let says_more = outcome.changed || outcome.row == 0 || !self.forever(state);
        if let (Some(told), true, true) = (outcome.told, says_more, compared) {
            self.tell(state, lease, told);
        }
        outcome
    }

    /// Another lease of the same account is open: what the database's index says.
    fn another_is_open(&self, state: &State, lease: usize) -> bool {
        let account = self.setup.account_of(lease);
        self.open_lease(state, account).is_some_and(|open| open != lease)
    }

    /// The open lease of an account, if there is one.
    pub fn open_lease(&self, state: &State, account: usize) -> Option<usize> {
        (0..self.setup.leases())
            .find(|lease| self.setup.account_of(*lease) == account && self.leases.facts(state.leases[*lease].row).is_open())
    }

    fn index_holds(&self) -> bool {
        self.setup.mutation != Some(Mutation::NoOneOpenLeaseIndex)
    }

    /// Whether a lend's arrival leads to anything new.
    pub fn lend_may_arrive(&self, state: &State, case: usize) -> bool {
        let reads = |look: &Look| matches!(look.why, Why::Lend { case: of, .. } if usize::from(of) == case);
        state.leases[case].row > 0 || (state.looks.len() < self.setup.looks && !state.looks.iter().any(reads))
    }

    fn lend_arrives(&self, state: &mut State, case: usize) {
        if state.leases[case].row > 0 {
            // A repeat, or the tombstone refuses it.
            self.lease_happens(state, case, Happening::LendRefused(Refusal::Changed));
            state.cases[case].lend = false;
            return;
        }
        let busy = self.another_is_open(state, case);
        let account = self.setup.cases[case];
        state.looks.push(Look { why: Why::Lend { case: small(case), busy }, account, begun: 0 });
    }

    fn look_ends(&self, state: &mut State, nth: usize, seen: Shown, again: bool) {
        let look = state.looks.remove(nth);
        let account = usize::from(look.account);
        match look.why {
            Why::Patrol => {
                if let Some(lease) = self.open_lease(state, account) {
                    let read = Happening::Read { seen, begun: look.begun, trust: state.trust };
                    self.lease_happens(state, lease, read);
                }
            }
            Why::Census => self.census_ends(state, account, look, seen),
            Why::Lend { case, busy } => self.lend_is_decided(state, usize::from(case), busy, look, seen, again),
        }
    }

    /// Only accounts that Homeward once lent and did not release are returned; the index keeps a second lease away.
    fn census_ends(&self, state: &mut State, account: usize, look: Look, seen: Shown) {
        let one = &state.accounts[account];
        let returns = seen.place == Place::Recovery && one.was_lent && !one.released;
        let free = !self.index_holds() || self.open_lease(state, account).is_none();
        if returns && free {
            let lease = self.spare(account);
            let begun = look.begun;
            state.leases[lease].row = 0;
            self.lease_happens(state, lease, Happening::FoundOut { seen, begun, home: Place::Home });
        }
    }

    /// The room for a lease of this account that policy opens by itself.
    pub(super) fn spare(&self, account: usize) -> usize {
        self.setup.cases.len() + account
    }

    fn lend_is_decided(&self, state: &mut State, case: usize, busy: bool, look: Look, seen: Shown, again: bool) {
        let not_after = state.cases[case].not_after;
        let unchecked = self.setup.mutation == Some(Mutation::HomeUnchecked);
        let account = &state.accounts[usize::from(look.account)];
        let seen_before = account.seen_before;
        let verdict = self.verdicts.of(seen.place, busy, account.released);
        let happening = if not_after <= 0 {
            Happening::LendRefused(Refusal::Expired)
        } else if self.index_holds() && self.another_is_open(state, case) {
            Happening::LendRefused(Refusal::Busy)
        } else {
            match verdict {
                Ok(()) => Happening::LendAccepted { seen, seen_before, not_after },
                Err(Refusal::Changed) if unchecked => Happening::LendAccepted { seen, seen_before, not_after },
                Err(refusal) => Happening::LendRefused(refusal),
            }
        };
        let accepted = matches!(happening, Happening::LendAccepted { .. });
        if accepted && self.setup.mutation == Some(Mutation::LeaseAfterMove) && self.move_first(state, case) {
            state.looks.push(look);
            return;
        }
        self.lease_happens(state, case, happening);
        if again {
            self.trouble(state, Fault::Duplicate);
        }
        state.cases[case].lend &= again || self.forever(state);
    }

    /// The mistake of moving before the lease is committed. Says whether it just did.
    fn move_first(&self, state: &mut State, case: usize) -> bool {
        let account = &mut state.accounts[usize::from(self.setup.cases[case])];
        let moved = account.is_out() || !account.lends.is_empty() || state.leases[case].row > 0;
        if !moved {
            let scale = &self.setup.scale;
            account.lends.push(Effect { lease: small(case), until: Some(scale.claim + scale.late_limit) });
        }
        !moved
    }

    fn return_arrives(&self, state: &mut State, case: usize, again: bool) {
        if state.cases[case].lend {
            self.trouble(state, Fault::Reorder);
        }
        self.lease_happens(state, case, Happening::ReturnAsked);
        if again {
            self.trouble(state, Fault::Duplicate);
        }
        state.cases[case].bring_home &= again || self.forever(state);
    }

    /// The guards of `UPDATE … ready → sent`.
    pub fn may_mark(&self, state: &State, lease: usize, kind: Kind) -> bool {
        let facts = self.leases.facts(state.leases[lease].row);
        match kind {
            Kind::Lend => {
                let known = state.leases[lease].confirmed || self.setup.mutation == Some(Mutation::LendBeforeConfirmed);
                let unguarded = self.setup.mutation == Some(Mutation::ReturnLeavesReadyUnguarded) && self.unguarded(state, lease);
                known && (facts.may_lend.is_some() || unguarded)
            }
            Kind::Return => facts.may_return.is_some(),
        }
    }

    fn unguarded(&self, state: &State, lease: usize) -> bool {
        let facts = self.leases.facts(state.leases[lease].row);
        facts.lend_ready && facts.stage != Some(Stage::Opening) && state.accounts[self.setup.account_of(lease)].lends.is_empty()
    }

    /// One batch under one claim: those that may be marked now.
    pub fn batch(&self, state: &State, kind: Kind) -> Leases {
        let may = (0..self.setup.leases()).filter(|lease| self.may_mark(state, *lease, kind));
        may.fold(Leases::default(), Leases::with)
    }

    fn mark(&self, state: &mut State, leases: Leases, kind: Kind) {
        let marked = leases.iter().filter(|lease| self.mark_one(state, *lease, kind));
        let leases = marked.fold(Leases::default(), Leases::with);
        if !leases.is_empty() {
            state.workers.push(Busy { leases, kind });
        }
    }

    /// Marks an attempt and writes it. Says whether its worker waits for an answer.
    fn mark_one(&self, state: &mut State, lease: usize, kind: Kind) -> bool {
        let facts = self.leases.facts(state.leases[lease].row);
        let account = self.setup.account_of(lease);
        match kind {
            Kind::Lend => {
                if !state.leases[lease].confirmed {
                    state.broken = Some(Law::LeaseFirst);
                }
                let until = facts.may_lend.unwrap_or(self.setup.scale.claim) + self.setup.scale.late_limit;
                state.leases[lease].named = self.setup.faults.holds(Fault::Swap) && !state.swapped;
                if state.lends(lease).next().is_some() {
                    state.broken = Some(Law::OneLend);
                    return false;
                }
                state.accounts[account].lends.push(Effect { lease: small(lease), until: Some(until) });
                if facts.may_lend.is_none() {
                    return false;
                }
            }
            Kind::Return => state.accounts[account].returning = Some(0),
        }
        self.lease_happens(state, lease, Happening::Sent(kind));
        true
    }

    fn answer(&self, state: &mut State, nth: usize, reply: Reply, part: Option<(usize, Reply)>) {
        let busy = state.workers.remove(nth);
        if reply == Reply::Unknown {
            self.trouble(state, Fault::Timeout);
        }
        if part.is_some() {
            self.trouble(state, Fault::HalfBatch);
        }
        for lease in busy.leases.iter() {
            let reply = part.filter(|(of, _)| *of == lease).map_or(reply, |(_, reply)| reply);
            if matches!(reply, Reply::Refused | Reply::Impossible) {
                never_happens(state, lease, busy.kind);
            }
            self.lease_happens(state, lease, Happening::Answered(busy.kind, reply));
        }
    }

    fn worker_dies(&self, state: &mut State, nth: usize, wrote: bool) {
        self.trouble(state, Fault::Crash);
        let busy = state.workers.remove(nth);
        if !wrote {
            busy.leases.iter().for_each(|lease| never_happens(state, lease, busy.kind));
        }
    }

    /// Which read of an account may begin now.
    pub fn may_look(&self, state: &State, account: usize) -> Option<Why> {
        let one = &state.accounts[account];
        let why = match self.open_lease(state, account) {
            Some(lease)
                if self.setup.pace == Pace::Prompt
                    && self.leases.facts(state.leases[lease].row).read_at.is_none_or(|at| at > 0) =>
            {
                return None;
            }
            Some(_) => Why::Patrol,
            None if self.setup.spare > account && one.was_lent && !one.released => Why::Census,
            None => return None,
        };
        let already = state.looks.iter().any(|look| look.why == why && usize::from(look.account) == account && look.begun == 0);
        (state.looks.len() < self.setup.looks && !already).then_some(why)
    }

    /// A step of policy.
    pub fn policy_acts(&self, state: &mut State, action: Action) {
        let begin = |state: &mut State, why, account| state.looks.push(Look { why, account, begun: 0 });
        match action {
            Action::LendArrives(case) => self.lend_arrives(state, usize::from(case)),
            Action::LookEnds { look, seen, behind, again } => {
                if behind {
                    self.trouble(state, Fault::StaleRead);
                }
                self.look_ends(state, usize::from(look), seen, again);
            }
            Action::LooksAlong { look, seen, behind, other, other_behind } => {
                if behind || other_behind {
                    self.trouble(state, Fault::StaleRead);
                }
                self.looks_along(state, state.looks.as_slice()[usize::from(look)], other);
                self.look_ends(state, usize::from(look), seen, false);
            }
            Action::ReturnArrives(case, again) => self.return_arrives(state, usize::from(case), again),
            Action::Confirm(lease) => state.leases[usize::from(lease)].confirmed = true,
            Action::Mark(leases, kind) => self.mark(state, leases, kind),
            Action::Answer(worker, reply) => self.answer(state, usize::from(worker), reply, None),
            Action::AnswerPart(worker, lease, reply) => {
                self.answer(state, usize::from(worker), Reply::Accepted, Some((usize::from(lease), reply)));
            }
            Action::WorkerDies(worker, wrote) => self.worker_dies(state, usize::from(worker), wrote),
            Action::PatrolLooks(account) => begin(state, Why::Patrol, account),
            Action::CensusLooks(account) => begin(state, Why::Census, account),
            Action::LeaseTick(lease) => {
                self.lease_happens(state, usize::from(lease), Happening::Tick);
            }
            Action::Release(lease) => {
                self.lease_happens(state, usize::from(lease), Happening::Released);
            }
            _ => {}
        }
    }
}

/// A lend that is under way never takes effect. (That a return does not is another state, from which everything goes on.)
fn never_happens(state: &mut State, lease: usize, kind: Kind) {
    if kind == Kind::Lend {
        for account in &mut state.accounts {
            account.lends.retain(|lend| usize::from(lend.lease) != lease || lend.until.is_none());
        }
    }
}
