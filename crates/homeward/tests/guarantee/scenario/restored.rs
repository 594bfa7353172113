//! Databases that are restored from a backup of an hour ago (rule 12): noticed, drained, and everybody comes home.

use homeward_proto::policy::v1::{GetExposureRequest, LeaseState, SetDrainRequest};
use homeward_simulator::well_known::policy::EVERYONE;
use tonic::Code;

use crate::observed::observe;
use crate::stage::{ORGANISATION, Plan, Stage};
use crate::table::Row;

/// Recovery forgets a case whose account is out: it is adopted and brought home. A case that waits is ended.
pub async fn recovery() -> Row {
    let mut stage = Stage::set(Plan::default()).await;
    let waiting = stage.ask(&stage.stranded(2)).await;
    stage.move_out().await;
    let backup = stage.ground.back_up("recovery");
    stage.move_in().await;
    let case = stage.open_one(&stage.stranded(1)).await;
    stage.was(&case, LeaseState::Active).await;
    stage.move_out().await;
    backup.restore();
    stage.move_in().await;
    stage.is_over(&waiting).await;
    assert_eq!(stage.shown(&waiting).await.outcome, "cancelled");
    assert_eq!(stage.closing_letters(&waiting), ["owner", "requester"], "those who wait are told that it is over");
    let row = observe(&stage, std::slice::from_ref(&case)).await;
    assert_eq!(stage.policy_of(&case.account.id), EVERYONE);
    two_persons_end_the_drain(&stage).await;
    row
}

/// Policy forgets one lease and what became of another: both accounts are brought home, and what is told of them counts.
pub async fn policy() -> Row {
    let mut stage = Stage::set(Plan::default()).await;
    let known = stage.open_one(&stage.stranded(1)).await;
    stage.was(&known, LeaseState::Active).await;
    stage.move_out().await;
    let backup = stage.ground.back_up("policy");
    stage.move_in().await;
    let forgotten = stage.open_one(&stage.stranded(2)).await;
    stage.was(&forgotten, LeaseState::Active).await;
    stage.move_out().await;
    backup.restore();
    stage.move_in().await;
    stage.enrols(&known).await;
    stage.until("every account was read", async || stage.witness.incidents().iter().any(|told| told.kind == "census")).await;
    let row = observe(&stage, &[known.clone(), forgotten.clone()]).await;
    for case in [&known, &forgotten] {
        assert_eq!(stage.policy_of(&case.account.id), EVERYONE);
    }
    two_persons_end_the_drain(&stage).await;
    row
}

/// Nothing is lent until two different operators say so.
async fn two_persons_end_the_drain(stage: &Stage) {
    let exposure = || GetExposureRequest { organisation: ORGANISATION.into() };
    assert!(stage.policy(0).get_exposure(exposure()).await.unwrap().into_inner().draining, "it was not noticed");
    let refused = stage.open_one(&stage.stranded(3)).await;
    stage.is_over(&refused).await;
    assert_eq!(stage.shown(&refused).await.outcome, "not_lent");
    let end = || SetDrainRequest { organisation: ORGANISATION.into(), drain: false, reason: "the backup is complete".into() };
    stage.until("one person may end it", async || stage.policy(0).set_drain(end()).await.is_ok()).await;
    assert!(stage.policy(0).get_exposure(exposure()).await.unwrap().into_inner().draining, "one person is not enough");
    let again = stage.policy(0).set_drain(end()).await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition, "the same person twice: {again:?}");
    assert!(!stage.policy(1).set_drain(end()).await.unwrap().into_inner().draining);
    let lent = stage.open_one(&stage.stranded(4)).await;
    stage.was(&lent, LeaseState::Active).await;
    stage.cancel(&lent).await;
    stage.is_over(&lent).await;
}
