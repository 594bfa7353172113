//! Who may do what: roles, and requester, approvers and subject as different human beings.

use homeward_proto::recovery::v1 as wire;
use homeward_proto::words::v1::ProofKind;

use crate::world::{Wishes, new_recovery, on_each_engine, reason, refused};

#[tokio::test(flavor = "multi_thread")]
async fn nobody_decides_on_what_they_asked_for_or_on_their_own_account() {
    on_each_engine(Wishes::default(), async |world| {
        let results = world.ask_as("rita", vec![new_recovery("acc1"), new_recovery("acc2"), new_recovery("acc3")]).await;
        assert_eq!(reason(results[0].problem.clone()), "OWN_ACCOUNT", "acc1 is rita's own");
        let (of_anna, of_ines) = (&results[1].recovery, &results[2].recovery);
        for id in [of_anna, of_ines] {
            world.prove(id, ProofKind::CallBack).await;
        }
        assert_eq!(reason(world.vote("anna", of_anna, true).await.problem), "OWN_ACCOUNT", "by the account's id");
        assert_eq!(reason(world.vote("ines", of_ines, true).await.problem), "OWN_ACCOUNT", "by its address");
        assert_eq!(reason(world.vote("rita2", of_anna, true).await.problem), "SAME_PERSON", "rita under another name");
        assert_eq!(world.vote("boris", of_anna, true).await.problem, None);
        assert_eq!(world.vote("anna", of_ines, true).await.problem, None);
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_high_tier_takes_two_kinds_of_proof_and_two_persons() {
    on_each_engine(Wishes::default(), async |world| {
        world.directory.administrators.lock().unwrap().insert("acc7".into());
        let result = world.ask("acc7").await;
        assert_eq!((result.proofs_needed, result.approvals_needed), (2, 2));
        assert_eq!(result.diagnosis.unwrap().tier_reasons, ["administrator"]);
        let id = result.recovery;
        assert_eq!(reason(world.vote("anna", &id, true).await.problem), "NOT_PROVED");
        world.prove(&id, ProofKind::CallBack).await;
        assert_eq!(reason(world.prove(&id, ProofKind::CallBack).await.problem), "PROOF_ALREADY_ATTACHED");
        assert_eq!(world.prove(&id, ProofKind::ManagerVouch).await.step, "approve");
        assert_eq!(world.vote("anna", &id, true).await.step, "approve");
        assert_eq!(reason(world.vote("anna", &id, true).await.problem), "ALREADY_VOTED");
        assert_ne!(world.vote("boris", &id, true).await.step, "approve");
        let shown = world.show(&id).await;
        assert_eq!((shown.proofs.len(), shown.approvers), (2, vec!["anna".to_owned(), "boris".to_owned()]));
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_requester_attaches_proof() {
    on_each_engine(Wishes::default(), async |world| {
        let id = world.opened("acc7").await;
        let proof = wire::Proof { recovery: id.clone(), kind: ProofKind::CallBack.into(), evidence: "heard".into() };
        let request = wire::AttachProofsRequest { proofs: vec![proof] };
        let result = world.as_person("rolf").attach_proofs(request).await.unwrap().into_inner().results.remove(0);
        assert_eq!(reason(result.problem), "NOT_THE_REQUESTER");
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_takes_its_role_and_says_which() {
    on_each_engine(Wishes::default(), async |world| {
        let id = world.opened("acc7").await;
        let request = wire::RequestRecoveriesRequest { organisation: "acme".into(), recoveries: vec![new_recovery("acc8")] };
        assert_eq!(refused(world.as_person("anna").request_recoveries(request.clone()).await).reason, "ROLE_MISSING");
        assert_eq!(refused(world.as_nobody().request_recoveries(request).await).reason, "TOKEN_MISSING");
        let votes = wire::CastVotesRequest { votes: vec![] };
        assert_eq!(refused(world.as_person("rolf").cast_votes(votes).await).reason, "ROLE_MISSING");
        let cancel = wire::CancelRecoveryRequest { recovery: id.clone(), reason: String::new() };
        assert_eq!(refused(world.as_person("arno").cancel_recovery(cancel).await).reason, "ROLE_MISSING");
        let verify = wire::VerifyAuditRequest { organisation: "acme".into() };
        assert_eq!(refused(world.as_person("rita").verify_audit(verify).await).reason, "ROLE_MISSING");
        let elsewhere = wire::DiagnoseRequest { organisation: "other".into(), query: "acc7".into() };
        assert_eq!(refused(world.as_person("arno").diagnose(elsewhere).await).reason, "ORGANISATION_UNKNOWN");
        world.end().await;
    })
    .await;
}
