//! Each read that needs no earlier write, made once.

use homeward_types::{AccountId, Email};
use serde_json::{Value, json};

use super::{Learned, body, outcome};
use crate::atlassian::AtlassianProvider;
use crate::atlassian::client::Call;
use crate::atlassian::json::text;
use crate::atlassian::paths::{
    API_KEYS, BULK_FETCH, DOMAINS, EVENT_ACTIONS, EVENTS_STREAM, Endpoint, LAST_ACTIVE, MANAGE, MANAGE_PROFILE, MANAGED_ACCOUNTS,
    TOKENS, USER_DETAILS, USER_SEARCH,
};
use crate::atlassian::settings::EventActions;
use crate::atlassian::{domains, events, keys, manage, placements, users};
use crate::priority::Priority;
use crate::self_test::{Duty, KeyName, ReadOutcome, ReadTest};

/// The call whose answer lists the log's actions.
pub(super) const ACTIONS: &str = EVENT_ACTIONS.name;
/// The call whose answer lists the keys.
pub(super) const KEYS: &str = API_KEYS.name;

/// An id that no account has: whether the key may make the most needed read shows also where no account is known.
const NOBODY: &str = "0:homeward-self-test";

/// One read to try.
struct Try {
    endpoint: &'static Endpoint,
    purpose: &'static str,
    /// Without it recovery cannot be done.
    needed: bool,
}

/// In this order: the first ones find an account for those after them.
const TRIES: [Try; 12] = [
    Try { endpoint: &MANAGED_ACCOUNTS, purpose: "page the managed accounts", needed: true },
    Try { endpoint: &USER_SEARCH, purpose: "find an account, and read its second factor", needed: true },
    Try { endpoint: &BULK_FETCH, purpose: "read which policy accounts are in: the proof of every move", needed: true },
    Try { endpoint: &USER_DETAILS, purpose: "see whether an account is gone, by a second call", needed: false },
    Try { endpoint: &DOMAINS, purpose: "say why an account is not managed", needed: false },
    Try { endpoint: &LAST_ACTIVE, purpose: "read when an account was last active", needed: false },
    Try { endpoint: &EVENTS_STREAM, purpose: "read the audit log as further evidence", needed: false },
    Try { endpoint: &EVENT_ACTIONS, purpose: "learn the audit log's actions", needed: false },
    Try { endpoint: &API_KEYS, purpose: "watch when keys expire", needed: false },
    Try { endpoint: &MANAGE, purpose: "ask whether an account may be managed", needed: false },
    Try { endpoint: &MANAGE_PROFILE, purpose: "see whether an account is disabled", needed: false },
    Try { endpoint: &TOKENS, purpose: "list an account's own tokens", needed: false },
];

impl AtlassianProvider {
    pub(super) async fn try_reads(&self, key: KeyName, duty: Duty, learned: &mut Learned) -> Vec<ReadTest> {
        let mut reads = Vec::with_capacity(TRIES.len());
        for (at, Try { endpoint, purpose, needed }) in TRIES.iter().enumerate() {
            // Patrol reads placements, and nothing else.
            let needed = match duty {
                Duty::Recovery => *needed,
                Duty::Patrol => *endpoint == &BULK_FETCH,
            };
            let found = match self.try_read(endpoint, key, learned).await {
                Some(answer) => {
                    let named = learned.subject.is_some();
                    let found = outcome(&answer, |body| parse(endpoint, body, named));
                    learned.bodies.push((endpoint.name, answer));
                    found
                }
                None => ReadOutcome::NotTried { why: "no account was found to try it on" },
            };
            // An account of the first answers serves the later calls.
            if at < 2 && learned.subject.is_none() {
                learned.subject = learned.said(endpoint.name).and_then(|said| subject(endpoint, said.as_ref().ok()?));
            }
            reads.push(ReadTest { call: endpoint.name, purpose, needed, outcome: found });
        }
        reads
    }

