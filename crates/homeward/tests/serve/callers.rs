//! Who may call what, at the real processes.

use homeward_chassis::rpc::{Client, Refused, sized};
use homeward_proto::policy::v1::policy_service_client::PolicyServiceClient;
use homeward_proto::policy::v1::{GetExposureRequest, ListLeasesRequest, ReturnLeaseRequest, SetDrainRequest};
use homeward_proto::recovery::v1::recovery_service_client::RecoveryServiceClient;
use homeward_proto::recovery::v1::{ListRecoveriesRequest, LookUpRepudiationRequest};
use homeward_types::Limits;
use homeward_world::settings::ORGANISATION;
use tonic::Code;

use crate::authority::Authority;
use crate::site::Site;

fn policy(client: Client) -> PolicyServiceClient<Client> {
    sized!(PolicyServiceClient::new(client))
}

fn recovery(client: Client) -> RecoveryServiceClient<Client> {
    sized!(RecoveryServiceClient::new(client))
}

/// What became of a call: nothing, or for which reason it was refused.
fn told<T>(answer: Result<T, tonic::Status>) -> String {
    answer.map_or_else(|status| Refused::from_status(&status).reason.into_owned(), |_| "done".to_owned())
}

async fn leases(client: Client) -> String {
    let request = ListLeasesRequest { organisation: ORGANISATION.into(), open_only: true, page_size: 1, before: String::new() };
    told(policy(client).list_leases(request).await)
}

async fn drain(client: Client) -> String {
    let request = SetDrainRequest { organisation: ORGANISATION.into(), drain: true, reason: "a test".into() };
    told(policy(client).set_drain(request).await)
}

async fn give_back(client: Client) -> String {
    let lease = "018f0000-0000-7000-8000-000000000001".to_owned();
    told(policy(client).return_lease(ReturnLeaseRequest { lease, reason: "a test".into() }).await)
}

async fn cases(client: Client) -> String {
    let request =
        ListRecoveriesRequest { organisation: ORGANISATION.into(), open_only: true, page_size: 1, before: String::new() };
    told(recovery(client).list_recoveries(request).await)
}

async fn exposure(client: Client) -> String {
    told(policy(client).get_exposure(GetExposureRequest { organisation: ORGANISATION.into() }).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_caller_may_do_what_is_written_down_and_no_more() {
    let mut site = Site::prepare("http://127.0.0.1:9", Limits::short()).await;
    for role in ["policy", "recovery", "console"] {
        site.start(role, &[]);
    }
    for role in ["policy", "recovery", "console"] {
        site.until(role, "ready", |status, _| status == 200).await;
    }
    let of = |role: &str, to: &str| site.authority.issue(role).client(to, &[site.address(to)]).unwrap();
    let not_allowed = "SERVICE_NOT_ALLOWED";

    // Services, by their certificates.
    assert_eq!(leases(of("recovery", "policy")).await, "done");
    assert_eq!(exposure(of("recovery", "policy")).await, "done");
    assert_eq!(drain(of("recovery", "policy")).await, not_allowed);
    assert_eq!(give_back(of("recovery", "policy")).await, not_allowed);
    assert_eq!(give_back(of("patrol", "policy")).await, "LEASE_UNKNOWN");
    assert_eq!(leases(of("patrol", "policy")).await, not_allowed);
    for role in ["directory", "notification", "console", "policy", "stranger"] {
        assert_eq!(leases(of(role, "policy")).await, not_allowed, "{role}");
        assert_eq!(drain(of(role, "policy")).await, not_allowed, "{role}");
    }
    // The links "this was not me" are their own credential; nothing else is the console's to do.
    let token = "nobody-made-this".to_owned();
    let looked = recovery(of("console", "recovery")).look_up_repudiation(LookUpRepudiationRequest { token }).await;
    assert_eq!(looked.unwrap_err().code(), Code::NotFound);
    assert_eq!(cases(of("console", "recovery")).await, not_allowed);
    assert_eq!(cases(of("policy", "recovery")).await, not_allowed);

    // Nobody, and a service of another authority.
    let nobody = site.nobody("policy").client().unwrap();
    assert_eq!(leases(nobody.clone()).await, "TOKEN_MISSING");
    let other = Authority::new(&site.folder.path().join("other"));
    let mut forged = other.issue("recovery");
    forged.ca_file = site.ca_file();
    let refused = told(
        policy(forged.client("policy", &[site.address("policy")]).unwrap()).get_exposure(GetExposureRequest::default()).await,
    );
    assert!(refused == "CONNECTION_LOST" || refused == "UNREACHABLE", "{refused}");

    // Persons, by their tokens: at the service itself, and by way of the console, which is only the way.
    let [approver, _] = &site.tokens.approvers;
    assert_eq!(leases(nobody.bearing(&site.tokens.requester)).await, "done");
    assert_eq!(cases(site.person(&site.tokens.requester)).await, "done");
    assert_eq!(leases(site.person(&site.tokens.requester)).await, "done");
    assert_eq!(drain(site.person(&site.tokens.requester)).await, "ROLE_MISSING");
    assert_eq!(drain(site.person(approver)).await, "done", "the approver is an operator, too");
    assert_eq!(leases(site.nobody("console").client().unwrap()).await, "TOKEN_MISSING");
    // No service gets through the console what it may not do itself, nor what only the console may do.
    for role in ["recovery", "patrol", "console"] {
        assert_eq!(leases(of(role, "console")).await, not_allowed, "{role}");
    }
}
