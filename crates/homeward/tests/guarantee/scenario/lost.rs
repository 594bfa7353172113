//! What never happens, happens for some, or comes to policy too late or too early.

use std::time::Duration;

use homeward_proto::policy::v1::LeaseState;
use homeward_simulator::well_known::policy::{EVERYONE, RECOVERY};
use homeward_simulator::{FaultKind, Says};
use homeward_types::Limits;

use crate::observed::observe;
use crate::stage::{Case, Plan, Stage};
use crate::table::Row;

const LENDS: &str = "policy.command.lend-account.v1";

/// The lend is accepted, its task says that it is at work, and nothing comes of it.
pub async fn never_applied() -> Row {
    let stage = Stage::set(Plan::default()).await;
    stage.fault_of_lend(FaultKind::NeverApplied { says: Says::Running });
    let case = stage.open_one(&stage.stranded(1)).await;
    let row = observe(&stage, std::slice::from_ref(&case)).await;
    assert!(stage.moves(&case.account.id).is_empty(), "what may still happen is not sent again");
    row
}

/// The task fails for every second address of a batch.
pub async fn half_a_batch() -> Row {
    let stage = Stage::set(Plan::default()).await;
    stage.fault_of_lend(FaultKind::PartialBatch { only: Vec::new() });
    stage.fault_of_return(FaultKind::PartialBatch { only: Vec::new() });
    let accounts: Vec<_> = (1..=4).map(|n| stage.stranded(n)).collect();
    let cases = stage.open(&accounts).await;
    for case in &cases {
        stage.enrols(case).await;
    }
    let row = observe(&stage, &cases).await;
    assert!(stage.truth().faults().iter().all(|fault| fault.fired == 1));
    for case in &cases {
        assert_eq!(stage.moves(&case.account.id).len(), 2, "each was moved once, there and back");
    }
    row
}

/// The task of the return says for ever that it is at work, and the account stays out until a second return.
pub async fn unresolved_task() -> Row {
    let stage = Stage::set(Plan::default()).await;
    stage.fault_of_return(FaultKind::NeverApplied { says: Says::Running });
    let case = stage.open_one(&stage.stranded(1)).await;
    stage.enrols(&case).await;
    let row = observe(&stage, std::slice::from_ref(&case)).await;
    stage.fired(1).await;
    assert_eq!(stage.policy_of(&case.account.id), EVERYONE);
    row
}

/// The broker delivers the return first: it leaves a tombstone, which refuses the lend.
pub async fn return_before_lend() -> Row {
    let stage = Stage::set(Plan::default()).await;
    stage.witness.hold(LENDS, None);
    let case = stage.open_one(&stage.stranded(1)).await;
    stage.until("the lend is on its way", async || stage.witness.held() > 0).await;
    stage.cancel(&case).await;
    stage.was(&case, LeaseState::Closed).await;
    stage.witness.let_go().await;
    is_refused(&stage, &case).await
}

/// The lend lies with the broker until its time is over, is refused, and is given back once more.
pub async fn expired_lend() -> Row {
    let limits = Limits { grant_valid: Duration::from_secs(3), re_ask_max: Duration::from_secs(20), ..Plan::default().limits };
    let grant_valid = limits.grant_valid;
    let stage = Stage::set(Plan { limits, ..Plan::default() }).await;
    stage.witness.hold(LENDS, None);
    let case = stage.open_one(&stage.stranded(1)).await;
    stage.until("the lend is on its way", async || stage.witness.held() > 0).await;
    tokio::time::sleep(grant_valid).await;
    let again = stage.witness.messages(LENDS);
    stage.witness.let_go().await;
    stage.is_over(&case).await;
    assert!(stage.ground.broker.publish(again).await.iter().all(Result::is_ok));
    is_refused(&stage, &case).await
}

async fn is_refused(stage: &Stage, case: &Case) -> Row {
    stage
        .until("the lend is refused", async || {
            let refused = stage.witness.messages("policy.event.lease-refused");
            refused.iter().any(|told| told.correlation.to_string() == case.id)
        })
        .await;
    let row = observe(stage, std::slice::from_ref(case)).await;
    let out = |effect: &homeward_simulator::Effect| effect.to.as_deref() == Some(RECOVERY);
    assert!(!stage.moves(&case.account.id).iter().any(out), "nothing was sent");
    row
}
