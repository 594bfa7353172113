//! Case repair: news that got lost, and cases that did.

use std::sync::atomic::Ordering;

use homeward_proto::policy::v1 as policy;
use homeward_proto::wire::timestamp;
use homeward_proto::words::v1::{Factor, LeaseEnd};

use crate::world::{Wishes, eventually, on_each_engine};

#[tokio::test(flavor = "multi_thread")]
async fn a_case_hears_of_its_lease_though_every_message_was_lost() {
    on_each_engine(Wishes::default(), async |world| {
        world.directory.enrols.store(false, Ordering::SeqCst);
        world.policy.mute.store(true, Ordering::SeqCst);
        let id = world.approved("acc7").await;
        world.at(&id, "await-enrolment").await;
        // Policy ends it by itself, and tells nobody.
        world.policy.bring_home(&id, "acc7");
        let shown = world.at(&id, "closed").await;
        assert_eq!((shown.outcome.as_str(), shown.lease_end()), ("not_enrolled", LeaseEnd::Home));
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_whose_case_is_lost_is_adopted_and_brought_home() {
    on_each_engine(Wishes::default(), async |world| {
        let id = "018f0000-0000-7000-8000-00000000abcd".to_owned();
        let now = Some(timestamp(world.now()));
        let lease = policy::Lease {
            lease: id.clone(),
            organisation: "acme".into(),
            account: "acc7".into(),
            version: 2,
            state: policy::LeaseState::Active.into(),
            home: "strict".into(),
            opened_at: now,
            due_at: now,
            seen_out_at: now,
            origin: "lend".into(),
            factor_at_lend: Factor::Absent.into(),
            ..policy::Lease::default()
        };
        let theirs = policy::Lease {
            lease: "018f0000-0000-7000-8000-00000000beef".into(),
            account: "acc8".into(),
            origin: "adopted".into(),
            ..lease.clone()
        };
        world.policy.hold(lease);
        world.policy.hold(theirs.clone());
        eventually("it is brought home", || world.policy.returns.load(Ordering::SeqCst) > 0).await;
        let shown = world.at(&id, "closed").await;
        assert_eq!(
            (shown.outcome.as_str(), shown.requester.as_str(), shown.email.as_str()),
            ("case_lost", "homeward", "acc7@example.com")
        );
        eventually("the owner is told", || world.mail.told(&id).contains("closed.owner")).await;
        assert!(!world.mail.told(&id).contains("requested.owner"), "nobody asked for it just now");
        let leases = world.policy.leases.lock().unwrap().clone();
        assert_eq!(leases[&theirs.lease].state(), policy::LeaseState::Active, "what policy adopted is policy's");
        world.end().await;
    })
    .await;
}
