//! What a provider's keys can do, as far as trying without changing anything can show. Not knowing is an answer.

use homeward_types::Timestamp;
use serde::Serialize;

use crate::reason::Reason;

/// What the keys are for: which reads are needed, and whether being able to write is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    /// Finding, moving, reading back, containing.
    Recovery,
    /// Reading back only: patrol.
    Patrol,
}

/// One of the keys that an adapter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyName {
    /// The key for everything that takes it.
    Main,
    /// The key for calls that refuse the main one.
    Unscoped,
}

impl KeyName {
    /// The setting that holds it.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Main => "api_key",
            Self::Unscoped => "unscoped_key",
        }
    }
}

/// Everything that one test showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SelfTest {
    /// When it began (our clock); `None` if nothing was tested.
    pub begun_at: Option<Timestamp>,
    /// What the keys are for.
    pub duty: Duty,
    /// Each key.
    pub keys: Vec<KeyTest>,
    /// What a person should know besides.
    pub notes: Vec<Note>,
}

/// What was found of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyTest {
    /// Which.
    pub key: KeyName,
    /// Its scopes, where the provider tells them.
    pub scopes: Option<Vec<String>>,
    /// Until when it is good.
    pub expiry: Expiry,
    /// Each read that needs no earlier write.
    pub reads: Vec<ReadTest>,
    /// Each write, none of which was tried.
    pub writes: Vec<WriteTest>,
}

/// One read that was tried with one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadTest {
    /// The call, by its template.
    pub call: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// Whether the duty cannot be done without it.
    pub needed: bool,
    /// How it went.
    pub outcome: ReadOutcome,
}

/// How a read went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum ReadOutcome {
    /// An answer in the documented shape.
    Works,
    /// The key may not.
    Refused {
        /// The code.
        reason: Reason,
        /// In words.
        sentence: String,
    },
    /// No usable answer this time; it says nothing about the key.
    Failed {
        /// The code.
        reason: Reason,
        /// In words.
        sentence: String,
    },
    /// It could not be tried.
    NotTried {
        /// Why.
        why: &'static str,
    },
}

/// One write that a key may be able to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WriteTest {
    /// The call, by its template.
    pub call: &'static str,
    /// What it does.
    pub purpose: &'static str,
    /// Whether the key may.
    pub may: May,
    /// What that rests on.
    pub because: String,
}

/// Whether a key may make a write. No write is ever tried to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum May {
    /// The provider says so.
    Yes,
    /// Everything that was seen speaks for it.
    Probably,
    /// The provider says no.
    No,
    /// Nothing tells.
    Unknown,
}

/// Until when a key is good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Expiry {
    /// Until then.
    At {
        /// The moment.
        at: Timestamp,
        /// Who says so.
        told_by: ToldBy,
    },
    /// Nobody knows.
    Unknown {
        /// Why, and what would help.
        why: String,
    },
}

/// Who says until when a key is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToldBy {
    /// The provider's list of keys.
    Provider,
    /// The configuration.
    Configuration,
}

/// A key and until when it is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyExpiry {
    /// Which.
    pub key: KeyName,
    /// Tells one value of the key from the next without telling the key.
    pub fingerprint: String,
    /// Until when.
    pub expiry: Expiry,
}

/// What a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Stable.
    pub code: &'static str,
    /// In words, with what to do.
    pub sentence: String,
}

impl SelfTest {
    /// What an adapter says that cannot test itself.
    pub fn untested(duty: Duty) -> Self {
        Self { begun_at: None, duty, keys: Vec::new(), notes: Vec::new() }
    }

    /// The reads that are needed and that no key was seen to make, each with how it went with the best key.
    pub fn missing(&self) -> Vec<&ReadTest> {
        let all = || self.keys.iter().flat_map(|key| &key.reads);
        let works = |call: &str| all().any(|read| read.call == call && read.outcome == ReadOutcome::Works);
        let mut missing: Vec<&ReadTest> = Vec::new();
        for read in all().filter(|read| read.needed && !works(read.call)) {
            match missing.iter_mut().find(|known| known.call == read.call) {
                Some(known) if matches!(known.outcome, ReadOutcome::Refused { .. }) => *known = read,
                Some(_) => {}
                None => missing.push(read),
            }
        }
        missing
    }

    /// The keys that the provider refused outright: nothing at all works with them.
    pub fn refused(&self) -> impl Iterator<Item = &KeyTest> {
        self.keys.iter().filter(|key| key.is_refused())
    }

    /// The writes that at least one key may make, as far as is known.
    pub fn may(&self, call: &str) -> May {
        let of = |may: &May| match may {
            May::Yes => 3,
            May::Probably => 2,
            May::Unknown => 1,
            May::No => 0,
        };
        let all = self.keys.iter().flat_map(|key| &key.writes).filter(|write| write.call == call);
        all.map(|write| write.may).max_by_key(of).unwrap_or(May::Unknown)
    }
}

impl KeyTest {
    /// Whether the provider does not know the key (any more): every answer was a 401.
    pub fn is_refused(&self) -> bool {
        let refused = |read: &&ReadTest| matches!(read.outcome, ReadOutcome::Refused { reason: Reason::KeyRefused, .. });
        self.reads.iter().any(|read| refused(&read)) && !self.reads.iter().any(|read| read.outcome == ReadOutcome::Works)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(call: &'static str, needed: bool, outcome: ReadOutcome) -> ReadTest {
        ReadTest { call, purpose: "", needed, outcome }
    }

    fn refused() -> ReadOutcome {
        ReadOutcome::Refused { reason: Reason::KeyRefused, sentence: String::new() }
    }

    fn key(key: KeyName, reads: Vec<ReadTest>, may: May) -> KeyTest {
        let writes = vec![WriteTest { call: "move", purpose: "", may, because: String::new() }];
        KeyTest { key, scopes: None, expiry: Expiry::Unknown { why: String::new() }, reads, writes }
    }

    #[test]
    fn what_one_key_cannot_the_other_may() {
        let main = key(
            KeyName::Main,
            vec![read("a", true, refused()), read("b", true, refused()), read("c", false, refused())],
            May::No,
        );
        let other = key(KeyName::Unscoped, vec![read("a", true, ReadOutcome::Works), read("b", true, refused())], May::Probably);
        let test = SelfTest { keys: vec![main, other], ..SelfTest::untested(Duty::Recovery) };
        assert_eq!(test.missing().iter().map(|read| read.call).collect::<Vec<_>>(), ["b"]);
        assert_eq!(test.refused().map(|key| key.key).collect::<Vec<_>>(), [KeyName::Main]);
        assert_eq!((test.may("move"), test.may("delete")), (May::Probably, May::Unknown));
    }
}
