//! Accounts: the managed ones page by page, the directory's search, and what one user entry says.

mod entry;

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use homeward_types::{AccountId, Email, Timestamp};
use serde_json::{Value, json};
use url::Url;

pub(super) use entry::{User, managed_account, user};

use super::AtlassianProvider;
use super::client::{Call, Failed};
use super::json::{list, parse_moment, text};
use super::paths::{LAST_ACTIVE, MANAGED_ACCOUNTS, USER_DETAILS, USER_SEARCH};
use crate::account::{AccountRecord, Cursor, FactorReading, Holder, Page, Search};
use crate::priority::Priority;

/// Addresses that one search takes (2.1).
pub(super) const EMAILS_A_SEARCH: usize = 100;
/// Account ids that one search takes (2.1).
pub(super) const IDS_A_SEARCH: usize = 10;
/// The largest page of a search (2.1).
const SEARCH_PAGE: usize = 100;
/// A search by exact names has one hit a name; more pages than this are a cursor that runs in a circle.
const MOST_PAGES: usize = 20;
/// Searches under way at once.
const AT_ONCE: usize = 4;

impl AtlassianProvider {
    pub(super) async fn managed_page(&self, cursor: Option<&Cursor>, priority: Priority) -> Result<Page<AccountRecord>, Failed> {
        let mut call = Call::new(&MANAGED_ACCOUNTS, priority);
        if let Some(cursor) = cursor {
            call = call.query("cursor", cursor.as_str());
        }
        let answer = self.client.send(call).await?;
        let begun_at = answer.begun_at;
        answer.parse(|body| parse_managed_page(body, cursor, begun_at))
    }

    pub(super) async fn search(&self, by: Search<'_>, priority: Priority) -> Result<Vec<AccountRecord>, Failed> {
        let found = match by {
            Search::Emails(emails) => {
                let emails = unique(emails.iter().map(Email::as_str));
                self.search_each(&emails, Filter::Emails, Detail::Roles, priority).await?
            }
            Search::Accounts(ids) => {
                let ids = unique(ids.iter().map(AccountId::as_str));
                self.search_each(&ids, Filter::Ids, Detail::Roles, priority).await?
            }
            Search::Term(term) => {
                let body = json!({"searchTerm": term, "limit": SEARCH_PAGE, "expand": ["platformRoles"]});
                self.search_page(body, priority).await?.users
            }
        };
        self.with_claims(found, priority).await
    }

    /// The accounts with these ids, at most [`IDS_A_SEARCH`] of them, as one search tells.
    pub(super) async fn search_ids(&self, ids: &[&AccountId], priority: Priority) -> Result<Vec<User>, Failed> {
        self.search_all(json!({"accountIds": ids, "limit": SEARCH_PAGE}), priority).await
    }

    /// One call for each hundred addresses; for accounts without an address, or whose address someone else holds by now, one
    /// for each ten ids.
    pub(super) async fn factors(&self, accounts: &[Holder], priority: Priority) -> Result<Vec<FactorReading>, Failed> {
        let wanted: HashSet<&AccountId> = accounts.iter().map(|holder| &holder.account).collect();
        let mut read: HashMap<AccountId, AccountRecord> = HashMap::with_capacity(wanted.len());
        let emails = unique(accounts.iter().filter_map(|holder| holder.email.as_ref()).map(Email::as_str));
        let by_email = self.search_each(&emails, Filter::Emails, Detail::Plain, priority).await?;
        read.extend(by_email.into_iter().map(|user| (user.record.account.clone(), user.record)));
        let missed: Vec<&str> = wanted.iter().filter(|id| !read.contains_key(**id)).map(|id| id.as_str()).collect();
        let by_id = self.search_each(&missed, Filter::Ids, Detail::Plain, priority).await?;
        read.extend(by_id.into_iter().map(|user| (user.record.account.clone(), user.record)));
        let reading = |record: AccountRecord| FactorReading {
            account: record.account.clone(),
            factor: record.factor,
            begun_at: record.begun_at,
            record: Some(record),
        };
        Ok(read.into_values().filter(|record| wanted.contains(&record.account)).map(reading).collect())
    }

    /// The account by its own address rather than by search; `None` if the provider says there is none.
    pub(super) async fn details(&self, account: &AccountId, priority: Priority) -> Result<Option<User>, Failed> {
        let path = [("userId", account.as_str())];
        match self.client.send(Call::new(&USER_DETAILS, priority).path(&path)).await {
            Ok(answer) => {
                let begun_at = answer.begun_at;
                let user = answer.parse(|body| {
                    let user = body.get("data").and_then(|data| user(data, begun_at));
                    user.ok_or_else(|| "the answer holds no user".to_owned())
                })?;
                Ok(Some(user))
            }
            Err(failed) if failed.says_missing() => Ok(None),
            Err(failed) => Err(failed),
        }
    }

    pub(super) async fn activity(&self, account: &AccountId, priority: Priority) -> Result<Option<Timestamp>, Failed> {
        let path = [("accountId", account.as_str())];
        let answer = self.client.send(Call::new(&LAST_ACTIVE, priority).path(&path)).await?;
        answer.parse(|body| Ok(latest_activity(body.get("data").unwrap_or(&Value::Null))))
    }

