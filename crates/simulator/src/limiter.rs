//! Rate limits as the provider has them: so many requests in a fixed window, for each key and path.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use chrono::SecondsFormat;

use crate::config::RateLimit;
use crate::faults::pattern_matches;
use crate::organisation::{micros, timestamp};
use crate::state::lock;
use crate::timeline::Moment;

const MINUTE: Duration = Duration::from_mins(1);

/// What a key has left on a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// When the window ends, as the header says it.
    pub(crate) reset: String,
    /// Seconds until then, rounded up.
    pub(crate) wait_seconds: u64,
    /// Whether this request is one too many.
    pub(crate) exceeded: bool,
}

/// Counts requests in windows.
pub(crate) struct Limiter {
    inner: Mutex<Inner>,
    window: Duration,
}

struct Inner {
    limits: Vec<RateLimit>,
    counts: HashMap<(String, &'static str), (Moment, u32)>,
}

impl Limiter {
    pub(crate) fn new(limits: Vec<RateLimit>, window: Duration) -> Self {
        Self { inner: Mutex::new(Inner { limits, counts: HashMap::new() }), window }
    }

    pub(crate) fn replace(&self, limits: Vec<RateLimit>) {
        let mut inner = lock(&self.inner);
        inner.limits = limits;
        inner.counts.clear();
    }

    /// Counts a request of `key` on `call`; `None` where nothing is limited.
    pub(crate) fn take(&self, key: &str, call: &'static str, now: Moment) -> Option<Allowance> {
        let mut inner = lock(&self.inner);
        let limit = inner.limits.iter().find(|limit| pattern_matches(&limit.path, call))?.per_minute;
        let window = micros(self.window).max(1);
        let begin = now - now.rem_euclid(window);
        let (counted_since, used) = inner.counts.entry((key.to_owned(), call)).or_insert((begin, 0));
        if *counted_since != begin {
            (*counted_since, *used) = (begin, 0);
        }
        let exceeded = *used >= limit;
        *used += u32::from(!exceeded);
        let remaining = limit - *used;
        let end = begin + window;
        let wait_seconds = u64::try_from((end - now + 999_999) / 1_000_000).unwrap_or(0);
        Some(Allowance { limit, remaining, reset: self.reset(end), wait_seconds, exceeded })
    }

    /// With minute precision and no seconds, as seen in the wild. A window shorter than a minute (only in tests)
    /// would be hidden by that, so its end is written out.
    fn reset(&self, end: Moment) -> String {
        if self.window >= MINUTE {
            return timestamp(end).format("%Y-%m-%dT%H:%MZ").to_string();
        }
        timestamp(end).to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_and_path_has_its_own_window() {
        let limits = vec![RateLimit { path: "/events".into(), per_minute: 2 }];
        let limiter = Limiter::new(limits, MINUTE);
        let minute = micros(MINUTE);
        let left = |key: &str, now| limiter.take(key, "GET /events", now).map(|a| (a.remaining, a.exceeded));
        assert_eq!(left("a", 0), Some((1, false)));
        assert_eq!(left("a", minute - 1), Some((0, false)));
        assert_eq!(left("a", minute - 1), Some((0, true)));
        assert_eq!(left("b", minute - 1), Some((1, false)));
        assert_eq!(left("a", minute), Some((1, false)), "a new window");
        assert_eq!(limiter.take("a", "GET /other", 0), None);
    }

    #[test]
    fn the_reset_has_minute_precision() {
        let limiter = Limiter::new(vec![RateLimit { path: String::new(), per_minute: 1 }], MINUTE);
        let now = 1_697_020_301_000_000;
        let allowance = limiter.take("a", "GET /x", now).unwrap();
        assert_eq!(allowance.reset, "2023-10-11T10:32Z");
        assert_eq!(allowance.wait_seconds, 19);
    }
}
