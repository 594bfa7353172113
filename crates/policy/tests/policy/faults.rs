//! Unknown outcomes: what the provider did is not what it said, or not when.

use std::time::{Duration, Instant};

use homeward_proto::policy::v1::LeaseNews;
use homeward_proto::words::v1 as words;
use homeward_simulator::well_known::policy::{EVERYONE, RECOVERY};
use homeward_simulator::{AccountTruth, Drift, Fault, FaultKind, Says, well_known};
use homeward_types::{LeaseId, Limits};

use crate::stage::{Plan, Stage, on_both, until};

const MOVES: &str = "POST *add-users";
const PLACEMENTS: &str = "POST *bulk-fetch";

/// A client that gives up soon.
fn impatient() -> Plan {
    let limits =
        Limits { client_timeout: Duration::from_millis(400), claim: Duration::from_millis(800), ..Plan::default().limits };
    Plan { timeout: limits.client_timeout, limits, ..Plan::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lend_that_timed_out_and_was_applied_is_seen_and_not_sent_again() {
    on_both(impatient, async |stage| {
        let account = stage.stranded(1);
        stage.truth().fault(Fault::on(MOVES, FaultKind::AppliedTimedOut { after_ms: 5_000 }).times(1));
        let lease = stage.lend(&account).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
        stage.ask_back(lease, &account).await;
        let closed = stage.audience.news(lease, LeaseNews::Closed).await;
        assert_eq!(closed.end(), words::LeaseEnd::Home);
        assert_eq!(stage.moves_into(&account.id, RECOVERY), 1);
        // Seen out, so the only lend was taken: nothing is waited out.
        assert!(stage.audience.all(lease).iter().all(|(news, _)| *news != LeaseNews::Settling));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lend_that_was_accepted_and_never_applied_ends_at_home_after_settling() {
    on_both(impatient, async |stage| {
        let account = stage.stranded(1);
        stage.truth().fault(Fault::on(MOVES, FaultKind::NeverApplied { says: Says::default() }).times(1));
        let lease = stage.lend(&account).await;
        let returning = stage.audience.news(lease, LeaseNews::Returning).await;
        assert_eq!(returning.return_reason, "the lend did not show");
        let closed = stage.audience.news(lease, LeaseNews::Closed).await;
        assert_eq!((closed.end(), closed.seen_out_at), (words::LeaseEnd::Home, None));
        assert_eq!(stage.moves_into(&account.id, RECOVERY), 0, "an unknown lend is never sent again");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lend_that_lands_after_the_return_is_seen_and_brought_back() {
    on_both(Plan::default, async |stage| {
        let account = stage.stranded(1);
        stage.truth().fault(Fault::on(MOVES, FaultKind::AppliedLate { by_ms: 900, says: Says::default() }).times(1));
        let lease = stage.lend(&account).await;
        until("the lend is accepted", async || {
            stage.truth().calls().iter().any(|call| call.call.contains("add-users") && call.count > 0)
        })
        .await;
        stage.ask_back(lease, &account).await;
        let closed = stage.audience.news(lease, LeaseNews::Closed).await;
        assert_eq!((closed.end(), stage.policy_of(&account.id).as_str()), (words::LeaseEnd::Home, EVERYONE));
        assert!(closed.seen_out_at.is_some(), "it did land: {closed:?}");
        assert_eq!(stage.moves_into(&account.id, RECOVERY), 1);
        let told: Vec<LeaseNews> = stage.audience.all(lease).iter().map(|(news, _)| *news).collect();
        assert!(told.contains(&LeaseNews::Settling) || told.contains(&LeaseNews::Lent), "{told:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_read_does_not_close_a_lease() {
    on_both(Plan::default, async |stage| {
        stage.earn_trust().await;
        let account = stage.stranded(1);
        let lease = stage.lend(&account).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
        // The return is never applied, and reads show the time before the lend: the account looks as if it were home.
        stage.truth().fault(Fault::on(MOVES, FaultKind::NeverApplied { says: Says::default() }).times(1));
        stage.truth().fault(Fault::on(PLACEMENTS, FaultKind::StaleRead { by_ms: 60_000 }).lasting(Duration::from_millis(90)));
        stage.ask_back(lease, &account).await;
        let closed = stage.audience.news(lease, LeaseNews::Closed).await;
        assert_eq!(stage.policy_of(&account.id), EVERYONE);
        assert!(closed.back_version > closed.out_version, "{closed:?}");
    })
    .await;
}

/// The read before the second lend shows the home of before the first: what was out under the first is not out under the second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_never_takes_an_earlier_ones_out_for_its_own() {
    on_both(Plan::default, async |stage| {
        stage.earn_trust().await;
        let account = stage.stranded(1);
        let first = stage.lend(&account).await;
        stage.audience.news(first, LeaseNews::Lent).await;
        stage.ask_back(first, &account).await;
        let first = stage.audience.news(first, LeaseNews::Closed).await;
        let stale = Fault::on(PLACEMENTS, FaultKind::StaleRead { by_ms: 60_000 }).times(1).for_account(&account.id);
        stage.truth().fault(stale);
        let second = stage.lend(&account).await;
        let opened = stage.audience.news(second, LeaseNews::Opened).await;
        assert_eq!(stage.truth().faults()[0].fired, 1, "the read was stale");
        assert!(first.back_version.is_some() && opened.home_version == first.back_version, "{first:?} {opened:?}");
        let lent = stage.audience.news(second, LeaseNews::Lent).await;
        assert!(lent.out_version > first.back_version, "{lent:?}");
        assert_eq!(stage.moves_into(&account.id, RECOVERY), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_batch_is_sent_again_by_itself() {
    on_both(Plan::default, async |stage| {
        let accounts: Vec<_> = (1..=6).map(|n| stage.stranded(n)).collect();
        stage.truth().fault(Fault::on(MOVES, FaultKind::PartialBatch { only: vec![] }).times(2));
        let leases = futures_util::future::join_all(accounts.iter().map(|account| stage.lend(account))).await;
        for lease in &leases {
            stage.audience.news(*lease, LeaseNews::Lent).await;
        }
        assert!(stage.truth().faults()[0].fired > 0);
        for (lease, account) in leases.iter().zip(&accounts) {
            stage.ask_back(*lease, account).await;
            stage.audience.news(*lease, LeaseNews::Closed).await;
            assert_eq!(stage.moves_into(&account.id, RECOVERY), 1);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_changes_hands_mid_call_takes_somebody_along_who_is_brought_home() {
    on_both(Plan::default, async |stage| {
        let account = stage.stranded(1);
        let bystander = stage.truth().account(well_known::HELP_DESK.id).unwrap();
        let swap = FaultKind::Meanwhile { account: account.id.clone(), drift: Drift::SwapEmail { with: bystander.id.clone() } };
        stage.truth().fault(Fault::on(MOVES, swap).times(1));
        let lease = stage.lend(&account).await;
        let incident = stage.audience.incident("unexpected_holder").await;
        assert_eq!(incident.account, bystander.id);
        assert!(!incident.sentence.contains(&account.email), "addresses are masked: {}", incident.sentence);
        let adopted = stage
            .audience
            .wait("an adopted lease", |heard| {
                heard.leases.iter().find(|(news, _)| *news == LeaseNews::Adopted).map(|(_, lease)| lease.clone())
            })
            .await;
        assert_eq!((adopted.account.as_str(), adopted.origin.as_str()), (bystander.id.as_str(), "adopted"));
        stage.audience.news(adopted.lease.parse().unwrap(), LeaseNews::Closed).await;
        stage.audience.news(lease, LeaseNews::Closed).await;
        assert_eq!((stage.policy_of(&bystander.id).as_str(), stage.policy_of(&account.id).as_str()), (EVERYONE, EVERYONE));
    })
    .await;
}

/// A lease under which somebody else may have been moved stays open until it is known who.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_does_not_end_before_it_is_known_whom_its_move_took_along() {
    on_both(impatient, async |stage| {
        let account = stage.stranded(1);
        let bystander = stage.truth().account(well_known::HELP_DESK.id).unwrap();
        let swap = FaultKind::Meanwhile { account: account.id.clone(), drift: Drift::SwapEmail { with: bystander.id.clone() } };
        stage.truth().fault(Fault::on(MOVES, swap).times(1));
        // The intake's search goes through; after that nobody can say who holds an address, but everything else works.
        stage.truth().fault(Fault { skip: 1, ..Fault::on("POST *search", FaultKind::ServerError { status: 503 }) });
        let lease = stage.lend(&account).await;
        until("the move took somebody along", async || stage.policy_of(&bystander.id) == RECOVERY).await;
        stage.ask_back(lease, &account).await;
        // Longer than the lease would have to wait for its lend.
        tokio::time::sleep(stage.organisation.limits.late_limit * 4).await;
        assert!(stage.truth().faults()[1].fired > 0, "nobody was searched for");
        let ended = stage.audience.heard(|heard| heard.leases.iter().any(|(news, _)| *news == LeaseNews::Closed));
        assert!(!ended, "the lease ended, and somebody is out without one");
        stage.truth().clear_faults();
        assert_eq!(stage.audience.incident("unexpected_holder").await.account, bystander.id);
        until("both are home", async || {
            [&bystander.id, &account.id].into_iter().all(|account| stage.policy_of(account) == EVERYONE)
        })
        .await;
        stage.audience.news(lease, LeaseNews::Closed).await;
    })
    .await;
}

/// One whose lend may take effect for four seconds.
fn late() -> Plan {
    let limits = Limits { late_limit: Duration::from_secs(4), ..impatient().limits };
    Plan { limits, ..impatient() }
}

/// Two accounts are lent and swap their addresses: the one is out by the other's lend, and its own may yet reach the other. Says
/// whose, under which lease, and when its lend was accepted.
async fn out_by_anothers_lend(stage: &Stage) -> (AccountTruth, LeaseId, Instant) {
    let account = stage.stranded(1);
    let other = stage.truth().account(well_known::HELP_DESK.id).unwrap();
    stage.truth().fault(Fault::on(MOVES, FaultKind::AppliedLate { by_ms: 60_000, says: Says::Running }).times(1));
    let lease = stage.lend(&account).await;
    until("the lend was accepted", async || stage.truth().faults()[0].fired == 1).await;
    let accepted = Instant::now();
    stage.truth().drift(&account.id, Drift::SwapEmail { with: other.id.clone() }).unwrap();
    stage.truth().drift(&account.id, Drift::Move { policy: RECOVERY.into() }).unwrap();
    stage.audience.news(lease, LeaseNews::Lent).await;
    (account, lease, accepted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_does_not_end_while_its_lend_may_reach_another_holder_of_the_address() {
    on_both(late, async |stage| {
        let (account, lease, accepted) = out_by_anothers_lend(&stage).await;
        stage.ask_back(lease, &account).await;
        until("it is home", async || stage.policy_of(&account.id) == EVERYONE).await;
        stage.audience.news(lease, LeaseNews::Closed).await;
        let waited = accepted.elapsed();
        assert!(waited >= stage.organisation.limits.late_limit, "it ended {waited:?} after its lend, which could still land");
    })
    .await;
}

/// The same where nobody asked for the return: a person moves the account home by hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_ended_by_hand_does_not_end_while_its_lend_may_reach_another_holder_of_the_address() {
    on_both(late, async |stage| {
        let (account, lease, accepted) = out_by_anothers_lend(&stage).await;
        stage.truth().drift(&account.id, Drift::Move { policy: EVERYONE.into() }).unwrap();
        stage.audience.news(lease, LeaseNews::Closed).await;
        let waited = accepted.elapsed();
        assert!(waited >= stage.organisation.limits.late_limit, "it ended {waited:?} after its lend, which could still land");
    })
    .await;
}

/// The worker reads addresses for longer than its claim lasts: it must not send what it held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_claim_is_over_sends_nothing() {
    let plan = || {
        let limits =
            Limits { claim: Duration::from_millis(500), client_timeout: Duration::from_millis(500), ..Plan::default().limits };
        Plan { limits, timeout: Duration::from_secs(3), ..Plan::default() }
    };
    on_both(plan, async |stage| {
        stage.earn_trust().await;
        let moves =
            || stage.truth().calls().iter().filter(|call| call.call.contains("add-users")).map(|call| call.count).sum::<u64>();
        let (account, before) = (stage.stranded(1), moves());
        // The intake's read goes through; the worker's does not come back in time.
        stage
            .truth()
            .fault(Fault { skip: 1, ..Fault::on(PLACEMENTS, FaultKind::Slow { by_ms: 900 }) }.times(1).for_account(&account.id));
        let lease = stage.lend(&account).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
        assert_eq!(stage.truth().faults()[0].fired, 1);
        assert_eq!((stage.moves_into(&account.id, RECOVERY), moves() - before), (1, 1), "another claim sent it, once");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_re_add_that_brings_the_old_version_back_is_proved_by_two_reads() {
    let plan = || {
        let mut plan = Plan::default();
        plan.simulator.versions = homeward_simulator::config::Versions::KeptOnReAdd;
        plan
    };
    on_both(plan, async |stage| {
        for _ in 0..3 {
            let account = stage.stranded(1);
            let lease = stage.lend(&account).await;
            stage.audience.news(lease, LeaseNews::Lent).await;
            stage.ask_back(lease, &account).await;
            let closed = stage.audience.news(lease, LeaseNews::Closed).await;
            assert_eq!((closed.end(), stage.policy_of(&account.id).as_str()), (words::LeaseEnd::Home, EVERYONE));
        }
    })
    .await;
}
