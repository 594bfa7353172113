use std::sync::Arc;

use super::*;

const PATH: &str = "GET /thing";
const NO_WAIT: Duration = Duration::ZERO;

fn left(limit: u32, remaining: u32) -> RateNews {
    RateNews { limit: Some(limit), remaining: Some(remaining), resets_in: Some(Duration::from_secs(30)), ..RateNews::default() }
}

async fn learned(news: RateNews) -> RateBudget {
    let budget = RateBudget::default();
    let permit = budget.admit(PATH, None, Priority::Return, NO_WAIT).await.expect("nothing known limits it");
    permit.learn(news);
    drop(permit);
    budget
}

#[tokio::test(start_paused = true)]
async fn a_path_that_nobody_limited_is_not_limited() {
    let budget = RateBudget::default();
    for _ in 0..10_000 {
        assert!(budget.admit(PATH, None, Priority::Sync, NO_WAIT).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn each_priority_leaves_a_part_to_those_above_it() {
    for (priority, calls) in [(Priority::Sync, 50), (Priority::Lend, 75), (Priority::Evidence, 90), (Priority::Return, 100)] {
        let budget = learned(left(100, 100)).await;
        let mut made = 0;
        let wait = loop {
            match budget.admit(PATH, None, priority, NO_WAIT).await {
                Ok(_) => made += 1,
                Err(wait) => break wait,
            }
        };
        assert_eq!(made, calls, "{priority:?}");
        assert_eq!(wait, Duration::from_secs(30));
        assert!(budget.admit(PATH, None, Priority::Return, NO_WAIT).await.is_ok() != (priority == Priority::Return));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_path_rests_for_the_time_that_was_named_and_others_go_on() {
    let budget = learned(RateNews { refused: true, retry_after: Some(Duration::from_secs(7)), ..RateNews::default() }).await;
    assert_eq!(budget.admit(PATH, None, Priority::Return, NO_WAIT).await.err(), Some(Duration::from_secs(7)));
    assert!(budget.admit("GET /other", None, Priority::Sync, NO_WAIT).await.is_ok());
    let begun = Instant::now();
    assert!(budget.admit(PATH, None, Priority::Return, Duration::from_secs(10)).await.is_ok());
    assert_eq!(begun.elapsed(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn refusals_without_a_time_double_the_wait_until_one_goes_through() {
    let budget = RateBudget::default();
    let mut waits = Vec::new();
    for _ in 0..4 {
        let permit = budget.admit(PATH, None, Priority::Return, WINDOW).await.expect("it waits");
        waits.push(permit.learn(RateNews { refused: true, ..RateNews::default() }).as_millis());
    }
    let permit = budget.admit(PATH, None, Priority::Return, WINDOW).await.expect("it waits");
    permit.learn(RateNews::default());
    waits.push(permit.learn(RateNews { refused: true, ..RateNews::default() }).as_millis());
    assert_eq!(waits, [250, 500, 1_000, 2_000, 250]);
}

#[tokio::test(start_paused = true)]
async fn when_the_window_turns_the_higher_priority_goes_first() {
    let budget = Arc::new(learned(left(2, 0)).await);
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for priority in [Priority::Sync, Priority::Sync, Priority::Return, Priority::Return, Priority::Return] {
        let (budget, order) = (Arc::clone(&budget), Arc::clone(&order));
        tasks.push(tokio::spawn(async move {
            budget.admit(PATH, None, priority, Duration::from_mins(5)).await.expect("patient enough");
            order.lock().expect("not poisoned").push(priority);
        }));
        tokio::task::yield_now().await;
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    let order = order.lock().expect("not poisoned").clone();
    assert_eq!(order, [Priority::Return, Priority::Return, Priority::Return, Priority::Sync, Priority::Sync]);
}

#[tokio::test(start_paused = true)]
async fn a_documented_limit_holds_until_answers_say_otherwise() {
    let budget = RateBudget::default();
    for _ in 0..10 {
        assert!(budget.admit(PATH, Some(10), Priority::Return, NO_WAIT).await.is_ok());
    }
    assert!(budget.admit(PATH, Some(10), Priority::Return, NO_WAIT).await.is_err());
    let permit = budget.admit(PATH, Some(10), Priority::Return, WINDOW).await.expect("the next window");
    permit.learn(left(1_000, 999));
    drop(permit);
    for _ in 0..400 {
        assert!(budget.admit(PATH, Some(10), Priority::Sync, NO_WAIT).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_gives_up_waiting_is_no_longer_waited_for() {
    let budget = learned(RateNews { refused: true, retry_after: Some(Duration::from_secs(1)), ..RateNews::default() }).await;
    let given_up = tokio::time::timeout(Duration::from_millis(1), budget.admit(PATH, None, Priority::Return, WINDOW)).await;
    assert!(given_up.is_err());
    let begun = Instant::now();
    assert!(budget.admit(PATH, None, Priority::Sync, WINDOW).await.is_ok());
    assert!(begun.elapsed() < Duration::from_secs(2));
}
