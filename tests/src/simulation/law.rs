//! What must hold after each step, and at the end.

use homeward_policy::lease::Lease;
use homeward_recovery::saga::command::Notice;
use homeward_types::LeaseId;

use super::agenda::moment;
use super::fault::Kind;
use super::provider::OUT;
use super::rows::Row;
use super::turn::{has_ready_lend, not_forward};
use super::world::World;

/// One law. Each is a sentence of the procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Law {
    /// Rules 1 and 4, under lateness within the limit, and unless released.
    OutHasLease,
    /// Rule 9.
    OneOpenLease,
    /// Rule 4, under lateness within the limit.
    ClosedStaysClosed,
    /// Rule 1.
    LeaseFirst,
    /// Rule 2.
    ForwardOnly,
    /// Architecture: `return` ends by an end of the lease only.
    CasePastReturn,
    /// Architecture: only higher versions count.
    NewsForward,
    /// Architecture: a late `lent` asks for the return again.
    LateLentAsksReturn,
    /// Rule 4: an unknown lend is never sent again.
    OneLend,
    /// Architecture: a return turns `ready` into `void`.
    NoReadyLend,
    /// Rule 7.
    HomeProtects,
    /// The saga: every end tells everyone.
    EveryoneTold,
    /// The slot is given back.
    SlotsGivenBack,
    /// The promise: within the published bound.
    ComesHome,
    /// Returns go before lends.
    ReturnsFirst,
}

impl Law {
    /// The law as a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::OutHasLease => "an account that is out has an open lease",
            Self::OneOpenLease => "an account has at most one open lease",
            Self::ClosedStaysClosed => "after a lease is closed no lend of it takes effect",
            Self::LeaseFirst => "a lend is sent only under an open lease that is known outside the database",
            Self::ForwardOnly => "a lease goes forward only",
            Self::CasePastReturn => "a case that is past its return has no open lease",
            Self::NewsForward => "a case never believes older news over newer",
            Self::LateLentAsksReturn => "a case that is leaving asks for the return when it hears that the account was lent",
            Self::OneLend => "at most one lend of a lease may take effect",
            Self::NoReadyLend => "a lend is ready only while its lease is opening",
            Self::HomeProtects => "a lease leads to a mandatory policy",
            Self::EveryoneTold => "a case that is closed has told everyone who took part",
            Self::SlotsGivenBack => "a case that is closed holds no slot",
            Self::ComesHome => "once faults end, everyone is at one of the four ends within the published bound",
            Self::ReturnsFirst => "no lend is sent while an account is out past its time",
        }
    }
}

impl World {
    /// A lease is about to change.
    pub fn judge_step(&mut self, id: LeaseId, before: &Row, after: &Lease, new: bool) {
        if !new && let Some(law) = not_forward(&before.lease, after) {
            self.breaks(law, || format!("lease {id}: {:?} to {:?}", before.lease.state, after.state));
        }
    }

    /// A row is about to be written.
    pub fn judge_row(&mut self, id: LeaseId, row: &Row) {
        let open = row.lease.is_open();
        if open && self.rows.open.get(&row.account).is_some_and(|other| *other != id) {
            self.breaks(Law::OneOpenLease, || format!("account {}", row.account));
        }
        if open && !self.organisation.is_home(&row.lease.home) {
            self.breaks(Law::HomeProtects, || format!("lease {id} leads to {}", row.lease.home));
        }
        if has_ready_lend(row) && super::turn::rank(&row.lease) > 0 {
            self.breaks(Law::NoReadyLend, || format!("lease {id} is {}", row.lease.state.name()));
        }
    }

    /// An account moved, or a lease of it began or ended.
    pub fn judge_account(&mut self, account: usize) {
        let one = &self.provider.accounts[account];
        let out = one.is.policy == OUT && !one.is.gone;
        let released = self.rows.past.get(&account).is_some_and(|past| past.released);
        if out && !released && !one.beyond && !self.rows.open.contains_key(&account) {
            self.breaks(Law::OutHasLease, || format!("account {account}"));
        }
    }

    /// A case is closed.
    pub fn judge_close(&mut self, id: LeaseId) {
        let now = self.agenda.now();
        let case = &self.cases.by_id[&id];
        // A return that a person asked for before the grant closed the id: the case hears of it when it asks for the lend.
        let asked = case.progress.data.granted_at.map_or(now, moment);
        let untold = case.progress.data.audience().find(|to| !self.told.contains(&(id, Notice::Closed, to.clone())));
        if let Some(to) = untold {
            self.breaks(Law::EveryoneTold, || format!("case {id}: {to:?}"));
        }
        if let Some(row) = self.rows.by_id.get(&id)
            && let homeward_policy::lease::State::Closed(ending) = &row.lease.state
        {
            // Where the news of an early end was lost, the case hears of it when the lease would have been due. Case repair, which
            // is not simulated, tells it sooner.
            let lost = self.tally.of(Kind::Loss) + self.tally.of(Kind::Purge) > 0;
            let heard = if lost { moment(ending.at).max(moment(row.lease.due_at)) } else { moment(ending.at) };
            let from = heard.max(asked).max(self.draft.calm_from);
            self.figures.to_close = self.figures.to_close.max(now - from);
        }
    }

    /// Nothing is under way any more: no case to come or open, no open lease, no write.
    pub fn is_quiet(&self) -> bool {
        self.cases.to_come == 0 && self.cases.open == 0 && self.rows.open.is_empty() && self.provider.effects.is_empty()
    }

    /// What must hold at the end of a run.
    pub fn judge_end(&mut self) {
        if !self.is_quiet() {
            let open: Vec<String> = self.rows.open.values().map(|id| self.rows.by_id[id].lease.state.name().to_owned()).collect();
            let cases: Vec<String> = self.cases.by_id.values().filter_map(|case| case.progress.step.clone()).collect();
            self.breaks(Law::ComesHome, || format!("open at the end: leases {open:?}, cases {cases:?}"));
        }
        if self.cases.holds_slots() {
            self.breaks(Law::SlotsGivenBack, || "at the end".to_owned());
        }
        for account in 0..self.provider.accounts.len() {
            let one = &self.provider.accounts[account];
            let released = self.rows.past.get(&account).is_some_and(|past| past.released);
            if one.is.policy == OUT && !one.is.gone && !released {
                self.breaks(Law::ComesHome, || format!("account {account} is out at the end"));
            }
        }
        let (end, close) = (self.bound_of_end(), self.bound_of_close());
        let figures = self.figures;
        if figures.to_end > end && !self.draft.goes_beyond() {
            self.breaks(Law::ComesHome, || format!("a lease took {} µs to end, the bound is {end}", figures.to_end));
        }
        if figures.to_close > close {
            self.breaks(Law::ComesHome, || format!("a case took {} µs to close, the bound is {close}", figures.to_close));
        }
    }
}
