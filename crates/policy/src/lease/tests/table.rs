//! Every state with every event. What the table does not name must leave the state as it is and tell nothing.

use super::*;

const ACTIVE: i64 = 20;

fn opening() -> Case {
    Case::default().at(0, Event::LendAccepted(opened()))
}

fn sent_lend() -> Case {
    opening().at(1, sent(1, 61))
}

fn active() -> Case {
    sent_lend().at(2, answered(1, Answer::Accepted)).at(ACTIVE, read(out(2, 19)))
}

fn closing() -> Case {
    active().at(30, asked())
}

fn settling() -> Case {
    // Unknown lend, asked back, home on two reads: waits until 61 + 100 + 10.
    sent_lend()
        .at(5, answered(1, Answer::Unknown { detail: "timed out".into() }))
        .at(6, asked())
        .at(20, read(home(1, 20)))
        .at(31, read(home(1, 31)))
}

fn closed(end: &str) -> Case {
    match end {
        "home" => closing().at(40, sent(2, 100)).at(41, answered(2, Answer::Accepted)).at(42, read(home(3, 42))),
        "elsewhere" => closing().at(42, read(reading(Place::Protecting(policy(OTHER)), 3, 42))),
        "gone" => closing()
            .at(42, Event::Missed { look: LookKind::Search, begun_at: at(42) })
            .at(110, Event::Missed { look: LookKind::Itself, begun_at: at(110) }),
        "released" => closing().at(42, Event::Released),
        other => panic!("no end {other}"),
    }
}

/// Name, case, and a moment at which every event of the table is tried.
fn states() -> Vec<(&'static str, Case, i64)> {
    vec![
        ("none", Case::default(), 130),
        ("tombstone", Case::default().at(0, asked()), 130),
        ("refused", Case::default().at(0, Event::LendRefused(Refused { subject: subject(), refusal: Refusal::Cap })), 130),
        ("opening", opening(), 50),
        ("opening-sent", sent_lend(), 50),
        ("opening-unknown", sent_lend().at(5, answered(1, Answer::Unknown { detail: String::new() })), 50),
        ("active", active(), 130),
        ("closing", closing(), 130),
        ("settling", settling(), 50),
        ("home", closed("home"), 130),
        ("elsewhere", closed("elsewhere"), 130),
        ("gone", closed("gone"), 130),
        ("released", closed("released"), 130),
    ]
}

/// Name, and the event at a moment.
fn events(now: i64) -> Vec<(&'static str, Event)> {
    let look = |look, begun| Event::Missed { look, begun_at: at(begun) };
    let found = Found {
        subject: subject(),
        origin: Origin::Adopted,
        policy: policy(RECOVERY),
        version: Some(PlacementVersion(9)),
        begun_at: at(now),
        reason: "found out".into(),
    };
    vec![
        ("lend accepted", Event::LendAccepted(opened())),
        ("lend refused", Event::LendRefused(Refused { subject: subject(), refusal: Refusal::Changed })),
        ("lend sent", sent(1, now + 30)),
        ("return sent", sent(2, now + 30)),
        ("lend accepted by provider", answered(1, Answer::Accepted)),
        ("lend refused by provider", answered(1, Answer::Refused { retry_after: Duration::ZERO, detail: String::new() })),
        ("lend impossible", answered(1, Answer::Impossible { detail: String::new() })),
        ("lend unknown", answered(1, Answer::Unknown { detail: String::new() })),
        ("return unknown", answered(2, Answer::Unknown { detail: String::new() })),
        ("read out", read(out(9, now))),
        ("read out, old version", read(out(1, now))),
        ("read home", read(home(9, now))),
        ("read home, old version", read(home(1, now))),
        ("read elsewhere", read(reading(Place::Protecting(policy(OTHER)), 9, now))),
        ("read nowhere", read(Reading { place: Place::Nowhere, version: None, begun_at: at(now) })),
        ("return asked", asked()),
        ("due", Event::Due),
        ("missed by search", look(LookKind::Search, now)),
        ("missed by itself", look(LookKind::Itself, now)),
        ("released", Event::Released),
        ("home lost", Event::HomeLost { default_home: policy(DEFAULT) }),
        ("found out", Event::FoundOut(found)),
        ("woken", Event::Woken),
        ("contained", Event::Contained(true)),
        ("tick", Event::Tick),
    ]
}

