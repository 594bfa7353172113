//! The self-test: each read that needs no earlier write is made once with each key, and each write is judged without making it.
//!
//! Two things wait for the first lend and return, and policy judges them then: the task read (it needs a task) and whether a
//! placement's version grows.

mod reads;
mod writes;

use homeward_types::{AccountId, Email};
use serde_json::Value;

use super::AtlassianProvider;
use super::client::{Answer, Failed};
use super::events::EventAction;
use super::keys::{ListedKey, ours};
use crate::error::ErrorClass;
use crate::reason::Reason;
use crate::self_test::{Duty, KeyName, KeyTest, May, Note, ReadOutcome, ReadTest, SelfTest};

/// What the reads of one key taught besides how they went.
#[derive(Default)]
struct Learned {
    /// An account to try reads on that name one.
    subject: Option<(AccountId, Option<Email>)>,
    /// What the answers said, by the call's name.
    bodies: Vec<(&'static str, Result<Value, Failed>)>,
}

impl Learned {
    fn said(&self, call: &str) -> Option<&Result<Value, Failed>> {
        self.bodies.iter().find(|(name, _)| *name == call).map(|(_, body)| body)
    }
}

impl AtlassianProvider {
    pub(super) async fn try_out(&self, duty: Duty) -> SelfTest {
        let mut test = SelfTest { begun_at: Some(self.client.now()), ..SelfTest::untested(duty) };
        let (mut subject, mut actions, mut listed) = (None, None, None);
        let mut found = Vec::new();
        for key in self.client.keys() {
            let mut learned = Learned { subject: subject.clone(), bodies: Vec::new() };
            let reads = self.try_reads(key, duty, &mut learned).await;
            subject = subject.or_else(|| learned.subject.clone());
            actions = actions.or_else(|| parsed(&learned, reads::ACTIONS, super::events::parse_actions));
            listed = listed.or_else(|| parsed(&learned, reads::KEYS, super::keys::parse_keys).map(|(keys, _)| keys));
            found.push((key, reads, learned));
        }
        for (key, reads, learned) in found {
            test.keys.push(self.key_test(key, reads, &learned, listed.as_deref()).await);
        }
        test.notes = self.notes(&test, subject.is_none(), actions.as_deref());
        test
    }

    async fn key_test(&self, key: KeyName, reads: Vec<ReadTest>, learned: &Learned, listed: Option<&[ListedKey]>) -> KeyTest {
        let mine = self.label(key).and_then(|label| ours(listed?, label).ok());
        let scopes = mine.and_then(|key| key.scopes.clone());
        let writes = self.judge_writes(key, learned, scopes.as_deref()).await;
        let expiry = self.expiry(key, listed.ok_or("no key may read it"));
        KeyTest { key, scopes, expiry, reads, writes }
    }

    fn notes(&self, test: &SelfTest, nobody: bool, actions: Option<&[EventAction]>) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut note = |code, sentence: String| notes.push(Note { code, sentence });
        if nobody {
            let sentence = "no managed account was found, so reads that name an account could not be tried";
            note("NO_ACCOUNT", sentence.to_owned());
        }
        if test.duty == Duty::Patrol && test.may(super::paths::ADD_USERS.name) != May::No {
            let sentence = "patrol only reads, and its key could move accounts as far as can be told; \
                            give it a key of its own with the fewest scopes that the reads take";
            note("PATROL_KEY_COULD_WRITE", sentence.to_owned());
        }
        if test.duty == Duty::Recovery && test.may(super::paths::ADD_USERS.name) == May::No {
            let sentence = "no key may move accounts: nobody can be lent or returned; \
                            make a key with the scope write:policies:admin, or one without scopes";
            note("NO_KEY_MOVES", sentence.to_owned());
        }
        let settings = self.client.settings();
        for (setting, id) in settings.event_actions.named() {
            if actions.is_some_and(|actions| !actions.iter().any(|action| action.id == id)) {
                let sentence = format!(
                    "event_actions.{setting} names {id:?}, which the audit log does not know; see `homeward setup atlassian --actions`"
                );
                note("EVENT_ACTION_UNKNOWN", sentence);
            }
        }
        if settings.base_url.scheme() != "https" {
            note("NOT_ENCRYPTED", "base_url is not https: keys travel in clear text; fit only for the simulator".to_owned());
        }
        notes
    }
}

fn parsed<T>(learned: &Learned, call: &str, parse: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
    parse(learned.said(call)?.as_ref().ok()?).ok()
}

/// How an answer is taken. Where the provider refuses an account or says that it has none, the key was accepted.
fn outcome(answer: &Result<Value, Failed>, parse: impl Fn(&Value) -> Result<(), String>) -> ReadOutcome {
    let (reason, sentence) = match answer {
        Ok(body) => match parse(body) {
            Ok(()) => return ReadOutcome::Works,
            Err(why) => return ReadOutcome::Failed { reason: Reason::UnreadableAnswer, sentence: why },
        },
        Err(failed) => (failed.error.reason, failed.error.sentence.clone()),
    };
    if matches!(reason, Reason::AccountForbidden | Reason::NotFound) {
        return ReadOutcome::Works;
    }
    if reason.is_about_the_key() { ReadOutcome::Refused { reason, sentence } } else { ReadOutcome::Failed { reason, sentence } }
}

/// The body of an answer; what is no JSON is a failure.
fn body(answer: Result<Answer, Failed>) -> Result<Value, Failed> {
    answer.and_then(|answer| answer.json())
}

/// Whether an answer says that the key may not.
fn refuses_the_key(failed: &Failed) -> bool {
    failed.error.class == ErrorClass::PermanentForOrganisation && failed.error.reason.is_about_the_key()
}
