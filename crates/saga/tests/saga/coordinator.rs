//! Batches, their answers, and what happens when one of many is to blame. Each test runs on both databases.

use std::sync::atomic::Ordering;

use homeward_saga::{Arrival, Handled, Refusal, Registry, SubmitError};
use homeward_store::testing::schemas_agree;
use uuid::Uuid;

use crate::demo::{Input, Lending, Loan};
use crate::library::{Library, Mood, World, begin_loan, clock, databases, loans};
use crate::store;
use crate::table::out;

fn changed(handled: &Handled<Lending>) -> bool {
    match handled {
        Handled::Done { changed, .. } => *changed,
        Handled::Missing | Handled::Unknown(_) | Handled::Refused(_) => panic!("{handled:?}"),
    }
}

#[tokio::test]
async fn the_schemas_of_both_engines_agree() {
    schemas_agree(&[homeward_saga::MIGRATIONS]).await;
}

#[tokio::test]
async fn many_loans_run_to_their_end() {
    for db in databases().await {
        let mut world = World::default();
        let library = Library::open(db.clone(), &clock(), &world.post);
        let loans = loans(40);
        library.begin(&loans).await;
        library.settle(&mut world, &loans, 1).await;
        for id in &loans {
            world.check_end(&library.see(*id).await, *id);
        }
        assert_eq!(store::copies(&db).await, 0, "every copy was given back");
    }
}

#[tokio::test]
async fn an_input_that_frees_a_copy_moves_the_next_in_line_in_the_same_transaction() {
    for db in databases().await {
        let library = Library::silent(db.clone(), &clock(), &World::default().post);
        let loans = loans(4);
        library.begin(&loans).await;
        library.say(&loans, &Input::Agreed(true)).await;
        let mut steps = Vec::new();
        for id in &loans {
            steps.push(library.step(*id).await);
        }
        assert_eq!(steps, ["hand-out", "hand-out", "hand-out", "keep-copy"], "there are three copies");
        library.say(&loans[..1], &Input::Book(crate::table::home(1))).await;
        assert_eq!(library.step(loans[3]).await, "hand-out");
    }
}

#[tokio::test]
async fn repeats_and_strangers_are_answered_and_change_nothing() {
    for db in databases().await {
        let library = Library::silent(db.clone(), &clock(), &World::default().post);
        let id = Uuid::new_v4();
        let all = vec![
            begin_loan(id),
            begin_loan(id),
            Arrival::input(id, Input::Agreed(true)),
            Arrival::input(id, Input::Agreed(true)),
        ];
        let handled = library.coordinator.handle(all.clone()).await.unwrap();
        assert_eq!(handled.iter().map(changed).collect::<Vec<_>>(), [true, false, true, false]);
        let before = library.see(id).await.row_version;
        let handled = library.coordinator.handle(all).await.unwrap();
        assert!(!handled.iter().any(changed), "{handled:?}");
        assert_eq!(library.see(id).await.row_version, before, "a repeat does not write");
        let stranger = library.coordinator.handle(vec![Arrival::input(Uuid::new_v4(), Input::Read)]).await.unwrap();
        assert!(matches!(stranger[..], [Handled::Missing]), "{stranger:?}");
    }
}

#[tokio::test]
async fn a_panic_parks_its_arrival_alone() {
    for db in databases().await {
        let library = Library::silent(db.clone(), &clock(), &World::default().post);
        let loans = loans(3);
        library.begin(&loans).await;
        let mut arrivals: Vec<_> = loans.iter().map(|id| Arrival::input(*id, Input::Agreed(true))).collect();
        arrivals.insert(1, Arrival::input(loans[0], Input::Cursed));
        let handled = library.coordinator.handle(arrivals).await.unwrap();
        assert!(matches!(&handled[1], Handled::Refused(Refusal::Panicked(said)) if said == "the book is cursed"), "{handled:?}");
        assert!(changed(&handled[0]) && changed(&handled[2]) && changed(&handled[3]));
        assert_eq!(library.step(loans[0]).await, "hand-out", "what came with it is stored");
    }
}

