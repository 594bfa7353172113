use super::*;
use crate::atlassian::paths::{ADD_USERS, BULK_FETCH, DISABLE, MANAGED_ACCOUNTS, TASK};

const ORGANISATION: ErrorClass = ErrorClass::PermanentForOrganisation;
const ACCOUNT: ErrorClass = ErrorClass::PermanentForAccount;
const POLICY: ErrorClass = ErrorClass::PermanentForPolicy;
const AMBIGUOUS: ErrorClass = ErrorClass::Ambiguous;
const WAIT: Duration = Duration::from_secs(7);
const ASKED_TO_WAIT: ErrorClass = ErrorClass::Retry { after: WAIT };
const TRY_LATER: ErrorClass = ErrorClass::Retry { after: SOON };

const GENUINE: &str = r#"{"code": 400, "message": "words"}"#;
const HTML: &str = "<html>Bad gateway</html>";

/// For a move: the status, the body, what to do, and whether it proves "not taken".
const MOVE: [(u16, &str, ErrorClass, bool); 21] = [
    (400, GENUINE, ACCOUNT, true),
    (401, "", ORGANISATION, true),
    (401, GENUINE, ORGANISATION, true),
    (403, GENUINE, ORGANISATION, true),
    (404, GENUINE, POLICY, true),
    (404, "", TRY_LATER, true),
    (429, "", ASKED_TO_WAIT, true),
    (429, HTML, ASKED_TO_WAIT, true),
    (400, HTML, AMBIGUOUS, false),
    (401, HTML, AMBIGUOUS, false),
    (403, HTML, AMBIGUOUS, false),
    (404, HTML, AMBIGUOUS, false),
    (404, r#"{"foo": 1}"#, AMBIGUOUS, false),
    (302, "", AMBIGUOUS, false),
    (408, "", AMBIGUOUS, false),
    (409, GENUINE, AMBIGUOUS, false),
    (500, GENUINE, AMBIGUOUS, false),
    (502, HTML, AMBIGUOUS, false),
    (503, "", AMBIGUOUS, false),
    (504, "", AMBIGUOUS, false),
    (599, "", AMBIGUOUS, false),
];

#[test]
fn an_answer_to_a_move_proves_what_the_table_says() {
    for (status, body, class, proved) in MOVE {
        let failed = Failed::refused(&ADD_USERS, status, body.as_bytes(), WAIT);
        assert_eq!((failed.error.class, failed.error.proves_not_taken()), (class, proved), "{status} {body}");
        assert_eq!(failed.error.status, Some(status));
    }
}

#[test]
fn a_read_is_never_ambiguous() {
    for status in 300..=599 {
        for body in ["", GENUINE, HTML] {
            let failed = Failed::refused(&BULK_FETCH, status, body.as_bytes(), WAIT);
            assert!(failed.error.class != AMBIGUOUS && failed.error.proves_not_taken(), "{status} {body}");
        }
    }
    assert_eq!(Failed::refused(&BULK_FETCH, 503, b"", WAIT).error.class, TRY_LATER);
    assert_eq!(Failed::refused(&BULK_FETCH, 403, HTML.as_bytes(), WAIT).error.class, TRY_LATER);
    assert_eq!(Failed::refused(&MANAGED_ACCOUNTS, 404, GENUINE.as_bytes(), WAIT).error.class, ORGANISATION);
    assert_eq!(Failed::refused(&MANAGED_ACCOUNTS, 302, b"", WAIT).error.class, ORGANISATION);
}

#[test]
fn a_missing_thing_is_missing_only_by_the_providers_own_word() {
    assert!(Failed::refused(&TASK, 404, GENUINE.as_bytes(), WAIT).says_missing());
    assert!(!Failed::refused(&TASK, 404, HTML.as_bytes(), WAIT).says_missing());
    assert!(!Failed::refused(&TASK, 404, b"", WAIT).says_missing());
    assert!(!Failed::refused(&TASK, 403, GENUINE.as_bytes(), WAIT).says_missing());
}

#[test]
fn a_refusal_for_one_account_is_not_one_of_the_key() {
    let refusal = |key: &str| Failed::refused(&DISABLE, 403, format!(r#"{{"key": "{key}", "context": {{}}}}"#).as_bytes(), WAIT);
    for key in ["forbidden", "forbidden.action", "forbidden.targetUnverified", "forbidden.unclaimedDomain"] {
        assert_eq!(refusal(key).error.class, ACCOUNT, "{key}");
        assert!(!refusal(key).refuses_the_key());
    }
    let scoped = refusal("forbidden.insufficientScope");
    assert_eq!(scoped.error.class, ORGANISATION);
    assert!(scoped.refuses_the_key() && scoped.error.sentence.contains("unscoped_key"), "{}", scoped.error);
}

#[test]
fn what_was_never_sent_is_proved_not_taken_and_what_was_not_understood_is_not() {
    for failed in [Failed::limited(&ADD_USERS, WAIT), Failed::too_late(&ADD_USERS), Failed::impossible(&ADD_USERS, "a reason")] {
        assert!(failed.error.proves_not_taken(), "{}", failed.error);
    }
    let garbled = Failed::unreadable(&ADD_USERS, 202, "no task was named");
    assert_eq!((garbled.error.class, garbled.error.proves_not_taken()), (AMBIGUOUS, false));
    assert_eq!(Failed::unreadable(&TASK, 200, "half a body").error.class, TRY_LATER);
}

#[test]
fn the_sentence_says_what_helps_and_repeats_the_provider() {
    let failed = Failed::refused(&ADD_USERS, 404, br#"{"code": 404, "message": "no such policy"}"#, WAIT);
    assert_eq!(
        failed.error.sentence,
        "404: the policy was not found; check the policy ids in the configuration (404: no such policy)"
    );
    let failed = Failed::refused(&ADD_USERS, 502, HTML.as_bytes(), WAIT);
    assert_eq!(
        failed.error.sentence,
        "502: the provider failed (the body is not the provider's; something between may have answered)"
    );
}
