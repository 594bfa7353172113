//! What a person means by an id, an address or a name.

use std::time::Duration;

use homeward_chassis::rpc::Refused;
use homeward_proto::directory::v1::{AccountChange, FindAccountsRequest};
use homeward_simulator::well_known::{
    ADMINISTRATOR, DEACTIVATED, LOST_PHONE, MIA_BERG, OTHER_MIA_BERG, SINGLE_SIGN_ON, STORY, SUSPENDED, UNMANAGED,
};
use homeward_simulator::{Drift, Fault, FaultKind};
use homeward_types::Limits;

use crate::world::{Heard, Options, World, worlds};

const SEARCHES: &str = "users/search";

/// Worlds that are swept once, long enough ago for nothing but the first sweep to run.
async fn swept_once() -> Vec<World> {
    let limits = Limits { sync: Duration::from_mins(5), ..Limits::short() };
    let worlds = worlds(&Options { limits, ..Options::default() }).await;
    for world in &worlds {
        world.sync_when("the first sweep", |sync| sync.last_full_sync.is_some()).await;
    }
    worlds
}

#[tokio::test]
async fn ids_addresses_and_names_are_found_in_one_call() {
    for world in swept_once().await {
        let queries = [
            STORY.id,
            " Lena.Fischer@NORTHWIND.example ",
            "mia berg",
            "okafor",
            "ida.holm",
            "Berg, Mia",
            "no.such.person@northwind.example",
            "Nobody Atall",
        ];
        let both = [MIA_BERG.id, OTHER_MIA_BERG.id].map(String::from).to_vec();
        let one = |id: &str| vec![id.to_owned()];
        let found = world.ids(queries).await;
        let expected = [one(STORY.id), one(LOST_PHONE.id), both.clone(), one(STORY.id), one(SUSPENDED.id), both, vec![], vec![]];
        for ((query, found), expected) in queries.iter().zip(&found).zip(&expected) {
            let (mut found, mut expected) = (found.clone(), expected.clone());
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{query}");
        }
        world.stop().await;
    }
}

#[tokio::test]
async fn what_no_page_tells_is_known_of_every_account_that_is_found() {
    for world in swept_once().await {
        let people = [SUSPENDED, SINGLE_SIGN_ON, ADMINISTRATOR, UNMANAGED, STORY, DEACTIVATED];
        let found = world.find(people.map(|person| person.email)).await;
        let accounts: Vec<_> = found.findings.iter().map(|finding| finding.matches[0].clone()).collect();
        assert_eq!((accounts[0].status.as_str(), accounts[0].claim.as_str()), ("suspended", "managed"));
        assert!(!accounts[1].synced_from.is_empty() && accounts[1].administrator == accounts[4].administrator);
        assert!(accounts[2].administrator && !accounts[4].administrator);
        assert_eq!((accounts[3].account.as_str(), accounts[3].claim.as_str()), (UNMANAGED.id, "domain_not_verified"));
        assert_eq!((accounts[4].status.as_str(), accounts[5].status.as_str()), ("active", "deactivated"));
        assert!(accounts[4].last_active == world.find([STORY.id]).await.findings[0].matches[0].last_active);
        let by_name = world.find(["Ruth Adler", "Jonas Weber"]).await;
        assert!(by_name.findings.iter().all(|finding| finding.matches.len() == 1), "also by name, once it is known");
        world.stop().await;
    }
}

#[tokio::test]
async fn who_joined_or_changed_just_now_is_found_before_the_next_sweep() {
    for world in swept_once().await {
        world.drift(&STORY, Drift::Email { email: "sam.new@northwind.example".into() });
        world.drift(&MIA_BERG, Drift::SwapEmail { with: OTHER_MIA_BERG.id.into() });
        let found = world.ids(["sam.new@northwind.example", STORY.email, MIA_BERG.email, OTHER_MIA_BERG.email]).await;
        let one = |id: &str| vec![id.to_owned()];
        assert_eq!(found, [one(STORY.id), vec![], one(OTHER_MIA_BERG.id), one(MIA_BERG.id)]);
        world
            .heard_when("the changes", |heard| {
                [STORY, MIA_BERG, OTHER_MIA_BERG]
                    .iter()
                    .all(|person| heard.contains(&Heard::Changed(person.id.into(), 2, vec![AccountChange::Address])))
            })
            .await;
        assert!(world.find([STORY.id]).await.findings[0].matches[0].mail_changed_at.is_some());
        world.stop().await;
    }
}

