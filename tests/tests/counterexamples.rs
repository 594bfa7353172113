//! The shortest counter-example of each mistake, written out: what happens, in what order, and which law it breaks.
//!
//! Each is played twice. With the mistake the last step breaks the law, and none before. Without it no law breaks: the right
//! program refuses some of the steps, or takes them and everyone still comes home.

use homeward_tests::model::mutation::Mutation;
use homeward_tests::model::setup::Setup;

fn breaks(mutation: Mutation, law: &str, steps: &[&str]) {
    let wrong = mutation.world().replay(steps);
    assert!(wrong.refused.is_empty(), "steps that are not possible with the mistake: {:?}", wrong.refused);
    let (at, laws) = wrong.broken.expect("the mistake breaks a law");
    assert_eq!(at, steps.len(), "the last step breaks it, and none before");
    assert!(laws.contains(&law), "{laws:?}");
    let right = Setup { mutation: None, ..mutation.world() }.replay(steps);
    assert_eq!(right.broken, None, "without the mistake no law breaks");
}

#[test]
fn lease_after_move() {
    breaks(
        Mutation::LeaseAfterMove,
        "only the holder of a lease of an account moves it",
        &["the lend of case 0 arrives at policy, which reads the account", "read 0 ends and shows home in version 0"],
    );
}

#[test]
fn close_on_accepted() {
    breaks(
        Mutation::CloseOnAccepted,
        "after a lease is closed no lend of it takes effect",
        &[
            "the lend of case 0 arrives at policy, which reads the account",
            "read 0 ends and shows home in version 0",
            "the broker confirms the opening of lease 0",
            "a worker marks the lend of lease 0 and writes to the provider",
            "the return of case 0 arrives at policy",
            "a worker marks the return of lease 0 and writes to the provider",
            "the provider answers worker 1: accepted",
        ],
    );
}

#[test]
fn close_on_a_stale_read() {
    breaks(
        Mutation::CloseOnStaleRead,
        "whoever is out beyond the limit is found by one census, and nobody else needs one",
        &[
            "the lend of case 0 arrives at policy, which reads the account",
            "read 0 ends and shows home in version 0",
            "the broker confirms the opening of lease 0",
            "a worker marks the lend of lease 0 and writes to the provider",
            "a lend takes effect: account 0 is out",
            "the return of case 0 arrives at policy",
            "policy begins to read account 0",
            "read 0 ends and shows out in version 1",
            "policy begins to read account 0",
            "read 0 ends and shows home in version 0, which was over when it began",
        ],
    );
}

#[test]
fn no_tombstone() {
    breaks(
        Mutation::NoTombstone,
        "a case that is past its return has no open lease",
        &[
            "the requester cancels case 0",
            "the lend of case 0 arrives at policy, which reads the account",
            "the return of case 0 arrives at policy",
            "news 0 of lease 0 arrives at recovery",
            "read 0 ends and shows home in version 1",
        ],
    );
}

#[test]
fn skip_settling() {
    breaks(
        Mutation::SkipSettling,
        "after a lease is closed no lend of it takes effect",
        &[
            "the lend of case 0 arrives at policy, which reads the account",
            "read 0 ends and shows home in version 0",
            "the broker confirms the opening of lease 0",
            "a worker marks the lend of lease 0 and writes to the provider",
            "the return of case 0 arrives at policy",
            "policy begins to read account 0",
            "read 0 ends and shows home in version 0",
            "a tick passes",
            "policy begins to read account 0",
            "read 0 ends and shows home in version 0",
        ],
    );
}

#[test]
fn cancel_through_a_lend() {
    breaks(
        Mutation::CancelThroughLend,
        "a case that is past its return has no open lease",
        &[
            "the requester cancels case 0",
            "the lend of case 0 arrives at policy, which reads the account",
            "read 0 ends and shows home in version 1",
        ],
    );
}

#[test]
fn ignore_a_late_lent() {
    breaks(
        Mutation::IgnoreLateLent,
        "once faults end, everyone comes home",
        &[
            "the lend of case 0 arrives at policy, which reads the account",
            "read 0 ends and shows home in version 0",
            "the broker confirms the opening of lease 0",
            "a worker marks the lend of lease 0 and writes to the provider",
            "a lend takes effect: account 0 is out",
            "the return of case 0 arrives at policy",
            "a worker marks the return of lease 0 and writes to the provider",
            "the provider answers worker 1: accepted",
        ],
    );
}

