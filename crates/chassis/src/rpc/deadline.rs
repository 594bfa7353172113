//! How long a caller waits: the `grpc-timeout` header, and the deadline of the call that is being served.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

/// The header that says how long the caller waits.
pub(super) const HEADER: HeaderName = HeaderName::from_static("grpc-timeout");

tokio::task_local! {
    /// When the call that this task serves is given up by its caller. Calls made meanwhile get no longer.
    pub(super) static SERVED_UNTIL: Instant;
}

/// What the header says; `None` if it is missing or not understood.
///
/// The form is at most 8 digits and a unit (gRPC over HTTP/2, "Timeout").
pub(super) fn parse(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// The header for `timeout`, in milliseconds (more than a day is cut to `99999999m`, which is 27 hours).
pub(super) fn format(timeout: Duration) -> HeaderValue {
    const LONGEST: u128 = 99_999_999;
    let text = format!("{}m", timeout.as_millis().clamp(1, LONGEST));
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("10000m"))
}

/// `wanted`, but no longer than the call that is being served may still take.
pub(super) fn within_the_served_call(wanted: Duration) -> Duration {
    SERVED_UNTIL.try_with(|until| wanted.min(until.saturating_duration_since(Instant::now()))).unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &'static str) -> Option<Duration> {
        parse(&HeaderMap::from_iter([(HEADER, HeaderValue::from_static(text))]))
    }

    #[test]
    fn the_header_is_read_as_the_standard_says() {
        assert_eq!(parsed("2H"), Some(Duration::from_hours(2)));
        assert_eq!(parsed("3M"), Some(Duration::from_mins(3)));
        assert_eq!(parsed("4S"), Some(Duration::from_secs(4)));
        assert_eq!(parsed("10000m"), Some(Duration::from_secs(10)));
        assert_eq!(parsed("82u"), Some(Duration::from_micros(82)));
        assert_eq!(parsed("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for wrong in ["", "S", "5", "5s", "-5S", "+5S", "5.0S", "123456789S", " 5S", "5 S"] {
            assert_eq!(parsed(wrong), None, "{wrong:?}");
        }
        assert_eq!(parse(&HeaderMap::new()), None);
    }

    #[test]
    fn what_is_written_is_read_again() {
        for milliseconds in [1, 10_000, 99_999_999] {
            let timeout = Duration::from_millis(milliseconds);
            assert_eq!(parse(&HeaderMap::from_iter([(HEADER, format(timeout))])), Some(timeout));
        }
        assert_eq!(format(Duration::ZERO), "1m");
        assert_eq!(format(Duration::MAX), "99999999m");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_within_another_gets_what_that_one_has_left() {
        let wanted = Duration::from_secs(10);
        assert_eq!(within_the_served_call(wanted), wanted);
        let until = Instant::now() + Duration::from_secs(4);
        let nested = async {
            tokio::time::advance(Duration::from_secs(1)).await;
            let left = within_the_served_call(wanted);
            tokio::time::advance(Duration::from_secs(9)).await;
            (left, within_the_served_call(wanted))
        };
        assert_eq!(SERVED_UNTIL.scope(until, nested).await, (Duration::from_secs(3), Duration::ZERO));
    }
}
