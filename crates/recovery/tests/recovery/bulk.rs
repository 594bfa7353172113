//! Bulk calls: a hundred items at once, and a bad one spoils only itself.

use std::collections::BTreeSet;

use homeward_proto::recovery::v1 as wire;
use homeward_proto::words::v1::ProofKind;

use crate::world::{Wishes, new_recovery, on_each_engine, reason, refused};

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_recoveries_go_through_in_three_calls() {
    on_each_engine(Wishes::default(), async |world| {
        let wanted = (1..=100).map(|n| new_recovery(&format!("acc{}", n + 10))).collect();
        let opened: Vec<String> = world.ask_as("rolf", wanted).await.into_iter().map(|result| result.recovery).collect();
        assert!(opened.iter().all(|id| !id.is_empty()) && opened.iter().collect::<BTreeSet<_>>().len() == 100);
        let proof =
            |id: &String| wire::Proof { recovery: id.clone(), kind: ProofKind::CallBack.into(), evidence: "heard".into() };
        let request = wire::AttachProofsRequest { proofs: opened.iter().map(proof).collect() };
        let results = world.as_person("rolf").attach_proofs(request).await.unwrap().into_inner().results;
        assert!(results.iter().all(|result| result.problem.is_none() && result.step == "approve"));
        let vote = |id: &String| wire::Vote { recovery: id.clone(), approve: true, reason: String::new() };
        let request = wire::CastVotesRequest { votes: opened.iter().map(vote).collect() };
        let results = world.as_person("boris").cast_votes(request).await.unwrap().into_inner().results;
        assert_eq!(results.iter().map(|result| &result.recovery).collect::<Vec<_>>(), opened.iter().collect::<Vec<_>>());
        assert!(results.iter().all(|result| result.problem.is_none() && result.step == "lend"), "{results:?}");
        for id in &opened {
            assert_eq!(world.at(id, "closed").await.outcome, "enrolled");
        }
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_item_is_answered_for_itself_and_the_others_go_through() {
    on_each_engine(Wishes::default(), async |world| {
        let bad_prefill = wire::NewRecovery { prefilled_from: "nonsense".into(), ..new_recovery("acc9") };
        let long = wire::NewRecovery { reason: "x".repeat(1_001), ..new_recovery("acc9") };
        let wanted = vec![
            new_recovery("acc7"),
            new_recovery("nobody@example.com"),
            new_recovery("Everybody"),
            new_recovery("  "),
            bad_prefill,
            long,
            new_recovery("acc7"),
            new_recovery("acc8"),
        ];
        let results = world.ask_as("rita", wanted).await;
        let reasons: Vec<String> = results.iter().map(|result| reason(result.problem.clone())).collect();
        let expected =
            ["", "NO_SUCH_ACCOUNT", "SEVERAL_MATCH", "QUERY_MISSING", "RECOVERY_ID_INVALID", "TOO_LONG", "RECOVERY_OPEN", ""];
        assert_eq!(reasons, expected);
        assert_eq!(results[2].diagnosis.as_ref().unwrap().candidates.len(), 2);
        assert_eq!(results[6].diagnosis.as_ref().unwrap().linked_id, results[0].recovery);
        assert!(
            results
                .iter()
                .flat_map(|result| &result.problem)
                .all(|problem| !problem.message.is_empty() && !problem.remedy.is_empty())
        );

        let (good, other) = (results[0].recovery.clone(), results[7].recovery.clone());
        let proof = |recovery: &str, kind: ProofKind, evidence: &str| wire::Proof {
            recovery: recovery.into(),
            kind: kind.into(),
            evidence: evidence.into(),
        };
        let proofs = vec![
            proof("nonsense", ProofKind::CallBack, "heard"),
            proof("018f0000-0000-7000-8000-000000000001", ProofKind::CallBack, "heard"),
            proof(&good, ProofKind::Unspecified, "heard"),
            proof(&good, ProofKind::CallBack, " "),
            proof(&good, ProofKind::CallBack, "heard"),
            proof(&good, ProofKind::CallBack, "heard again"),
            proof(&other, ProofKind::Vendor, "signed"),
        ];
        let request = wire::AttachProofsRequest { proofs };
        let results = world.as_person("rita").attach_proofs(request).await.unwrap().into_inner().results;
        let reasons: Vec<String> = results.iter().map(|result| reason(result.problem.clone())).collect();
        let expected = [
            "RECOVERY_ID_INVALID",
            "RECOVERY_UNKNOWN",
            "PROOF_KIND_MISSING",
            "EVIDENCE_MISSING",
            "",
            "PROOF_ALREADY_ATTACHED",
            "",
        ];
        assert_eq!(reasons, expected);
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_hundred_are_refused_as_a_whole() {
    on_each_engine(Wishes::default(), async |world| {
        let recoveries = (0..101).map(|n| new_recovery(&format!("acc{n}"))).collect();
        let request = wire::RequestRecoveriesRequest { organisation: "acme".into(), recoveries };
        assert_eq!(refused(world.as_person("rita").request_recoveries(request).await).reason, "TOO_MANY");
        let votes = vec![wire::Vote::default(); 101];
        assert_eq!(refused(world.as_person("anna").cast_votes(wire::CastVotesRequest { votes }).await).reason, "TOO_MANY");
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_twice_with_one_key_opens_one_recovery() {
    on_each_engine(Wishes::default(), async |world| {
        let keyed = |query: &str| wire::NewRecovery { idempotency_key: "ticket-17".into(), ..new_recovery(query) };
        let first = world.ask_as("rita", vec![keyed("acc7"), keyed("acc7")]).await;
        assert_eq!(first[0].recovery, first[1].recovery);
        let again = world.ask_as("rita", vec![keyed("acc7"), new_recovery("acc8")]).await;
        assert_eq!(again[0].recovery, first[0].recovery);
        assert_ne!(again[1].recovery, "");
        // Another person's key is another key.
        let other = world.ask_as("rolf", vec![keyed("acc9")]).await;
        assert_ne!(other[0].recovery, first[0].recovery);
        assert_eq!(other[0].problem, None);
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_calls_at_once_for_one_account_one_opens_it() {
    on_each_engine(Wishes::default(), async |world| {
        let calls = (0..8).map(|_| world.ask_as("rita", vec![new_recovery("acc7"), new_recovery("acc8")]));
        let answers = futures_util::future::join_all(calls).await;
        for n in 0..2 {
            let opened = answers.iter().filter(|results| results[n].problem.is_none()).count();
            assert_eq!(opened, 1, "on {}", world.db.system());
            let others = answers.iter().filter_map(|results| results[n].problem.clone());
            assert!(others.map(|problem| problem.reason).all(|reason| reason == "RECOVERY_OPEN"));
        }
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_call_that_is_repeated_while_it_is_under_way_is_answered_alike() {
    on_each_engine(Wishes::default(), async |world| {
        for n in 10..25 {
            let asked = wire::NewRecovery { idempotency_key: format!("call-{n}"), ..new_recovery(&format!("acc{n}")) };
            let ask = async |later: u64| {
                tokio::time::sleep(std::time::Duration::from_micros(later * 700)).await;
                world.ask_as("rita", vec![asked.clone()]).await.pop().unwrap()
            };
            let answers = futures_util::future::join_all((0..12).map(ask)).await;
            let first = &answers[0].recovery;
            assert!(!first.is_empty());
            for answer in &answers {
                assert_eq!((&answer.recovery, &answer.problem), (first, &None), "call-{n} on {}", world.db.system());
            }
        }
        world.end().await;
    })
    .await;
}
