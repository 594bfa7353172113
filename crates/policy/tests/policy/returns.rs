//! Returns never stop, and every way out leads through a read.

use std::time::Duration;

use homeward_proto::policy::v1::{self, LeaseNews};
use homeward_proto::words::v1 as words;
use homeward_simulator::well_known::policy::{ENGINEERING, EVERYONE, GUESTS, RECOVERY, SINGLE_SIGN_ON};
use homeward_simulator::{Drift, Fault, FaultKind, well_known};
use tokio::time::Instant;

use crate::stage::{ORGANISATION, Plan, on_both, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_outage_everyone_comes_home_at_once() {
    on_both(Plan::default, async |stage| {
        let accounts: Vec<_> = (1..=8).map(|n| stage.stranded(n)).collect();
        let leases = futures_util::future::join_all(accounts.iter().map(|account| stage.lend(account))).await;
        for lease in &leases {
            stage.audience.news(*lease, LeaseNews::Lent).await;
        }
        stage.truth().fault(Fault::on("", FaultKind::Outage));
        futures_util::future::join_all(leases.iter().zip(&accounts).map(|(lease, account)| stage.ask_back(*lease, account)))
            .await;
        let exposure = || async {
            stage.rpc(0).get_exposure(v1::GetExposureRequest { organisation: ORGANISATION.into() }).await.unwrap().into_inner()
        };
        until("the silence is noticed", async || exposure().await.unreachable_since.is_some()).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(exposure().await.out_now, 8);
        stage.truth().clear_faults();
        let back = Instant::now();
        for lease in &leases {
            assert_eq!(stage.audience.news(*lease, LeaseNews::Closed).await.end(), words::LeaseEnd::Home);
        }
        assert!(back.elapsed() < Duration::from_secs(3), "home {:?} after the provider was back", back.elapsed());
        assert_eq!(exposure().await.unreachable_since, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_renamed_while_out_is_returned_by_its_new_address() {
    on_both(Plan::default, async |stage| {
        let account = stage.stranded(1);
        let lease = stage.lend(&account).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
        stage.truth().drift(&account.id, Drift::Email { email: "married@northwind.example".into() }).unwrap();
        stage.ask_back(lease, &account).await;
        stage.audience.news(lease, LeaseNews::Closed).await;
        assert_eq!(stage.policy_of(&account.id), EVERYONE);
        assert!(stage.audience.heard(|heard| heard.incidents.is_empty()), "a new name is nobody else's address");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_somebody_protected_elsewhere_is_left_there_and_announced() {
    on_both(Plan::default, async |stage| {
        stage.earn_trust().await;
        let account = stage.stranded(1);
        let lease = stage.lend(&account).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
        stage.truth().drift(&account.id, Drift::Move { policy: SINGLE_SIGN_ON.into() }).unwrap();
        let closed = stage.audience.news(lease, LeaseNews::Closed).await;
        assert_eq!((closed.end(), closed.end_policy.as_str()), (words::LeaseEnd::ProtectedElsewhere, SINGLE_SIGN_ON));
        stage.audience.incident("protected_elsewhere").await;
        assert_eq!(stage.policy_of(&account.id), SINGLE_SIGN_ON);
        assert_eq!(stage.moves_into(&account.id, EVERYONE), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_was_moved_on_to_another_optional_policy_is_still_out_and_brought_home() {
    on_both(Plan::default, async |stage| {
        let account = stage.stranded(1);
        let lease = stage.lend(&account).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
        stage.truth().drift(&account.id, Drift::Move { policy: GUESTS.into() }).unwrap();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(stage.audience.all(lease).iter().all(|(news, _)| *news != LeaseNews::Closed));
        stage.ask_back(lease, &account).await;
        stage.audience.news(lease, LeaseNews::Closed).await;
        assert_eq!(stage.policy_of(&account.id), EVERYONE);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_two_calls_do_not_find_is_gone_and_a_suspended_one_is_not() {
    on_both(Plan::default, async |stage| {
        let (deleted, suspended) = (stage.stranded(1), stage.stranded(2));
        let (gone, kept) = tokio::join!(stage.lend(&deleted), stage.lend(&suspended));
        stage.audience.news(gone, LeaseNews::Lent).await;
        stage.audience.news(kept, LeaseNews::Lent).await;
        stage.truth().drift(&deleted.id, Drift::Delete { grace: false }).unwrap();
        stage.truth().drift(&suspended.id, Drift::Suspend {}).unwrap();
        assert_eq!(stage.audience.news(gone, LeaseNews::Closed).await.end(), words::LeaseEnd::Gone);
        stage.audience.incident("gone").await;
        stage.ask_back(kept, &suspended).await;
        assert_eq!(stage.audience.news(kept, LeaseNews::Closed).await.end(), words::LeaseEnd::Home);
        assert_eq!(stage.policy_of(&suspended.id), EVERYONE);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_whose_home_is_deleted_goes_to_the_default_home() {
    on_both(Plan::default, async |stage| {
        let engineer = stage.truth().account(well_known::ENGINEER.id).unwrap();
        assert_eq!(engineer.policy.as_deref(), Some(ENGINEERING));
        let lease = stage.lend(&engineer).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
        stage.truth().delete_policy(ENGINEERING).unwrap();
        stage.ask_back(lease, &engineer).await;
        let closed = stage.audience.news(lease, LeaseNews::Closed).await;
        assert_eq!((closed.end(), closed.home.as_str()), (words::LeaseEnd::Home, EVERYONE));
        assert_eq!(stage.policy_of(&engineer.id), EVERYONE);
        stage.audience.incident("home_lost").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_that_cannot_be_moved_blocks_nobody_else() {
    let plan = || {
        let mut plan = Plan::default();
        plan.simulator.quirks.bad_address = homeward_simulator::config::BadAddress::RejectsBatch;
        plan
    };
    on_both(plan, async |stage| {
        let accounts: Vec<_> = (1..=6).map(|n| stage.stranded(n)).collect();
        let leases = futures_util::future::join_all(accounts.iter().map(|account| stage.lend(account))).await;
        for lease in &leases {
            stage.audience.news(*lease, LeaseNews::Lent).await;
        }
        // Reads go on showing the address that nobody holds any more.
        let only = vec![accounts[0].id.clone()];
        stage.truth().fault(Fault::on("POST *add-users", FaultKind::PartialBatch { only }).times(30));
        futures_util::future::join_all(leases.iter().zip(&accounts).map(|(lease, account)| stage.ask_back(*lease, account)))
            .await;
        for lease in &leases[1..] {
            stage.audience.news(*lease, LeaseNews::Closed).await;
        }
        assert_eq!(stage.policy_of(&accounts[0].id), RECOVERY);
        let incident = stage.audience.incident("failed_returns").await;
        assert_eq!(incident.lease, leases[0].to_string());
        stage.truth().clear_faults();
        stage.audience.news(leases[0], LeaseNews::Closed).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_rejected_for_one_address_takes_the_others_home_at_once() {
    let plan = || {
        let mut plan = Plan::default();
        plan.simulator.quirks.bad_address = homeward_simulator::config::BadAddress::RejectsBatch;
        // A return that is only slow to show must not count as failed.
        plan.limits.return_retry = Duration::from_secs(5);
        plan.limits.return_retry_max = Duration::from_secs(5);
        plan
    };
    on_both(plan, async |stage| {
        let accounts: Vec<_> = (1..=6).map(|n| stage.stranded(n)).collect();
        let leases = futures_util::future::join_all(accounts.iter().map(|account| stage.lend(account))).await;
        for lease in &leases {
            stage.audience.news(*lease, LeaseNews::Lent).await;
        }
        // Renamed between the read of its address and the move of all six: nobody holds that address any more.
        let renamed = FaultKind::Meanwhile {
            account: accounts[0].id.clone(),
            drift: Drift::Email { email: "new.name@northwind.example".into() },
        };
        stage.truth().fault(Fault::on("POST *add-users", renamed).for_account(&accounts[0].id).times(1));
        let all = v1::ReturnLeasesRequest { organisation: ORGANISATION.into(), reason: "exercise".into(), ..Default::default() };
        assert_eq!(stage.rpc(0).return_leases(all).await.unwrap().into_inner().returning, 6);
        for (n, lease) in leases.iter().enumerate() {
            let closed = stage.audience.news(*lease, LeaseNews::Closed).await;
            assert_eq!(closed.end(), words::LeaseEnd::Home);
            assert_eq!(closed.failed_returns > 0, n == 0, "account {n}: {} of its returns failed", closed.failed_returns);
        }
        let rejected = stage.truth().calls().into_iter().filter(|call| call.call.contains("add-users") && call.status == 400);
        assert!(rejected.map(|call| call.count).sum::<u64>() >= 2, "the batch was rejected, and a half of it, too");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lends_are_held_back_while_an_account_is_out_past_its_time() {
    let plan = || {
        let mut plan = Plan::default();
        plan.limits.lease = Duration::from_secs(3);
        plan
    };
    on_both(plan, async |stage| {
        let (stuck, other) = (stage.stranded(1), stage.stranded(2));
        let lease = stage.lend(&stuck).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
        stage.truth().fault(Fault::on("POST *add-users", FaultKind::ServerError { status: 500 }).for_account(&stuck.id));
        let overdue = || async {
            stage
                .rpc(0)
                .get_exposure(v1::GetExposureRequest { organisation: ORGANISATION.into() })
                .await
                .unwrap()
                .into_inner()
                .overdue
        };
        until("it is overdue", async || overdue().await == 1).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let waiting = stage.lend(&other).await;
        stage.audience.news(waiting, LeaseNews::Opened).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(stage.moves_into(&other.id, RECOVERY), 0, "held back");
        stage.truth().clear_faults();
        stage.audience.news(lease, LeaseNews::Closed).await;
        until("the other lease goes on or ends", async || {
            stage.audience.all(waiting).iter().any(|(news, _)| matches!(news, LeaseNews::Lent | LeaseNews::Returning))
        })
        .await;
    })
    .await;
}
