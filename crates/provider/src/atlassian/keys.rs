//! The organisation's API keys as the provider lists them: until when each is good, and what it was made for.
//!
//! The list never tells a key itself, so ours is found by what its administrator called it. A name that several keys bear
//! tells nothing.

use chrono::NaiveTime;
use homeward_types::Timestamp;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::AtlassianProvider;
use super::client::{Call, Failed};
use super::json::{list, moment, text};
use super::paths::API_KEYS;
use super::users::cursor_of;
use crate::account::Cursor;
use crate::priority::Priority;
use crate::self_test::{Expiry, KeyExpiry, KeyName, ToldBy};

/// More pages than any organisation has keys for.
const MOST_PAGES: usize = 50;

/// A key of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListedKey {
    /// What its administrator called it.
    pub(super) label: String,
    pub(super) expires_at: Option<Timestamp>,
    /// `None` where the list does not say: a key without scopes, or a list that leaves them out.
    pub(super) scopes: Option<Vec<String>>,
    pub(super) revoked: bool,
}

impl AtlassianProvider {
    /// Until when each key is good, by the provider's list where a label says which is ours, otherwise by the configuration.
    pub(super) async fn expiries(&self, priority: Priority) -> Vec<KeyExpiry> {
        let labelled = self.client.keys().any(|key| self.label(key).is_some());
        let listed = if labelled { self.listed_keys(priority).await } else { Ok(Vec::new()) };
        let listed = listed.as_deref().map_err(|failed| failed.error.to_string());
        self.client.keys().map(|key| self.expiry_of(key, listed.as_deref().map_err(String::as_str))).collect()
    }

    fn expiry_of(&self, key: KeyName, listed: Result<&[ListedKey], &str>) -> KeyExpiry {
        KeyExpiry { key, fingerprint: self.fingerprint(key), expiry: self.expiry(key, listed) }
    }

    /// The keys that the provider lists, as the first key that may read them sees them.
    pub(super) async fn listed_keys(&self, priority: Priority) -> Result<Vec<ListedKey>, Failed> {
        let mut refused = None;
        for key in self.client.keys() {
            match self.listed_keys_as(key, priority).await {
                Ok(keys) => return Ok(keys),
                Err(failed) => refused = Some(failed),
            }
        }
        Err(refused.unwrap_or_else(|| Failed::unreadable(&API_KEYS, 0, "there is no key to ask with")))
    }

    async fn listed_keys_as(&self, key: KeyName, priority: Priority) -> Result<Vec<ListedKey>, Failed> {
        let (mut keys, mut cursor): (Vec<ListedKey>, Option<Cursor>) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let mut call = Call::new(&API_KEYS, priority);
            if let Some(cursor) = &cursor {
                call = call.query("cursor", cursor.as_str());
            }
            let (page, next) = self.client.send_as(call, key).await?.parse(parse_keys)?;
            keys.extend(page);
            if next.is_none() || next == cursor {
                break;
            }
            cursor = next;
        }
        Ok(keys)
    }

    /// What the list and the configuration say of one key.
    pub(super) fn expiry(&self, key: KeyName, listed: Result<&[ListedKey], &str>) -> Expiry {
        let settings = self.client.settings();
        let day = match key {
            KeyName::Main => settings.api_key_expires,
            KeyName::Unscoped => settings.unscoped_key_expires,
        };
        let told = self.label(key).map(|label| listed.map(|keys| ours(keys, label)));
        if let Some(Ok(Ok(ListedKey { expires_at: Some(at), .. }))) = told {
            return Expiry::At { at: *at, told_by: ToldBy::Provider };
        }
        // The day's beginning: an early warning costs nothing.
        if let Some(day) = day {
            return Expiry::At { at: day.and_time(NaiveTime::MIN).and_utc(), told_by: ToldBy::Configuration };
        }
        let setting = key.setting();
        Expiry::Unknown {
            why: match told {
                None => {
                    format!("set expires of {setting} in key_details to the day that its page showed, or label to its name there")
                }
                Some(Err(error)) => {
                    format!("the list of keys could not be read ({error}); set expires of {setting} in key_details")
                }
                Some(Ok(Err(why))) => format!("{why}; set expires of {setting} in key_details"),
                Some(Ok(Ok(_))) => format!("the list of keys does not say when it ends; set expires of {setting} in key_details"),
            },
        }
    }

    pub(super) fn label(&self, key: KeyName) -> Option<&str> {
        let settings = self.client.settings();
        match key {
            KeyName::Main => settings.api_key_label.as_deref(),
            KeyName::Unscoped => settings.unscoped_key_label.as_deref(),
        }
    }

    fn fingerprint(&self, key: KeyName) -> String {
        let settings = self.client.settings();
        let secret = match key {
            KeyName::Main => Some(&settings.api_key),
            KeyName::Unscoped => settings.unscoped_key.as_ref(),
        };
        let bytes = secret.map_or("", |secret| secret.expose_secret().trim());
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes.as_bytes());
        digest.as_ref().iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }
}

/// The one key of this name that is not revoked.
pub(super) fn ours<'k>(keys: &'k [ListedKey], label: &str) -> Result<&'k ListedKey, String> {
    let mut named = keys.iter().filter(|key| key.label == label && !key.revoked);
    match (named.next(), named.next()) {
        (Some(key), None) => Ok(key),
        (None, _) => Err(format!("the provider lists no key with the name {label:?}")),
        (Some(_), Some(_)) => Err(format!("the provider lists several keys with the name {label:?}")),
    }
}

/// A page of keys, and the next page's cursor. Keys without a name cannot be ours.
pub(super) fn parse_keys(body: &Value) -> Result<(Vec<ListedKey>, Option<Cursor>), String> {
    let data = body.get("data").and_then(Value::as_array).ok_or("the answer holds no list of keys")?;
    let key = |entry: &Value| {
        let scopes: Vec<String> = list(entry, "scopes").iter().filter_map(|scope| Some(scope.as_str()?.to_owned())).collect();
        Some(ListedKey {
            label: text(entry, "label")?.to_owned(),
            expires_at: moment(entry, "expiresAt"),
            scopes: (!scopes.is_empty()).then_some(scopes),
            revoked: moment(entry, "revocationDate").is_some(),
        })
    };
    let next = body.get("links").and_then(|links| text(links, "next")).and_then(cursor_of);
    Ok((data.iter().filter_map(key).collect(), next))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_found_by_its_name_if_one_bears_it() {
        let body = json!({"data": [
            {"id": "1", "label": "homeward", "expiresAt": "2027-01-31T00:00:00Z", "scopes": ["read:keys:admin"]},
            {"id": "2", "label": "old", "expiresAt": "2026-01-31T00:00:00Z", "revocationDate": "2026-01-01T00:00:00Z"},
            {"id": "3", "label": "twice"}, {"id": "4", "label": "twice"}, {"id": "5"}, 7
        ], "links": {"next": "c2"}});
        let (keys, next) = parse_keys(&body).expect("a list");
        assert_eq!((keys.len(), next), (4, Some(Cursor::new("c2"))));
        let homeward = ours(&keys, "homeward").expect("one bears it");
        assert_eq!(homeward.expires_at.map(|at| at.to_rfc3339()).as_deref(), Some("2027-01-31T00:00:00+00:00"));
        assert_eq!(homeward.scopes.as_deref(), Some(&["read:keys:admin".to_owned()][..]));
        assert!(ours(&keys, "old").is_err_and(|why| why.contains("no key")));
        assert!(ours(&keys, "twice").is_err_and(|why| why.contains("several")));
        assert!(parse_keys(&json!({})).is_err());
    }
}
