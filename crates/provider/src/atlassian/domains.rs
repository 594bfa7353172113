//! The organisation's domains: why an account is not managed.

use std::collections::HashSet;
use std::time::Duration;

use homeward_types::diagnosis::Claim;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::AtlassianProvider;
use super::client::{Call, Failed};
use super::json::{list, text};
use super::paths::DOMAINS;
use super::users::{User, cursor_of};
use crate::account::{AccountRecord, Cursor};
use crate::error::ErrorClass;
use crate::priority::Priority;

/// Domains change rarely; an administrator who has just verified one waits this long at most.
const FRESH: Duration = Duration::from_mins(1);
/// More pages than any organisation has domains for.
const MOST_PAGES: usize = 100;

/// The verified domains, as last read; `None` inside when the key may not read them.
pub(super) type Domains = Mutex<Option<(Instant, Option<HashSet<String>>)>>;

impl AtlassianProvider {
    /// Says of each unmanaged account what is missing: the domain's verification or the claim. Asks only if there is one.
    pub(super) async fn with_claims(&self, found: Vec<User>, priority: Priority) -> Result<Vec<AccountRecord>, Failed> {
        if !found.iter().any(|user| user.unmanaged) {
            return Ok(found.into_iter().map(|user| user.record).collect());
        }
        let verified = self.verified_domains(priority).await?;
        let claim = |record: &AccountRecord| {
            let domain = record.email.as_ref().map_or("", |email| email.domain());
            match &verified {
                Some(domains) if domains.contains(domain) => Claim::NotClaimed,
                Some(_) | None => Claim::DomainNotVerified,
            }
        };
        let tell = |user: User| {
            let claim = if user.unmanaged { Some(claim(&user.record)) } else { user.record.claim };
            AccountRecord { claim, ..user.record }
        };
        Ok(found.into_iter().map(tell).collect())
    }

    async fn verified_domains(&self, priority: Priority) -> Result<Option<HashSet<String>>, Failed> {
        let mut known = self.domains.lock().await;
        if let Some((_, domains)) = known.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(domains.clone());
        }
        let domains = match self.read_domains(priority).await {
            Ok(domains) => Some(domains),
            Err(failed) if failed.error.class == ErrorClass::PermanentForOrganisation => {
                tracing::warn!(error = %failed.error, "the domains cannot be read, so it stays open why accounts are not managed");
                None
            }
            Err(failed) => return Err(failed),
        };
        *known = Some((Instant::now(), domains.clone()));
        Ok(domains)
    }

    async fn read_domains(&self, priority: Priority) -> Result<HashSet<String>, Failed> {
        let mut verified = HashSet::new();
        let mut cursor: Option<Cursor> = None;
        for _ in 0..MOST_PAGES {
            let mut call = Call::new(&DOMAINS, priority);
            if let Some(cursor) = &cursor {
                call = call.query("cursor", cursor.as_str());
            }
            let (page, next) = self.client.send(call).await?.parse(parse_domains)?;
            verified.extend(page);
            if next.is_none() || next == cursor {
                break;
            }
            cursor = next;
        }
        Ok(verified)
    }
}

/// The verified ones of a page, in lower case, and the next page's cursor.
pub(super) fn parse_domains(body: &Value) -> Result<(Vec<String>, Option<Cursor>), String> {
    body.get("data").and_then(Value::as_array).ok_or("the answer holds no list of domains")?;
    let verified = list(body, "data").iter().filter_map(|domain| {
        let attributes = domain.get("attributes")?;
        let status = attributes.get("claim").and_then(|claim| text(claim, "status"));
        (status == Some("verified")).then(|| text(attributes, "name").map(str::to_lowercase))?
    });
    Ok((verified.collect(), body.get("links").and_then(|links| text(links, "next")).and_then(cursor_of)))
}
