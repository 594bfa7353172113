//! The service dies anywhere, and another one on the same database goes on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use homeward_proto::words::v1::ProofKind;

use crate::world::{Wishes, on_each_engine};

#[tokio::test(flavor = "multi_thread")]
async fn recoveries_survive_crashes_at_every_step() {
    on_each_engine(Wishes::default(), async |mut world| {
        let id = world.opened("acc7").await;
        world.crash_and_restart().await;
        world.prove(&id, ProofKind::CallBack).await;
        world.crash_and_restart().await;
        world.directory.silent.store(true, Ordering::SeqCst);
        world.vote("anna", &id, true).await;
        world.crash_and_restart().await;
        world.at(&id, "reset-factor").await;
        world.crash_and_restart().await;
        world.directory.report_absent(&id, "acc7");
        world.at(&id, "await-enrolment").await;
        world.crash_and_restart().await;
        world.directory.report_enrolled(&id, "acc7");
        assert_eq!(world.at(&id, "closed").await.outcome, "enrolled");
        let grants = world.policy.grants.lock().unwrap().clone();
        let of_this: std::collections::HashSet<_> = grants.iter().filter(|grant| grant.lease.to_string() == id).collect();
        assert_eq!(of_this.len(), 1, "however often it was sent, it is the same grant");
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_recoveries_come_home_though_the_service_dies_again_and_again() {
    on_each_engine(Wishes::default(), async |mut world| {
        let mut ids = Vec::new();
        for n in 0..20 {
            ids.push(world.approved(&format!("acc{}", n + 10)).await);
        }
        for n in 0..5 {
            tokio::time::sleep(Duration::from_millis(n * 7)).await;
            world.crash_and_restart().await;
        }
        for id in &ids {
            let shown = world.shown_when(id, "closed", |shown| shown.step == "closed").await;
            assert_eq!(shown.outcome, "enrolled", "{shown:?}");
        }
        world.end().await;
    })
    .await;
}