/// Ten loans in one batch, of which the desk cannot bear the seventh: only that one fails.
async fn check_only_one_fails(mood: fn(Uuid) -> Mood, why: &str) {
    for db in databases().await {
        let library = Library::silent(db.clone(), &clock(), &World::default().post);
        let loans = loans(10);
        library.begin(&loans).await;
        library.set_mood(mood(loans[6]));
        let handled = library.say(&loans, &Input::Agreed(true)).await;
        for (at, answer) in handled.iter().enumerate() {
            match answer {
                Handled::Refused(refusal) => {
                    let said = homeward_chassis::error_chain(refusal);
                    assert!(at == 6 && said.contains(why), "{at}: {said}");
                }
                Handled::Done { .. } | Handled::Missing | Handled::Unknown(_) => {
                    assert!(at != 6 && changed(answer), "{at}: {answer:?}");
                }
            }
        }
        assert_eq!(library.step(loans[6]).await, "agree", "nothing of it is stored");
        library.set_mood(Mood::Fine);
        assert!(changed(&library.say(&loans[6..7], &Input::Agreed(true)).await[0]), "it can be handled once the cause is mended");
    }
}

#[tokio::test]
async fn a_failure_of_the_service_refuses_only_what_caused_it() {
    check_only_one_fails(Mood::Refuses, "the desk does not like this reader").await;
}

#[tokio::test]
async fn a_panic_of_the_service_refuses_only_what_caused_it() {
    check_only_one_fails(Mood::Panics, "the desk panics").await;
}

#[tokio::test]
async fn a_service_that_answers_in_a_circle_is_stopped() {
    for db in databases().await {
        let library = Library::silent(db.clone(), &clock(), &World::default().post);
        library.set_mood(Mood::Circles);
        let handled = library.coordinator.handle(vec![begin_loan(Uuid::new_v4())]).await.unwrap();
        let Handled::Refused(refusal) = &handled[0] else { panic!("{handled:?}") };
        assert!(homeward_chassis::error_chain(refusal).contains("answers in a circle"), "{refusal:?}");
        assert_eq!(store::sagas(&db).await, 0);
    }
}

#[tokio::test]
async fn callers_that_wait_share_the_next_transaction() {
    for db in databases().await {
        let library = Library::silent(db.clone(), &clock(), &World::default().post);
        let loans = loans(200);
        library.begin(&loans).await;
        library.start_working();
        let calls = || library.desk().calls.load(Ordering::SeqCst);
        let before = calls();
        let gate = library.desk().gate.lock().await;
        let submit = |id: Uuid| {
            let (coordinator, arrival) = (library.coordinator.clone(), Arrival::input(id, Input::Agreed(false)));
            tokio::spawn(async move { coordinator.submit(vec![arrival]).await })
        };
        let mut callers = vec![submit(loans[0])];
        // While the first one's transaction is held, the others queue up.
        while calls() == before {
            tokio::task::yield_now().await;
        }
        callers.extend(loans[1..].iter().map(|id| submit(*id)));
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        drop(gate);
        for caller in callers {
            let handled = caller.await.unwrap().unwrap();
            assert!(changed(&handled[0]) && handled.len() == 1);
        }
        assert_eq!(calls() - before, 2, "one for the first caller, one for the 199 behind it");
        assert_eq!(library.desk().committed.lock().unwrap().len(), 400, "each change is told after its commit");
    }
}

#[tokio::test]
async fn a_call_that_is_larger_than_a_transaction_is_answered_whole_and_in_order() {
    for db in databases().await {
        let library = Library::silent(db.clone(), &clock(), &World::default().post);
        library.start_working();
        let loans = loans(1_200);
        let begin = loans.iter().map(|id| begin_loan(*id)).collect();
        assert!(library.coordinator.submit(begin).await.unwrap().iter().all(changed));
        let mut arrivals: Vec<_> = loans.iter().map(|id| Arrival::input(*id, Input::Agreed(false))).collect();
        arrivals.insert(777, Arrival::input(Uuid::new_v4(), Input::Read));
        let handled = library.coordinator.submit(arrivals).await.unwrap();
        let missing: Vec<usize> = (0..handled.len()).filter(|at| matches!(handled[*at], Handled::Missing)).collect();
        assert_eq!((handled.len(), missing), (1_201, vec![777]));
    }
}

