//! The ordinary way: lent, seen out, returned, seen back.

use std::time::{Duration, Instant};

use homeward_proto::policy::v1::{self, LeaseNews};
use homeward_proto::words::v1 as words;
use homeward_simulator::well_known::policy::{EVERYONE, RECOVERY};
use homeward_types::Limits;

use crate::stage::{Plan, on_both, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_lent_seen_out_returned_and_seen_back() {
    on_both(Plan::default, async |stage| {
        let account = stage.stranded(1);
        let lease = stage.lend(&account).await;
        let opened = stage.audience.news(lease, LeaseNews::Opened).await;
        assert_eq!((opened.home.as_str(), opened.factor_at_lend()), (EVERYONE, words::Factor::Absent));
        let lent = stage.audience.news(lease, LeaseNews::Lent).await;
        assert_eq!(stage.policy_of(&account.id), RECOVERY);
        assert!(lent.seen_out_at.is_some() && lent.out_version > lent.home_version, "{lent:?}");
        stage.ask_back(lease, &account).await;
        let closed = stage.audience.news(lease, LeaseNews::Closed).await;
        assert_eq!((closed.end(), stage.policy_of(&account.id).as_str()), (words::LeaseEnd::Home, EVERYONE));
        assert!(closed.back_version > closed.out_version, "{closed:?}");

        let told: Vec<LeaseNews> = stage.audience.all(lease).iter().map(|(news, _)| *news).collect();
        assert_eq!(told, [LeaseNews::Opened, LeaseNews::Lent, LeaseNews::Returning, LeaseNews::Closed]);
        let versions: Vec<i64> = stage.audience.all(lease).iter().map(|(_, lease)| lease.version).collect();
        assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
        let moves = (stage.moves_into(&account.id, RECOVERY), stage.moves_into(&account.id, EVERYONE));
        assert_eq!(moves, (1, 1));
        // The line of the end follows the commit, a moment later.
        let (log, patience) = (stage.folder.path().join("0/leases.log"), Instant::now() + Duration::from_secs(20));
        loop {
            let text = std::fs::read_to_string(&log).unwrap();
            let lines: Vec<serde_json::Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            let ours = lines.iter().filter(|line| line["lease"] == lease.to_string());
            let told: Vec<&str> = ours.map(|line| line["what"].as_str().unwrap()).collect();
            if told == ["opened", "closed"] {
                break;
            }
            assert!(Instant::now() < patience, "the file of openings tells {told:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_are_lent_in_batches_and_each_comes_home() {
    on_both(Plan::default, async |stage| {
        let accounts: Vec<_> = (1..=18).map(|n| stage.stranded(n)).collect();
        let leases = futures_util::future::join_all(accounts.iter().map(|account| stage.lend(account))).await;
        for lease in &leases {
            stage.audience.news(*lease, LeaseNews::Lent).await;
        }
        futures_util::future::join_all(leases.iter().zip(&accounts).map(|(lease, account)| stage.ask_back(*lease, account)))
            .await;
        for (lease, account) in leases.iter().zip(&accounts) {
            let closed = stage.audience.news(*lease, LeaseNews::Closed).await;
            assert_eq!(closed.end(), words::LeaseEnd::Home);
            assert_eq!(stage.policy_of(&account.id), EVERYONE);
        }
        let moves: u64 = stage.truth().calls().iter().filter(|call| call.call.contains("add-users")).map(|call| call.count).sum();
        assert!(moves < 36, "36 accounts were moved in {moves} calls: not in batches");
        let exposure =
            stage.rpc(0).get_exposure(v1::GetExposureRequest { organisation: crate::stage::ORGANISATION.into() }).await.unwrap();
        assert_eq!(exposure.into_inner().out_now, 0);
    })
    .await;
}

/// Nobody asks: recovery says nothing after the lend.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_ends_at_its_due_time_by_itself() {
    let plan = || Plan { limits: Limits { lease: Duration::from_secs(3), ..Plan::default().limits }, ..Plan::default() };
    on_both(plan, async |stage| {
        let account = stage.stranded(1);
        let lease = stage.lend(&account).await;
        let lent = stage.audience.news(lease, LeaseNews::Lent).await;
        let closed = stage.audience.news(lease, LeaseNews::Closed).await;
        assert_eq!((closed.end(), closed.overdue), (words::LeaseEnd::Home, true));
        assert!(closed.return_reason.starts_with("due"), "{}", closed.return_reason);
        let late = closed.closed_at.unwrap().seconds - lent.due_at.unwrap().seconds;
        assert!((0..=3).contains(&late), "closed {late} s after it was due");
        assert_eq!(stage.policy_of(&account.id), EVERYONE);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_command_is_answered_with_where_the_lease_stands() {
    on_both(Plan::default, async |stage| {
        let account = stage.stranded(1);
        let grant = stage.grant(&account);
        stage.lend_by(&grant).await;
        stage.audience.news(grant.lease, LeaseNews::Lent).await;
        let before = stage.audience.all(grant.lease).len();
        stage.lend_by(&grant).await;
        until("the repeat is answered", async || stage.audience.all(grant.lease).len() > before).await;
        assert_eq!(stage.audience.all(grant.lease).last().map(|(news, _)| *news), Some(LeaseNews::Lent));
        stage.ask_back(grant.lease, &account).await;
        stage.audience.news(grant.lease, LeaseNews::Closed).await;
        let before = stage.audience.all(grant.lease).len();
        stage.ask_back(grant.lease, &account).await;
        stage.lend_by(&grant).await;
        until("both are answered", async || stage.audience.all(grant.lease).len() >= before + 2).await;
        assert!(stage.audience.all(grant.lease)[before..].iter().all(|(news, _)| *news == LeaseNews::Closed));
        assert_eq!(stage.moves_into(&account.id, RECOVERY), 1, "a grant is used once");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_is_taken_over_from_where_it_stood() {
    let plan = || Plan {
        limits: Limits {
            claim: Duration::from_millis(600),
            client_timeout: Duration::from_millis(500),
            ..Plan::default().limits
        },
        ..Plan::default()
    };
    on_both(plan, async |mut stage| {
        let accounts: Vec<_> = (1..=12).map(|n| stage.stranded(n)).collect();
        let mut leases = Vec::new();
        for (n, account) in accounts.iter().enumerate() {
            leases.push(stage.lend(account).await);
            if n % 4 == 3 {
                stage.crash_policy();
                stage.start_policy().await;
            }
        }
        for (n, (lease, account)) in leases.iter().zip(&accounts).enumerate() {
            stage.ask_back(*lease, account).await;
            if n % 5 == 2 {
                stage.crash_policy();
                stage.start_policy().await;
            }
        }
        for (lease, account) in leases.iter().zip(&accounts) {
            stage.audience.news(*lease, LeaseNews::Closed).await;
            assert_eq!(stage.policy_of(&account.id), EVERYONE);
            assert!(stage.moves_into(&account.id, RECOVERY) <= 1);
        }
    })
    .await;
}
