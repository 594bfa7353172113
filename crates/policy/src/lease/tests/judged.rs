//! Rule 3, line by line.

use super::*;

fn lease(opened_at: i64) -> Lease {
    let mut lease = Case::default().at(opened_at, Event::LendAccepted(opened())).lease.unwrap();
    lease.version = 1;
    lease
}

fn seen_out(mut lease: Lease, version: i64, begun: i64, decided: i64) -> Lease {
    let reading = out(version, begun);
    lease.sight = lease.sight.after(&reading, &Seen::Out, at(decided));
    lease
}

fn with(mut lease: Lease, reading: &Reading, trust: VersionTrust) -> Lease {
    let seen = judge(&lease, reading, trust);
    lease.sight = lease.sight.after(reading, &seen, reading.begun_at);
    lease
}

#[test]
fn out_needs_a_version_later_than_homes() {
    let lease = lease(0);
    assert_eq!(judge(&lease, &out(2, 0), TRUSTED), Seen::Out);
    assert!(matches!(judge(&lease, &out(1, 500), TRUSTED), Seen::NotYet { .. }), "an earlier lease's late read");
    assert!(matches!(judge(&lease, &out(0, 500), TRUSTED), Seen::NotYet { .. }));
}

#[test]
fn what_an_earlier_lease_saw_is_none_of_this_one() {
    // The read before this lend was stale: it showed version 1, and the lease before had seen out 2 and home 3 since.
    let second = Opened { seen_before: Some(PlacementVersion(3)), ..opened() };
    let lease = Case::default().at(0, Event::LendAccepted(second)).lease.unwrap();
    assert!(matches!(judge(&lease, &out(2, 500), TRUSTED), Seen::NotYet { .. }), "the earlier lease's out");
    assert_eq!(judge(&lease, &out(4, 0), TRUSTED), Seen::Out);
    let fresher = Opened { home_version: Some(PlacementVersion(5)), seen_before: Some(PlacementVersion(3)), ..opened() };
    assert_eq!(Case::default().at(0, Event::LendAccepted(fresher)).lease().home_version, Some(PlacementVersion(5)));
}

#[test]
fn without_versions_out_needs_a_read_begun_read_lag_after_the_opening() {
    let lease = lease(0);
    assert_eq!(judge(&lease, &out(2, 9), UNTRUSTED), Seen::NotYet { again_at: at(10) });
    assert_eq!(judge(&lease, &out(1, 10), UNTRUSTED), Seen::Out);
    let half = VersionTrust { lend_seen: true, return_seen: false };
    assert_eq!(judge(&lease, &out(2, 9), half), Seen::NotYet { again_at: at(10) }, "half a trust is none");
    let none = Reading { version: None, ..out(2, 9) };
    assert_eq!(judge(&lease, &none, TRUSTED), Seen::NotYet { again_at: at(10) });
}

#[test]
fn back_needs_a_version_later_than_the_newest_out() {
    let lease = seen_out(lease(0), 2, 20, 21);
    assert_eq!(judge(&lease, &home(3, 22), TRUSTED), Seen::Back);
    let elsewhere = reading(Place::Protecting(policy(OTHER)), 3, 22);
    assert_eq!(judge(&lease, &elsewhere, TRUSTED), Seen::ProtectedElsewhere(policy(OTHER)));
    assert_eq!(judge(&lease, &home(1, 22), TRUSTED), Seen::NotYet { again_at: at(32) }, "the home of before the lend");
}

#[test]
fn a_home_whose_version_did_not_grow_falls_back_to_two_reads() {
    let lease = seen_out(lease(0), 2, 20, 21);
    let first = with(lease, &home(2, 22), TRUSTED);
    assert_eq!(judge(&first, &home(2, 31), TRUSTED), Seen::NotYet { again_at: at(32) });
    assert_eq!(judge(&first, &home(2, 32), TRUSTED), Seen::Back);
}

#[test]
fn never_seen_out_needs_two_home_reads_whatever_their_version() {
    let lease = lease(0);
    let first = with(lease, &home(9, 5), TRUSTED);
    assert_eq!(judge(&first, &home(9, 14), TRUSTED), Seen::NotYet { again_at: at(15) });
    assert_eq!(judge(&first, &home(9, 15), TRUSTED), Seen::Back);
}

#[test]
fn two_reads_must_agree_and_an_out_between_them_begins_anew() {
    let lease = seen_out(lease(0), 2, 20, 21);
    let first = with(lease, &home(3, 30), UNTRUSTED);
    let elsewhere = reading(Place::Protecting(policy(OTHER)), 3, 45);
    assert_eq!(judge(&first, &elsewhere, UNTRUSTED), Seen::NotYet { again_at: at(55) });
    assert_eq!(judge(&first, &home(4, 45), UNTRUSTED), Seen::NotYet { again_at: at(55) }, "another version is another stay");
    let out_again = with(first.clone(), &out(4, 35), UNTRUSTED);
    assert_eq!(judge(&out_again, &home(3, 45), UNTRUSTED), Seen::NotYet { again_at: at(55) });
    assert_eq!(judge(&first, &home(3, 45), UNTRUSTED), Seen::Back);
}

#[test]
fn both_of_two_reads_must_begin_after_the_last_out_was_decided() {
    // The out read began at 20 and answered at 29: a home read begun at 25 may have seen the time before.
    let lease = seen_out(lease(0), 2, 20, 29);
    assert_eq!(judge(&lease, &home(1, 25), UNTRUSTED), Seen::Nothing);
    let unmoved = with(lease.clone(), &home(1, 25), UNTRUSTED);
    assert_eq!(unmoved.sight, lease.sight);
    assert_eq!(judge(&unmoved, &home(1, 36), UNTRUSTED), Seen::NotYet { again_at: at(46) });
}

#[test]
fn a_read_older_than_what_is_known_proves_nothing() {
    let lease = with(seen_out(lease(0), 2, 20, 21), &home(3, 40), UNTRUSTED);
    assert_eq!(judge(&lease, &home(3, 39), UNTRUSTED), Seen::Nothing);
    assert_eq!(judge(&lease, &out(3, 39), UNTRUSTED), Seen::Nothing);
    assert_eq!(judge(&lease, &Reading { place: Place::Nowhere, version: None, begun_at: at(50) }, TRUSTED), Seen::Nothing);
}

#[test]
fn after_a_trusted_back_an_older_out_is_not_believed() {
    let lease = with(seen_out(lease(0), 2, 20, 21), &home(3, 40), TRUSTED);
    assert!(matches!(judge(&lease, &out(2, 50), TRUSTED), Seen::NotYet { .. }));
    assert_eq!(judge(&lease, &out(4, 50), TRUSTED), Seen::Out);
}

#[test]
fn versions_earn_trust_by_one_lend_and_one_return() {
    let mut case = Case::default().at(0, Event::LendAccepted(opened())).at(1, sent(1, 61));
    let read = |reading| Event::Read { reading, trust: UNTRUSTED };
    assert_eq!(case.apply(&read(out(2, 15)), at(15)).shown, Some(VersionShown::ByLend));
    case.apply(&asked(), at(16));
    assert_eq!(case.apply(&read(home(3, 20)), at(20)).shown, None, "one read is not a return");
    assert_eq!(case.apply(&read(home(3, 30)), at(30)).shown, Some(VersionShown::ByReturn));
    let mut unchanged = Case::default().at(0, Event::LendAccepted(opened())).at(1, sent(1, 61));
    assert_eq!(unchanged.apply(&read(out(1, 15)), at(15)).shown, None);
}
