//! Several processes on one database; on PostgreSQL with RabbitMQ between them.

use homeward_policy::Policy;
use homeward_policy::organisation::store as organisations;
use homeward_proto::policy::v1::LeaseNews;
use homeward_simulator::well_known::policy::{EVERYONE, RECOVERY};
use homeward_store::{StoreError, testing, transaction};
use homeward_types::{Clock, SystemClock};

use crate::stage::{ORGANISATION, Plan, Stage, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_never_send_a_lend_twice() {
    for db in testing::migrated(&Policy::migrations()).await {
        let mut stage = Stage::set_for_several(db, Plan::default()).await;
        for _ in 0..3 {
            stage.start_policy().await;
        }
        let accounts: Vec<_> = (1..=20).map(|n| stage.stranded(n)).collect();
        let leases = futures_util::future::join_all(accounts.iter().map(|account| stage.lend(account))).await;
        for lease in &leases {
            stage.audience.news(*lease, LeaseNews::Lent).await;
        }
        futures_util::future::join_all(leases.iter().zip(&accounts).map(|(lease, account)| stage.ask_back(*lease, account)))
            .await;
        for (lease, account) in leases.iter().zip(&accounts) {
            stage.audience.news(*lease, LeaseNews::Closed).await;
            assert_eq!(stage.policy_of(&account.id), EVERYONE);
            assert_eq!(stage.moves_into(&account.id, RECOVERY), 1);
            let attempts = stage
                .rpc(0)
                .get_lease(homeward_proto::policy::v1::GetLeaseRequest { lease: lease.to_string() })
                .await
                .unwrap()
                .into_inner()
                .attempts;
            let lends: Vec<_> =
                attempts.iter().filter(|attempt| attempt.kind == "lend").map(|attempt| attempt.state.as_str()).collect();
            assert_eq!(lends, ["taken"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_that_a_process_noted_before_it_died_is_ended_by_another_that_is_answered() {
    for db in testing::migrated(&Policy::migrations()).await {
        let mut stage = Stage::set_for_several(db, Plan::default()).await;
        stage.start_policy().await;
        // As the other process left it: this one never found the provider silent.
        let (organisation, since) = (stage.organisation.id.clone(), SystemClock.now());
        let noted = transaction!(*stage.db, "test.silent", async |tx| -> Result<(), StoreError> {
            organisations::reachable(tx, &organisation, Some(since)).await.map(drop)
        });
        noted.unwrap();
        let exposure = async || {
            let request = homeward_proto::policy::v1::GetExposureRequest { organisation: ORGANISATION.into() };
            stage.rpc(0).get_exposure(request).await.unwrap().into_inner()
        };
        assert!(exposure().await.unreachable_since.is_some());
        let account = stage.stranded(1);
        let lease = stage.lend(&account).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
        until("it is known to answer", async || exposure().await.unreachable_since.is_none()).await;
    }
}