    /// `None` where an account is needed and none is known.
    async fn try_read(
        &self,
        endpoint: &'static Endpoint,
        key: KeyName,
        learned: &Learned,
    ) -> Option<Result<Value, crate::atlassian::client::Failed>> {
        let call = Call::new(endpoint, Priority::Evidence);
        let account = learned.subject.as_ref().map(|(account, _)| account.as_str());
        let email = learned.subject.as_ref().and_then(|(_, email)| email.as_ref());
        let mut path: Vec<(&'static str, &str)> = Vec::new();
        for name in ["userId", "accountId", "account_id"] {
            if endpoint.template().contains(&format!("{{{name}}}")) {
                path.push((name, account?));
            }
        }
        let call = match endpoint.name {
            name if name == USER_SEARCH.name => call.body(match email {
                Some(email) => json!({"emails": [email.as_str()], "limit": 1, "expand": ["platformRoles"]}),
                None => json!({"limit": 1}),
            }),
            name if name == BULK_FETCH.name => call.body(json!({"accountIds": [account.unwrap_or(NOBODY)]})),
            name if name == EVENTS_STREAM.name => {
                call.query("limit", "1").query("from", self.client.now().timestamp_millis().to_string())
            }
            name if name == MANAGE.name => call.query("privileges", manage::PRIVILEGE),
            _ => call,
        };
        Some(body(self.client.send_as(call.path(&path), key).await))
    }
}

/// Whether an answer has the documented shape.
fn parse(endpoint: &Endpoint, body: &Value, named: bool) -> Result<(), String> {
    let at = homeward_types::Timestamp::UNIX_EPOCH;
    match endpoint.name {
        name if name == MANAGED_ACCOUNTS.name => users::parse_managed_page(body, None, at).map(drop),
        name if name == USER_SEARCH.name => users::parse_search(body, at).map(drop),
        name if name == BULK_FETCH.name => {
            let placements = placements::parse_placements(body, at)?;
            if named { placed(placements.first()) } else { Ok(()) }
        }
        name if name == USER_DETAILS.name => {
            body.get("data").and_then(|data| users::user(data, at)).map(drop).ok_or_else(|| "the answer holds no user".into())
        }
        name if name == DOMAINS.name => domains::parse_domains(body).map(drop),
        name if name == EVENTS_STREAM.name => events::parse_events(body, None, &EventActions::default()).map(drop),
        name if name == EVENT_ACTIONS.name => events::parse_actions(body).map(drop),
        name if name == API_KEYS.name => keys::parse_keys(body).map(drop),
        name if name == MANAGE.name => manage::parse_manage(body).map(drop),
        name if name == TOKENS.name => manage::parse_tokens(body).map(drop),
        _ => Ok(()),
    }
}

/// Everything rests on this read, so an answer that leaves the account out, or its policy, is told.
fn placed(placement: Option<&homeward_types::Placement>) -> Result<(), String> {
    match placement {
        Some(placement) if placement.policy.is_some() => Ok(()),
        Some(_) => Err("the answer does not say which policy the account is in".into()),
        None => Err("the answer leaves out the account that was asked for".into()),
    }
}

/// A managed account of an answer.
fn subject(endpoint: &Endpoint, body: &Value) -> Option<(AccountId, Option<Email>)> {
    let data = body.get("data")?.as_array()?;
    let key = if endpoint == &MANAGED_ACCOUNTS { "account_id" } else { "accountId" };
    let active = |entry: &&Value| {
        text(entry, "claimStatus").is_none_or(|claim| claim == "managed")
            && ["account_status", "accountStatus"].iter().all(|key| text(entry, key).is_none_or(|status| status == "active"))
    };
    let of = |entry: &Value| {
        let account = text(entry, key)?.parse().ok()?;
        Some((account, text(entry, "email").and_then(|email| email.parse().ok())))
    };
    data.iter().filter(active).find_map(of)
}