/// State, event, state afterwards, news. Every other pair changes no state and tells nothing.
const TABLE: &[(&str, &str, &str, Option<News>)] = &[
    ("none", "lend accepted", "opening", Some(News::Opened)),
    ("none", "lend refused", "closed", Some(News::Refused)),
    ("none", "return asked", "closed", Some(News::Closed)),
    ("none", "found out", "closing", Some(News::Adopted)),
    ("tombstone", "lend accepted", "closed", Some(News::Refused)),
    ("tombstone", "lend refused", "closed", Some(News::Refused)),
    ("tombstone", "return asked", "closed", Some(News::Closed)),
    ("tombstone", "found out", "closed", Some(News::Closed)),
    ("tombstone", "released", "closed", Some(News::Closed)),
    ("refused", "lend accepted", "closed", Some(News::Refused)),
    ("refused", "lend refused", "closed", Some(News::Refused)),
    ("refused", "return asked", "closed", Some(News::Closed)),
    ("refused", "found out", "closed", Some(News::Closed)),
    ("refused", "released", "closed", Some(News::Closed)),
    ("opening", "lend accepted", "opening", Some(News::Opened)),
    ("opening", "lend refused", "opening", Some(News::Opened)),
    ("opening", "read out", "active", Some(News::Lent)),
    ("opening", "return asked", "closing", Some(News::Returning)),
    ("opening", "due", "closing", Some(News::Returning)),
    ("opening", "released", "opening", Some(News::Opened)),
    ("opening", "home lost", "closing", Some(News::Returning)),
    ("opening", "found out", "opening", Some(News::Opened)),
    ("opening-sent", "lend accepted", "opening", Some(News::Opened)),
    ("opening-sent", "lend refused", "opening", Some(News::Opened)),
    ("opening-sent", "lend impossible", "closing", Some(News::Returning)),
    ("opening-sent", "read out", "active", Some(News::Lent)),
    ("opening-sent", "return asked", "closing", Some(News::Returning)),
    ("opening-sent", "due", "closing", Some(News::Returning)),
    ("opening-sent", "released", "opening", Some(News::Opened)),
    ("opening-sent", "home lost", "closing", Some(News::Returning)),
    ("opening-sent", "found out", "opening", Some(News::Opened)),
    ("opening-unknown", "lend accepted", "opening", Some(News::Opened)),
    ("opening-unknown", "lend refused", "opening", Some(News::Opened)),
    ("opening-unknown", "lend impossible", "closing", Some(News::Returning)),
    ("opening-unknown", "read out", "active", Some(News::Lent)),
    ("opening-unknown", "return asked", "closing", Some(News::Returning)),
    ("opening-unknown", "due", "closing", Some(News::Returning)),
    ("opening-unknown", "released", "opening", Some(News::Opened)),
    ("opening-unknown", "home lost", "closing", Some(News::Returning)),
    ("opening-unknown", "found out", "opening", Some(News::Opened)),
    ("active", "lend accepted", "active", Some(News::Lent)),
    ("active", "lend refused", "active", Some(News::Lent)),
    ("active", "read home", "closed", Some(News::Closed)),
    ("active", "read elsewhere", "closed", Some(News::Closed)),
    ("active", "return asked", "closing", Some(News::Returning)),
    ("active", "due", "closing", Some(News::Returning)),
    ("active", "released", "closed", Some(News::Closed)),
    ("active", "found out", "active", Some(News::Lent)),
    ("closing", "lend accepted", "closing", Some(News::Returning)),
    ("closing", "lend refused", "closing", Some(News::Returning)),
    ("closing", "read home", "closed", Some(News::Closed)),
    ("closing", "read elsewhere", "closed", Some(News::Closed)),
    ("closing", "return asked", "closing", Some(News::Returning)),
    ("closing", "released", "closed", Some(News::Closed)),
    ("closing", "found out", "closing", Some(News::Returning)),
    ("settling", "lend accepted", "settling", Some(News::Settling)),
    ("settling", "lend refused", "settling", Some(News::Settling)),
    ("settling", "read out", "closing", Some(News::Returning)),
    ("settling", "return asked", "settling", Some(News::Settling)),
    ("settling", "released", "settling", None),
    ("settling", "home lost", "closing", Some(News::Returning)),
    ("settling", "found out", "settling", Some(News::Settling)),
    ("home", "lend accepted", "closed", Some(News::Closed)),
    ("home", "lend refused", "closed", Some(News::Closed)),
    ("home", "return asked", "closed", Some(News::Closed)),
    ("home", "released", "closed", Some(News::Closed)),
    ("home", "found out", "closed", Some(News::Closed)),
    ("elsewhere", "lend accepted", "closed", Some(News::Closed)),
    ("elsewhere", "lend refused", "closed", Some(News::Closed)),
    ("elsewhere", "return asked", "closed", Some(News::Closed)),
    ("elsewhere", "released", "closed", Some(News::Closed)),
    ("elsewhere", "found out", "closed", Some(News::Closed)),
    ("gone", "lend accepted", "closed", Some(News::Closed)),
    ("gone", "lend refused", "closed", Some(News::Closed)),
    ("gone", "return asked", "closed", Some(News::Closed)),
    ("gone", "released", "closed", Some(News::Closed)),
    ("gone", "found out", "closed", Some(News::Closed)),
    ("released", "lend accepted", "closed", Some(News::Closed)),
    ("released", "lend refused", "closed", Some(News::Closed)),
    ("released", "return asked", "closed", Some(News::Closed)),
    ("released", "released", "closed", Some(News::Closed)),
    ("released", "found out", "closed", Some(News::Closed)),
];

