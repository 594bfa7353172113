use std::time::Duration;

use homeward_provider::{ErrorClass, IdentityProvider, MoveAccepted, MoveAnswer, MoveOrder, Priority, TaskId};
use homeward_types::{AccountId, Clock, Email, PolicyId, SystemClock};
use serde_json::json;

use super::stub::{KEY, Reply, Stub, account, email, provider};

fn people(count: usize) -> Vec<(AccountId, Email)> {
    (0..count).map(|n| (account(&format!("id-{n}")), email(&format!("p{n}@example.com")))).collect()
}

fn accepted() -> Reply {
    Reply::json(202, &json!({"taskId": "task-1", "taskLink": "https://elsewhere.example/task-1"}))
}

async fn lend(provider: &impl IdentityProvider, who: &[(AccountId, Email)]) -> Vec<MoveAnswer> {
    order(provider, who, Duration::from_mins(1)).await
}

async fn order(provider: &impl IdentityProvider, who: &[(AccountId, Email)], time: Duration) -> Vec<MoveAnswer> {
    let to: PolicyId = "recovery-policy".parse().expect("a policy id");
    let send_before = SystemClock.now() + time;
    provider.move_accounts(MoveOrder { to: &to, who, send_before, priority: Priority::Lend }).await
}

/// What each account was told, in the order of the accounts: `Ok`, or the class and whether it is proved.
fn told(answers: &[MoveAnswer], who: &[(AccountId, Email)]) -> Vec<Result<(), (ErrorClass, bool)>> {
    let of = |account: &AccountId| {
        let mut mine = answers.iter().filter(|answer| answer.accounts.contains(account));
        let answer = mine.next().expect("each account has an answer");
        assert!(mine.next().is_none(), "{account} has two answers");
        answer.answer.as_ref().map(|_| ()).map_err(|error| (error.class, error.proves_not_taken()))
    };
    who.iter().map(|(account, _)| of(account)).collect()
}

#[tokio::test]
async fn a_move_is_written_as_documented_and_answered_with_its_task() {
    let stub = Stub::start(|_| accepted()).await;
    let answers = lend(&stub.provider(), &people(2)).await;
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].answer.as_ref().ok(), Some(&MoveAccepted::Task(TaskId::new("task-1"))));
    let seen = stub.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].line, "POST /admin/control/v1/orgs/org-1/auth-policy/recovery-policy/add-users");
    assert_eq!(seen[0].body, json!({"users": ["p0@example.com", "p1@example.com"]}));
    assert_eq!(seen[0].bearer(), Some(KEY));
    for header in ["accept: application/json", "content-type: application/json", "user-agent: homeward/"] {
        assert!(seen[0].headers.contains(header), "{header} in {}", seen[0].headers);
    }
}

#[tokio::test]
async fn a_connection_cut_after_the_request_proves_nothing_and_nothing_is_sent_again() {
    for reply in [Reply::Cut, Reply::Silence, Reply::CutInside(202, "{".into()), Reply::status(503), Reply::html(404)] {
        let stub = Stub::start(move |_| reply.clone()).await;
        let who = people(1);
        let answers = lend(&stub.hasty_provider(), &who).await;
        assert_eq!(told(&answers, &who), [Err((ErrorClass::Ambiguous, false))], "{answers:?}");
        assert_eq!(stub.seen().len(), 1);
    }
}

#[tokio::test]
async fn an_accepted_move_without_a_task_proves_nothing() {
    for body in ["", "{}", "<html>", "[1]", r#"{"taskId": 7}"#] {
        let stub = Stub::start(move |_| Reply::Whole(202, Vec::new(), body.to_owned())).await;
        let who = people(1);
        assert_eq!(told(&lend(&stub.provider(), &who).await, &who), [Err((ErrorClass::Ambiguous, false))]);
    }
}

#[tokio::test]
async fn a_refused_connection_proves_that_nothing_was_sent() {
    let stub = Stub::start(|_| accepted()).await;
    let mut settings = stub.settings();
    settings.base_url = "http://127.0.0.1:1/".parse().expect("an address");
    let who = people(3);
    let answers = lend(&provider(settings), &who).await;
    let expected = Err((ErrorClass::Retry { after: Duration::from_millis(100) }, true));
    assert_eq!(told(&answers, &who), [expected, expected, expected]);
}

#[tokio::test]
async fn nothing_is_sent_when_its_time_is_over() {
    let stub = Stub::start(|_| accepted()).await;
    let who = people(2);
    let answers = order(&stub.provider(), &who, Duration::ZERO).await;
    let late = Err((ErrorClass::Retry { after: Duration::ZERO }, true));
    assert_eq!(told(&answers, &who), [late, late]);
    assert!(stub.seen().is_empty());
}

