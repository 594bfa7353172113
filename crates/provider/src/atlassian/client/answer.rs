//! An answer: its body, cut off at a limit, and what its headers say about rates.

use std::time::Duration;

use homeward_types::Timestamp;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde_json::Value;

use super::Failed;
use crate::atlassian::json::parse_moment;
use crate::atlassian::paths::Endpoint;
use crate::budget::RateNews;

/// A success.
pub(in crate::atlassian) struct Answer {
    pub(super) endpoint: &'static Endpoint,
    /// Of the 200 family.
    pub(in crate::atlassian) status: u16,
    pub(super) body: Vec<u8>,
    /// When the call began (our clock), before anything was sent.
    pub(in crate::atlassian) begun_at: Timestamp,
}

impl Answer {
    /// The body as JSON.
    pub(in crate::atlassian) fn json(&self) -> Result<Value, Failed> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let what = if self.body.is_empty() { "nothing".to_owned() } else { format!("no JSON ({:?})", error.classify()) };
            Failed::unreadable(self.endpoint, self.status, &format!("the answer holds {what} where JSON is documented"))
        })
    }

    /// What a parser makes of the body.
    pub(in crate::atlassian) fn parse<T>(&self, parse: impl FnOnce(&Value) -> Result<T, String>) -> Result<T, Failed> {
        parse(&self.json()?).map_err(|reason| Failed::unreadable(self.endpoint, self.status, &reason))
    }
}

/// The body, at most `limit` bytes of it; a longer one is an error, not a cut text.
pub(super) async fn read(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, String> {
    let too_large = || format!("the answer is larger than max_answer_bytes ({limit})");
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut body = Vec::with_capacity(announced.unwrap_or(0));
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => return Err(too_large()),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => return Err("the answer took too long".into()),
            Err(_) => return Err("the connection was cut in the middle of the answer".into()),
        }
    }
}

/// What the answer says about rates. Moments are compared with the provider's own `Date`, so that no clock of ours matters;
/// without one, with `now`.
pub(super) fn rate_news(response: &reqwest::Response, now: Timestamp) -> RateNews {
    news(response.headers(), response.status().as_u16() == 429, now)
}

fn news(headers: &HeaderMap, refused: bool, now: Timestamp) -> RateNews {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let provider_now = text(DATE.as_str()).and_then(parse_moment).unwrap_or(now);
    let until = |at: Timestamp| (at - provider_now).to_std().unwrap_or_default();
    let number = |name: &str| text(name).and_then(|text| text.parse().ok());
    RateNews {
        limit: number("x-ratelimit-limit"),
        remaining: number("x-ratelimit-remaining"),
        resets_in: text("x-ratelimit-reset").and_then(parse_moment).map(until),
        retry_after: text(RETRY_AFTER.as_str())
            .and_then(|text| text.parse().map(Duration::from_secs).ok().or_else(|| parse_moment(text).map(until))),
        refused,
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_reset_with_minute_precision_is_read_against_the_providers_own_date() {
        let ours = parse_moment("2031-01-01T00:00:00Z").expect("a moment");
        let headers = headers(&[
            ("date", "Wed, 11 Oct 2023 10:31:20 GMT"),
            ("x-ratelimit-limit", "10"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "2023-10-11T10:32Z"),
        ]);
        let news = news(&headers, true, ours);
        assert_eq!((news.limit, news.remaining, news.resets_in), (Some(10), Some(0), Some(Duration::from_secs(40))));
    }

    #[test]
    fn a_wait_is_read_as_seconds_or_as_a_date() {
        let now = parse_moment("2023-10-11T10:32:00Z").expect("a moment");
        let after = |value| news(&headers(&[("retry-after", value)]), true, now).retry_after;
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("Wed, 11 Oct 2023 10:32:09 GMT"), Some(Duration::from_secs(9)));
        assert_eq!(after("Wed, 11 Oct 2023 10:31:09 GMT"), Some(Duration::ZERO));
        assert_eq!(after("soon"), None);
    }
}
