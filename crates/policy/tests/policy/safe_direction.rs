//! What people and services may ask: facts, returns, releases, care.

use std::time::Duration;

use homeward_proto::policy::v1::{self, LeaseNews, LeaseState, ResetResult};
use homeward_proto::words::v1 as words;
use homeward_simulator::well_known::policy::{EVERYONE, RECOVERY};
use homeward_simulator::{Drift, Status, well_known};
use homeward_types::{Clock, Limits, SystemClock};

use crate::stage::{ORGANISATION, Plan, on_both, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn facts_are_read_afresh_with_what_is_open() {
    on_both(Plan::default, async |stage| {
        let (out, home) = (stage.stranded(1), stage.truth().account(well_known::LOST_PHONE.id).unwrap());
        let lease = stage.lend(&out).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
        let accounts = vec![home.id.clone(), out.id.clone(), "712020:nobody".into()];
        let request = v1::ReadFactsRequest { organisation: ORGANISATION.into(), accounts };
        let facts = stage.rpc(0).read_facts(request).await.unwrap().into_inner().facts;
        assert_eq!(facts.len(), 3);
        assert_eq!((facts[0].factor(), facts[0].open_lease.as_str()), (words::Factor::Enrolled, ""));
        assert_eq!(facts[0].placement.as_ref().unwrap().policy, EVERYONE);
        assert_eq!((facts[1].factor(), &facts[1].open_lease), (words::Factor::Absent, &lease.to_string()));
        assert!(facts[1].free_at.is_some());
        assert!(facts[2].placement.is_none() && facts[2].factor() == words::Factor::Unknown);
        assert!(facts[0].factor_elsewhere.is_empty() && facts[0].last_active.is_some());

        let accounts = vec![well_known::SINGLE_SIGN_ON.id.to_owned()];
        let request = v1::ReadFactsRequest { organisation: ORGANISATION.into(), accounts };
        let facts = stage.rpc(0).read_facts(request).await.unwrap().into_inner().facts;
        assert!(!facts[0].factor_elsewhere.is_empty(), "what its manager may not do shows where the factor lives");

        let many: Vec<String> = (1..=6).map(|n| stage.stranded(n).id).collect();
        let request = v1::ReadFactsRequest { organisation: ORGANISATION.into(), accounts: many };
        let facts = stage.rpc(0).read_facts(request).await.unwrap().into_inner().facts;
        assert!(facts.iter().all(|facts| facts.last_active.is_none()), "many are not asked about one by one");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_or_all_are_returned_and_it_is_announced() {
    on_both(Plan::default, async |stage| {
        let accounts: Vec<_> = (1..=4).map(|n| stage.stranded(n)).collect();
        let leases = futures_util::future::join_all(accounts.iter().map(|account| stage.lend(account))).await;
        for lease in &leases {
            stage.audience.news(*lease, LeaseNews::Lent).await;
        }
        let one = v1::ReturnLeaseRequest { lease: leases[0].to_string(), reason: "seen enough".into() };
        let state = stage.rpc(0).return_lease(one).await.unwrap().into_inner().state();
        assert_eq!(state, LeaseState::Closing);
        assert_eq!(stage.audience.news(leases[0], LeaseNews::Closed).await.return_reason, "olga: seen enough");
        let all = v1::ReturnLeasesRequest { organisation: ORGANISATION.into(), reason: "exercise".into(), ..Default::default() };
        assert_eq!(stage.rpc(1).return_leases(all).await.unwrap().into_inner().returning, 3);
        stage.audience.incident("returning_many").await;
        for lease in &leases {
            stage.audience.news(*lease, LeaseNews::Closed).await;
        }
        let list = v1::ListLeasesRequest { organisation: ORGANISATION.into(), page_size: 3, ..Default::default() };
        let page = stage.rpc(0).list_leases(list.clone()).await.unwrap().into_inner();
        let rest = v1::ListLeasesRequest { before: page.next_before.clone(), ..list };
        assert_eq!((page.leases.len(), stage.rpc(0).list_leases(rest).await.unwrap().into_inner().leases.len()), (3, 1));
        let nothing = v1::ReturnLeaseRequest {
            lease: homeward_types::LeaseId::from_uuid(uuid::Uuid::nil()).to_string(),
            reason: "x".into(),
        };
        assert_eq!(stage.rpc(0).return_lease(nothing).await.unwrap_err().code(), tonic::Code::NotFound);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_takes_two_persons_and_is_for_ever() {
    on_both(Plan::default, async |stage| {
        let account = stage.stranded(1);
        let lease = stage.lend(&account).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
        let release = || v1::ReleaseLeaseRequest { lease: lease.to_string(), reason: "leaves the company".into() };
        assert!(!stage.rpc(0).release_lease(release()).await.unwrap().into_inner().released);
        let again = stage.rpc(0).release_lease(release()).await.unwrap_err();
        assert_eq!(again.code(), tonic::Code::FailedPrecondition, "the same person twice: {again:?}");
        assert!(stage.rpc(1).release_lease(release()).await.unwrap().into_inner().released);
        assert_eq!(stage.audience.news(lease, LeaseNews::Closed).await.end(), words::LeaseEnd::Released);
        assert_eq!(stage.policy_of(&account.id), RECOVERY);
        stage.truth().drift(&account.id, Drift::Move { policy: EVERYONE.into() }).unwrap();
        let refused = stage.lend(&stage.stranded(1)).await;
        stage.audience.news(refused, LeaseNews::Refused).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_seen_out_after_its_lease_ended_is_leased_again_and_brought_home() {
    on_both(Plan::default, async |stage| {
        stage.earn_trust().await;
        let account = stage.stranded(1);
        let lease = stage.lend(&account).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
        stage.ask_back(lease, &account).await;
        stage.audience.news(lease, LeaseNews::Closed).await;
        stage.truth().drift(&account.id, Drift::Move { policy: RECOVERY.into() }).unwrap();
        // Patrol finds it and asks for the lease that it knows.
        let ask = v1::ReturnLeaseRequest { lease: lease.to_string(), reason: "seen out".into() };
        stage.rpc(0).return_lease(ask).await.unwrap();
        let reopened = stage
            .audience
            .wait("a reopened lease", |heard| {
                heard
                    .leases
                    .iter()
                    .find(|(news, lease)| *news == LeaseNews::Adopted && lease.origin == "reopened")
                    .map(|(_, l)| l.clone())
            })
            .await;
        assert_eq!(reopened.account, account.id);
        stage.audience.news(reopened.lease.parse().unwrap(), LeaseNews::Closed).await;
        assert_eq!(stage.policy_of(&account.id), EVERYONE);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_factor_is_reset_by_a_person_and_only_while_the_account_is_out() {
    on_both(Plan::default, async |stage| {
        let account = stage.truth().account(well_known::LOST_PHONE.id).unwrap();
        let reset = |lease: homeward_types::LeaseId| v1::ResetFactor {
            lease: lease.to_string(),
            organisation: ORGANISATION.into(),
            account: account.id.clone(),
            confirmed_at: None,
        };
        let grant = stage.grant(&account);
        let lease = grant.lease;
        let answers = || stage.audience.heard(|heard| heard.resets.iter().map(v1::FactorReset::result).collect::<Vec<_>>());
        stage.command("policy.command.reset-factor.v1", lease, &reset(lease)).await;
        until("the early one is answered", async || answers() == [ResetResult::NotOut]).await;
        stage.lend_by(&grant).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
        stage.command("policy.command.reset-factor.v1", lease, &reset(lease)).await;
        until("a person is needed", async || answers().last() == Some(&ResetResult::PersonNeeded)).await;
        let asked = stage.audience.heard(|heard| heard.resets.last().cloned().unwrap());
        assert!(asked.page.starts_with("http") && asked.how.contains(&account.email), "{asked:?}");
        stage.truth().drift(&account.id, Drift::Factor { enrolled: false, lost: false }).unwrap();
        stage.command("policy.command.reset-factor.v1", lease, &reset(lease)).await;
        until("it is absent", async || answers().last() == Some(&ResetResult::AlreadyAbsent)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_persons_word_that_a_later_read_contradicts_is_an_incident_and_an_early_read_says_nothing() {
    let plan = || {
        let limits = Limits { factor_lag: Duration::from_secs(2), ..Plan::default().limits };
        Plan { limits, ..Plan::default() }
    };
    on_both(plan, async |stage| {
        let account = stage.truth().account(well_known::LOST_PHONE.id).unwrap();
        let grant = stage.grant(&account);
        let lease = grant.lease;
        stage.lend_by(&grant).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
        let clicked = SystemClock.now();
        let reset = v1::ResetFactor {
            lease: lease.to_string(),
            organisation: ORGANISATION.into(),
            account: account.id.clone(),
            confirmed_at: Some(homeward_proto::wire::timestamp(clicked)),
        };
        let answered = || stage.audience.heard(|heard| heard.resets.len());
        stage.command("policy.command.reset-factor.v1", lease, &reset).await;
        if SystemClock.now() - clicked < chrono::TimeDelta::seconds(2) {
            assert_eq!(answered(), 0, "too early to tell: no answer, so that it is asked again");
        }
        until("a read that is not behind may speak", async || {
            stage.command("policy.command.reset-factor.v1", lease, &reset).await;
            answered() > 0
        })
        .await;
        let incident = stage.audience.incident("reset_contradicted").await;
        assert_eq!((incident.lease.as_str(), incident.account.as_str()), (lease.to_string().as_str(), account.id.as_str()));
        assert!(incident.safe_action.contains("http"), "{incident:?}");
        let told = stage.audience.heard(|heard| heard.incidents.iter().filter(|i| i.kind == "reset_contradicted").count());
        assert_eq!(told, 1);
        let first = stage.audience.heard(|heard| heard.resets[0].result());
        assert_eq!(first, ResetResult::PersonNeeded);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_the_window_are_revoked_and_an_account_is_contained_and_freed() {
    on_both(Plan::default, async |stage| {
        let account = stage.stranded(1);
        stage.truth().drift(&account.id, Drift::Token { label: "older".into() }).unwrap();
        let lease = stage.lend(&account).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
        stage.truth().drift(&account.id, Drift::Token { label: "in the window".into() }).unwrap();
        let (lease_text, organisation) = (lease.to_string(), ORGANISATION.to_owned());
        let contain = |contain| v1::ContainAccount {
            lease: lease_text.clone(),
            organisation: organisation.clone(),
            account: account.id.clone(),
            contain,
            reason: "not me".into(),
        };
        stage.command("policy.command.contain-account.v1", lease, &contain(true)).await;
        until("it is contained", async || stage.audience.heard(|heard| heard.contained.iter().any(|answer| answer.contained)))
            .await;
        assert_ne!(stage.truth().account(&account.id).unwrap().status, Status::Active);
        stage.ask_back(lease, &account).await;
        let closed = stage.audience.news(lease, LeaseNews::Closed).await;
        assert!(closed.contained);
        let clean = v1::CleanWindow { lease: lease.to_string(), organisation: ORGANISATION.into(), account: account.id.clone() };
        stage.command("policy.command.clean-window.v1", lease, &clean).await;
        let cleaned = stage.audience.wait("the window is clean", |heard| heard.cleaned.first().cloned()).await;
        assert!(cleaned.revoked.iter().any(|what| what.contains("in the window")), "{cleaned:?}");
        assert!(cleaned.revoked.iter().all(|what| !what.contains("older")), "{cleaned:?}");
        assert!(!cleaned.cannot.is_empty(), "sign-ins cannot be ended, and that is said");
        stage.command("policy.command.contain-account.v1", lease, &contain(false)).await;
        until("it is free", async || stage.truth().account(&account.id).is_some_and(|account| account.status == Status::Active))
            .await;
    })
    .await;
}
