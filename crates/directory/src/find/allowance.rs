//! How many close misses a caller may be told, so that they are a help and no way to list accounts.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;
use homeward_types::{PersonId, Timestamp};

/// Queries at once that a person gets close misses for; one more each [`EACH`].
const PERSON: u32 = 20;
/// As many for a service of ours, which asks for all its persons.
const SERVICE: u32 = 200;
/// The time in which a person's allowance grows by one. A service's grows ten times as fast.
const EACH: TimeDelta = TimeDelta::seconds(3);
/// Callers that are remembered; those who have their whole allowance again are forgotten first.
const CALLERS: usize = 10_000;

/// The allowances of all callers of this process.
#[derive(Debug, Default)]
pub struct Allowance {
    used: Mutex<HashMap<PersonId, Used>>,
}

#[derive(Debug, Clone, Copy)]
struct Used {
    queries: u32,
    at: Timestamp,
}

impl Used {
    /// What is still used up at `now`.
    fn left_over(self, now: Timestamp, each: TimeDelta) -> Self {
        let grown = (now - self.at).num_milliseconds().max(0) / each.num_milliseconds().max(1);
        let queries = self.queries.saturating_sub(u32::try_from(grown).unwrap_or(u32::MAX));
        // What is left of the time counts on.
        let at = if queries == 0 { now } else { self.at + each * i32::try_from(grown).unwrap_or(i32::MAX) };
        Self { queries, at }
    }
}

impl Allowance {
    /// For how many of `wanted` queries close misses may be given. These are then used up.
    pub fn take(&self, caller: &PersonId, service: bool, wanted: usize, now: Timestamp) -> usize {
        let (most, each) = if service { (SERVICE, EACH / 10) } else { (PERSON, EACH) };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= CALLERS {
            used.retain(|_, used| used.left_over(now, EACH).queries > 0);
        }
        let mine = used.entry(caller.clone()).or_insert(Used { queries: 0, at: now });
        *mine = mine.left_over(now, each);
        let granted = (most - mine.queries.min(most)).min(u32::try_from(wanted).unwrap_or(u32::MAX));
        mine.queries += granted;
        usize::try_from(granted).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone, Utc};

    use super::*;

    #[test]
    fn an_allowance_is_used_up_and_grows_again_for_each_caller_alone() {
        let now = Utc.with_ymd_and_hms(2026, 11, 24, 8, 0, 0).unwrap();
        let (mia, tom): (PersonId, PersonId) = ("mia".parse().unwrap(), "tom".parse().unwrap());
        let allowance = Allowance::default();
        assert_eq!(allowance.take(&mia, false, 15, now), 15);
        assert_eq!(allowance.take(&mia, false, 15, now), 5);
        assert_eq!(allowance.take(&mia, false, 1, now), 0);
        assert_eq!(allowance.take(&tom, false, 1, now), 1);
        assert_eq!(allowance.take(&mia, false, 5, now + TimeDelta::seconds(8)), 2, "two in eight seconds");
        assert_eq!(allowance.take(&mia, false, 5, now + TimeDelta::seconds(9)), 1, "and the ninth counts");
        assert_eq!(allowance.take(&mia, false, 50, now + TimeDelta::days(1)), 20, "never more than the whole");
        let service: PersonId = "recovery".parse().unwrap();
        assert_eq!(allowance.take(&service, true, 500, now), 200);
        assert_eq!(allowance.take(&service, true, 500, now + TimeDelta::seconds(3)), 10);
    }
}
