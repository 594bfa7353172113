//! Patrol against the real simulator, on both databases, with the in-process broker and a policy that only listens.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod world;

use std::time::Duration;

use homeward_proto::policy::v1::LeaseState;
use homeward_simulator::Drift;
use homeward_simulator::well_known::{self, policy};
use homeward_types::Limits;

use world::{lease, worlds, worlds_of};

fn by_hand(to: &str) -> Drift {
    Drift::Move { policy: to.into() }
}

#[tokio::test]
async fn an_open_lease_is_read_back_and_nothing_is_wrong_with_it() {
    for world in worlds(Limits::short()).await {
        world.simulator.truth().drift(well_known::STORY.id, by_hand(policy::RECOVERY)).unwrap();
        world.tell(vec![lease(1, well_known::STORY.id, 1, LeaseState::Active, 3_600)]).await;
        let report = world.report_when("the account is seen out", |report| report.seen_out == 1).await;
        assert_eq!((report.read_back, report.overdue, report.findings.len()), (1, 0, 0));
        assert!(world.returns_asked().is_empty());
        world.stop().await;
    }
}

#[tokio::test]
async fn an_account_that_is_out_after_its_lease_ended_is_found_told_once_and_forgotten_when_it_is_back() {
    for world in worlds(Limits::short()).await {
        let ended = lease(1, well_known::STORY.id, 4, LeaseState::Closed, 3_600);
        world.tell(vec![ended]).await;
        world.report_when("the ended lease is read", |report| report.read_back == 1).await;
        world.simulator.truth().drift(well_known::STORY.id, by_hand(policy::RECOVERY)).unwrap();
        let report = world.report_when("it is found", |report| !report.findings.is_empty()).await;
        assert_eq!(report.findings[0].kind, "out_after_close");
        assert!(report.findings[0].sentence.contains(well_known::STORY.id), "{}", report.findings[0].sentence);
        let incidents = world.incidents_when(1).await;
        assert_eq!((incidents[0].kind.as_str(), incidents[0].account.as_str()), ("out_after_close", well_known::STORY.id));
        world.simulator.truth().drift(well_known::STORY.id, by_hand(policy::EVERYONE)).unwrap();
        world.report_when("it is forgotten", |report| report.findings.is_empty()).await;
        assert_eq!(world.incidents_when(1).await.len(), 1, "told once");
        world.stop().await;
    }
}

#[tokio::test]
async fn policy_is_asked_to_return_what_is_long_overdue() {
    let limits = Limits { overdue_incident: Duration::from_secs(1), ..Limits::short() };
    for world in worlds(limits).await {
        world.simulator.truth().drift(well_known::STORY.id, by_hand(policy::RECOVERY)).unwrap();
        let overdue = lease(1, well_known::STORY.id, 2, LeaseState::Active, -60);
        let name = overdue.lease.clone().unwrap().lease;
        world.tell(vec![overdue]).await;
        let report = world.report_when("it is overdue", |report| report.overdue == 1).await;
        assert_eq!(report.findings[0].kind, "overdue");
        world.until("policy was asked", || world.returns_asked().contains(&name)).await;
        world.stop().await;
    }
}

#[tokio::test]
async fn news_that_is_older_than_what_is_known_changes_nothing() {
    for world in worlds(Limits::short()).await {
        world
            .tell(vec![
                lease(1, well_known::STORY.id, 5, LeaseState::Closed, -60),
                lease(1, well_known::STORY.id, 2, LeaseState::Active, -60),
            ])
            .await;
        let report = world.report_when("it is read", |report| report.read_back == 1).await;
        assert_eq!((report.overdue, report.findings.len()), (0, 0));
        world.stop().await;
    }
}

#[tokio::test]
async fn a_provider_that_is_silent_stops_no_later_patrol() {
    for world in worlds(Limits::short()).await {
        let truth = world.simulator.truth();
        truth.fault(homeward_simulator::Fault::on("", homeward_simulator::FaultKind::Outage));
        world.tell(vec![lease(1, well_known::STORY.id, 1, LeaseState::Opening, 3_600)]).await;
        world.until("a patrol met the outage", || truth.faults().iter().any(|fault| fault.fired > 0)).await;
        truth.clear_faults();
        world.report_when("a later patrol reads", |report| report.read_back == 1).await;
        world.stop().await;
    }
}

