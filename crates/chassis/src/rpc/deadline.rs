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
    SERVED_UNTIL
        .try_with(|until| wanted.min(until.saturating_duration_since(Instant::now())))
        .unwrap_or(wanted)
}
