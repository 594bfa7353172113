//! What an observer sees: one trace for each saga, and the boundaries that a crash test listens to.

use homeward_chassis::boundary;
use homeward_chassis::telemetry::{TraceContext, testing};
use homeward_saga::Arrival;
use uuid::Uuid;

use crate::demo::{Input, Loan};
use crate::library::{Library, World, clock, databases};

#[tokio::test]
async fn every_change_is_a_short_span_in_the_sagas_own_trace_and_messages_follow_from_it() {
    let recorded = testing::record();
    for db in databases().await {
        let (mut world, id) = (World::default(), Uuid::new_v4());
        let library = Library::open(db.clone(), &clock(), &world.post);
        let request = tracing::info_span!(target: "homeward_library", parent: None, "request");
        let trace = TraceContext::of(&request);
        drop(request);
        let begin = Arrival::New { id, data: Loan::default(), trace: trace.clone() };
        library.coordinator.handle(vec![begin]).await.unwrap();
        library.say(&[id], &Input::Agreed(true)).await;
        let changes = recorded.trace(&trace).len();
        library.say(&[id], &Input::Agreed(true)).await;
        assert_eq!(recorded.trace(&trace).len(), changes, "a repeat is no change");
        library.settle(&mut world, &[id], 1).await;

        let spans = recorded.trace(&trace);
        assert_eq!(recorded.orphans(&trace), Vec::<String>::new());
        let request = spans.iter().find(|span| span.name == "request").unwrap().span_context.span_id();
        let of = |span: &opentelemetry_sdk::trace::SpanData, key: &str| {
            span.attributes.iter().find(|attribute| attribute.key.as_str() == key).map(|attribute| attribute.value.to_string())
        };
        let steps: Vec<_> = spans.iter().filter(|span| span.name == "saga.step").collect();
        assert!(steps.iter().all(|span| span.parent_span_id == request), "children of the request, not of one another");
        assert!(
            steps
                .iter()
                .all(|span| of(span, "saga.id") == Some(id.to_string()) && of(span, "saga.version").as_deref() == Some("2"))
        );
        let mut way: Vec<_> = steps.iter().filter_map(|span| of(span, "saga.step")).collect();
        way.dedup();
        assert_eq!(way, ["agree", "keep-copy", "hand-out", "read", "bring-back", "tell", "closed"]);
        assert!(!spans.iter().any(|span| span.name == "saga.run"), "the batch is not part of it");
        for letter in library.post.all() {
            let parent = letter.trace.traceparent.split('-').nth(2).unwrap().to_owned();
            assert!(steps.iter().any(|span| span.span_context.span_id().to_string() == parent), "{}", letter.idempotency_key);
        }
        assert_eq!(library.see(id).await.trace, trace, "the saga's own context stays what it was");
    }
}

#[tokio::test]
async fn a_crash_test_can_see_in_which_states_a_commit_was_in_progress() {
    let file = std::env::temp_dir().join(format!("homeward-boundaries-{}", Uuid::new_v4()));
    boundary::record_to(&file).unwrap();
    for db in databases().await {
        let library = Library::silent(db.clone(), &clock(), &World::default().post);
        let ids = [Uuid::new_v4(), Uuid::new_v4()];
        library.begin(&ids).await;
        library.say(&ids, &Input::Agreed(false)).await;
        library.say(&ids, &Input::Told).await;
        library.say(&ids[..1], &Input::Read).await;
    }
    let lines = std::fs::read_to_string(&file).unwrap();
    for state in ["new", "agree", "tell", "closed"] {
        for moment in ["begin", "end"] {
            let wanted = format!("commit lending.{state} {moment}");
            assert!(lines.lines().any(|line| line == wanted), "{wanted} is not among {} lines", lines.lines().count());
        }
    }
    std::fs::remove_file(&file).unwrap();
}
