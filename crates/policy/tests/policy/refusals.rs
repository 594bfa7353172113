//! Lends that are not opened: the id is closed as never lent, and nobody is moved.

use std::time::Duration;

use homeward_proto::policy::v1::{self, LeaseNews, Refusal};
use homeward_proto::words::v1 as words;
use homeward_simulator::well_known::policy::{ENGINEERING, EVERYONE, RECOVERY};
use homeward_simulator::{AccountTruth, Drift, well_known};
use homeward_types::limits::after;
use homeward_types::{Clock, Grant, LeaseId, SystemClock, Tier};

use crate::stage::{ORGANISATION, Plan, Stage, email, on_both};

async fn refused(stage: &Stage, lease: LeaseId, account: &AccountTruth, expected: Refusal) {
    let refused = stage.audience.news(lease, LeaseNews::Refused).await;
    assert_eq!((refused.refusal(), refused.end()), (expected, words::LeaseEnd::NeverLent), "{refused:?}");
    assert_eq!(stage.moves_into(&account.id, RECOVERY), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lend_that_comes_after_its_return_is_refused() {
    on_both(Plan::default, async |stage| {
        let account = stage.stranded(1);
        let grant = stage.grant(&account);
        stage.ask_back(grant.lease, &account).await;
        let tombstone = stage.audience.news(grant.lease, LeaseNews::Closed).await;
        assert_eq!(tombstone.end(), words::LeaseEnd::NeverLent);
        stage.lend_by(&grant).await;
        refused(&stage, grant.lease, &account, Refusal::Busy).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_must_be_recoverys_whole_approved_and_in_time() {
    on_both(Plan::default, async |stage| {
        let account = stage.stranded(1);
        let fresh = || stage.grant(&account);

        let forged = fresh();
        let mut command = stage.recovery.sign(&forged);
        command.grant = serde_json::to_vec(&Grant { lease_micros: forged.lease_micros + 1, ..forged.clone() }).unwrap();
        stage.send_lend(forged.lease, command).await;
        refused(&stage, forged.lease, &account, Refusal::Grant).await;
        stage.audience.incident("bad_grant").await;

        let unknown = fresh();
        let command = v1::LendAccount { kid: "0123456789abcdef".into(), ..stage.recovery.sign(&unknown) };
        stage.send_lend(unknown.lease, command).await;
        refused(&stage, unknown.lease, &account, Refusal::Grant).await;

        let alone = Grant { approvers: vec!["rita".parse().unwrap()], ..fresh() };
        stage.lend_by(&alone).await;
        refused(&stage, alone.lease, &account, Refusal::Grant).await;

        let nobody = Grant { approvers: vec![], ..fresh() };
        stage.lend_by(&nobody).await;
        refused(&stage, nobody.lease, &account, Refusal::Grant).await;

        let late = Grant { not_after: SystemClock.now(), ..fresh() };
        stage.lend_by(&late).await;
        refused(&stage, late.lease, &account, Refusal::Expired).await;

        // None of these spoiled the account for a good one.
        let lease = stage.lend(&account).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_since_the_approval_is_refused() {
    on_both(Plan::default, async |stage| {
        let account = stage.stranded(1);
        let renamed = stage.grant(&account);
        stage.truth().drift(&account.id, Drift::Email { email: "new.name@northwind.example".into() }).unwrap();
        stage.lend_by(&renamed).await;
        refused(&stage, renamed.lease, &account, Refusal::Changed).await;

        let other = stage.stranded(2);
        let moved = stage.grant(&other);
        stage.truth().drift(&other.id, Drift::Move { policy: ENGINEERING.into() }).unwrap();
        stage.lend_by(&moved).await;
        refused(&stage, moved.lease, &other, Refusal::Changed).await;

        let promoted = stage.stranded(3);
        let grant = stage.grant(&promoted);
        stage.truth().drift(&promoted.id, Drift::Administrator { administrator: true }).unwrap();
        stage.lend_by(&grant).await;
        refused(&stage, grant.lease, &promoted, Refusal::Changed).await;
        let careful = Grant {
            tier: Tier::High,
            approvers: vec!["anna".parse().unwrap(), "ben".parse().unwrap()],
            ..stage.grant(&promoted)
        };
        stage.lend_by(&careful).await;
        stage.audience.news(careful.lease, LeaseNews::Lent).await;

        let suspended = stage.truth().account(well_known::SUSPENDED.id).unwrap();
        let grant = Grant { email: email(&suspended.email), ..stage.grant(&suspended) };
        stage.lend_by(&grant).await;
        refused(&stage, grant.lease, &suspended, Refusal::Changed).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_has_one_open_lease() {
    on_both(Plan::default, async |stage| {
        let account = stage.stranded(1);
        let (first, second) = (stage.grant(&account), stage.grant(&account));
        tokio::join!(stage.lend_by(&first), stage.lend_by(&second));
        let loser = tokio::select! {
            _ = stage.audience.news(first.lease, LeaseNews::Refused) => &first,
            _ = stage.audience.news(second.lease, LeaseNews::Refused) => &second,
        };
        let winner = if loser == &first { &second } else { &first };
        stage.audience.news(winner.lease, LeaseNews::Lent).await;
        let refused = stage.audience.news(loser.lease, LeaseNews::Refused).await;
        assert!(matches!(refused.refusal(), Refusal::Busy | Refusal::Changed), "{refused:?}");
        assert_eq!(stage.moves_into(&account.id, RECOVERY), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policy_has_a_hard_cap_of_its_own() {
    let plan = || {
        let mut plan = Plan::default();
        // 60 accounts are managed, or a few less: 4 % are two of them.
        (plan.limits.hard_cap_percent, plan.limits.exposure_percent) = (4.0, 4.0);
        plan
    };
    on_both(plan, async |stage| {
        let accounts: Vec<_> = (1..=5).map(|n| stage.stranded(n)).collect();
        let grants: Vec<Grant> = accounts.iter().map(|account| stage.grant(account)).collect();
        futures_util::future::join_all(grants.iter().map(|grant| stage.lend_by(grant))).await;
        let told =
            |news| grants.iter().filter(|grant| stage.audience.all(grant.lease).iter().any(|(told, _)| *told == news)).count();
        crate::stage::until("two are lent and three refused", async || {
            told(LeaseNews::Lent) == 2 && told(LeaseNews::Refused) == 3
        })
        .await;
        let lent =
            grants.iter().position(|g| stage.audience.all(g.lease).iter().any(|(told, _)| *told == LeaseNews::Lent)).unwrap();
        let no =
            grants.iter().position(|g| stage.audience.all(g.lease).iter().any(|(told, _)| *told == LeaseNews::Refused)).unwrap();
        refused(&stage, grants[no].lease, &accounts[no], Refusal::Cap).await;
        let exposure =
            stage.rpc(0).get_exposure(v1::GetExposureRequest { organisation: ORGANISATION.into() }).await.unwrap().into_inner();
        assert_eq!((exposure.hard_cap, exposure.out_now), (2, 2));
        // One comes home: there is room for one.
        stage.ask_back(grants[lent].lease, &accounts[lent]).await;
        stage.audience.news(grants[lent].lease, LeaseNews::Closed).await;
        let again = stage.lend(&accounts[no]).await;
        stage.audience.news(again, LeaseNews::Lent).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_stops_lends_and_no_return_and_survives_a_restart() {
    on_both(Plan::default, async |mut stage| {
        let (out, other) = (stage.stranded(1), stage.stranded(2));
        let lease = stage.lend(&out).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
        let drain = |drain| v1::SetDrainRequest { organisation: ORGANISATION.into(), drain, reason: "exercise".into() };
        stage.rpc(0).set_drain(drain(true)).await.unwrap();
        stage.audience.incident("drain").await;
        stage.crash_policy();
        stage.start_policy().await;
        let grant = stage.grant(&other);
        stage.lend_by(&grant).await;
        refused(&stage, grant.lease, &other, Refusal::Draining).await;
        stage.ask_back(lease, &out).await;
        stage.audience.news(lease, LeaseNews::Closed).await;
        assert_eq!(stage.policy_of(&out.id), EVERYONE);
        stage.rpc(0).set_drain(drain(false)).await.unwrap();
        let lease = stage.lend(&other).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
    })
    .await;
}

/// The grant is good for a second after the provider is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lends_wait_for_a_silent_provider_and_expire_in_the_end() {
    on_both(Plan::default, async |stage| {
        let (short, long) = (stage.stranded(1), stage.stranded(2));
        stage.earn_trust().await;
        stage.truth().fault(homeward_simulator::Fault::on("", homeward_simulator::FaultKind::Outage));
        let brief = Grant { not_after: after(SystemClock.now(), Duration::from_millis(800)), ..stage.grant(&short) };
        let patient = stage.grant(&long);
        stage.lend_by(&brief).await;
        stage.lend_by(&patient).await;
        refused(&stage, brief.lease, &short, Refusal::Expired).await;
        stage.truth().clear_faults();
        stage.audience.news(patient.lease, LeaseNews::Lent).await;
    })
    .await;
}