#[test]
fn every_pair_of_state_and_event_does_what_the_table_says_and_nothing_else() {
    let mut used = 0;
    for (state, case, now) in states() {
        for (event, what) in events(now) {
            let mut after = case.clone();
            let decision = after.apply(&what, at(now));
            let row = TABLE.iter().find(|(s, e, _, _)| (*s, *e) == (state, event));
            used += usize::from(row.is_some());
            let (to, news) = row.map_or((case.state(), None), |(_, _, to, news)| (*to, *news));
            assert_eq!((after.state(), decision.news), (to, news), "{state} on {event}");
            if let (Some(before), Some(after)) = (&case.lease, &after.lease) {
                assert_eq!(after.version - before.version, i64::from(decision.changed), "{state} on {event}: version");
                assert!(before.end().is_none() || before.end() == after.end(), "{state} on {event}: another end");
            }
        }
    }
    assert_eq!(used, TABLE.len(), "a row names a state or an event that does not exist");
}

#[test]
fn the_four_ends_are_told_apart() {
    let ends: Vec<_> =
        ["home", "elsewhere", "gone", "released"].iter().map(|name| closed(name).lease().end().unwrap().name()).collect();
    assert_eq!(ends, ["home", "protected_elsewhere", "gone", "released"]);
    assert_eq!(Case::default().at(0, asked()).lease().end().unwrap().name(), "never_lent");
}

#[test]
fn a_tombstone_refuses_the_late_lend_as_busy() {
    let case = Case::default().at(0, asked()).at(1, Event::LendAccepted(opened()));
    let State::Closed(ending) = &case.lease().state else { panic!("{case:?}") };
    assert_eq!((&ending.end, ending.refusal), (&LeaseEnd::NeverLent, Some(Refusal::Busy)));
    assert_eq!(case.attempts, []);
}

#[test]
fn a_return_withdraws_what_is_ready_and_does_not_wait_for_what_was_sent() {
    let withdrawn = opening().at(5, asked());
    assert_eq!(withdrawn.attempts, [], "never sent: nothing to return, and nothing to send any more");
    let unknown = sent_lend().at(5, asked());
    let states: Vec<_> = unknown.attempts.iter().map(|a| (a.kind.name(), a.state.name())).collect();
    assert_eq!(states, [("lend", "unknown"), ("return", "ready")]);
}

#[test]
fn a_lend_of_unknown_outcome_is_never_sent_again() {
    let mut case = sent_lend().at(5, answered(1, Answer::Unknown { detail: "timed out".into() }));
    for now in 6..400 {
        case = case.at(now, Event::Tick);
        let lends = case.attempts.iter().filter(|a| a.kind == Kind::Lend).count();
        assert_eq!(lends, 1, "at {now}: {case:?}");
    }
    assert_eq!(case.state(), "closing", "it did not show within 61 + 100 + 10 seconds");
}

#[test]
fn a_lend_that_was_refused_by_the_provider_is_tried_again_while_it_may_be() {
    let refused = || answered(1, Answer::Refused { retry_after: Duration::from_secs(20), detail: "429".into() });
    let case = sent_lend().at(5, refused());
    let next = &case.attempts[0];
    assert_eq!((next.number, next.kind, next.state, next.not_before), (2, Kind::Lend, AttemptState::Ready, at(25)));
    let over = case.at(90, Event::Tick);
    assert_eq!((over.state(), over.lease().return_at), ("closing", None), "not_after is past and nothing was ever taken");
}

#[test]
fn settling_ends_on_a_read_begun_after_the_last_possible_effect() {
    let early = settling().at(180, read(home(1, 170)));
    assert_eq!(early.state(), "settling", "61 + 100 + 10 = 171");
    let closed = early.at(180, read(home(1, 171)));
    assert_eq!(closed.lease().end(), Some(&LeaseEnd::Home));
}

