//! What differs between two sets of facts, as lines of the ground-truth log; and reading that log.

use crate::account::{Facts, Placed};
use crate::effect::{Cause, Effect, Fact};
use crate::timeline::Moment;

use super::{Organisation, timestamp};

type Change = (Fact, Option<String>, Option<String>, Option<i64>);

impl Organisation {
    pub(super) fn log(&mut self, slot: usize, at: Moment, cause: &Cause, before: &Facts, after: &Facts) {
        for (fact, from, to, version) in self.changes(before, after) {
            self.effects.push(Effect {
                number: self.effects.len() as u64 + 1,
                at: timestamp(at),
                account: self.accounts[slot].id.to_string(),
                email: before.email.to_string(),
                fact,
                from,
                to,
                version,
                cause: cause.clone(),
            });
        }
    }

    fn changes(&self, before: &Facts, after: &Facts) -> Vec<Change> {
        let mut changes = Vec::new();
        if before.placement != after.placement {
            let policy = |placed: Option<Placed>| placed.map(|placed| self.policies[placed.policy].id.clone());
            let version = after.placement.map(|placed| placed.version);
            changes.push((Fact::Policy, policy(before.placement), policy(after.placement), version));
        }
        let mut words = |fact, from: String, to: String| {
            if from != to {
                changes.push((fact, Some(from), Some(to), None));
            }
        };
        let factor = |enrolled: bool| if enrolled { "enrolled" } else { "absent" }.to_owned();
        words(Fact::Factor, factor(before.factor), factor(after.factor));
        if before.email != after.email {
            words(Fact::Email, before.email.to_string(), after.email.to_string());
        }
        if before.name != after.name {
            words(Fact::Name, before.name.to_string(), after.name.to_string());
        }
        words(Fact::Status, word(before.status), word(after.status));
        words(Fact::Membership, word(before.membership), word(after.membership));
        words(Fact::Claim, word(before.claim), word(after.claim));
        let role = |administrator: bool| if administrator { "administrator" } else { "member" }.to_owned();
        words(Fact::Administrator, role(before.administrator), role(after.administrator));
        words(Fact::Tokens, before.tokens.to_string(), after.tokens.to_string());
        let existence = |gone: bool| if gone { "gone" } else { "there" }.to_owned();
        words(Fact::Existence, existence(before.gone), existence(after.gone));
        changes
    }

    /// The lines after number `since`, at most `limit`.
    pub(crate) fn effects_since(&self, since: u64, limit: usize) -> &[Effect] {
        let from = usize::try_from(since).unwrap_or(usize::MAX).min(self.effects.len());
        let to = from.saturating_add(limit).min(self.effects.len());
        &self.effects[from..to]
    }

    /// The number of the newest line; 0 if there is none.
    pub(crate) const fn last_effect(&self) -> u64 {
        self.effects.len() as u64
    }
}

/// The name of a unit variant as the wire writes it.
pub(crate) fn word(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}
