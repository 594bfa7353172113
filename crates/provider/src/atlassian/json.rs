//! Reads what is there out of any JSON, and dates in any of the forms that the admin APIs write.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SubsecRound};
use homeward_types::Timestamp;
use serde_json::Value;

/// The text under `key`; nothing for any other type or an empty text.
pub(super) fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// The number under `key`, also when it is written as a text or with a fraction of zero.
pub(super) fn number(value: &Value, key: &str) -> Option<u64> {
    match value.get(key)? {
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and in range")]
fn whole(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as u64)
}

/// The list under `key`; empty for any other type.
pub(super) fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The moment under `key`: a text in any known form, or a number of milliseconds.
pub(super) fn moment(value: &Value, key: &str) -> Option<Timestamp> {
    match value.get(key)? {
        Value::String(text) => parse_moment(text),
        Value::Number(millis) => DateTime::from_timestamp_millis(millis.as_i64()?),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A date and time as these APIs write it: RFC 3339, the same without seconds or with `+0000`, an HTTP date, a bare date,
/// or a number of seconds or milliseconds.
pub(super) fn parse_moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let zoned = || {
        let zoned = text.strip_suffix('Z').map(|bare| format!("{bare}+0000"));
        let zoned = zoned.as_deref().unwrap_or(text);
        ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M%z"].iter().find_map(|form| DateTime::parse_from_str(zoned, form).ok())
    };
    let bare = || {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
            .ok()
            .or_else(|| Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_time(NaiveTime::MIN)))
            .map(|naive| naive.and_utc())
    };
    DateTime::parse_from_rfc3339(text)
        .ok()
        .or_else(zoned)
        .or_else(|| DateTime::parse_from_rfc2822(text).ok())
        .map(|at| at.to_utc())
        .or_else(bare)
        .or_else(|| of_number(text))
        .map(|at| at.trunc_subsecs(6))
}

fn of_number(text: &str) -> Option<Timestamp> {
    const MILLIS_FROM: i64 = 100_000_000_000; // as seconds this is the year 5138
    let number: i64 = text.parse().ok().filter(|number| *number > 0)?;
    if number >= MILLIS_FROM { DateTime::from_timestamp_millis(number) } else { DateTime::from_timestamp(number, 0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_of_a_date_is_read() {
        let minute = parse_moment("2023-10-11T10:32:00Z");
        assert!(minute.is_some());
        for text in [
            "2023-10-11T10:32Z",
            "2023-10-11T10:32+0000",
            "2023-10-11T12:32+0200",
            "2023-10-11T12:32+02:00",
            "2023-10-11T10:32:00.000Z",
            "2023-10-11T10:32:00.000+0000",
            "2023-10-11T10:32:00",
            "Wed, 11 Oct 2023 10:32:00 GMT",
            "1697020320",
            "1697020320000",
        ] {
            assert_eq!(parse_moment(text), minute, "{text}");
        }
        assert_eq!(parse_moment("2023-10-11"), parse_moment("2023-10-11T00:00:00Z"));
        assert_eq!(parse_moment("yesterday"), None);
    }

    #[test]
    fn numbers_are_read_in_every_dress_and_nothing_else_is() {
        let value = json!({"a": 3, "b": "4", "c": 5.0, "d": 5.5, "e": -1, "f": null, "g": [1]});
        let read: Vec<Option<u64>> = ["a", "b", "c", "d", "e", "f", "g", "h"].iter().map(|key| number(&value, key)).collect();
        assert_eq!(read, [Some(3), Some(4), Some(5), None, None, None, None, None]);
    }

    proptest! {
        #[test]
        fn no_text_brings_the_date_reader_down(text in any::<String>(), number in any::<i64>()) {
            let _ = parse_moment(&text);
            let _ = parse_moment(&number.to_string());
            let _ = moment(&json!({"at": number}), "at");
        }
    }
}
