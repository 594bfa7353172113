//! Two processes on one database.

use homeward_policy::Policy;
use homeward_proto::policy::v1::LeaseNews;
use homeward_simulator::well_known::policy::{EVERYONE, RECOVERY};
use homeward_store::testing;

use crate::stage::{Plan, Stage};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_never_send_a_lend_twice() {
    for db in testing::migrated(&Policy::migrations()).await {
        let mut stage = Stage::set(db, Plan::default()).await;
        stage.start_policy().await;
        stage.start_policy().await;
        stage.start_policy().await;
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
