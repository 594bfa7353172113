use chrono::{TimeDelta, TimeZone, Utc};

use super::*;

fn at(second: i64) -> Timestamp {
    Utc.with_ymd_and_hms(2026, 11, 24, 8, 0, 0).unwrap() + TimeDelta::seconds(second)
}

fn asked(seen_out: i64) -> Asked {
    Asked {
        lease: LeaseId::from_uuid(uuid::Uuid::from_u128(7)),
        organisation: "northwind".parse().unwrap(),
        account: "a-1".parse().unwrap(),
        email: Some("mia@northwind.example".parse().unwrap()),
        seen_out_at: at(seen_out),
        out_version: None,
        until: Some(at(14_400)),
        trace: TraceContext::default(),
        message: MessageId::from_uuid(uuid::Uuid::from_u128(1)),
    }
}

fn limits() -> Limits {
    Limits::default()
}

const NEXT: Duration = Duration::from_secs(2);

#[test]
fn an_account_is_due_when_a_read_can_tell_more_and_the_interval_has_passed() {
    let mut watch = Watch::new(asked(0), &limits());
    assert_eq!(watch.next_read_at, Some(at(0) + TimeDelta::microseconds(1)));
    assert_eq!(watch.read(Factor::Unknown, at(1), NEXT, &limits()), None);
    assert_eq!(watch.next_read_at, Some(at(3)));
    assert_eq!(watch.read(Factor::Absent, at(3), NEXT, &limits()), Some(Report::Absent));
    assert_eq!(watch.next_read_at, Some(at(63)), "a factor lag after the baseline");
    assert_eq!(watch.read(Factor::Absent, at(63), NEXT, &limits()), None);
    assert_eq!(watch.next_read_at, Some(at(65)));
    assert_eq!(watch.read(Factor::Enrolled, at(65), NEXT, &limits()), None);
    assert_eq!(watch.next_read_at, Some(at(125)));
    assert_eq!(watch.read(Factor::Enrolled, at(125), NEXT, &limits()), Some(Report::Enrolled));
    assert_eq!(watch.next_read_at, None);
}

#[test]
fn a_repeated_command_asks_for_a_read_and_for_what_is_known() {
    let mut watch = Watch::new(asked(0), &limits());
    assert_eq!(watch.to_repeat(at(1), &limits()), None);
    watch.read(Factor::Enrolled, at(1), Duration::from_mins(5), &limits());
    assert_eq!(watch.next_read_at, Some(at(301)));
    watch.ask_again(Asked { until: Some(at(20_000)), ..asked(0) }, at(10), &limits());
    assert_eq!((watch.next_read_at, watch.until, watch.version), (Some(at(10)), at(20_000), 2));
    watch.read(Factor::Absent, at(10), NEXT, &limits());
    watch.reported_at = Some(at(11));
    assert_eq!(watch.to_repeat(at(12), &limits()), None, "it is on its way");
    assert_eq!(watch.to_repeat(at(26), &limits()), Some(Report::Absent));
    watch.read(Factor::Enrolled, at(70), NEXT, &limits());
    watch.read(Factor::Enrolled, at(130), NEXT, &limits());
    assert_eq!(watch.to_repeat(at(131), &limits()), Some(Report::Enrolled));
    watch.ask_again(asked(0), at(140), &limits());
    assert_eq!(watch.next_read_at, None, "no read can tell more");
}

#[test]
fn a_late_repeat_does_not_open_a_watch_again_but_another_stay_does() {
    let mut watch = Watch::new(asked(0), &limits());
    watch.read(Factor::Absent, at(1), NEXT, &limits());
    watch.end(at(100));
    let ended = watch.clone();
    watch.end(at(101));
    watch.ask_again(asked(0), at(102), &limits());
    assert_eq!(watch, ended);
    assert_eq!(watch.to_repeat(at(1_000), &limits()), None);
    watch.ask_again(asked(150), at(151), &limits());
    assert_eq!((watch.ended_at, watch.evidence.absent_at, watch.version), (None, None, ended.version + 1));
    let mut running = Watch::new(asked(0), &limits());
    running.read(Factor::Absent, at(1), NEXT, &limits());
    running.ask_again(asked(50), at(51), &limits());
    assert_eq!(running.evidence, Evidence::new(at(50), None), "what was seen before belongs to another stay");
}

#[test]
fn an_interval_asks_at_most_four_calls_of_the_provider() {
    let seconds = |watched| interval(watched, &limits()).as_secs();
    assert_eq!([0, 1, 100, 400].map(seconds), [2, 2, 2, 2]);
    assert_eq!([401, 800, 801, 4_000].map(seconds), [4, 4, 6, 20]);
}
