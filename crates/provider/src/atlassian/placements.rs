//! Which policy accounts are in: the only proof of a move.

use futures_util::{StreamExt, TryStreamExt, stream};
use homeward_types::{AccountId, Placement, PlacementVersion, Timestamp};
use serde_json::{Value, json};

use super::AtlassianProvider;
use super::client::{Call, Failed};
use super::json::{number, text};
use super::paths::BULK_FETCH;
use crate::batch::Bisection;
use crate::priority::Priority;

/// Reads under way at once.
const AT_ONCE: usize = 4;

impl AtlassianProvider {
    pub(super) async fn placements(&self, accounts: &[AccountId], priority: Priority) -> Result<Vec<Placement>, Failed> {
        let calls: Vec<_> = accounts.chunks(self.placement_batch.size()).map(|part| self.placements_of(part, priority)).collect();
        stream::iter(calls).buffered(AT_ONCE).try_concat().await
    }

    /// What an unknown id gives is not documented: it may be left out, or the whole read may be refused. Then the part is
    /// halved until the unknown one stands alone; that one is missing.
    async fn placements_of(&self, part: &[AccountId], priority: Priority) -> Result<Vec<Placement>, Failed> {
        let mut work = Bisection::new(part.len(), &self.placement_batch);
        let mut read = Vec::with_capacity(part.len());
        while let Some(range) = work.next_part() {
            let ids: Vec<&str> = part[range.clone()].iter().map(AccountId::as_str).collect();
            match self.client.send(Call::new(&BULK_FETCH, priority).body(json!({"accountIds": ids}))).await {
                Ok(answer) => {
                    let begun_at = answer.begun_at;
                    read.extend(answer.parse(|body| parse_placements(body, begun_at))?);
                    work.taken(&range);
                }
                Err(failed) if failed.refuses_the_batch() || failed.says_missing() => {
                    let halved = work.refused(&range);
                    if work.hopeless() || (!halved && !failed.says_missing()) {
                        return Err(failed);
                    }
                }
                Err(failed) => return Err(failed),
            }
        }
        Ok(read)
    }
}

/// A bare list. An entry without a usable id is left out: its account is missing, and the caller sees that.
pub(super) fn parse_placements(body: &Value, begun_at: Timestamp) -> Result<Vec<Placement>, String> {
    let entries = body.as_array().ok_or("the answer is not a list of placements")?;
    Ok(entries.iter().filter_map(|entry| placement(entry, begun_at)).collect())
}

fn placement(entry: &Value, begun_at: Timestamp) -> Option<Placement> {
    let policy = entry.get("authPolicyInfo").unwrap_or(&Value::Null);
    let id = text(policy, "policyId");
    Some(Placement {
        account: text(entry, "accountId")?.parse().ok()?,
        email: text(entry, "email").and_then(|email| email.parse().ok()),
        // A policy whose id we cannot even write down is not "none": the entry is left out.
        policy: id.map(str::parse).transpose().ok()?,
        version: id.and(number(policy, "dateAdded")).and_then(|at| i64::try_from(at).ok()).map(PlacementVersion),
        begun_at,
    })
}
