//! What waits for a read, and what is looked at once more.

use std::collections::BTreeSet;

use homeward_types::limits::{after, backoff};

use super::*;

/// Seen out, asked home, and the return is accepted at 32.
fn accepted() -> Case {
    Case::default()
        .at(0, Event::LendAccepted(opened()))
        .at(1, sent(1, 61))
        .at(2, answered(1, Answer::Accepted))
        .at(20, read(out(2, 19)))
        .at(30, asked())
        .at(31, sent(2, 91))
        .at(32, answered(2, Answer::Accepted))
}

fn newest(case: &Case) -> Option<(u32, AttemptState)> {
    case.attempts.last().map(|attempt| (attempt.number, attempt.state))
}

fn unproved(reading: Reading) -> Event {
    Event::Read { reading, trust: UNTRUSTED }
}

#[test]
fn an_accepted_return_is_not_sent_again_before_a_read_began_since() {
    let mut case = accepted();
    let mut again = case.lease().return_at.unwrap();
    for _ in 0..5 {
        case = case.at_moment(again, Event::Tick);
        assert!(matches!(newest(&case), Some((2, AttemptState::Sent { accepted: true, .. }))), "nobody has looked");
        assert_eq!(case.lease().failed_returns, 0);
        let next = case.lease().return_at.unwrap();
        assert!(next > again, "it comes up again");
        again = next;
    }
    // Somebody looks, and it did not show: now it is tried again, and counts as failed.
    let case = case.at(300, read(out(2, 299)));
    assert_eq!((newest(&case), case.lease().failed_returns), (Some((3, AttemptState::Ready)), 1));
}

#[test]
fn an_accepted_return_is_not_sent_again_while_the_second_of_two_reads_is_to_come() {
    let case = accepted().at(33, unproved(home(1, 33)));
    let again = case.lease().return_at.unwrap();
    let case = case.at_moment(again, Event::Tick);
    assert!(matches!(newest(&case), Some((2, AttemptState::Sent { accepted: true, .. }))), "the first read showed home");
    // The first was behind: the account is out, and the return is tried again.
    assert_eq!(newest(&case.at(60, unproved(out(2, 60)))), Some((3, AttemptState::Ready)));
}

#[test]
fn tail_reads_go_on_after_one_that_showed_the_account_out() {
    // What is out at the first tail read may be the account's next lease; the late lend of this one comes after it.
    let hour = 3_600;
    let mut case = Case::default()
        .at(0, Event::LendAccepted(opened()))
        .at(1, sent(1, 61))
        .at(5, answered(1, Answer::Unknown { detail: "timed out".into() }))
        .at(6, asked())
        .at(20, read(home(1, 20)))
        .at(31, read(home(1, 31)))
        .at(172, read(home(1, 172)));
    assert_eq!((case.state(), case.lease().next_read_at), ("closed", Some(at(172 + hour))));
    assert_eq!(case.apply(&read(out(9, 172 + hour)), at(172 + hour)).alarms, [Alarm::OutAgain]);
    assert_eq!(case.lease().next_read_at, Some(at(172 + 6 * hour)));
}

/// The waits of a return of which every try fails, whatever the provider says of it.
fn waits(lease: u128, tries: usize) -> Vec<Duration> {
    let subject = Subject { lease: LeaseId::from_uuid(uuid::Uuid::from_u128(lease)), ..subject() };
    let mut case = Case::default()
        .at(0, Event::LendAccepted(Opened { subject: subject.clone(), ..opened() }))
        .at(1, sent(1, 61))
        .at(2, answered(1, Answer::Accepted))
        .at(20, read(out(2, 19)))
        .at(30, Event::ReturnAsked(Asked { subject, reason: "cancelled".into() }));
    let mut now = at(30);
    let detail = || "no".to_owned();
    let answers = [
        Answer::Refused { retry_after: Duration::ZERO, detail: detail() },
        Answer::Impossible { detail: detail() },
        Answer::Unknown { detail: detail() },
    ];
    let fail = |answer: &Answer| {
        let Some((number, AttemptState::Ready)) = newest(&case) else { panic!("no return is ready: {case:?}") };
        let sending = Sending { number, claimed_until: after(now, Duration::from_mins(1)) };
        case.apply(&Event::AttemptSent(sending), now);
        case.apply(&answered(number, answer.clone()), now);
        let again = case.lease().return_at.expect("returns never stop");
        let wait = (again - now).to_std().unwrap();
        now = again;
        case.apply(&Event::Tick, now);
        wait
    };
    answers.iter().cycle().take(tries).map(fail).collect()
}

#[test]
fn a_return_that_fails_is_tried_later_and_later_up_to_the_longest_wait_and_apart_from_others() {
    const TRIES: usize = 24;
    let limit = |n: u32| backoff(terms().retry, terms().retry_max, n);
    let all: Vec<Vec<Duration>> = (1..=40).map(|lease| waits(lease, TRIES)).collect();
    for waits in &all {
        for (n, wait) in (0..).zip(waits) {
            assert!((limit(n) / 2..=limit(n)).contains(wait), "the {n}th wait is {wait:?} of {:?}", limit(n));
        }
        assert!(*waits.last().unwrap() >= terms().retry_max / 2, "it goes on, no less often than that");
    }
    let last: BTreeSet<Duration> = all.iter().map(|waits| waits[TRIES - 1]).collect();
    assert!(last.len() > 30, "40 returns come again at {} times", last.len());
}
