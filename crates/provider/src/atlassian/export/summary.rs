//! An export in a few lines: each policy by its name, how many accounts are in it, and how they stand.

use std::collections::{BTreeMap, HashSet};

use homeward_types::{Email, Factor};

use super::{BadRow, Row};

/// More different words than this are not kept for one policy.
const MOST_WORDS: usize = 8;
/// Addresses kept of each policy, to look the policy's id up with.
const SAMPLES: usize = 20;

/// One policy as the export names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyCount {
    /// Its type, as the first row wrote it.
    pub kind: String,
    /// Its accounts.
    pub accounts: u64,
    /// Of these, with a factor.
    pub enrolled: u64,
    /// Without one.
    pub absent: u64,
    /// Where the word is not understood.
    pub unknown: u64,
    /// The words of the two-step column, each with how often it stands there; at most eight.
    pub words: BTreeMap<String, u64>,
    /// The words of the single sign-on column.
    pub single_sign_on: BTreeMap<String, u64>,
    /// Some of its accounts.
    pub samples: Vec<Email>,
}

/// What an export holds. It keeps one number for each address, to find rows that repeat one, and otherwise only counts.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// The policies by name; the name is empty for accounts without one.
    pub policies: BTreeMap<String, PolicyCount>,
    /// Rows that were used.
    pub rows: u64,
    /// Rows that were left out.
    pub bad: u64,
    seen: HashSet<Email>,
}

impl Summary {
    /// Takes in the next row. Gives the row that was left out, if it was, to tell of it.
    ///
    /// # Errors
    /// The row that was left out, and why: it was bad, or its address stood in an earlier row.
    pub fn add(&mut self, row: Result<Row, BadRow>) -> Result<Row, BadRow> {
        let row = row.and_then(|row| {
            if self.seen.insert(row.email.clone()) {
                Ok(row)
            } else {
                Err(BadRow { line: row.line, reason: "its address stood in an earlier row".into() })
            }
        });
        match &row {
            Ok(row) => self.count(row),
            Err(_) => self.bad += 1,
        }
        row
    }

    fn count(&mut self, row: &Row) {
        self.rows += 1;
        let policy = self.policies.entry(row.policy.clone()).or_default();
        policy.accounts += 1;
        if policy.kind.is_empty() {
            policy.kind.clone_from(&row.policy_kind);
        }
        match row.factor {
            Factor::Enrolled => policy.enrolled += 1,
            Factor::Absent => policy.absent += 1,
            Factor::Unknown => policy.unknown += 1,
        }
        note(&mut policy.words, &row.two_step);
        note(&mut policy.single_sign_on, &row.single_sign_on);
        if policy.samples.len() < SAMPLES {
            policy.samples.push(row.email.clone());
        }
    }
}

fn note(words: &mut BTreeMap<String, u64>, word: &str) {
    if words.len() < MOST_WORDS || words.contains_key(word) {
        *words.entry(word.to_owned()).or_default() += 1;
    }
}