#[tokio::test]
async fn a_hundred_queries_cost_a_few_calls_and_none_while_the_answer_is_fresh() {
    for world in swept_once().await {
        let page = world.simulator.truth().page(20, 100).accounts;
        let emails: Vec<String> = page.iter().map(|account| account.email.clone()).collect();
        let before = world.calls(SEARCHES);
        assert!(world.ids(&emails).await.iter().all(|found| found.len() == 1));
        assert_eq!(world.calls(SEARCHES) - before, 1);
        let ids: Vec<&str> = page.iter().map(|account| account.id.as_str()).collect();
        assert!(world.ids(&ids).await.iter().all(|found| found.len() == 1));
        assert_eq!(world.calls(SEARCHES) - before, 1, "it was read just now");
        world.stop().await;
    }
}

#[tokio::test]
async fn close_misses_are_a_help_and_no_way_to_list_accounts() {
    for world in swept_once().await {
        let ask = async |name: &str, queries: Vec<String>| {
            let request = FindAccountsRequest { organisation: "northwind".into(), queries };
            world.client(name).find_accounts(request).await.map(|answer| answer.into_inner().findings)
        };
        let typos = ["sam.okafer@northwind.example", "Lena Fisher", "Sma Okafor"].map(String::from).to_vec();
        let found = ask("hana", typos).await.unwrap();
        let closest: Vec<&str> =
            found.iter().filter_map(|finding| finding.closest.first()).map(|one| one.account.as_str()).collect();
        assert_eq!(closest, [STORY.id, LOST_PHONE.id, STORY.id]);
        assert!(found.iter().all(|finding| finding.matches.is_empty() && finding.closest.len() <= 5));
        let many = ask("hana", vec!["sam.okafer@northwind.example".into(); 60]).await.unwrap();
        let helped = many.iter().filter(|finding| !finding.closest.is_empty()).count();
        assert!((17..=20).contains(&helped), "{helped}");
        let refused = ask("nobody", vec!["sam.okafer@northwind.example".into()]).await.unwrap_err();
        assert_eq!(Refused::from_status(&refused).reason, "ROLE_MISSING");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_call_that_makes_no_sense_is_refused_with_what_to_do() {
    for world in swept_once().await {
        let ask = async |organisation: &str, queries: Vec<String>| {
            let request = FindAccountsRequest { organisation: organisation.into(), queries };
            let status = world.client("hana").find_accounts(request).await.unwrap_err();
            let refused = Refused::from_status(&status);
            assert!(!refused.remedy.is_empty(), "{refused:?}");
            refused.reason.into_owned()
        };
        assert_eq!(ask("southwind", vec!["mia".into()]).await, "ORGANISATION_UNKNOWN");
        assert_eq!(ask("northwind", vec!["mia".into(); 101]).await, "TOO_MANY_QUERIES");
        assert_eq!(ask("northwind", vec!["mia".into(), "  ".into()]).await, "QUERY_INVALID");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_provider_that_hangs_does_not_keep_a_person_waiting_for_ever() {
    for world in swept_once().await {
        world.simulator.truth().fault(Fault::on("POST *users/search", FaultKind::CutBefore));
        let answer = world.find([STORY.email, "new.joiner@northwind.example"]).await;
        assert!(answer.unreachable_since.is_some());
        assert_eq!((answer.findings[0].matches.len(), answer.findings[1].matches.len()), (1, 0));
        world.simulator.truth().clear_faults();
        assert_eq!(world.find([STORY.email]).await.unreachable_since, None);
        world.stop().await;
    }
}