    async fn search_each(&self, names: &[&str], by: Filter, detail: Detail, priority: Priority) -> Result<Vec<User>, Failed> {
        let bodies = names.chunks(by.size()).map(|part| match (by, detail) {
            (Filter::Emails, Detail::Plain) => json!({"emails": part, "limit": SEARCH_PAGE}),
            (Filter::Emails, Detail::Roles) => json!({"emails": part, "limit": SEARCH_PAGE, "expand": ["platformRoles"]}),
            (Filter::Ids, Detail::Plain) => json!({"accountIds": part, "limit": SEARCH_PAGE}),
            (Filter::Ids, Detail::Roles) => json!({"accountIds": part, "limit": SEARCH_PAGE, "expand": ["platformRoles"]}),
        });
        let calls: Vec<_> = bodies.map(|body| self.search_all(body, priority)).collect();
        stream::iter(calls).buffered(AT_ONCE).try_concat().await
    }

    async fn search_all(&self, mut body: Value, priority: Priority) -> Result<Vec<User>, Failed> {
        let mut found = Vec::new();
        for _ in 0..MOST_PAGES {
            let page = self.search_page(body.clone(), priority).await?;
            found.extend(page.users);
            match page.next {
                Some(next) if body.get("cursor") != Some(&json!(next)) => body["cursor"] = json!(next),
                Some(_) | None => break,
            }
        }
        Ok(found)
    }

    async fn search_page(&self, body: Value, priority: Priority) -> Result<SearchPage, Failed> {
        let answer = self.client.send(Call::new(&USER_SEARCH, priority).body(body)).await?;
        let begun_at = answer.begun_at;
        answer.parse(|body| parse_search(body, begun_at))
    }
}

/// What a search names accounts by.
#[derive(Debug, Clone, Copy)]
enum Filter {
    Emails,
    Ids,
}

impl Filter {
    fn size(self) -> usize {
        match self {
            Self::Emails => EMAILS_A_SEARCH,
            Self::Ids => IDS_A_SEARCH,
        }
    }
}

/// How much a search tells of each account.
#[derive(Debug, Clone, Copy)]
enum Detail {
    Plain,
    Roles,
}

/// Each name once, in the order of first mention.
fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

/// A page of version 1: `links.next` is an address whose `cursor` we take; the address itself is never followed.
pub(super) fn parse_managed_page(
    body: &Value,
    asked: Option<&Cursor>,
    begun_at: Timestamp,
) -> Result<Page<AccountRecord>, String> {
    let data = body.get("data").and_then(Value::as_array).ok_or("the answer holds no list of accounts")?;
    let items: Vec<AccountRecord> = data.iter().filter_map(|entry| managed_account(entry, begun_at)).collect();
    if items.len() < data.len() {
        tracing::warn!(
            unreadable = data.len() - items.len(),
            "entries of the managed accounts have no usable id and were left out"
        );
    }
    let next = match body.get("links").and_then(|links| text(links, "next")) {
        None => None,
        Some(link) => Some(cursor_of(link).ok_or("the address of the next page holds no cursor")?),
    };
    if next.is_some() && next.as_ref() == asked {
        return Err("the next page is the same page again".into());
    }
    Ok(Page { items, next, begun_at })
}

/// The cursor in an address, absolute or not; a bare cursor is one itself.
pub(super) fn cursor_of(link: &str) -> Option<Cursor> {
    let query = |url: &Url| url.query_pairs().find(|(name, _)| name == "cursor").map(|(_, cursor)| Cursor::new(cursor));
    match Url::parse(link) {
        Ok(url) if url.has_host() => query(&url),
        Ok(_) | Err(_) if link.starts_with('/') || link.starts_with('?') => {
            query(&Url::parse("http://relative.invalid/").ok()?.join(link).ok()?)
        }
        Ok(_) | Err(_) => Some(Cursor::new(link)),
    }
}

/// A page of a search.
#[derive(Debug)]
pub(super) struct SearchPage {
    pub(super) users: Vec<User>,
    next: Option<String>,
}

/// A page of version 2: `links.next` is the cursor itself.
pub(super) fn parse_search(body: &Value, begun_at: Timestamp) -> Result<SearchPage, String> {
    let data = body.get("data").and_then(Value::as_array).ok_or("the answer holds no list of users")?;
    let users: Vec<User> = data.iter().filter_map(|entry| user(entry, begun_at)).collect();
    if users.len() < data.len() {
        tracing::warn!(unreadable = data.len() - users.len(), "users of a search have no usable id and were left out");
    }
    let next = body.get("links").and_then(|links| text(links, "next")).map(str::to_owned);
    Ok(SearchPage { users, next })
}

/// The latest activity that is told, which is for each app. A moment says more than its date.
pub(super) fn latest_activity(value: &Value) -> Option<Timestamp> {
    let of_app = |app: &Value| {
        let exact = text(app, "last_active_timestamp").and_then(parse_moment);
        exact.or_else(|| text(app, "last_active").and_then(parse_moment))
    };
    list(value, "product_access").iter().filter_map(of_app).max()
}
