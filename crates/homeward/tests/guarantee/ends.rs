//! Forward only, and the fourth end. (Home, protected elsewhere and gone are rows of the table.)

use homeward_proto::policy::v1::{LeaseState, ReleaseLeaseRequest};
use homeward_proto::recovery::v1::{RequestRecoveriesRequest, ReturnNowRequest};
use homeward_proto::words::v1::LeaseEnd;
use homeward_simulator::well_known::policy::{EVERYONE, RECOVERY};
use homeward_simulator::{Fault, FaultKind};
use tonic::Code;

use crate::observed::observe;
use crate::stage::{Case, ORGANISATION, Plan, Stage, request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_takes_two_persons_and_is_the_end_of_the_case() {
    let stage = Stage::set(Plan::default()).await;
    let case = stage.open_one(&stage.stranded(1)).await;
    stage.was(&case, LeaseState::Active).await;
    let release = || ReleaseLeaseRequest { lease: case.id.clone(), reason: "leaves the company tonight".into() };
    assert!(!stage.policy(0).release_lease(release()).await.unwrap().into_inner().released);
    let again = stage.policy(0).release_lease(release()).await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition, "the same person twice: {again:?}");
    assert!(again.message().contains("second person"), "{again:?}");
    assert!(!stage.has_been(&case, LeaseState::Closed));
    assert!(stage.policy(1).release_lease(release()).await.unwrap().into_inner().released);
    let row = observe(&stage, std::slice::from_ref(&case)).await;
    assert_eq!((row.end.as_str(), row.outcome.as_str()), ("released", "released"));
    assert_eq!(row.told, "owner, requester, approver");
    assert_eq!(stage.policy_of(&case.account.id), RECOVERY, "released, so nobody moves it any more");
    assert!(stage.moves(&case.account.id).iter().all(|effect| effect.to.as_deref() == Some(RECOVERY)));
    let asked = RequestRecoveriesRequest { organisation: ORGANISATION.into(), recoveries: vec![request(&case.account.email)] };
    let refused = stage.recovery().request_recoveries(asked).await.unwrap().into_inner().results.remove(0);
    assert!(refused.problem.is_some(), "a released account is not lent again without two persons");
}

/// Whatever is asked while the account is out and the provider is silent, the case goes on to the end of its lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_an_account_may_be_out_nothing_ends_the_case_but_an_end_of_its_lease() {
    let mut stage = Stage::set(Plan::default()).await;
    let case = stage.open_one(&stage.stranded(1)).await;
    stage.was(&case, LeaseState::Active).await;
    stage.truth().fault(Fault::on("", FaultKind::Outage));
    stage.cancel(&case).await;
    waits_for_the_return(&stage, &case).await;
    let now = ReturnNowRequest { recovery: case.id.clone(), reason: "enough".into() };
    assert_eq!(stage.recovery().return_now(now).await.unwrap().into_inner().step, "return", "it is on its way already");
    waits_for_the_return(&stage, &case).await;
    // Neither does a restart of everything.
    stage.move_out().await;
    stage.move_in_blind().await;
    waits_for_the_return(&stage, &case).await;
    let lease = stage.policy(0).get_lease(homeward_proto::policy::v1::GetLeaseRequest { lease: case.id.clone() }).await.unwrap();
    assert_eq!(lease.into_inner().lease.unwrap().state(), LeaseState::Closing);
    stage.truth().clear_faults();
    let row = observe(&stage, std::slice::from_ref(&case)).await;
    assert_eq!((row.end.as_str(), row.outcome.as_str()), ("home", "cancelled"));
    assert_eq!(stage.policy_of(&case.account.id), EVERYONE);
}

async fn waits_for_the_return(stage: &Stage, case: &Case) {
    stage.until("the case waits for the return", async || stage.shown(case).await.step == "return").await;
    let shown = stage.shown(case).await;
    assert_eq!((shown.closed_at, shown.lease_end()), (None, LeaseEnd::Unspecified));
}
