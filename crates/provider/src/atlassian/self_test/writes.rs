//! What each key could write, without writing.

use super::{Learned, body, refuses_the_key};
use crate::atlassian::AtlassianProvider;
use crate::atlassian::client::{Call, Failed};
use crate::atlassian::manage::{self, parse_privilege};
use crate::atlassian::paths::{ADD_USERS, DELETE_TOKEN, DISABLE, ENABLE, Key, MANAGE, TASK};
use crate::care::ManageCheck;
use crate::priority::Priority;
use crate::reason::Reason;
use crate::self_test::{KeyName, May, WriteTest};

/// A task that there is not: reading it shows whether the key is let near tasks at all.
const NO_TASK: &str = "00000000-0000-4000-8000-000000000000";

/// The privilege that deleting a token needs.
const TOKEN_PRIVILEGE: &str = "apiToken.delete";

impl AtlassianProvider {
    /// By the key's scopes where the provider lists them; otherwise by which reads that need the same it may make.
    pub(super) async fn judge_writes(&self, key: KeyName, learned: &Learned, scopes: Option<&[String]>) -> Vec<WriteTest> {
        let moves = match (&ADD_USERS.key, scopes) {
            (Key::Scope(needed), Some(scopes)) if scopes.iter().any(|scope| scope == needed) => {
                (May::Yes, format!("the provider lists the scope {needed} for it"))
            }
            (Key::Scope(needed), Some(_)) => (May::No, format!("the provider's list of its scopes lacks {needed}")),
            (Key::Scope(_) | Key::NoneListed | Key::Unscoped, _) => self.judge_moves(key, learned).await,
        };
        let disable = lifecycle(learned.said(MANAGE.name), manage::PRIVILEGE);
        let tokens = match learned.subject.as_ref().filter(|_| disable.0 != May::No) {
            None => disable.clone(),
            Some((account, _)) => {
                let path = [("account_id", account.as_str())];
                let call = Call::new(&MANAGE, Priority::Evidence).path(&path).query("privileges", TOKEN_PRIVILEGE);
                lifecycle(Some(&body(self.client.send_as(call, key).await)), TOKEN_PRIVILEGE)
            }
        };
        let test = |call, purpose, (may, because): (May, String)| WriteTest { call, purpose, may, because };
        vec![
            test(ADD_USERS.name, "lend and return accounts", moves),
            test(DISABLE.name, "disable an account (containment)", disable.clone()),
            test(ENABLE.name, "enable it again", disable),
            test(DELETE_TOKEN.name, "delete an account's own token", tokens),
        ]
    }

    /// The read of a task takes the same scope as the move. A key that User management takes has no scopes, and may call
    /// everything.
    async fn judge_moves(&self, key: KeyName, learned: &Learned) -> (May, String) {
        let path = [("taskId", NO_TASK)];
        let task = self.client.send_as(Call::new(&TASK, Priority::Evidence).path(&path), key).await;
        let unscoped = learned.said(MANAGE.name).is_some_and(Result::is_ok);
        match task {
            Err(failed) if refuses_the_key(&failed) => {
                (May::No, format!("the read of tasks, which takes the same scope, was refused: {}", failed.error.sentence))
            }
            Ok(_) | Err(_) if unscoped => {
                (May::Probably, "User management takes it, so it has no scopes, and such a key may call everything".into())
            }
            Ok(_) => (May::Probably, "the read of tasks, which takes the same scope, was not refused".into()),
            Err(failed) if failed.says_missing() || failed.error.reason == Reason::RequestRefused => {
                (May::Probably, "the read of tasks, which takes the same scope, was not refused".into())
            }
            Err(failed) => {
                (May::Unknown, format!("the read of tasks, which takes the same scope, failed: {}", failed.error.sentence))
            }
        }
    }
}

/// What User management says the key may do with the account that was looked at.
fn lifecycle(said: Option<&Result<serde_json::Value, Failed>>, privilege: &str) -> (May, String) {
    let Some(said) = said else { return (May::Unknown, "no account was found to ask about".into()) };
    match said {
        Err(failed) if failed.error.reason == Reason::ScopedKeyRefused => (May::No, failed.error.sentence.clone()),
        Err(failed) if refuses_the_key(failed) => (May::No, failed.error.sentence.clone()),
        Err(failed) => (May::Unknown, failed.error.sentence.clone()),
        Ok(body) => match parse_privilege(body, privilege) {
            Ok(ManageCheck::May) => (May::Yes, "the provider says so of the account that was looked at".into()),
            Ok(ManageCheck::MayNot(refusal)) => {
                (May::Unknown, format!("not for the account that was looked at ({refusal:?}); of others nothing is known"))
            }
            Ok(ManageCheck::NoSuchAccount) => (May::Unknown, "the account that was looked at is gone".into()),
            Err(why) => (May::Unknown, why),
        },
    }
}
