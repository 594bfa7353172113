//! What people see: diagnosis, pages, the timeline as it grows, and messages that nobody can understand.

use chrono::TimeDelta;
use homeward_messaging::topology::RECOVERY_EVENTS;
use homeward_proto::policy::v1 as policy;
use homeward_proto::recovery::v1 as wire;
use homeward_proto::words::v1::{Factor, ProofKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::world::{Wishes, on_each_engine, refused};

#[tokio::test(flavor = "multi_thread")]
async fn a_diagnosis_explains_and_changes_nothing() {
    on_each_engine(Wishes::default(), async |world| {
        world.policy.factors.lock().unwrap().insert("acc8".into(), Factor::Enrolled);
        let ask = async |query: &str| {
            let request = wire::DiagnoseRequest { organisation: "acme".into(), query: query.into() };
            world.as_person("anna").diagnose(request).await.map(|answer| answer.into_inner().diagnosis.unwrap())
        };
        assert_eq!(ask("acc7").await.unwrap().code, "login_loop");
        assert_eq!(ask("acc8@example.com").await.unwrap().code, "lend_and_reset");
        assert_eq!(ask("nobody").await.unwrap().code, "no_such_account");
        let open = world.opened("acc7").await;
        let again = ask("acc7").await.unwrap();
        assert_eq!((again.code.as_str(), again.linked_id), ("recovery_open", open));
        assert_eq!(refused(ask("").await).reason, "QUERY_MISSING");
        world.directory.unreachable.store(true, Ordering::SeqCst);
        let refusal = refused(ask("acc9").await);
        assert_eq!(refusal.reason, "OTHER_UNAVAILABLE");
        assert!(refusal.message.contains("directory"), "{refusal}");
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_for_one_account_ask_for_more_care() {
    on_each_engine(Wishes::default(), async |world| {
        for _ in 0..3 {
            let id = world.approved("acc7").await;
            world.at(&id, "closed").await;
            world.advance(TimeDelta::hours(1));
        }
        let fourth = world.ask("acc7").await;
        assert_eq!(fourth.diagnosis.unwrap().tier_reasons, ["many_requests"]);
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_from_the_newest_to_the_oldest_without_gaps() {
    on_each_engine(Wishes::default(), async |world| {
        let mut newest_first = Vec::new();
        for n in 1..=7 {
            newest_first.insert(0, world.opened(&format!("acc{}", n + 10)).await);
            world.advance(TimeDelta::seconds(1));
        }
        let request = wire::CancelRecoveryRequest { recovery: newest_first[3].clone(), reason: String::new() };
        world.as_person("otto").cancel_recovery(request).await.unwrap();
        world.at(&newest_first[3], "closed").await;
        let pages = async |open_only: bool| {
            let (mut all, mut before) = (Vec::new(), String::new());
            loop {
                let request = wire::ListRecoveriesRequest { organisation: "acme".into(), open_only, before, page_size: 3 };
                let page = world.as_person("arno").list_recoveries(request).await.unwrap().into_inner();
                all.extend(page.recoveries.into_iter().map(|recovery| recovery.recovery));
                if page.next_before.is_empty() {
                    return all;
                }
                before = page.next_before;
            }
        };
        assert_eq!(pages(false).await, newest_first);
        newest_first.remove(3);
        assert_eq!(pages(true).await, newest_first);
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_sees_each_entry_once_until_the_end() {
    on_each_engine(Wishes::default(), async |world| {
        let id = world.opened("acc7").await;
        let request = wire::WatchRecoveryRequest { recovery: id.clone() };
        let mut stream = world.as_person("rita").watch_recovery(request).await.unwrap().into_inner();
        let first = stream.message().await.unwrap().unwrap();
        assert_eq!((first.entry.unwrap().kind.as_str(), first.recovery.unwrap().step.as_str()), ("requested", "prove"));
        world.prove(&id, ProofKind::CallBack).await;
        world.vote("anna", &id, true).await;
        let mut kinds = vec!["requested".to_owned()];
        while let Some(news) = stream.message().await.unwrap() {
            kinds.push(news.entry.unwrap().kind);
        }
        assert_eq!(kinds, world.kinds(&id).await);
        let unknown = wire::WatchRecoveryRequest { recovery: "018f0000-0000-7000-8000-000000000001".into() };
        assert_eq!(refused(world.as_person("rita").watch_recovery(unknown).await.map(|_| ())).reason, "RECOVERY_UNKNOWN");
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_nobody_can_understand_dies_alone() {
    on_each_engine(Wishes::default(), async |world| {
        let id = world.opened("acc7").await;
        let uuid = id.parse().unwrap();
        let nonsense = policy::LeaseChanged { news: 1, lease: None };
        let mut garbage = world.stage.envelope("policy.event.factor-reset.v1", uuid, &nonsense);
        garbage.payload = vec![0xff, 0xff, 0xff].into();
        let unknown_kind = world.stage.envelope("directory.event.account-changed.v1", uuid, &nonsense);
        let no_case = policy::WindowCleaned { lease: "018f0000-0000-7000-8000-000000000001".into(), ..Default::default() };
        let batch = vec![
            Arc::new(world.stage.envelope("policy.event.lease-opened.v1", uuid, &nonsense)),
            Arc::new(garbage),
            Arc::new(unknown_kind),
            Arc::new(world.stage.envelope("policy.event.window-cleaned.v1", uuid, &no_case)),
        ];
        world.advance(TimeDelta::seconds(2));
        let answers = world.stage.broker.publish(batch).await;
        assert!(answers.iter().all(Result::is_ok), "a dead letter is settled too: {answers:?}");
        let dead = world.stage.broker.dead(&RECOVERY_EVENTS, 10).await.unwrap();
        assert_eq!(dead.len(), 2, "{dead:?}");
        assert!(dead.iter().any(|letter| letter.reason.contains("lease")), "{dead:?}");
        world.prove(&id, ProofKind::CallBack).await;
        world.vote("anna", &id, true).await;
        world.at(&id, "closed").await;
        let heard = homeward_messaging::inbox::heard(world.database()).await.unwrap();
        assert!(heard["policy"] > 0, "the senders' numbers are noted: {heard:?}");
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_of_policy_is_listed_once() {
    on_each_engine(Wishes::default(), async |world| {
        let incident = policy::IncidentOpened {
            incident: "018f0000-0000-7000-8000-000000000077".into(),
            organisation: "acme".into(),
            account: "acc7".into(),
            kind: "stray".into(),
            sentence: "acc7 is in the recovery policy without a lease.".into(),
            safe_action: "Return it.".into(),
            ..policy::IncidentOpened::default()
        };
        let uuid = incident.incident.parse().unwrap();
        for _ in 0..2 {
            let envelope = world.stage.envelope("policy.event.incident-opened.v1", uuid, &incident);
            assert!(world.stage.broker.publish(vec![Arc::new(envelope)]).await.iter().all(Result::is_ok));
        }
        let listed = world.incidents().await;
        assert_eq!((listed.len(), listed[0].kind.as_str(), listed[0].account.as_str()), (1, "stray", "acc7"));
        world.end().await;
    })
    .await;
}
