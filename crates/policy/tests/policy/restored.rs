//! Policy's database was restored from a backup (rule 12): nothing is lent until every account was read, and two persons said so.

use homeward_policy::restored::{Compared, compare};
use homeward_proto::policy::v1::{LeaseNews, Refusal, SetDrainRequest};
use homeward_simulator::well_known::policy::{EVERYONE, RECOVERY};
use homeward_simulator::{Drift, Fault, FaultKind};
use homeward_types::SystemClock;
use std::sync::Arc;
use tonic::Code;

use crate::stage::{ORGANISATION, Plan, Stage, on_both, until};

/// Reads of one page of all accounts after the other.
const PAGES: &str = "GET /admin/v1/orgs/*/users";

fn end() -> SetDrainRequest {
    SetDrainRequest { organisation: ORGANISATION.into(), drain: false, reason: "the backup is complete".into() }
}

/// Nobody may end the drain yet, and nothing is lent.
async fn nothing_goes(stage: &Stage, n: usize) {
    for operator in [0, 1] {
        let refused = stage.rpc(operator).set_drain(end()).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
        assert!(refused.message().contains("not every account was read"), "{refused:?}");
    }
    let account = stage.stranded(n);
    let lease = stage.lend(&account).await;
    assert_eq!(stage.audience.news(lease, LeaseNews::Refused).await.refusal(), Refusal::Draining);
    assert_eq!(stage.moves_into(&account.id, RECOVERY), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restore_nothing_is_lent_until_every_account_was_read_and_two_persons_said_so() {
    on_both(Plan::default, async |mut stage| {
        let [earlier, out, stray] = [1, 2, 3].map(|n| stage.stranded(n));
        let ended = stage.lend(&earlier).await;
        stage.audience.news(ended, LeaseNews::Lent).await;
        stage.ask_back(ended, &earlier).await;
        stage.audience.news(ended, LeaseNews::Closed).await;
        let open = stage.lend(&out).await;
        stage.audience.news(open, LeaseNews::Lent).await;
        // What a backup does not know: one that was lent once is out again, and one that was never lent.
        for account in [&earlier, &stray] {
            stage.truth().drift(&account.id, Drift::Move { policy: RECOVERY.into() }).unwrap();
        }
        stage.truth().fault(Fault::on(PAGES, FaultKind::ServerError { status: 503 }));
        let site = stage.site(Arc::new(SystemClock)).await;
        let last = site.ledger().outbox().last_number().await.unwrap();
        let compared = Compared { heard_of_policy: last + 1_000, restored: false };
        compare(site.ledger(), "recovery", compared).await.unwrap();
        let told = stage.audience.incident("restored").await;
        assert!(told.safe_action.contains("wait until every account was read"), "{told:?}");
        nothing_goes(&stage, 4).await;
        stage.crash_policy();
        stage.start_policy().await;
        nothing_goes(&stage, 5).await;

        stage.truth().clear_faults();
        let told = stage.audience.incident("census").await;
        assert!(told.sentence.contains("60 accounts, 1 are out under leases, 1 were out under none"), "{told:?}");
        assert!(told.sentence.contains("1 are out and Homeward does not know why"), "{told:?}");
        assert!(told.sentence.ends_with(&stray.id), "{told:?}");
        until("who was lent once is home", async || stage.policy_of(&earlier.id) == EVERYONE).await;
        assert_eq!(stage.policy_of(&stray.id), RECOVERY, "who was never lent is left to people");
        assert_eq!(stage.policy_of(&out.id), RECOVERY, "an open lease goes on");
        assert!(stage.rpc(0).set_drain(end()).await.unwrap().into_inner().draining, "one person is not enough");
        assert!(!stage.rpc(1).set_drain(end()).await.unwrap().into_inner().draining);
        let lease = stage.lend(&stage.stranded(6)).await;
        stage.audience.news(lease, LeaseNews::Lent).await;
    })
    .await;
}
