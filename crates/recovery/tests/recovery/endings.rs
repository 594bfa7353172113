//! The other endings: cancelled, denied, expired, not lent, returned unenrolled. Every one of them tells the owner.

use std::sync::atomic::Ordering;

use chrono::TimeDelta;
use homeward_proto::policy::v1::Refusal;
use homeward_proto::recovery::v1 as wire;
use homeward_proto::words::v1::{LeaseEnd, ProofKind};

use crate::world::{Wishes, World, eventually, new_recovery, on_each_engine, reason, refused};

async fn cancel(world: &World, id: &str) -> Result<String, tonic::Status> {
    let request = wire::CancelRecoveryRequest { recovery: id.into(), reason: "found the phone".into() };
    Ok(world.as_person("rita").cancel_recovery(request).await?.into_inner().step)
}

async fn owner_was_told(world: &World, id: &str, outcome: &str) {
    eventually("the owner is told", || world.mail.told(id).contains("closed.owner")).await;
    assert_eq!(world.mail.notice(id, "closed.owner").fields["outcome"], outcome);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_before_a_lease_may_exist_ends_at_once() {
    on_each_engine(Wishes::default(), async |world| {
        let id = world.opened("acc7").await;
        cancel(&world, &id).await.unwrap();
        assert_eq!(world.at(&id, "closed").await.outcome, "cancelled");
        owner_was_told(&world, &id, "cancelled").await;
        assert_eq!(world.policy.returns.load(Ordering::SeqCst), 0);
        assert_eq!(refused(cancel(&world, &id).await).reason, "ALREADY_ENDING");
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_while_out_means_return_now() {
    on_each_engine(Wishes::default(), async |world| {
        world.directory.enrols.store(false, Ordering::SeqCst);
        let id = world.approved("acc7").await;
        world.at(&id, "await-enrolment").await;
        cancel(&world, &id).await.unwrap();
        let shown = world.at(&id, "closed").await;
        assert_eq!((shown.outcome.as_str(), shown.lease_end()), ("cancelled", LeaseEnd::Home));
        owner_was_told(&world, &id, "cancelled").await;
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anyone_known_may_ask_for_the_return() {
    on_each_engine(Wishes::default(), async |world| {
        world.directory.enrols.store(false, Ordering::SeqCst);
        let id = world.opened("acc7").await;
        let request = || wire::ReturnNowRequest { recovery: id.clone(), reason: "enough".into() };
        assert_eq!(refused(world.as_person("arno").return_now(request()).await).reason, "NOT_LENT");
        world.prove(&id, ProofKind::CallBack).await;
        world.vote("anna", &id, true).await;
        world.at(&id, "await-enrolment").await;
        world.as_person("arno").return_now(request()).await.unwrap();
        assert_eq!(world.at(&id, "closed").await.outcome, "not_enrolled");
        owner_was_told(&world, &id, "not_enrolled").await;
        let sentence = world.mail.notice(&id, "closed.owner").fields["outcome_sentence"].clone();
        assert!(sentence.contains("ask again if you cannot"), "{sentence}");
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_denial_ends_it_with_a_reason() {
    on_each_engine(Wishes::default(), async |world| {
        let id = world.opened("acc7").await;
        world.prove(&id, ProofKind::CallBack).await;
        let bare = wire::Vote { recovery: id.clone(), approve: false, reason: " ".into() };
        let request = wire::CastVotesRequest { votes: vec![bare] };
        let result = world.as_person("anna").cast_votes(request).await.unwrap().into_inner().results.remove(0);
        assert_eq!(reason(result.problem), "REASON_MISSING");
        world.vote("anna", &id, false).await;
        assert_eq!(world.at(&id, "closed").await.outcome, "denied");
        owner_was_told(&world, &id, "denied").await;
        assert!(world.mail.told(&id).contains("closed.anna"), "the voter too");
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_proves_or_approves_expires() {
    on_each_engine(Wishes::default(), async |world| {
        let unproved = world.opened("acc7").await;
        let unapproved = world.opened("acc8").await;
        world.prove(&unapproved, ProofKind::CallBack).await;
        world.advance(TimeDelta::hours(23));
        assert_eq!((world.step(&unproved).await.as_str(), world.step(&unapproved).await.as_str()), ("prove", "approve"));
        world.advance(TimeDelta::hours(2));
        for id in [&unproved, &unapproved] {
            assert_eq!(world.at(id, "closed").await.outcome, "expired");
            owner_was_told(&world, id, "expired").await;
        }
        // The account is free again.
        assert_eq!(world.ask("acc7").await.problem, None);
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_lent_can_be_asked_again_with_the_proof_carried_over() {
    on_each_engine(Wishes::default(), async |world| {
        *world.policy.refuses.lock().unwrap() = Some(Refusal::Changed);
        let first = world.approved("acc7").await;
        let shown = world.at(&first, "closed").await;
        assert_eq!((shown.outcome.as_str(), shown.lease_end()), ("not_lent", LeaseEnd::NeverLent));
        assert!(world.policy.cleaned.lock().unwrap().is_empty(), "there was no window");
        owner_was_told(&world, &first, "not_lent").await;

        *world.policy.refuses.lock().unwrap() = None;
        let prefilled = |account: &str| wire::NewRecovery { prefilled_from: first.clone(), ..new_recovery(account) };
        let other = world.ask_as("rolf", vec![prefilled("acc7")]).await.remove(0);
        assert_eq!(reason(other.problem), "CANNOT_PREFILL", "another requester's proof");
        let other = world.ask_as("rita", vec![prefilled("acc8")]).await.remove(0);
        assert_eq!(reason(other.problem), "CANNOT_PREFILL", "another account's proof");

        let denied = world.opened("acc9").await;
        world.prove(&denied, ProofKind::CallBack).await;
        world.vote("anna", &denied, false).await;
        world.at(&denied, "closed").await;
        let again = wire::NewRecovery { prefilled_from: denied, ..new_recovery("acc9") };
        let other = world.ask_as("rita", vec![again]).await.remove(0);
        assert_eq!(reason(other.problem), "CANNOT_PREFILL", "what was denied must be proved anew");

        world.advance(TimeDelta::hours(20));
        let second = world.ask_as("rita", vec![prefilled("acc7")]).await.remove(0);
        assert_eq!((second.problem, second.proofs_needed, second.approvals_needed), (None, 0, 1));
        assert_eq!(world.step(&second.recovery).await, "approve", "approvals are asked anew");
        assert!(world.mail.told(&second.recovery).contains("approval_needed.anna"));
        assert_eq!(world.vote("anna", &second.recovery, true).await.problem, None);
        assert_eq!(world.at(&second.recovery, "closed").await.outcome, "enrolled");
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proof_that_no_longer_counts_is_not_carried_over() {
    on_each_engine(Wishes::default(), async |world| {
        *world.policy.refuses.lock().unwrap() = Some(Refusal::Cap);
        let first = world.approved("acc7").await;
        world.at(&first, "closed").await;
        world.advance(TimeDelta::hours(25));
        let again = wire::NewRecovery { prefilled_from: first, ..new_recovery("acc7") };
        let second = world.ask_as("rita", vec![again]).await.remove(0);
        assert_eq!((second.problem, second.proofs_needed), (None, 1));
        assert_eq!(world.step(&second.recovery).await, "prove");
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_ends_the_lease_by_itself_and_the_case_follows() {
    on_each_engine(Wishes::default(), async |world| {
        world.directory.enrols.store(false, Ordering::SeqCst);
        let id = world.approved("acc7").await;
        world.at(&id, "await-enrolment").await;
        world.advance(TimeDelta::minutes(125));
        eventually("the owner is reminded", || world.mail.told(&id).contains("reminder.owner")).await;
        world.policy.bring_home(&id, "acc7");
        let shown = world.at(&id, "closed").await;
        assert_eq!((shown.outcome.as_str(), shown.lease_end()), ("not_enrolled", LeaseEnd::Home));
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_fails_holds_nothing_up_and_is_an_incident() {
    on_each_engine(Wishes::default(), async |world| {
        use homeward_proto::notification::v1::NoticeKind;
        world.mail.fails.lock().unwrap().extend([i32::from(NoticeKind::Requested), i32::from(NoticeKind::Closed)]);
        let id = world.approved("acc7").await;
        world.at(&id, "closed").await;
        let incidents = world.incidents().await;
        let sentences: Vec<&str> = incidents.iter().map(|incident| incident.sentence.as_str()).collect();
        assert_eq!(incidents.len(), 4, "requested to the owner, closed to owner, requester and approver: {sentences:?}");
        assert!(incidents.iter().all(|incident| incident.kind == "notice_failed" && incident.recovery == id));
        assert!(sentences.iter().any(|sentence| sentence.contains("no such mailbox")), "{sentences:?}");
        world.end().await;
    })
    .await;
}