#[tokio::test]
async fn what_was_submitted_before_the_shutdown_is_answered_and_then_nothing_is_taken() {
    for db in databases().await {
        let library = Library::silent(db.clone(), &clock(), &World::default().post);
        let id = Uuid::new_v4();
        let coordinator = library.coordinator.clone();
        let caller = tokio::spawn(async move { coordinator.submit(vec![begin_loan(id)]).await });
        tokio::task::yield_now().await;
        library.stop();
        library.start_working().await.unwrap().unwrap();
        assert!(changed(&caller.await.unwrap().unwrap()[0]));
        let late = library.coordinator.submit(vec![begin_loan(id)]).await;
        assert!(matches!(late, Err(SubmitError::Stopped)), "{late:?}");
    }
}

#[tokio::test]
async fn a_database_that_is_gone_fails_the_call_and_blames_no_arrival() {
    for db in databases().await {
        let library = Library::silent(db.clone(), &clock(), &World::default().post);
        library.begin(&[Uuid::new_v4()]).await;
        library.start_working();
        db.close().await;
        let answer = library.coordinator.submit(vec![begin_loan(Uuid::new_v4())]).await;
        assert!(matches!(answer, Err(SubmitError::Unavailable(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_saga_of_another_version_is_left_alone_and_reported() {
    for db in databases().await {
        let library = Library::silent(db.clone(), &clock(), &World::default().post);
        let [new, old] = [Uuid::new_v4(), Uuid::new_v4()];
        library.begin(&[new, old]).await;
        let data = serde_json::to_value(Loan::default()).unwrap();
        store::tamper(&db, old, 1, data).await;
        let handled = library.say(&[new, old], &Input::Agreed(false)).await;
        let Handled::Unknown(unknown) = &handled[1] else { panic!("{handled:?}") };
        assert_eq!((unknown.name.as_str(), unknown.version, unknown.step.as_deref()), ("lending", 1, Some("agree")));
        assert!(changed(&handled[0]));
        assert!(!library.coordinator.read(&[old]).await.unwrap().contains_key(&old));
        // A program that has both definitions runs each under its own.
        let both = Library::with(db.clone(), &clock(), &library.post, Registry::new(Lending::new()).also(1, Lending::new()));
        assert!(changed(&both.say(&[old], &Input::Agreed(false)).await[0]));
        assert_eq!(both.see(old).await.version, 1);
    }
}

#[tokio::test]
async fn data_that_cannot_be_read_is_refused_and_kept() {
    for db in databases().await {
        let library = Library::silent(db.clone(), &clock(), &World::default().post);
        let id = Uuid::new_v4();
        library.begin(&[id]).await;
        store::tamper(&db, id, 2, serde_json::json!({"agreed": "perhaps"})).await;
        let handled = library.say(&[id], &Input::Book(out(1))).await;
        assert!(matches!(&handled[0], Handled::Refused(Refusal::Unreadable(why)) if why.contains("saga.data")), "{handled:?}");
        assert!(library.coordinator.read(&[id]).await.is_err());
    }
}

#[test]
fn a_definition_that_cannot_work_does_not_start() {
    use homeward_saga::Definition;
    let problem = |definition: Definition<Lending>| definition.problem().unwrap_or_default();
    assert_eq!(problem(Definition::new()), "it has no steps");
    let twice = || crate::demo::steps(&["agree", "agree"], None);
    assert_eq!(problem(twice()), "two steps are called \"agree\"");
    let shouting = || crate::demo::steps(&["Agree"], None);
    assert_eq!(problem(shouting()), "step \"Agree\" must be called in kebab-case, as await-enrolment");
    let unguarded = || crate::demo::steps(&["agree", "lend"], Some((0, "return")));
    assert_eq!(problem(unguarded()), "it is guarded by \"return\", which is not among its steps");
    let backwards = || crate::demo::steps(&["return", "lend"], Some((1, "return")));
    assert_eq!(problem(backwards()), "the guarding step \"return\" must stand after the guard");
}
