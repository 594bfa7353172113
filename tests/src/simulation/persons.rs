//! What persons do: ask, prove, approve, cancel, sign in, release.

use homeward_policy::lease::{Asked, Event as LeaseEvent};
use homeward_recovery::saga::input::Input;
use homeward_saga::Event;
use homeward_types::{LeaseId, ProofKind};

use super::agenda::{Act, Happens, Micros, SECOND};
use super::cases::{approver, requester};
use super::process::Service;
use super::world::{World, lease_id};

impl World {
    /// The id of a drafted case.
    pub fn case_id(&self, draft: usize) -> LeaseId {
        lease_id(self.draft.cases[draft].number)
    }

    /// Notes when the first cases are asked for. One whose earlier case was left out begins by itself.
    pub fn persons_begin(&mut self) {
        let numbers: Vec<usize> = self.draft.cases.iter().map(|case| case.number).collect();
        for (nth, case) in self.draft.cases.iter().enumerate() {
            if case.after.is_none_or(|after| !numbers.contains(&after)) {
                self.agenda.note(case.at, Happens::Act(nth, Act::Request));
            }
        }
    }

    /// A case is closed: the account's next one may be asked for.
    pub fn next_case_begins(&mut self, id: LeaseId) {
        let closed = self.cases.by_id[&id].draft;
        let number = self.draft.cases[closed].number;
        let next = self.draft.cases.iter().position(|case| case.after == Some(number));
        if let Some(next) = next.filter(|next| !self.cases.by_id.contains_key(&self.case_id(*next))) {
            self.agenda.note(self.agenda.now() + self.draft.cases[next].at, Happens::Act(next, Act::Request));
        }
    }

    /// A person acts. Where no process takes it, the person tries again.
    pub fn act(&mut self, nth: usize, act: Act) {
        let id = self.case_id(nth);
        let account = self.draft.cases[nth].account;
        let taken = match act {
            Act::Request => self.requests(nth, id),
            Act::Prove => {
                let (by, kind) = (requester(), ProofKind::CallBack);
                self.tells_recovery(id, Input::ProofAttached { by, kind, evidence: String::new() })
            }
            Act::Approve => self.tells_recovery(id, Input::Voted { by: approver(), approve: true, reason: String::new() }),
            Act::Cancel => self.tells_recovery(id, Input::Cancelled { by: requester(), reason: String::new() }),
            Act::Repudiate => self.tells_recovery(id, Input::Repudiated),
            Act::Enrol => {
                let one = &mut self.provider.accounts[account];
                one.enrolled = !one.is.gone;
                true
            }
            Act::ReturnNow => {
                let asked = Asked { subject: self.subject(id, account), reason: "asked".to_owned() };
                self.tells_policy(id, account, LeaseEvent::ReturnAsked(asked))
            }
            Act::Release => self.tells_policy(id, account, LeaseEvent::Released),
        };
        if taken {
            self.note(|| format!("somebody: {act:?} of case {id} (account {account})"));
        } else {
            self.agenda.note(self.agenda.now() + SECOND, Happens::Act(nth, act));
        }
    }

    fn requests(&mut self, nth: usize, id: LeaseId) -> bool {
        let Some(process) = self.awake(Service::Recovery) else { return false };
        if !self.cases.by_id.contains_key(&id) {
            let case = self.new_case(nth, id, self.clock(process));
            self.cases.by_id.insert(id, case);
            self.cases.open += 1;
            self.cases.to_come -= 1;
        }
        if !self.coordinate(process, vec![(id, Event::Start)]) {
            return false;
        }
        let now = self.agenda.now();
        let draft = &self.draft.cases[nth];
        let mut acts = vec![(draft.proof, Act::Prove), (draft.approval.max(draft.proof + 1), Act::Approve)];
        acts.extend(draft.also);
        for (after, act) in acts {
            self.agenda.note(now + after, Happens::Act(nth, act));
        }
        true
    }

    /// The user heard how to sign in.
    pub fn invited(&mut self, id: LeaseId) {
        let Some(case) = self.cases.by_id.get(&id) else { return };
        let nth = case.draft;
        if let Some(after) = self.draft.cases[nth].enrols {
            self.agenda.note(self.agenda.now() + after, Happens::Act(nth, Act::Enrol));
        }
    }

    fn tells_recovery(&mut self, id: LeaseId, input: Input) -> bool {
        let Some(process) = self.awake(Service::Recovery) else { return false };
        self.coordinate(process, vec![(id, Event::Input(input))])
    }

    /// Policy itself is asked. What a person asks for is answered to that person, so nothing repeats it.
    fn tells_policy(&mut self, id: LeaseId, account: usize, event: LeaseEvent) -> bool {
        let Some(process) = self.awake(Service::Policy) else { return false };
        self.turn(process, vec![(id, account, event)])
    }

    /// A process that answers now.
    pub fn awake(&mut self, service: Service) -> Option<usize> {
        let now: Micros = self.agenda.now();
        let answers = |process: &usize| {
            let one = &self.processes[*process];
            !one.down && one.paused_until <= now
        };
        service.processes().iter().copied().find(answers)
    }
}