#[tokio::test]
async fn an_account_that_was_lent_again_is_out_by_right() {
    for world in worlds(Limits::short()).await {
        world.simulator.truth().drift(well_known::STORY.id, by_hand(policy::RECOVERY)).unwrap();
        world
            .tell(vec![
                lease(1, well_known::STORY.id, 4, LeaseState::Closed, 3_600),
                lease(2, well_known::STORY.id, 2, LeaseState::Active, 3_600),
            ])
            .await;
        let first = world.report_when("both are read", |report| report.read_back == 2 && report.seen_out == 2).await;
        let seconds = first.patrolled_at.unwrap().seconds;
        let later = world.report_when("later too", |report| report.patrolled_at.unwrap().seconds > seconds + 1).await;
        assert_eq!((later.read_back, later.findings.len()), (2, 0));
        world.stop().await;
    }
}

#[tokio::test]
async fn people_are_told_once_of_what_lasts_and_not_of_what_passes() {
    let limits = Limits { overdue_incident: Duration::from_secs(2), ..Limits::short() };
    for world in worlds(limits).await {
        world.simulator.truth().drift(well_known::STORY.id, by_hand(policy::RECOVERY)).unwrap();
        world.tell(vec![lease(1, well_known::STORY.id, 2, LeaseState::Active, 0)]).await;
        world.report_when("it is overdue", |report| report.overdue == 1 && report.findings.len() == 1).await;
        assert!(world.incidents_so_far().is_empty(), "for a moment only, as far as anyone knows");
        let incidents = world.incidents_when(1).await;
        assert_eq!((incidents[0].kind.as_str(), incidents[0].organisation.as_str()), ("overdue", "northwind"));
        let asked = world.returns_asked().len();
        world.until("policy is asked again", || world.returns_asked().len() > asked + 2).await;
        assert_eq!(world.incidents_so_far().len(), 1);
        world.stop().await;
    }
}

#[tokio::test]
async fn an_account_in_the_recovery_policy_that_nobody_lent_is_a_stray() {
    for world in worlds(Limits::short()).await {
        world.simulator.truth().drift(well_known::STORY.id, by_hand(policy::RECOVERY)).unwrap();
        let mut refused = lease(1, well_known::STORY.id, 1, LeaseState::Closed, 3_600);
        if let Some(lease) = &mut refused.lease {
            lease.end = homeward_proto::words::v1::LeaseEnd::NeverLent.into();
            lease.seen_out_at = None;
        }
        world.tell(vec![refused]).await;
        let incidents = world.incidents_when(1).await;
        assert_eq!((incidents[0].kind.as_str(), incidents[0].account.as_str()), ("stray", well_known::STORY.id));
        assert!(world.returns_asked().is_empty(), "what Homeward did not lend is only reported");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_processes_one_patrols_at_a_time_and_its_report_is_whole() {
    let limits = Limits { overdue_incident: Duration::from_millis(200), ..Limits::short() };
    for world in worlds_of(3, limits).await {
        world.simulator.truth().drift(well_known::STORY.id, by_hand(policy::RECOVERY)).unwrap();
        world.tell(vec![lease(1, well_known::STORY.id, 2, LeaseState::Active, -60)]).await;
        world.report_when("it is overdue", |report| report.overdue == 1).await;
        let calls = || world.simulator.truth().calls().iter().map(|call| call.count).sum::<u64>();
        let (before, began) = (calls(), std::time::Instant::now());
        let mut patrols = std::collections::BTreeSet::new();
        while began.elapsed() < Duration::from_secs(3) {
            let report = world.report_when("a patrol", |_| true).await;
            assert_eq!(
                (report.read_back, report.overdue, report.findings.len()),
                (1, 1, 1),
                "what one did not read, another said"
            );
            patrols.insert(report.patrolled_at.map(|at| (at.seconds, at.nanos)));
        }
        // One patrol each 100 ms, not one for each process: as many reads as there were patrols, give or take one under way.
        let read = calls() - before;
        assert!(patrols.len() > 5, "{} patrols", patrols.len());
        assert!(read <= 31, "{read} reads in 3 s by three processes");
        assert_eq!(world.incidents_when(1).await.len(), 1, "told once");
        world.stop().await;
    }
}

#[tokio::test]
async fn the_tables_agree_on_both_engines() {
    homeward_store::testing::schemas_agree(&homeward_patrol::Patrol::migrations()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_patrols_own_key_is_told_once() {
    for world in worlds(Limits::short()).await {
        world.tell(vec![lease(1, well_known::LOST_PHONE.id, 1, LeaseState::Active, 3_600)]).await;
        world.report_when("the lease was read back", |report| report.read_back >= 1).await;
        assert!(world.simulator.truth().revoke_key("reader"));
        let told = world.incidents_when(1).await;
        assert_eq!(told[0].kind, "patrol_key_refused");
        assert!(told[0].sentence.contains("KEY_REFUSED") && told[0].safe_action.contains("check provider"), "{told:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(world.incidents_so_far().len(), 1, "not at every patrol");
        world.stop().await;
    }
}