#[tokio::test]
async fn a_call_is_given_up_when_its_time_is_over_even_if_the_client_would_wait_longer() {
    let stub = Stub::start(|_| Reply::Silence).await;
    let mut settings = stub.settings();
    settings.timeout = Duration::from_secs(30);
    let who = people(1);
    let begun = std::time::Instant::now();
    let answers = order(&provider(settings), &who, Duration::from_millis(200)).await;
    assert_eq!(told(&answers, &who), [Err((ErrorClass::Ambiguous, false))]);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn one_bad_address_in_a_batch_blocks_nobody_else() {
    let stub = Stub::start(|request| {
        let bad = request.list("users").iter().any(|user| user == "p37@example.com");
        if bad {
            Reply::json(400, &json!({"errors": [{"code": "X", "title": "p37@example.com is not managed"}]}))
        } else {
            accepted()
        }
    })
    .await;
    let provider = stub.provider();
    let who = people(100);
    let answers = lend(&provider, &who).await;
    for (n, told) in told(&answers, &who).into_iter().enumerate() {
        assert_eq!(told, if n == 37 { Err((ErrorClass::PermanentForAccount, true)) } else { Ok(()) }, "{n}");
    }
    assert!(stub.seen().len() <= 15, "{}", stub.seen().len());
    assert_eq!(provider.capabilities().move_batch, 100);
    let words = answers.iter().find_map(|answer| answer.answer.as_ref().err()).map(ToString::to_string).unwrap_or_default();
    assert!(words.contains("is not managed") && !words.contains("p37@"), "{words}");
}

#[tokio::test]
async fn a_limit_that_nobody_told_is_learned_from_the_refusals() {
    let stub = Stub::start(|request| if request.list("users").len() > 60 { Reply::status(400) } else { accepted() }).await;
    let provider = stub.provider();
    for (accounts, learning) in [(100, 1), (100, 0), (1_000, 12), (1_000, 0)] {
        let (before, who) = (stub.seen().len(), people(accounts));
        assert!(told(&lend(&provider, &who).await, &who).iter().all(Result::is_ok));
        let (calls, fewest) = (stub.seen().len() - before, accounts.div_ceil(60));
        assert!(calls <= fewest + learning, "{calls} calls where {fewest} are the fewest");
    }
}

#[tokio::test]
async fn after_a_failure_the_rest_of_an_order_is_not_sent() {
    let stub =
        Stub::start(|request| if request.list("users").contains(&"p0@example.com".into()) { accepted() } else { Reply::Cut })
            .await;
    let mut settings = stub.settings();
    settings.move_batch = 2;
    let who = people(6);
    let told = told(&lend(&provider(settings), &who).await, &who);
    let (unknown, unsent) = (Err((ErrorClass::Ambiguous, false)), Err((ErrorClass::Retry { after: Duration::ZERO }, true)));
    assert_eq!(told, [Ok(()), Ok(()), unknown, unknown, unsent, unsent]);
    assert_eq!(stub.seen().len(), 2);
}

#[tokio::test]
async fn a_missing_policy_and_a_refused_key_are_told_apart() {
    for (status, class) in [(404, ErrorClass::PermanentForPolicy), (401, ErrorClass::PermanentForOrganisation)] {
        let stub = Stub::start(move |_| Reply::json(status, &json!({"code": status, "message": "no"}))).await;
        let who = people(3);
        assert_eq!(told(&lend(&stub.provider(), &who).await, &who), [Err((class, true)); 3]);
        assert_eq!(stub.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_used_up_limit_holds_back_the_path_but_no_other() {
    let stub = Stub::start(|request| {
        if request.line.contains("add-users") {
            Reply::status(429).header("x-ratelimit-remaining", "0").header("retry-after", "30")
        } else {
            Reply::json(200, &json!({"inProgressCount": 1}))
        }
    })
    .await;
    let provider = stub.provider();
    let who = people(1);
    for _ in 0..3 {
        let answers = lend(&provider, &who).await;
        match told(&answers, &who)[..] {
            [Err((ErrorClass::Retry { after }, true))] => assert!(after > Duration::from_secs(20), "{after:?}"),
            ref other => panic!("{other:?}"),
        }
    }
    assert_eq!(stub.seen().len(), 1, "only the first went out");
    let task = provider.poll_task(&TaskId::new("t/1"), Priority::Sync).await.expect("another path").expect("known");
    assert!(task.running);
    assert_eq!(stub.lines()[1], "GET /admin/control/v1/orgs/org-1/auth-policy/task/t%2F1");
    let usage = provider.usage();
    let moves = usage.iter().find(|path| path.call.contains("add-users")).expect("it was used");
    assert_eq!((moves.sent, moves.refused), (1, 1));
}

#[tokio::test]
async fn a_task_that_is_not_known_any_more_is_none_but_a_gateways_page_is_an_error() {
    let stub = Stub::start(|request| {
        if request.line.ends_with("gone") {
            Reply::json(404, &json!({"code": 404, "message": "no task"}))
        } else {
            Reply::html(404)
        }
    })
    .await;
    let provider = stub.provider();
    assert_eq!(provider.poll_task(&TaskId::new("gone"), Priority::Evidence).await.expect("an answer"), None);
    assert!(provider.poll_task(&TaskId::new("other"), Priority::Evidence).await.is_err());
}
