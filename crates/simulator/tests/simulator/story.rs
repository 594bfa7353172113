//! The story: the login loop, the move, the sign-in, the enrolment and the way back.

use homeward_simulator::well_known::{LOST_PHONE, STORY, policy};
use homeward_simulator::{Cause, Enrolment, Fact, Reset, SignIn};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn the_login_loop_ends_only_in_the_recovery_policy() {
    let world = World::start().await;
    let before = world.truth().summary([STORY.id]);
    assert_eq!(before.managed, 848);
    assert_eq!(world.sign_in(STORY.email, None).await.outcome, SignIn::Blocked);

    let task = world.move_to(policy::RECOVERY, &[STORY.email]).await;
    assert_eq!(
        world.task(&task).await,
        json!({ "inProgressCount": 0, "successCount": 1, "failureCount": 0, "failureReasons": [] })
    );
    let placement = world.placement(STORY.id).await;
    assert_eq!(placement["authPolicyInfo"]["policyId"], policy::RECOVERY);
    assert_eq!(placement["email"], STORY.email);
    let out_since = placement["authPolicyInfo"]["dateAdded"].as_i64().unwrap();

    let signed_in = world.sign_in(STORY.email, None).await;
    assert_eq!(signed_in.outcome, SignIn::SignedIn);
    assert_eq!(world.enrol(signed_in.session.as_deref().unwrap()).await, Enrolment::Enrolled);
    assert_eq!(world.find(STORY.email).await["mfaEnabled"], true);

    world.move_to(policy::EVERYONE, &[STORY.email]).await;
    let home = world.placement(STORY.id).await;
    assert_eq!(home["authPolicyInfo"]["policyId"], policy::EVERYONE);
    assert!(home["authPolicyInfo"]["dateAdded"].as_i64().unwrap() > out_since);
    assert_eq!(world.sign_in(STORY.email, None).await.outcome, SignIn::CodeAsked);

    assert_eq!(world.truth().summary([STORY.id]).digest, before.digest, "848 other accounts: untouched");
    let log = world.truth().log(before.last_effect);
    assert!(log.iter().all(|effect| effect.account == STORY.id));
    let facts: Vec<Fact> = log.iter().map(|effect| effect.fact).collect();
    assert_eq!(facts, [Fact::Policy, Fact::Factor, Fact::Policy]);
    assert!(matches!(&log[0].cause, Cause::Task { id } if *id == task));
}

#[tokio::test]
async fn a_lost_factor_is_reset_only_outside_the_mandatory_policy() {
    let world = World::start().await;
    assert_eq!(world.sign_in(LOST_PHONE.email, None).await.outcome, SignIn::CodeAsked);
    assert_eq!(world.sign_in(LOST_PHONE.email, Some("314159")).await.outcome, SignIn::CodeRefused);
    assert_eq!(world.reset(LOST_PHONE.id).await, (409, Reset::PolicyMandatory));

    world.move_to(policy::RECOVERY, &[LOST_PHONE.email]).await;
    assert_eq!(world.sign_in(LOST_PHONE.email, Some("314159")).await.outcome, SignIn::CodeRefused, "a move alone does not help");
    assert_eq!(world.reset(LOST_PHONE.id).await, (200, Reset::Reset));
    assert_eq!(world.find(LOST_PHONE.email).await["mfaEnabled"], false);
    assert_eq!(world.reset(LOST_PHONE.id).await, (409, Reset::NoFactor));
    assert_eq!(world.sign_in(LOST_PHONE.email, None).await.outcome, SignIn::SignedIn);
}
