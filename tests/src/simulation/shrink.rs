//! Makes a failing run as short as it can be: leaves out faults and cases, half of them, a quarter, one by one, as long as the
//! same law breaks. The same draft gives the same run, so this needs no luck.

use super::draft::Draft;
use super::law::Law;
use super::run::{Outcome, run};

/// Runs that may be tried.
const TRIES: u32 = 3_000;

/// The shortest run found that breaks the same law, with its trace. `None` if the draft breaks nothing.
pub fn shortest(draft: &Draft) -> Option<(Draft, Outcome)> {
    let law = run(draft, false).broken?.law;
    let mut shrinking = Shrinking { best: draft.clone(), law, tries: 0 };
    loop {
        let before = (shrinking.best.faults.len(), shrinking.best.cases.len());
        shrinking.leave_out(|draft| draft.faults.len(), |draft, from, to| drop(draft.faults.drain(from..to)));
        shrinking.leave_out(|draft| draft.cases.len(), |draft, from, to| drop(draft.cases.drain(from..to)));
        if (shrinking.best.faults.len(), shrinking.best.cases.len()) == before || shrinking.tries >= TRIES {
            break;
        }
    }
    let outcome = run(&shrinking.best, true);
    Some((shrinking.best, outcome))
}

struct Shrinking {
    best: Draft,
    law: Law,
    tries: u32,
}

impl Shrinking {
    fn leave_out(&mut self, length: impl Fn(&Draft) -> usize, remove: impl Fn(&mut Draft, usize, usize)) {
        let mut part = length(&self.best).div_ceil(2);
        while part > 0 {
            let mut from = 0;
            while from < length(&self.best) && self.tries < TRIES {
                let mut shorter = self.best.clone();
                let to = (from + part).min(length(&shorter));
                remove(&mut shorter, from, to);
                self.tries += 1;
                if run(&shorter, false).broken.is_some_and(|broken| broken.law == self.law) {
                    self.best = shorter;
                } else {
                    from = to;
                }
            }
            part = if part == 1 { 0 } else { part.div_ceil(2) };
        }
    }
}
