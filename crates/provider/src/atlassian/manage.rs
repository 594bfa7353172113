//! User management: may the key manage this account, containment, and the account's own tokens.

use homeward_types::AccountId;
use serde_json::{Value, json};

use super::AtlassianProvider;
use super::client::{Call, Failed};
use super::fault::tame;
use super::json::{moment, text};
use super::paths::{DELETE_TOKEN, DISABLE, ENABLE, Endpoint, MANAGE, MANAGE_PROFILE, TOKENS};
use crate::care::{AccountToken, ManageCheck, ManageRefusal, TokenId};
use crate::priority::Priority;

/// The privilege that containment needs; asking for it changes nothing.
pub(super) const PRIVILEGE: &str = "lifecycle.enablement";

impl AtlassianProvider {
    pub(super) async fn check(&self, account: &AccountId, priority: Priority) -> Result<ManageCheck, Failed> {
        let path = [("account_id", account.as_str())];
        let call = Call::new(&MANAGE, priority).path(&path).query("privileges", PRIVILEGE);
        match self.client.send(call).await {
            Ok(answer) => answer.parse(parse_manage),
            Err(failed) if failed.says_missing() => Ok(ManageCheck::NoSuchAccount),
            Err(failed) if matches!(failed.code(), "forbidden.unclaimedDomain" | "forbidden.targetUnverified") => {
                Ok(ManageCheck::MayNot(ManageRefusal::NotManaged))
            }
            // Not ours, or not this key's: the directory knows which.
            Err(failed) if failed.code() == "forbidden" => Ok(match self.details(account, priority).await? {
                None => ManageCheck::NoSuchAccount,
                Some(user) if user.unmanaged => ManageCheck::MayNot(ManageRefusal::NotManaged),
                Some(_) => ManageCheck::MayNot(ManageRefusal::Other(failed.error.sentence)),
            }),
            Err(failed) => Err(failed),
        }
    }

    pub(super) async fn set_enabled(
        &self,
        account: &AccountId,
        enabled: bool,
        reason: &str,
        priority: Priority,
    ) -> Result<(), Failed> {
        let (endpoint, wanted): (&'static Endpoint, _) = if enabled { (&ENABLE, "active") } else { (&DISABLE, "inactive") };
        let path = [("account_id", account.as_str())];
        let mut call = Call::new(endpoint, priority).path(&path);
        if !enabled {
            call = call.body(json!({"message": reason}));
        }
        match self.client.send(call).await {
            Ok(_) => Ok(()),
            Err(failed) if failed.error.status == Some(409) => match self.profile_status(account, priority).await {
                Ok(Some(status)) if status == wanted => Ok(()), // it is so already
                Ok(_) | Err(_) => Err(failed),
            },
            Err(failed) => Err(failed),
        }
    }

    async fn profile_status(&self, account: &AccountId, priority: Priority) -> Result<Option<String>, Failed> {
        let path = [("account_id", account.as_str())];
        let answer = self.client.send(Call::new(&MANAGE_PROFILE, priority).path(&path)).await?;
        answer.parse(|body| Ok(body.get("account").and_then(|account| text(account, "account_status")).map(str::to_owned)))
    }

    pub(super) async fn tokens(&self, account: &AccountId, priority: Priority) -> Result<Vec<AccountToken>, Failed> {
        let path = [("account_id", account.as_str())];
        self.client.send(Call::new(&TOKENS, priority).path(&path)).await?.parse(parse_tokens)
    }

    pub(super) async fn remove_token(&self, account: &AccountId, token: &TokenId, priority: Priority) -> Result<(), Failed> {
        let path = [("account_id", account.as_str()), ("tokenId", token.as_str())];
        match self.client.send(Call::new(&DELETE_TOKEN, priority).path(&path)).await {
            Ok(_) => Ok(()),
            Err(failed) if failed.says_missing() => Ok(()),
            Err(failed) => Err(failed),
        }
    }
}

/// What the key may do with the account; an answer that does not say is none.
pub(super) fn parse_manage(body: &Value) -> Result<ManageCheck, String> {
    parse_privilege(body, PRIVILEGE)
}

/// Whether the key has this privilege over the account.
pub(super) fn parse_privilege(body: &Value, name: &str) -> Result<ManageCheck, String> {
    let privilege = body.get(name).unwrap_or(&Value::Null);
    match privilege.get("allowed").and_then(Value::as_bool) {
        Some(true) => Ok(ManageCheck::May),
        Some(false) => {
            let key = privilege.get("reason").and_then(|reason| text(reason, "key")).unwrap_or("no reason was given");
            Ok(ManageCheck::MayNot(refusal(key)))
        }
        None => Err(format!("the answer does not say whether {name} is allowed")),
    }
}

fn refusal(key: &str) -> ManageRefusal {
    match key {
        "authPolicy.saml" => ManageRefusal::SingleSignOn,
        "externalDirectory.scim" => ManageRefusal::SyncedFrom("the identity provider that is connected by SCIM".into()),
        "externalDirectory.google" => ManageRefusal::SyncedFrom("Google Workspace".into()),
        other => ManageRefusal::Other(tame(other)),
    }
}

/// A bare list. An entry without an id is an error: left out, it would look deleted.
pub(super) fn parse_tokens(body: &Value) -> Result<Vec<AccountToken>, String> {
    let entries = body.as_array().ok_or("the answer is not a list of tokens")?;
    let token = |entry: &Value| {
        let id = text(entry, "id").ok_or("a token has no id")?;
        Ok(AccountToken {
            id: TokenId::new(id),
            label: text(entry, "label").unwrap_or_default().to_owned(),
            created_at: moment(entry, "createdAt"),
        })
    };
    entries.iter().map(token).collect()
}