#[test]
fn a_lend_that_lands_while_settling_is_returned_and_settles_again() {
    let case = settling().at(60, read(out(2, 60)));
    assert_eq!((case.state(), case.lease().sight.out.is_some()), ("closing", true));
    assert_eq!(case.attempts.last().map(|a| (a.kind, a.state)), Some((Kind::Return, AttemptState::Ready)));
    let number = case.lease().attempts;
    let back = case.at(61, sent(number, 121)).at(62, answered(number, Answer::Accepted)).at(63, read(home(3, 63)));
    // Seen out where lends lead, and it was the only one: resolved, so nothing is left to wait for.
    assert_eq!(back.lease().end(), Some(&LeaseEnd::Home));
}

#[test]
fn due_ends_a_lease_without_anybody_asking() {
    let case = active().at(999, Event::Tick);
    assert_eq!(case.state(), "active");
    assert_eq!(case.lease().tick_at, Some(at(1_000)));
    let due = case.at(1_000, Event::Tick);
    assert_eq!((due.state(), due.lease().overdue), ("closing", true));
    assert_eq!(due.attempts.len(), 1);
}

#[test]
fn returns_back_off_are_capped_and_never_stop() {
    let mut case = closing();
    let mut now = 31;
    let mut waits = Vec::new();
    for _ in 0..40 {
        let number = case.lease().attempts;
        case = case.at(now, sent(number, now + 5)).at(now + 1, answered(number, Answer::Unknown { detail: "503".into() }));
        let next = (case.lease().return_at.unwrap() - at(now + 1)).num_seconds();
        waits.push(next);
        now += 1 + next.max(0) + 1;
        case = case.at(now, Event::Tick);
        assert_eq!(case.attempts.last().map(|a| (a.kind, a.state)), Some((Kind::Return, AttemptState::Ready)));
    }
    assert!(waits.iter().all(|wait| *wait <= 40), "{waits:?}");
    assert!(waits[10..].iter().all(|wait| *wait >= 20), "{waits:?}");
    assert_eq!(case.lease().failed_returns, 40);
}

#[test]
fn the_provider_answering_again_wakes_waiting_returns() {
    let case = closing().at(31, sent(2, 36)).at(32, answered(2, Answer::Unknown { detail: "503".into() }));
    assert!(case.lease().return_at > Some(at(32)));
    let woken = case.at(33, Event::Woken);
    assert_eq!(woken.attempts.last().map(|a| (a.number, a.state)), Some((3, AttemptState::Ready)));
}

#[test]
fn a_release_waits_until_no_lend_can_take_effect() {
    let waiting = settling().at(50, Event::Released).at(170, Event::Tick);
    assert_eq!((waiting.state(), waiting.lease().released), ("settling", true));
    assert_eq!(waiting.lease().tick_at, Some(at(171)));
    assert_eq!(waiting.at(171, Event::Tick).lease().end(), Some(&LeaseEnd::Released));
}

#[test]
fn a_lost_home_leads_to_the_default_home_and_to_a_person() {
    let mut case = closing();
    let decision = case.apply(&Event::HomeLost { default_home: policy(DEFAULT) }, at(31));
    assert_eq!(decision.alarms, [Alarm::HomeLost { from: policy(HOME) }]);
    assert_eq!(case.lease().home, policy(DEFAULT));
    assert_eq!(case.apply(&Event::HomeLost { default_home: policy(DEFAULT) }, at(32)).alarms, [], "told once");
}

#[test]
fn too_many_failed_returns_and_too_long_overdue_are_each_told_once() {
    let mut case = closing();
    let mut told = Vec::new();
    let mut now = 31;
    for _ in 0..30 {
        let number = case.lease().attempts;
        told.extend(case.apply(&sent(number, now + 5), at(now)).alarms);
        told.extend(case.apply(&answered(number, Answer::Unknown { detail: String::new() }), at(now + 1)).alarms);
        now += 60;
        told.extend(case.apply(&Event::Tick, at(now)).alarms);
    }
    assert_eq!(told, [Alarm::FailedReturns, Alarm::Overdue]);
}

#[test]
fn an_account_seen_out_after_its_lease_ended_must_be_leased_again_unless_it_was_released() {
    for (end, alarms) in [("home", vec![Alarm::OutAgain]), ("gone", vec![Alarm::OutAgain]), ("released", vec![])] {
        let mut case = closed(end);
        assert_eq!(case.apply(&read(out(9, 200)), at(200)).alarms, alarms, "{end}");
    }
}