#[test]
fn ignore_a_late_lent_in_recovery() {
    breaks(
        Mutation::IgnoreLateLentNews,
        "a case that is leaving asks for the return when it hears that the account was lent",
        &[
            "the lend of case 0 arrives at policy, which reads the account",
            "the requester cancels case 0",
            "read 0 ends and shows home in version 0",
            "the broker confirms the opening of lease 0",
            "a worker marks the lend of lease 0 and writes to the provider",
            "a lend takes effect: account 0 is out",
            "policy begins to read account 0",
            "read 0 ends and shows out in version 1",
            "the return of case 0 arrives at policy",
            "news 1 of lease 0 arrives at recovery",
        ],
    );
}

#[test]
fn one_open_lease_index_off() {
    breaks(
        Mutation::NoOneOpenLeaseIndex,
        "an account has at most one open lease",
        &[
            "the lend of case 0 arrives at policy, which reads the account",
            "read 0 ends and shows home in version 0",
            "the broker confirms the opening of lease 0",
            "a worker marks the lend of lease 0 and writes to the provider",
            "a lend takes effect: account 0 is out",
            "the return of case 0 arrives at policy",
            "a worker marks the return of lease 0 and writes to the provider",
            "a return takes effect: account 0 is home",
            "policy begins to read account 0",
            "read 0 ends and shows out in version 1, which was over when it began",
            "policy begins to read account 0",
            "read 0 ends and shows home in version 2",
            "case 1 asks for its lend",
            "the lend of case 1 arrives at policy, which reads the account",
            "the census begins to read account 0",
            "read 0 ends and shows out in version 1, which was over when it began",
            "read 0 ends and shows home in version 0, which was over when it began",
        ],
    );
}

#[test]
fn lower_version_accepted() {
    breaks(
        Mutation::LowerVersionAccepted,
        "a case never believes older news over newer",
        &[
            "the requester cancels case 0",
            "the lend of case 0 arrives at policy, which reads the account",
            "read 0 ends and shows home in version 1",
            "the return of case 0 arrives at policy",
            "news 1 of lease 0 arrives at recovery",
            "news 0 of lease 0 arrives at recovery",
        ],
    );
}

#[test]
fn out_read_without_version_check() {
    breaks(
        Mutation::OutWithoutVersion,
        "after a lease is closed no lend of it takes effect",
        &[
            "the lend of case 0 arrives at policy, which reads the account",
            "read 0 ends and shows home in version 0",
            "the broker confirms the opening of lease 0",
            "a worker marks the lend of lease 0 and writes to the provider",
            "a lend takes effect: account 0 is out",
            "the return of case 0 arrives at policy",
            "a worker marks the return of lease 0 and writes to the provider",
            "a return takes effect: account 0 is home",
            "policy begins to read account 0",
            "read 0 ends and shows out in version 1, which was over when it began",
            "policy begins to read account 0",
            "read 0 ends and shows home in version 2",
            "case 1 asks for its lend",
            "the lend of case 1 arrives at policy, which reads the account",
            "read 0 ends and shows home in version 0, which was over when it began",
            "the broker confirms the opening of lease 1",
            "a worker marks the lend of lease 1 and writes to the provider",
            "policy begins to read account 0",
            "read 0 ends and shows out in version 1, which was over when it began",
            "a tick passes",
            "policy begins to read account 0",
            "read 0 ends and shows home in version 2",
            "a tick passes",
            "policy begins to read account 0",
            "read 0 ends and shows home in version 2",
        ],
    );
}

#[test]
fn re_send_of_an_unknown_lend() {
    breaks(
        Mutation::ResendUnknownLend,
        "at most one lend of a lease may take effect",
        &[
            "the lend of case 0 arrives at policy, which reads the account",
            "read 0 ends and shows home in version 0",
            "the broker confirms the opening of lease 0",
            "a worker marks the lend of lease 0 and writes to the provider",
            "the provider answers worker 0: nothing that proves anything",
            "a worker marks the lend of lease 0 and writes to the provider",
        ],
    );
}

