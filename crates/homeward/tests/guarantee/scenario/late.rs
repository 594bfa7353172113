//! Effects that come late, in the wrong order, or in another lease's window.

use std::time::Duration;

use homeward_proto::policy::v1::LeaseState;
use homeward_simulator::well_known::policy::{EVERYONE, RECOVERY};
use homeward_simulator::{FaultKind, Says};
use homeward_types::Limits;

use crate::observed::observe;
use crate::play::{MINUTES, a_moment};
use crate::stage::{Case, Plan, Stage};
use crate::table::Row;

/// Nobody answers, and the account was moved.
pub async fn timed_out_but_applied() -> Row {
    let stage = Stage::set(Plan::default()).await;
    stage.fault_of_lend(FaultKind::AppliedTimedOut { after_ms: 60_000 });
    let case = stage.open_one(&stage.stranded(1)).await;
    stage.enrols(&case).await;
    let row = observe(&stage, std::slice::from_ref(&case)).await;
    assert_eq!(lends(&stage, &case), 1, "what may have happened is never sent again");
    row
}

/// Long after it was accepted the move takes effect; nobody has asked for the account back.
pub async fn applied_late() -> Row {
    let stage = Stage::set(Plan::default()).await;
    stage.fault_of_lend(MINUTES);
    let case = stage.open_one(&stage.stranded(1)).await;
    stage.fired(1).await;
    a_moment(Duration::from_secs(2)).await;
    assert!(!stage.has_been(&case, LeaseState::Active), "an accepted task proves nothing");
    assert_eq!(stage.truth().land(), 1);
    stage.enrols(&case).await;
    observe(&stage, &[case]).await
}

/// The return is done at once and the lend after it.
pub async fn wrong_order() -> Row {
    let stage = Stage::set(patient()).await;
    let case = settling(&stage).await;
    assert_eq!(stage.truth().land(), 1);
    observe(&stage, &[case]).await
}

/// After the lease has ended: the bound is broken, and patrol finds the account.
pub async fn beyond_the_limit() -> Row {
    // Directory's sweep finds strays too, and nobody but patrol is to be first here.
    let limits = Limits { patrol: Duration::from_millis(200), sync: Duration::from_hours(1), ..Plan::default().limits };
    let stage = Stage::set(Plan { limits, ..Plan::default() }).await;
    let case = settling(&stage).await;
    stage.was(&case, LeaseState::Closed).await;
    assert_eq!(stage.truth().land(), 1);
    stage.is_in(&case.account, EVERYONE).await;
    stage
        .until("the account was leased again", async || stage.witness.leases().iter().any(|lease| lease.origin == "reopened"))
        .await;
    observe(&stage, &[case]).await
}

/// The same, while the next lease of the account is open.
pub async fn lend_of_an_earlier_lease() -> Row {
    let stage = Stage::set(Plan::default()).await;
    let first = settling(&stage).await;
    stage.is_over(&first).await;
    stage.fault_of_lend(FaultKind::NeverApplied { says: Says::Running });
    let second = stage.open_one(&first.account).await;
    stage.fired(2).await;
    assert_eq!(stage.truth().land(), 1);
    stage.enrols(&second).await;
    observe(&stage, &[first, second]).await
}

/// A late return takes the account home while its next lease is open: the safe direction, and the user is told.
pub async fn return_of_an_earlier_lease() -> Row {
    let stage = Stage::set(Plan::default()).await;
    stage.fault_of_return(MINUTES);
    let first = stage.open_one(&stage.stranded(1)).await;
    stage.was(&first, LeaseState::Active).await;
    stage.cancel(&first).await;
    stage.is_over(&first).await;
    let second = stage.open_one(&first.account).await;
    stage.was(&second, LeaseState::Active).await;
    assert_eq!(stage.truth().land(), 1);
    observe(&stage, &[first, second]).await
}

/// A lend that is accepted, a return that overtakes it, and a lease that waits for it.
async fn settling(stage: &Stage) -> Case {
    stage.fault_of_lend(MINUTES);
    let case = stage.open_one(&stage.stranded(1)).await;
    stage.fired(1).await;
    stage.cancel(&case).await;
    stage.was(&case, LeaseState::Settling).await;
    case
}

/// Settling lasts longer than a slow machine needs to notice it.
fn patient() -> Plan {
    Plan { limits: Limits { claim: Duration::from_secs(15), ..Plan::default().limits }, ..Plan::default() }
}

fn lends(stage: &Stage, case: &Case) -> usize {
    stage.moves(&case.account.id).iter().filter(|effect| effect.to.as_deref() == Some(RECOVERY)).count()
}
