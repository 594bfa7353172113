//! What others do to the account, or to its policy, while it is out.

use homeward_proto::policy::v1::LeaseState;
use homeward_simulator::well_known::policy::{ENGINEERING, EVERYONE, GUESTS, RECOVERY, SINGLE_SIGN_ON};
use homeward_simulator::{Drift, Fault, FaultKind};

use crate::observed::observe;
use crate::play::moves_into;
use crate::stage::{Case, Plan, Stage};
use crate::table::Row;

/// Between the read of the address and the move somebody else gets it: that one is moved, and brought home.
pub async fn swapped_addresses() -> Row {
    let stage = Stage::set(Plan::default()).await;
    let (account, bystander) = (stage.stranded(1), stage.stranded(2));
    let swap = Drift::SwapEmail { with: bystander.id.clone() };
    let swap = FaultKind::Meanwhile { account: account.id.clone(), drift: swap };
    stage.truth().fault(Fault::on(&moves_into(RECOVERY), swap).times(1));
    let case = stage.open_one(&account).await;
    let row = observe(&stage, &[case]).await;
    assert_eq!(stage.policy_of(&bystander.id), EVERYONE);
    assert_eq!(stage.moves(&bystander.id).len(), 2, "the bystander went out and came back");
    row
}

/// The account goes to the default home instead.
pub async fn home_deleted() -> Row {
    let stage = Stage::set(Plan::default()).await;
    stage.drift(&stage.stranded(1), Drift::Move { policy: ENGINEERING.into() });
    let case = stage.open_one(&stage.stranded(1)).await;
    stage.was(&case, LeaseState::Active).await;
    stage.truth().delete_policy(ENGINEERING).unwrap();
    stage.enrols(&case).await;
    let row = observe(&stage, std::slice::from_ref(&case)).await;
    assert_eq!(stage.policy_of(&case.account.id), EVERYONE);
    row
}

/// Another name and another address: it is returned by its new one.
pub async fn renamed() -> Row {
    let (stage, case) = out().await;
    stage.drift(&case.account, Drift::Rename { name: "Another Name".into() });
    stage.drift(&case.account, Drift::Email { email: "another.name@northwind.example".into() });
    stage.enrols(&case).await;
    observe(&stage, &[case]).await
}

/// Suspended is not gone: it comes home all the same.
pub async fn suspended() -> Row {
    let (stage, case) = out().await;
    stage.drift(&case.account, Drift::Suspend {});
    stage.cancel(&case).await;
    let row = observe(&stage, std::slice::from_ref(&case)).await;
    assert_eq!(stage.policy_of(&case.account.id), EVERYONE);
    row
}

/// Two different calls do not find it.
pub async fn deleted() -> Row {
    let (stage, case) = out().await;
    stage.drift(&case.account, Drift::Delete { grace: false });
    observe(&stage, &[case]).await
}

/// The organisation gives the account up.
pub async fn unclaimed() -> Row {
    let (stage, case) = out().await;
    stage.drift(&case.account, Drift::Unclaim {});
    observe(&stage, &[case]).await
}

/// It is protected there, so it is left there.
pub async fn protected_elsewhere() -> Row {
    let (stage, case) = out().await;
    stage.drift(&case.account, Drift::Move { policy: SINGLE_SIGN_ON.into() });
    let row = observe(&stage, std::slice::from_ref(&case)).await;
    assert_eq!(stage.policy_of(&case.account.id), SINGLE_SIGN_ON);
    row
}

/// It is as weak there as in the recovery policy: still out, and brought home.
pub async fn moved_on() -> Row {
    let (stage, case) = out().await;
    stage.drift(&case.account, Drift::Move { policy: GUESTS.into() });
    stage.enrols(&case).await;
    let row = observe(&stage, std::slice::from_ref(&case)).await;
    assert_eq!(stage.policy_of(&case.account.id), EVERYONE);
    row
}

/// A stage with an account that is seen out.
async fn out() -> (Stage, Case) {
    let stage = Stage::set(Plan::default()).await;
    let case = stage.open_one(&stage.stranded(1)).await;
    stage.was(&case, LeaseState::Active).await;
    (stage, case)
}
