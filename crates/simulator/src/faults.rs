//! Faults on demand and by chance: what to break, where, how often; and how often it really broke.

mod kind;
mod storm;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::timeline::Moment;

pub use kind::{Fault, FaultKind};
pub use storm::Storm;

/// A fault as it stands: how often it fired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultState {
    /// Its number, by which it can be taken away.
    pub number: u64,
    /// The fault.
    pub fault: Fault,
    /// How many requests it met.
    pub fired: u64,
    /// Whether it can fire again: neither spent, nor over, nor taken away.
    pub live: bool,
}

/// What the faults look at in a request.
pub(crate) struct Seen<'a> {
    pub(crate) line: &'a str,
    pub(crate) body: &'a str,
    pub(crate) key: Option<&'a str>,
    pub(crate) now: Moment,
}

struct Rule {
    state: FaultState,
    set: Moment,
    passed: u64,
}

struct Rules {
    rules: Vec<Rule>,
    rng: SmallRng,
}

/// All faults of a simulator.
pub(crate) struct Faults {
    rules: Mutex<Rules>,
    live: AtomicUsize,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        let rng = SmallRng::seed_from_u64(seed ^ 0x000f_a017_5eed);
        Self { rules: Mutex::new(Rules { rules: Vec::new(), rng }), live: AtomicUsize::new(0) }
    }

    /// Sets a fault; the answer is its number.
    pub(crate) fn set(&self, fault: Fault, now: Moment) -> u64 {
        let mut rules = crate::state::lock(&self.rules);
        let number = rules.rules.len() as u64 + 1;
        rules.rules.push(Rule { state: FaultState { number, fault, fired: 0, live: true }, set: now, passed: 0 });
        self.live.fetch_add(1, Ordering::SeqCst);
        number
    }

    /// Takes one fault away, or all; the answer is how many could still have fired.
    pub(crate) fn clear(&self, number: Option<u64>) -> usize {
        let mut rules = crate::state::lock(&self.rules);
        let mut cleared = 0;
        for rule in &mut rules.rules {
            if rule.state.live && number.is_none_or(|number| number == rule.state.number) {
                rule.state.live = false;
                cleared += 1;
            }
        }
        self.live.fetch_sub(cleared, Ordering::SeqCst);
        cleared
    }

    /// Every fault that was ever set, with how often it fired.
    pub(crate) fn all(&self) -> Vec<FaultState> {
        crate::state::lock(&self.rules).rules.iter().map(|rule| rule.state.clone()).collect()
    }

    /// Whether any fault could fire at all.
    pub(crate) fn any(&self) -> bool {
        self.live.load(Ordering::SeqCst) > 0
    }

    /// The faults that meet this request: at most one that replaces or cuts the answer, and any that only bend it.
    pub(crate) fn meet(&self, seen: &Seen<'_>, named: impl Fn(&str) -> bool) -> Vec<FaultKind> {
        let mut rules = crate::state::lock(&self.rules);
        let Rules { rules, rng } = &mut *rules;
        let mut met: Vec<FaultKind> = Vec::new();
        for rule in rules.iter_mut().filter(|rule| rule.state.live) {
            if !rule.matches(seen, &named) || (decides(&rule.state.fault.what) && met.iter().any(decides)) {
                continue;
            }
            if rule.passed < rule.state.fault.skip {
                rule.passed += 1;
                continue;
            }
            if rule.state.fault.probability < 1.0 && !rng.random_bool(rule.state.fault.probability.max(0.0)) {
                continue;
            }
            rule.state.fired += 1;
            if rule.state.fault.count.is_some_and(|count| rule.state.fired >= count) {
                rule.state.live = false;
                self.live.fetch_sub(1, Ordering::SeqCst);
            }
            met.push(rule.state.fault.what.clone());
        }
        met
    }
}

/// Whether a fault by itself decides what the caller sees.
const fn decides(kind: &FaultKind) -> bool {
    match kind {
        FaultKind::Slow { .. }
        | FaultKind::StaleRead { .. }
        | FaultKind::NeverApplied { .. }
        | FaultKind::AppliedLate { .. }
        | FaultKind::PartialBatch { .. }
        | FaultKind::Meanwhile { .. } => false,
        FaultKind::TooManyRequests
        | FaultKind::ServerError { .. }
        | FaultKind::CutBefore
        | FaultKind::CutAfter
        | FaultKind::AppliedTimedOut { .. }
        | FaultKind::WrongShape { .. }
        | FaultKind::EmptyBody { .. }
        | FaultKind::Html { .. }
        | FaultKind::TruncatedJson
        | FaultKind::RevokedKey
        | FaultKind::Outage => true,
    }
}

impl Rule {
    fn matches(&self, seen: &Seen<'_>, named: &impl Fn(&str) -> bool) -> bool {
        let fault = &self.state.fault;
        let age_ms = u64::try_from((seen.now - self.set) / 1_000).unwrap_or(0);
        let over = fault.for_ms.is_some_and(|window| age_ms >= fault.from_ms.saturating_add(window));
        age_ms >= fault.from_ms
            && !over
            && pattern_matches(&fault.path, seen.line)
            && fault.key.as_deref().is_none_or(|key| seen.key == Some(key))
            && fault.account.as_deref().is_none_or(named)
    }
}

/// Whether `text` holds the pieces of `pattern` between its `*`, in order.
pub(crate) fn pattern_matches(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    for piece in pattern.split('*') {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    true
}
