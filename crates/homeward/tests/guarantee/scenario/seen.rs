//! Reads that show what was, and facts that do not stay.

use std::time::{Duration, Instant};

use homeward_proto::policy::v1::LeaseState;
use homeward_simulator::config::Versions;
use homeward_simulator::well_known::policy::EVERYONE;
use homeward_simulator::{Drift, Fault, FaultKind, Says, SimulatorConfig};
use homeward_types::Limits;

use crate::observed::observe;
use crate::play::{FACTORS, PLACEMENTS, a_moment};
use crate::stage::{Plan, Stage};
use crate::table::Row;

/// The return is not applied, and for most of a `read_lag` reads show the account where it was before the lend: as if it were
/// home.
pub async fn stale_home() -> Row {
    let limits = Limits { read_lag: Duration::from_secs(2), ..Plan::default().limits };
    let stage = Stage::set(Plan { limits, ..Plan::default() }).await;
    stage.earn_trust().await;
    let case = stage.open_one(&stage.stranded(1)).await;
    stage.was(&case, LeaseState::Active).await;
    stage.fault_of_return(FaultKind::NeverApplied { says: Says::Success });
    let stale = Fault::on(PLACEMENTS, FaultKind::StaleRead { by_ms: 10 * 60_000 }).for_account(&case.account.id);
    stage.truth().fault(stale.lasting(Duration::from_millis(1_500)));
    stage.cancel(&case).await;
    stage.was(&case, LeaseState::Closed).await;
    assert_eq!(stage.policy_of(&case.account.id), EVERYONE, "closed on a read of before the lend");
    assert!(stage.truth().faults().iter().all(|fault| fault.fired > 0), "{:?}", stage.truth().faults());
    observe(&stage, std::slice::from_ref(&case)).await
}

/// While this lease waits for its lend, reads show the account out as it was under the lease before.
pub async fn read_of_an_earlier_lease() -> Row {
    let stage = Stage::set(Plan::default()).await;
    stage.earn_trust().await;
    let first = stage.open_one(&stage.stranded(1)).await;
    stage.was(&first, LeaseState::Active).await;
    let out = Instant::now();
    a_moment(Duration::from_secs(6)).await;
    stage.cancel(&first).await;
    stage.is_over(&first).await;
    stage.fault_of_lend(FaultKind::NeverApplied { says: Says::Running });
    let second = stage.open_one(&first.account).await;
    stage.fired(1).await;
    // What is read now was true a second after the first one went out, and stays so for some seconds.
    let by_ms = u64::try_from(out.elapsed().as_millis()).unwrap() - 1_000;
    let stale = Fault::on(PLACEMENTS, FaultKind::StaleRead { by_ms }).for_account(&first.account.id);
    stage.truth().fault(stale.lasting(Duration::from_secs(3)));
    stage.fired(4).await;
    let row = observe(&stage, &[first, second.clone()]).await;
    assert!(!stage.has_been(&second, LeaseState::Active), "a read of the earlier lease was taken for this one's");
    row
}

/// The provider gives an account that comes back the version that it had there before.
pub async fn old_version() -> Row {
    let simulator = SimulatorConfig { versions: Versions::KeptOnReAdd, ..Plan::default().simulator };
    let stage = Stage::set(Plan { simulator, ..Plan::default() }).await;
    let case = stage.open_one(&stage.stranded(1)).await;
    stage.enrols(&case).await;
    observe(&stage, &[case]).await
}

/// Every read shows the factor other than the one before, ten times; then it stays.
pub async fn flapping_factor() -> Row {
    const TIMES: u64 = 11;
    let stage = Stage::set(Plan::default()).await;
    let case = stage.open_one(&stage.stranded(1)).await;
    stage.until("enrolment is waited for", async || stage.shown(&case).await.step == "await-enrolment").await;
    for n in 0..TIMES {
        let drift = Drift::Factor { enrolled: n.is_multiple_of(2), lost: false };
        let flap = FaultKind::Meanwhile { account: case.account.id.clone(), drift };
        stage.truth().fault(Fault { skip: n, ..Fault::on(FACTORS, flap).times(1).for_account(&case.account.id) });
    }
    stage.was(&case, LeaseState::Closing).await;
    let fired: u64 = stage.truth().faults().iter().map(|fault| fault.fired).sum();
    assert_eq!(fired, TIMES, "taken for enrolled while the factor came and went");
    observe(&stage, &[case]).await
}
