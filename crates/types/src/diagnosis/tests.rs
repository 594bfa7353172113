use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta};

use super::*;
use crate::organisation::Policy;
use crate::placement::PlacementVersion;
use crate::{Limits, PolicyId, Tiers};

fn policy(id: &str) -> PolicyId {
    id.parse().unwrap()
}

fn organisation() -> Organisation {
    let map = [
        ("strict", "Everyone", TwoStep::Mandatory),
        ("vault", "Vault", TwoStep::Mandatory),
        ("lent", "Recovery", TwoStep::Optional),
        ("lax", "Contractors", TwoStep::Optional),
        ("sso", "Staff SSO", TwoStep::Delegated),
    ];
    Organisation {
        id: "acme".parse().unwrap(),
        policies: map
            .into_iter()
            .map(|(id, name, two_step)| {
                let lives = (two_step == TwoStep::Delegated).then(|| "Okta".to_owned());
                (policy(id), Policy { name: name.into(), two_step, factor_lives_in: lives })
            })
            .collect::<BTreeMap<_, _>>(),
        recovery_policy: policy("lent"),
        home_policies: BTreeSet::from([policy("strict")]),
        default_home: policy("strict"),
        tiers: Tiers::default(),
        limits: Limits::default(),
    }
}

fn now() -> Timestamp {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn account(id: &str) -> KnownAccount {
    KnownAccount {
        account: id.parse().unwrap(),
        email: format!("{id}@example.com").parse().unwrap(),
        name: "Mia Berg".into(),
        claim: Claim::Managed,
        status: AccountStatus::Active,
        synced_from: None,
        administrator: false,
        last_active: Some(now() - TimeDelta::days(1)),
        mail_changed_at: None,
        learned_at: now() - TimeDelta::minutes(1),
    }
}

fn facts() -> Facts {
    Facts {
        query: "mia@example.com".into(),
        matches: vec![account("mia")],
        closest: vec![],
        placement: Some(Placement {
            account: "mia".parse().unwrap(),
            email: Some("mia@example.com".parse().unwrap()),
            policy: Some(policy("strict")),
            version: Some(PlacementVersion(7)),
            begun_at: now(),
        }),
        factor: Factor::Absent,
        unreachable_since: None,
        open_recovery: None,
        open_lease: None,
        released: false,
        recent_requests: 0,
        repudiated_before: false,
        too_old: Duration::from_mins(15),
        now: now(),
    }
}

fn placed(at: &str, factor: Factor) -> Facts {
    let mut facts = facts();
    facts.placement.as_mut().unwrap().policy = Some(policy(at));
    facts.factor = factor;
    facts
}

fn matching(change: impl FnOnce(&mut KnownAccount)) -> Facts {
    let mut facts = facts();
    change(&mut facts.matches[0]);
    facts
}

/// Every row of the table, with the code it must give.
fn rows() -> Vec<(&'static str, Facts)> {
    let near = Candidate::of(&account("mia-berg"));
    let id: uuid::Uuid = "0191d1a0-0000-7000-8000-000000000001".parse().unwrap();
    vec![
        ("no_such_account", Facts { matches: vec![], ..facts() }),
        ("no_such_account", Facts { matches: vec![], closest: vec![near], ..facts() }),
        ("several_match", Facts { matches: vec![account("mia"), account("mia2")], ..facts() }),
        ("not_managed", matching(|a| a.claim = Claim::DomainNotVerified)),
        ("not_managed", matching(|a| a.claim = Claim::NotClaimed)),
        ("not_active", matching(|a| a.status = AccountStatus::Suspended)),
        ("not_active", matching(|a| a.status = AccountStatus::Deactivated)),
        ("not_active", matching(|a| a.status = AccountStatus::Deleted)),
        ("factor_elsewhere", matching(|a| a.synced_from = Some("Google Workspace".into()))),
        ("factor_elsewhere", placed("sso", Factor::Unknown)),
        ("policy_unmapped", placed("new", Factor::Absent)),
        ("policy_not_home", placed("vault", Factor::Absent)),
        ("stray", placed("lent", Factor::Absent)),
        ("already_optional", placed("lax", Factor::Enrolled)),
        ("already_optional", placed("lax", Factor::Absent)),
        ("login_loop", placed("strict", Factor::Absent)),
        ("lend_and_reset", placed("strict", Factor::Enrolled)),
        ("lend_and_confirm_reset", placed("strict", Factor::Unknown)),
        ("recovery_open", Facts { open_recovery: Some(RecoveryId::from_uuid(id)), ..facts() }),
        ("lease_open", Facts { open_lease: Some(OpenLease { lease: LeaseId::from_uuid(id), free_at: now() }), ..facts() }),
        ("released", Facts { released: true, ..facts() }),
        ("unreachable", Facts { unreachable_since: Some(now()), placement: None, ..facts() }),
        ("unreachable", Facts { placement: None, ..facts() }),
        ("too_old", matching(|a| a.learned_at = now() - TimeDelta::minutes(16))),
    ]
}

#[test]
fn every_row_of_the_table_gives_its_outcome_and_its_sentences() {
    let mut printed = String::new();
    for (code, facts) in rows() {
        let diagnosis = diagnose(&organisation(), &facts);
        assert_eq!(diagnosis.outcome.code(), code);
        let lends = matches!(code, "login_loop" | "lend_and_reset" | "lend_and_confirm_reset");
        assert_eq!(diagnosis.outcome.lends_from().is_some(), lends, "{code}");
        writeln!(printed, "{code}\n  {}\n  → {}", diagnosis.sentence(), diagnosis.next()).unwrap();
    }
    insta::assert_snapshot!(printed);
}

#[test]
fn an_open_recovery_is_linked_even_when_the_account_is_out() {
    let id = uuid::Uuid::nil();
    let facts =
        Facts { open_lease: Some(OpenLease { lease: LeaseId::from_uuid(id), free_at: now() }), ..placed("lent", Factor::Absent) };
    assert_eq!(diagnose(&organisation(), &facts).outcome.code(), "lease_open");
}

#[test]
fn each_reason_alone_makes_the_tier_high() {
    type Change = fn(&mut Facts);
    let reasons: [(TierReason, Change); 5] = [
        (TierReason::Administrator, |f| f.matches[0].administrator = true),
        (TierReason::Unseen, |f| f.matches[0].last_active = Some(now() - TimeDelta::days(91))),
        (TierReason::MailChanged, |f| f.matches[0].mail_changed_at = Some(now() - TimeDelta::days(29))),
        (TierReason::RepudiatedBefore, |f| f.repudiated_before = true),
        (TierReason::ManyRequests, |f| f.recent_requests = 3),
    ];
    assert_eq!(diagnose(&organisation(), &facts()).tier, Tier::Normal);
    for (reason, change) in reasons {
        let mut facts = facts();
        change(&mut facts);
        let diagnosis = diagnose(&organisation(), &facts);
        assert_eq!((diagnosis.tier, diagnosis.tier_reasons), (Tier::High, vec![reason]));
        assert_eq!(diagnosis.outcome.code(), "login_loop", "a high tier goes on, with more care");
    }
}
