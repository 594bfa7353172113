//! A batch of moves at the provider: split, bisected, executed or not, soon or late; and what the answer proves.

use homeward_policy::lease::store::Marking;
use homeward_policy::lease::{Answer, Kind as Move};
use homeward_policy::worker::of_move;
use homeward_provider::{BatchLimit, Bisection, ErrorClass, MoveAccepted, ProviderError, TaskId};
use homeward_types::{LeaseId, Timestamp};

use super::agenda::{Happens, MS, Micros, micros};
use super::fault::{Fault, Hook, Kind};
use super::law::Law;
use super::limiter::Path;
use super::provider::Effect;
use super::world::World;

/// What was proved about an attempt.
type Proved = (LeaseId, u32, Answer);

/// A marked attempt, with its last possible send.
type Marked = (Marking, Timestamp);

/// What becomes of one write.
struct Fate {
    /// When it takes effect, if it does.
    lands: Option<Micros>,
    /// Its answer never comes.
    unanswered: bool,
}

fn refused(class: ErrorClass, words: &str) -> ProviderError {
    ProviderError::new("move", class, None, words).not_taken()
}

impl World {
    /// One order at the provider: what each attempt's answer proves, and how long it takes.
    pub fn order(&mut self, process: usize, kind: Move, order: &[Marked], written: Micros) -> (Vec<Proved>, Micros) {
        let limit = BatchLimit::new(self.draft.limits.batch);
        let mut work = Bisection::new(order.len(), &limit);
        let mut answers = Vec::new();
        let mut longest = 0;
        while let Some(range) = work.next_part() {
            let part = &order[range.clone()];
            let (wait, error) = self.call();
            let error = self.limited(Path::Move, error);
            longest = longest.max(wait);
            if let Some(error) = error {
                answers.extend(self.not_executed(part, error, kind, process, written));
                let rest = work.give_up();
                let unsent = refused(ErrorClass::Retry { after: std::time::Duration::ZERO }, "not sent: a call before it failed");
                answers.extend(rest.into_iter().flat_map(|rest| said(&order[rest], &Err(unsent.clone()))));
            } else if part.iter().any(|(marking, _)| self.provider.refuses(self.account(marking), written)) {
                self.tally.count(Kind::BatchRefused);
                let error = refused(ErrorClass::PermanentForAccount, "400: the address");
                if !work.refused(&range) {
                    answers.extend(said(part, &Err(error.clone())));
                }
                if work.hopeless() {
                    let rest = work.give_up();
                    answers.extend(rest.into_iter().flat_map(|rest| said(&order[rest], &Err(error.clone()))));
                }
            } else {
                work.taken(&range);
                answers.extend(self.executed(part, kind, process, written));
            }
        }
        (answers, longest)
    }

    fn account(&self, marking: &Marking) -> usize {
        self.rows.by_id[&marking.lease].account
    }

    /// A call that failed: a write that may have left may have happened.
    fn not_executed(
        &mut self,
        part: &[Marked],
        error: ProviderError,
        kind: Move,
        process: usize,
        written: Micros,
    ) -> Vec<Proved> {
        let times_out = self.provider.outages.iter().any(|(from, to, times_out)| *times_out && (*from..*to).contains(&written));
        if !times_out || error.is_for_the_rate() {
            return said(part, &Err(error));
        }
        if self.chance.one_in(2) {
            self.executed(part, kind, process, written);
        }
        said(part, &Err(ProviderError::new("move", ErrorClass::Ambiguous, None, "no answer in time")))
    }

    fn executed(&mut self, part: &[Marked], kind: Move, process: usize, written: Micros) -> Vec<Proved> {
        let half = part.len() > 1 && self.strikes(Hook::Batch, 0).is_some();
        if half {
            self.tally.count(Kind::HalfBatch);
            self.note(|| format!("only half of a batch of {} is executed", part.len()));
        }
        let mut unanswered = false;
        for (nth, (marking, until)) in part.iter().enumerate() {
            let account = self.account(marking);
            let mut fate = self.fate(account, kind, process, *until, written);
            if half && nth % 2 == 1 {
                fate.lands = None;
            }
            unanswered |= fate.unanswered;
            let Some(at) = fate.lands else { continue };
            if kind == Move::Lend && !self.provider.lent.insert(marking.lease) {
                self.breaks(Law::OneLend, || format!("lease {}", marking.lease));
            }
            let number = self.work_number();
            let effect = Effect {
                account,
                email: marking.address.clone(),
                to: self.provider.number(&marking.destination),
                lease: marking.lease,
                number: marking.number,
                kind,
            };
            self.provider.effects.insert(number, effect);
            self.agenda.note(at, Happens::Land(number));
        }
        if unanswered {
            return said(part, &Err(ProviderError::new("move", ErrorClass::Ambiguous, None, "no answer in time")));
        }
        said(part, &Ok(MoveAccepted::Task(TaskId::new("1"))))
    }

    /// When a write takes effect, if ever, and whether its answer comes.
    fn fate(&mut self, account: usize, kind: Move, process: usize, until: Timestamp, written: Micros) -> Fate {
        let soon = written + self.chance.within(MS, 2 * self.draft.latency);
        let hook = if kind == Move::Lend { Hook::Lend } else { Hook::Return };
        let Some(fault) = self.strikes(hook, account) else { return Fate { lands: Some(soon), unanswered: false } };
        let lands = self.struck(account, fault, self.true_moment(process, until), soon);
        self.note(|| format!("{} (account {account})", fault.kind.name()));
        Fate { lands, unanswered: fault.kind == Kind::Timeout }
    }

    fn struck(&mut self, account: usize, fault: Fault, last_send: Micros, soon: Micros) -> Option<Micros> {
        let late = micros(self.draft.limits.late_limit);
        let lands = match fault.kind {
            Kind::NeverApplied => None,
            Kind::LendBeyond | Kind::ReturnBeyond => {
                self.provider.accounts[account].beyond = true;
                Some(last_send.max(soon) + late + fault.length)
            }
            Kind::LendLate | Kind::ReturnLate => {
                // Clocks that differ are lateness, too.
                let latest = last_send + late - 2 * self.draft.skew;
                let at = soon.max(latest.min(soon + fault.length));
                if at == soon {
                    return Some(soon);
                }
                Some(at)
            }
            _ => Some(soon),
        };
        self.tally.count(fault.kind);
        lands
    }
}

/// The same answer for each attempt of a part, by what it proves.
fn said(part: &[Marked], answer: &Result<MoveAccepted, ProviderError>) -> Vec<Proved> {
    part.iter().map(|(marking, _)| (marking.lease, marking.number, of_move(answer))).collect()
}
