//! The story: one user who lost a phone, from the request to the closing mails.

use std::sync::atomic::Ordering;

use homeward_proto::recovery::v1 as wire;
use homeward_proto::words::v1::{Factor, LeaseEnd, ProofKind};
use homeward_types::Tier;

use crate::world::{PUBLIC_URL, Wishes, eventually, on_each_engine};

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_lent_helped_and_returned_and_everyone_is_told() {
    on_each_engine(Wishes::default(), async |world| {
        let result = world.ask("acc7@example.com").await;
        let diagnosis = result.diagnosis.clone().unwrap();
        assert_eq!((diagnosis.code.as_str(), diagnosis.lends), ("login_loop", true));
        assert_eq!((result.proofs_needed, result.approvals_needed), (1, 1));
        let id = result.recovery;
        assert_eq!(world.step(&id).await, "prove");

        assert_eq!(world.prove(&id, ProofKind::CallBack).await.step, "approve");
        world.vote("anna", &id, true).await;
        let shown = world.at(&id, "closed").await;

        assert_eq!((shown.outcome.as_str(), shown.lease_end()), ("enrolled", LeaseEnd::Home));
        assert_eq!(shown.return_evidence, "home, version 9 later than out");
        assert!(shown.out_since.is_some() && shown.due_at.is_some() && shown.back_at.is_some() && shown.closed_at.is_some());
        assert_eq!((shown.factor_at_lend(), shown.requester.as_str(), shown.next.as_str()), (Factor::Absent, "rita", ""));
        let kinds = world.kinds(&id).await;
        let expected = [
            "requested",
            "proof-attached",
            "approved",
            "slot-taken",
            "granted",
            "lease-opened",
            "lent",
            "factor-absent",
            "returning",
            "returned",
            "cleaned",
            "closed",
        ];
        let places: Vec<_> = expected.iter().map(|kind| kinds.iter().position(|one| one == kind)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{kinds:?}");

        let told = world.mail.told(&id);
        for about in
            ["requested.owner", "approval_needed.anna", "approval_needed.boris", "closed.owner", "closed.rita", "closed.anna"]
        {
            assert!(told.contains(about), "{about} in {told:?}");
        }
        assert!(!told.contains("approval_needed.rita2"), "the requester is not asked under another name: {told:?}");
        let closing = world.mail.notice(&id, "closed.owner");
        assert_eq!((closing.recipient_email.as_str(), closing.fields["outcome"].as_str()), ("acc7@example.com", "enrolled"));
        assert!(closing.fields["not_me_url"].starts_with(&format!("{PUBLIC_URL}/not-me/")));
        assert!(!world.mail.notice(&id, "closed.rita").fields.contains_key("not_me_url"));

        eventually("nothing is watched any more", || world.directory.watched.lock().unwrap().is_empty()).await;
        assert!(world.policy.cleaned.lock().unwrap().contains(&id));
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grant_says_what_was_approved() {
    on_each_engine(Wishes::default(), async |world| {
        let id = world.approved("acc7").await;
        world.at(&id, "closed").await;
        let grants = world.policy.grants.lock().unwrap().clone();
        let grant = &grants[0];
        assert_eq!((grant.lease.to_string(), grant.account.as_str(), grant.email.as_str()), (id, "acc7", "acc7@example.com"));
        assert_eq!((grant.home.as_str(), grant.tier, grant.requester.as_str()), ("strict", Tier::Normal, "rita"));
        assert_eq!(grant.approvers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["anna"]);
        assert_eq!(grant.not_after, world.now() + chrono::TimeDelta::minutes(15));
        assert_eq!(grant.lease_micros, 4 * 3600 * 1_000_000);
        assert_eq!(grant.diagnosis_hash.len(), 64);
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_removes_the_old_factor_and_its_absence_is_read() {
    on_each_engine(Wishes::default(), async |world| {
        world.policy.factors.lock().unwrap().insert("acc7".into(), Factor::Enrolled);
        world.policy.person_needed.store(true, Ordering::SeqCst);
        world.directory.silent.store(true, Ordering::SeqCst);
        let id = world.approved("acc7").await;
        let shown = world.shown_when(&id, "a page", |shown| !shown.reset_page.is_empty()).await;
        assert_eq!((shown.step.as_str(), shown.reset_page.as_str()), ("reset-factor", "https://admin.example/acc7"));
        eventually("the requester is asked", || world.mail.told(&id).contains("reset_needed.rita")).await;
        let notice = world.mail.notice(&id, "reset_needed.rita");
        assert_eq!(notice.fields["reset_page"], "https://admin.example/acc7");
        assert_eq!(notice.fields["how"], "Press “Reset two-step verification”.");

        let confirm = wire::ConfirmResetRequest { recovery: id.clone() };
        let step = world.as_person("rita").confirm_reset(confirm).await.unwrap().into_inner().step;
        assert_eq!(step, "reset-factor", "a word proves nothing");
        world.directory.report_absent(&id, "acc7");
        world.at(&id, "await-enrolment").await;
        eventually("the owner is invited", || world.mail.told(&id).contains("invitation.owner")).await;
        assert_eq!(world.mail.notice(&id, "invitation.owner").fields["sign_in_url"], "https://id.atlassian.com/login");
        world.directory.report_enrolled(&id, "acc7");
        assert_eq!(world.at(&id, "closed").await.outcome, "enrolled");
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_recovery_is_chained_and_intact() {
    on_each_engine(Wishes::default(), async |world| {
        let id = world.approved("acc7").await;
        world.at(&id, "closed").await;
        let verify = async || {
            let request = wire::VerifyAuditRequest { organisation: "acme".into() };
            world.as_person("arno").verify_audit(request).await.unwrap().into_inner()
        };
        // Linked and anchored within a second.
        for _ in 0..400 {
            let found = verify().await;
            assert!(found.intact, "{}", found.finding);
            if found.anchored >= 6 && found.anchored == found.entries {
                return world.end().await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("not anchored: {:?}", verify().await);
    })
    .await;
}
