//! "This was not me", at every moment of a recovery.

use std::sync::atomic::Ordering;

use chrono::TimeDelta;
use homeward_proto::recovery::v1 as wire;
use homeward_types::Limits;

use crate::world::{Wishes, World, eventually, on_each_engine, refused};

/// The page's calls: its own token is a service's, the owner's is in the link.
async fn look(world: &World, token: &str) -> wire::LookUpRepudiationResponse {
    let request = wire::LookUpRepudiationRequest { token: token.into() };
    world.as_person("recovery").look_up_repudiation(request).await.unwrap().into_inner()
}

async fn press(world: &World, token: &str) -> Result<String, tonic::Status> {
    let request = wire::RepudiateRequest { token: token.into() };
    Ok(world.as_person("recovery").repudiate(request).await?.into_inner().effect)
}

async fn token_of(world: &World, id: &str) -> String {
    eventually("the owner has the link", || world.mail.told(id).contains("requested.owner")).await;
    world.mail.not_me_token(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn before_a_lease_it_cancels_and_disables_nothing() {
    on_each_engine(Wishes::default(), async |world| {
        let id = world.opened("acc7").await;
        let token = token_of(&world, &id).await;
        let shown = look(&world, &token).await;
        assert_eq!((shown.email.as_str(), shown.expired), ("a…@example.com", false));
        assert!(shown.effect.contains("Nothing about your account is changed"), "{}", shown.effect);
        assert_eq!(world.step(&id).await, "prove", "looking does not act");

        press(&world, &token).await.unwrap();
        assert_eq!(world.at(&id, "closed").await.outcome, "repudiated");
        let incidents = world.incidents().await;
        assert_eq!((incidents.len(), incidents[0].kind.as_str()), (1, "repudiated"));
        assert!(world.policy.contained.lock().unwrap().is_empty());
        assert!(press(&world, &token).await.unwrap().contains("already"), "a second press changes nothing");
        assert_eq!(world.incidents().await.len(), 1);

        let next = world.ask("acc7").await;
        assert_eq!((next.proofs_needed, next.approvals_needed), (2, 2), "the next one takes two persons");
        assert_eq!(next.diagnosis.unwrap().tier_reasons, ["repudiated_before"]);
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_out_it_returns_contains_and_names_the_factor() {
    on_each_engine(Wishes::default(), async |world| {
        world.directory.enrols.store(false, Ordering::SeqCst);
        let id = world.approved("acc7").await;
        world.at(&id, "await-enrolment").await;
        let token = token_of(&world, &id).await;
        assert!(look(&world, &token).await.effect.contains("disabled"));
        press(&world, &token).await.unwrap();
        let shown = world.at(&id, "closed").await;
        assert_eq!((shown.outcome.as_str(), shown.back_at.is_some()), ("repudiated", true));
        assert_eq!(*world.policy.contained.lock().unwrap(), std::slice::from_ref(&id), "disabled once");
        eventually("policy's answer is told", || world.policy.cleaned.lock().unwrap().contains(&id)).await;
        world.shown_when(&id, "a repudiated end", |shown| shown.outcome == "repudiated").await;
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_end_it_contains_and_names_the_factor_that_was_set_up() {
    on_each_engine(Wishes::default(), async |world| {
        let id = world.approved("acc7").await;
        assert_eq!(world.at(&id, "closed").await.outcome, "enrolled");
        let token = token_of(&world, &id).await;
        world.policy.cleaned.lock().unwrap().clear();
        world.advance(TimeDelta::days(6));
        press(&world, &token).await.unwrap();
        eventually("the account is disabled", || world.policy.contained.lock().unwrap().contains(&id)).await;
        eventually("what was opened in the window is looked at again", || world.policy.cleaned.lock().unwrap().contains(&id))
            .await;
        let incident = world.incidents().await.remove(0);
        assert!(incident.sentence.contains("The factor that was set up while the account was out"), "{}", incident.sentence);
        assert!(incident.safe_action.contains("two persons"), "{}", incident.safe_action);
        let shown = world.show(&id).await.recovery.unwrap();
        assert_eq!((shown.step.as_str(), shown.outcome.as_str()), ("closed", "enrolled"), "how it ended stays");
        wait_for_kind(&world, &id, "contained").await;
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_late_is_too_late_and_a_wrong_link_is_not_ours() {
    on_each_engine(Wishes::default(), async |world| {
        let id = world.approved("acc7").await;
        world.at(&id, "closed").await;
        let token = token_of(&world, &id).await;
        world.advance(TimeDelta::days(7) + TimeDelta::seconds(1));
        assert!(look(&world, &token).await.expired);
        assert_eq!(refused(press(&world, &token).await).reason, "NOT_ME_TOO_LATE");
        assert_eq!(refused(press(&world, &token[1..]).await).reason, "NOT_ME_UNKNOWN");
        assert!(world.policy.contained.lock().unwrap().is_empty() && world.incidents().await.is_empty());
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_may_choose_not_to_disable() {
    let limits = Limits { contain_repudiated: false, exposure_percent: 100.0, hard_cap_percent: 100.0, ..Limits::default() };
    on_each_engine(Wishes { limits, ..Wishes::default() }, async |world| {
        let id = world.approved("acc7").await;
        world.at(&id, "closed").await;
        let token = token_of(&world, &id).await;
        assert!(!look(&world, &token).await.effect.contains("disabled"));
        press(&world, &token).await.unwrap();
        assert_eq!(world.incidents().await.len(), 1);
        assert!(world.policy.contained.lock().unwrap().is_empty());
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_could_not_be_disabled_is_asked_for_again() {
    on_each_engine(Wishes::default(), async |world| {
        let id = world.approved("acc7").await;
        world.at(&id, "closed").await;
        world.policy.cannot_contain.store(true, Ordering::SeqCst);
        press(&world, &token_of(&world, &id).await).await.unwrap();
        for _ in 0..2_000 {
            if world.incidents().await.iter().any(|incident| incident.kind == "not_contained") {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let incidents = world.incidents().await;
        assert!(incidents.iter().any(|incident| incident.sentence.contains("the provider has no call for it")), "{incidents:?}");
        world.policy.cannot_contain.store(false, Ordering::SeqCst);
        world.advance(TimeDelta::seconds(1));
        eventually("it is asked again", || world.policy.contained.lock().unwrap().contains(&id)).await;
        wait_for_kind(&world, &id, "contained").await;
        world.end().await;
    })
    .await;
}

async fn wait_for_kind(world: &World, id: &str, kind: &str) {
    for _ in 0..2_000 {
        if world.kinds(id).await.iter().any(|one| one == kind) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("no {kind} in {:?}", world.kinds(id).await);
}