#[test]
fn return_leaves_ready_attempts() {
    breaks(
        Mutation::ReturnLeavesReady,
        "a lend is ready only while its lease is opening",
        &[
            "the lend of case 0 arrives at policy, which reads the account",
            "read 0 ends and shows home in version 0",
            "the return of case 0 arrives at policy",
        ],
    );
}

#[test]
fn return_leaves_ready_attempts_and_the_mark_does_not_look() {
    breaks(
        Mutation::ReturnLeavesReadyUnguarded,
        "once faults end, everyone comes home",
        &[
            "the lend of case 0 arrives at policy, which reads the account",
            "read 0 ends and shows home in version 0",
            "a tick passes",
        ],
    );
}

#[test]
fn lend_sent_before_lease_opened_is_confirmed() {
    breaks(
        Mutation::LendBeforeConfirmed,
        "a lend is sent only under an open lease that is known outside the database",
        &[
            "the lend of case 0 arrives at policy, which reads the account",
            "read 0 ends and shows home in version 0",
            "a worker marks the lend of lease 0 and writes to the provider",
        ],
    );
}

#[test]
fn home_current_placement_unchecked() {
    breaks(
        Mutation::HomeUnchecked,
        "once faults end, everyone comes home",
        &[
            "the lend of case 0 arrives at policy, which reads the account",
            "read 0 ends and shows home in version 0",
            "the broker confirms the opening of lease 0",
            "a worker marks the lend of lease 0 and writes to the provider",
            "a lend takes effect: account 0 is out",
            "the return of case 0 arrives at policy",
            "a worker marks the return of lease 0 and writes to the provider",
            "a return takes effect: account 0 is home",
            "policy begins to read account 0",
            "read 0 ends and shows out in version 1, which was over when it began",
            "policy begins to read account 0",
            "read 0 ends and shows home in version 2",
            "case 1 asks for its lend",
            "the lend of case 1 arrives at policy, which reads the account",
            "read 0 ends and shows out in version 1, which was over when it began",
        ],
    );
}

#[test]
fn row_version_not_compared() {
    breaks(
        Mutation::NoRowVersion,
        "once faults end, everyone comes home",
        &[
            "the requester cancels case 0",
            "the return of case 0 arrives at policy",
            "a tick passes",
            "a second coordinator reads case 0 and decides on what is due about it",
            "news 0 of lease 0 arrives at recovery",
            "the second coordinator writes what it decided",
        ],
    );
}

#[test]
fn no_version_floor() {
    breaks(
        Mutation::NoVersionFloor,
        "after a lease is closed no lend of it takes effect",
        &[
            "the lend of case 0 arrives at policy, which reads the account",
            "read 0 ends and shows home in version 0",
            "the broker confirms the opening of lease 0",
            "a worker marks the lend of lease 0 and writes to the provider",
            "a lend takes effect: account 0 is out",
            "the return of case 0 arrives at policy",
            "a worker marks the return of lease 0 and writes to the provider",
            "a return takes effect: account 0 is home",
            "policy begins to read account 0",
            "read 0 ends and shows out in version 1, which was over when it began",
            "policy begins to read account 0",
            "read 0 ends and shows home in version 2",
            "case 1 asks for its lend",
            "the lend of case 1 arrives at policy, which reads the account",
            "read 0 ends and shows home in version 0, which was over when it began",
            "the broker confirms the opening of lease 1",
            "a worker marks the lend of lease 1 and writes to the provider",
            "policy begins to read account 0",
            "read 0 ends and shows out in version 1, which was over when it began",
            "policy begins to read account 0",
            "read 0 ends and shows home in version 2",
        ],
    );
}

#[test]
fn holder_of_the_address_not_looked_at() {
    breaks(
        Mutation::HolderUnchecked,
        "whoever is out beyond the limit is found by one census, and nobody else needs one",
        &[
            "the lend of case 0 arrives at policy, which reads the account",
            "read 0 ends and shows home in version 0",
            "the broker confirms the opening of lease 0",
            "a worker marks the lend of lease 0 and writes to the provider",
            "the two accounts swap their addresses",
            "a lend takes effect: account 1 is out",
        ],
    );
}
