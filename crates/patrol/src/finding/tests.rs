use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta};
use homeward_chassis::telemetry::TraceContext;
use homeward_types::{Limits, Policy, PolicyId, Tiers, TwoStep};

use super::*;

fn now() -> Timestamp {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn organisation() -> Organisation {
    let policy = |name: &str, two_step| Policy { name: name.into(), two_step, factor_lives_in: None };
    let id = |text: &str| text.parse::<PolicyId>().unwrap();
    Organisation {
        id: "acme".parse().unwrap(),
        policies: BTreeMap::from([
            (id("strict"), policy("Everyone", TwoStep::Mandatory)),
            (id("lent"), policy("Recovery", TwoStep::Optional)),
        ]),
        recovery_policy: id("lent"),
        home_policies: BTreeSet::from([id("strict")]),
        default_home: id("strict"),
        tiers: Tiers::default(),
        limits: Limits::default(),
    }
}

fn lease(open: bool, due_in: TimeDelta) -> LeaseCopy {
    LeaseCopy {
        id: LeaseId::from_uuid(uuid::Uuid::nil()),
        organisation: "acme".parse().unwrap(),
        account: "mia".parse().unwrap(),
        version: 3,
        open,
        ended: if open { String::new() } else { "home".into() },
        opened_at: Some(now() - TimeDelta::hours(4)),
        due_at: Some(now() + due_in),
        closed_at: (!open).then(|| now() - TimeDelta::minutes(5)),
        ever_out: true,
        first_seen_out: None,
        tail_reads: 0,
        trace: TraceContext::default(),
    }
}

fn placed(policy: &str) -> Placement {
    Placement {
        account: "mia".parse().unwrap(),
        email: None,
        policy: Some(policy.parse().unwrap()),
        version: None,
        begun_at: now(),
    }
}

fn shown(lease: &LeaseCopy, placement: Option<&Placement>) -> (bool, Option<&'static str>, bool) {
    let shown = judge(&organisation(), lease, placement, false, now());
    (shown.out, shown.wrong.map(|(kind, _)| kind.name()), shown.ask_return)
}

#[test]
fn an_open_lease_is_only_a_finding_once_it_is_overdue() {
    let minute = TimeDelta::minutes(1);
    assert_eq!(shown(&lease(true, minute), Some(&placed("lent"))), (true, None, false));
    assert_eq!(shown(&lease(true, -minute), Some(&placed("lent"))), (true, Some("overdue"), false));
    assert_eq!(shown(&lease(true, minute * -11), Some(&placed("lent"))), (true, Some("overdue"), true));
    assert_eq!(shown(&lease(true, -minute), Some(&placed("strict"))), (false, None, false));
}

#[test]
fn policy_is_asked_to_return_only_what_homeward_was_seen_to_lend() {
    let never_out = LeaseCopy { ever_out: false, ..lease(true, TimeDelta::minutes(-11)) };
    assert_eq!(shown(&never_out, Some(&placed("lent"))), (true, Some("overdue"), false));
}

#[test]
fn an_account_out_after_its_lease_ended_is_found_by_a_read_that_is_late_enough() {
    let ended = lease(false, TimeDelta::hours(1));
    assert_eq!(shown(&ended, Some(&placed("lent"))), (true, Some("out_after_close"), true));
    let just_ended = LeaseCopy { closed_at: Some(now() - TimeDelta::seconds(30)), ..ended };
    assert_eq!(shown(&just_ended, Some(&placed("lent"))), (true, None, false));
}

#[test]
fn a_policy_that_nobody_configured_protects_nobody() {
    assert_eq!(shown(&lease(false, TimeDelta::hours(1)), Some(&placed("unknown"))).1, Some("out_after_close"));
}

#[test]
fn only_an_open_lease_must_be_readable() {
    assert_eq!(shown(&lease(true, TimeDelta::hours(1)), None), (false, Some("unreadable"), false));
    assert_eq!(shown(&lease(false, TimeDelta::hours(1)), None), (false, None, false));
}

#[test]
fn how_long_patrol_has_seen_an_account_out_survives_until_it_is_seen_back() {
    let first = now() - TimeDelta::minutes(3);
    let known = LeaseCopy { first_seen_out: Some(first), ..lease(true, TimeDelta::hours(1)) };
    assert_eq!(judge(&organisation(), &known, Some(&placed("lent")), false, now()).first_seen_out, Some(first));
    assert_eq!(judge(&organisation(), &known, None, false, now()).first_seen_out, Some(first));
    assert_eq!(judge(&organisation(), &known, Some(&placed("strict")), false, now()).first_seen_out, None);
}

#[test]
fn a_stray_is_returned_only_if_homeward_lent_it_and_one_that_was_released_or_lent_again_is_none() {
    let long_ago = LeaseCopy { closed_at: Some(now() - TimeDelta::hours(1)), ..lease(false, TimeDelta::hours(-1)) };
    assert_eq!(shown(&long_ago, Some(&placed("lent"))), (true, Some("stray"), true), "lent once, so it is returned");
    assert_eq!(shown(&long_ago, Some(&placed("guests"))).1, None, "Homeward moves nobody there");
    let never_lent = LeaseCopy { ended: "never_lent".into(), ever_out: false, ..lease(false, TimeDelta::hours(1)) };
    assert_eq!(shown(&never_lent, Some(&placed("lent"))), (true, Some("stray"), false), "never lent, so it is reported");
    assert_eq!(shown(&never_lent, Some(&placed("guests"))).1, None);
    let released = LeaseCopy { ended: "released".into(), ..lease(false, TimeDelta::hours(1)) };
    assert_eq!(shown(&released, Some(&placed("lent"))), (true, None, false));
    let lent_again = judge(&organisation(), &lease(false, TimeDelta::hours(1)), Some(&placed("lent")), true, now());
    assert_eq!(lent_again.wrong, None);
}

#[test]
fn people_are_told_at_once_or_when_it_has_lasted() {
    let told = |kind, minutes| is_told(&organisation(), kind, now() - TimeDelta::minutes(minutes), now());
    assert_eq!([told(Kind::Overdue, 9), told(Kind::Overdue, 11)], [false, true]);
    assert!(told(Kind::OutAfterClose, 0) && told(Kind::Stray, 0) && !told(Kind::Unreadable, 60));
}
