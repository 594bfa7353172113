//! The store on both engines: nothing is lost on the way, and the SQL decides as the pure functions do.

use std::time::Duration;

use chrono::TimeDelta;
use homeward_chassis::telemetry::TraceContext;
use homeward_store::testing::{self, TestDatabase};
use homeward_store::{StoreError, Tx, transaction};
use homeward_types::{
    Factor, LeaseEnd, LeaseId, MessageId, OrganisationId, PlacementVersion, PolicyId, Refusal, Timestamp, VersionTrust,
};
use uuid::Uuid;

use super::*;
use crate::TABLES;
use crate::lease::*;

fn at(n: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000 + n) + TimeDelta::microseconds(n.rem_euclid(3))
}

fn policy(name: &str) -> PolicyId {
    name.parse().unwrap()
}

fn terms() -> Terms {
    let limits = homeward_types::Limits { useful_window: Duration::from_secs(50), ..homeward_types::Limits::default() };
    Terms::from(&limits)
}

fn opened(n: u128) -> (Kept, Attempt) {
    let subject = Subject {
        lease: LeaseId::from_uuid(Uuid::from_u128(n)),
        organisation: "acme".parse().unwrap(),
        account: format!("account-{n}").parse().unwrap(),
        home: policy("mandatory"),
        recovery_policy: policy("recovery"),
        terms: terms(),
    };
    let opened = Opened {
        subject,
        home_version: Some(PlacementVersion(1)),
        seen_before: None,
        factor: Factor::Enrolled,
        lasts: Duration::from_secs(1_000),
        not_after: at(90),
    };
    let decision = decide(None, &[], &Event::LendAccepted(opened), at(0));
    let trace =
        TraceContext { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(), tracestate: String::new() };
    let mut kept = Kept::new(decision.lease.unwrap(), trace);
    kept.opened_message = Some(MessageId::from_uuid(Uuid::from_u128(n + 1_000)));
    (kept, decision.attempts[0].clone())
}

async fn databases() -> Vec<TestDatabase> {
    testing::migrated(&[TABLES]).await
}

async fn add(db: &TestDatabase, kept: &Kept, attempts: &[Attempt]) {
    transaction!(db, "test.add", async |tx| -> Result<(), StoreError> {
        insert(tx, &[kept]).await?;
        let rows: Vec<_> = attempts.iter().map(|attempt| (kept.lease.id, &kept.lease.organisation, attempt)).collect();
        insert_attempts(tx, &rows).await
    })
    .unwrap();
}

/// A lease with every column in use.
fn full() -> Kept {
    let (mut kept, _) = opened(1);
    let lease = &mut kept.lease;
    lease.version = 7;
    lease.origin = Origin::Reopened;
    lease.sight = Sight {
        newest_begun_at: Some(at(9)),
        out: Some(OutSight { first_at: at(3), last_at: at(4), version: Some(PlacementVersion(2)), policy: policy("recovery") }),
        run: Some(Run { policy: policy("mandatory"), version: Some(PlacementVersion(3)), first_begun_at: at(5) }),
        back_at: Some(at(6)),
        back_version: Some(PlacementVersion(4)),
        missed: Missed { search_at: Some(at(7)), itself_at: Some(at(8)) },
    };
    lease.return_reason = Some("café, \"quoted\"".into());
    lease.returning_at = Some(at(10));
    lease.return_at = Some(at(11));
    (lease.failed_returns, lease.attempts, lease.reads) = (3, 5, 4);
    (lease.was_unknown, lease.released, lease.overdue, lease.contained, lease.overdue_told) = (true, true, true, true, true);
    lease.next_read_at = Some(at(12));
    lease.tick_at = Some(at(13));
    kept
}

#[tokio::test]
async fn schemas_agree() {
    testing::schemas_agree(&[TABLES]).await;
}

#[tokio::test]
async fn a_lease_comes_back_as_it_went() {
    for db in databases().await {
        let kept = full();
        add(&db, &kept, &[]).await;
        assert_eq!(super::kept(&db, kept.lease.id).await.unwrap(), Some(kept.clone()));
        let mut after = kept.lease.clone();
        after.version = 8;
        after.sight = Sight::default();
        after.home = policy("default");
        after.return_reason = None;
        (after.was_unknown, after.overdue) = (false, false);
        let elsewhere = LeaseEnd::ProtectedElsewhere(policy("delegated"));
        after.state = State::Closed(Ending { end: elsewhere, at: at(20), refusal: None });
        transaction!(db, "test.update", async |tx| -> Result<(), StoreError> { update(tx, &[(&after, 7)]).await }).unwrap();
        assert_eq!(super::kept(&db, kept.lease.id).await.unwrap().unwrap().lease, after);
        let stale = transaction!(db, "test.update", async |tx| -> Result<(), StoreError> { update(tx, &[(&after, 7)]).await });
        assert!(matches!(stale, Err(StoreError::NotOneRow { .. })), "decided on another version");
        for (n, end, refusal) in [
            (30, LeaseEnd::Home, None),
            (31, LeaseEnd::Gone, None),
            (32, LeaseEnd::Released, None),
            (33, LeaseEnd::NeverLent, Some(Refusal::Draining)),
        ] {
            let (mut kept, _) = opened(n);
            kept.lease.state = State::Closed(Ending { end, at: at(20), refusal });
            add(&db, &kept, &[]).await;
            assert_eq!(super::kept(&db, kept.lease.id).await.unwrap(), Some(kept));
        }
    }
}

#[tokio::test]
async fn the_database_keeps_one_open_lease_an_account_and_no_home_in_the_recovery_policy() {
    for db in databases().await {
        let (first, _) = opened(1);
        add(&db, &first, &[]).await;
        let (mut second, _) = opened(2);
        second.lease.account = first.lease.account.clone();
        let refused = transaction!(db, "test.add", async |tx| -> Result<(), StoreError> { insert(tx, &[&second]).await });
        assert!(refused.is_err_and(|error| error.is_unique_violation()));
        second.lease.state = State::Closed(Ending { end: LeaseEnd::Home, at: at(1), refusal: None });
        add(&db, &second, &[]).await;
        let (mut weak, _) = opened(3);
        weak.lease.home = policy("recovery");
        let refused = transaction!(db, "test.add", async |tx| -> Result<(), StoreError> { insert(tx, &[&weak]).await });
        assert!(refused.is_err());
    }
}

async fn claimed(db: &TestDatabase, lease: LeaseId, token: Uuid, until: i64, now: i64) -> usize {
    transaction!(db, "test.claim", async |tx| -> Result<usize, StoreError> {
        Ok(claim(tx, &[(lease, 1)], token, at(until), at(now)).await?.len())
    })
    .unwrap()
}

#[tokio::test]
async fn a_claim_excludes_others_until_it_is_over_and_never_outlives_a_lend() {
    for db in databases().await {
        let (kept, lend) = opened(1);
        let (lease, one, other) = (kept.lease.id, Uuid::from_u128(1), Uuid::from_u128(2));
        add(&db, &kept, &[lend]).await;
        assert_eq!(claimed(&db, lease, one, 61, 1).await, 1);
        assert_eq!(claimed(&db, lease, other, 70, 10).await, 0, "held");
        assert_eq!(claimed(&db, lease, other, 130, 61).await, 1, "the first claim is over");
        let marked = mark(&db, lease, other, 62).await;
        assert_eq!(marked, [(lease, 1, at(90))], "130 is past not_after");
    }
}

async fn mark(db: &TestDatabase, lease: LeaseId, token: Uuid, now: i64) -> Vec<Marked> {
    let marking = Marking { lease, number: 1, address: "a@example.com".parse().unwrap(), destination: policy("recovery") };
    transaction!(db, "test.mark", async |tx| -> Result<Vec<Marked>, StoreError> {
        locked(tx, &[lease]).await?;
        mark_sent(tx, token, at(now), std::slice::from_ref(&marking)).await
    })
    .unwrap()
}

/// Every combination of lease state, attempt kind and state, and moment: SQL marks exactly what the pure function allows.
#[tokio::test]
async fn the_mark_before_the_write_is_what_the_pure_function_says() {
    let states = [State::Opening, State::Active, State::Closing, State::Settling];
    let moments = [(1, 61), (60, 61), (61, 61), (62, 61), (89, 95), (90, 95), (949, 999), (950, 999), (951, 999)];
    for db in databases().await {
        let (mut n, mut marked, mut pure) = (0, Vec::new(), Vec::new());
        for state in &states {
            for kind in [Kind::Lend, Kind::Return] {
                for (now, until) in moments {
                    for ready in [true, false] {
                        n += 1;
                        let (mut kept, mut attempt) = opened(n);
                        kept.lease.state = state.clone();
                        attempt.kind = kind;
                        attempt.not_after = (kind == Kind::Lend).then(|| at(if n % 2 == 0 { 90 } else { 2_000 }));
                        attempt.state = if ready { AttemptState::Ready } else { AttemptState::Void };
                        add(&db, &kept, std::slice::from_ref(&attempt)).await;
                        let (lease, token) = (kept.lease.id, Uuid::from_u128(n));
                        claimed(&db, lease, token, until, 0).await;
                        let to = kind.destination(lease).policy(&kept.lease).unwrap().clone();
                        let marking = Marking { lease, number: 1, address: "a@example.com".parse().unwrap(), destination: to };
                        let done = transaction!(db, "test.mark", async |tx| -> Result<Vec<Marked>, StoreError> {
                            mark_sent(tx, token, at(now), std::slice::from_ref(&marking)).await
                        })
                        .unwrap();
                        marked.push((n, done.len() == 1));
                        let last = attempt.not_after.map_or(at(until), |last| last.min(at(until)));
                        pure.push((n, attempt.may_be_sent(&kept.lease, last, at(now))));
                    }
                }
            }
        }
        assert_eq!(marked, pure);
        assert!(pure.iter().any(|(_, may)| *may) && pure.iter().any(|(_, may)| !may));
    }
}

#[tokio::test]
async fn a_worker_without_the_claim_or_with_another_destination_marks_nothing() {
    for db in databases().await {
        let (kept, lend) = opened(1);
        let lease = kept.lease.id;
        add(&db, &kept, &[lend]).await;
        claimed(&db, lease, Uuid::from_u128(1), 61, 1).await;
        assert_eq!(mark(&db, lease, Uuid::from_u128(2), 2).await, []);
        let elsewhere = Marking { lease, number: 1, address: "a@example.com".parse().unwrap(), destination: policy("mandatory") };
        let marked = transaction!(db, "test.mark", async |tx| -> Result<Vec<Marked>, StoreError> {
            mark_sent(tx, Uuid::from_u128(1), at(2), std::slice::from_ref(&elsewhere)).await
        })
        .unwrap();
        assert_eq!(marked, [], "a lend leads to the lease's recovery policy only");
        assert_eq!(mark(&db, lease, Uuid::from_u128(1), 2).await.len(), 1);
        assert_eq!(mark(&db, lease, Uuid::from_u128(1), 3).await, [], "marked once");
    }
}

/// The two bulk statements that bypass the pure function leave what it would.
#[tokio::test]
async fn bulk_statements_do_as_decide_does() {
    for db in databases().await {
        let (kept, lend) = opened(1);
        let lease = kept.lease.id;
        add(&db, &kept, std::slice::from_ref(&lend)).await;
        let sending = Event::AttemptSent(Sending { number: 1, claimed_until: at(61) });
        let decided = decide(Some(&kept.lease), &[lend], &sending, at(2)).lease.unwrap();
        transaction!(db, "test.expect", async |tx| -> Result<(), StoreError> { expect_read(tx, &[lease], at(61)).await })
            .unwrap();
        assert_eq!(super::kept(&db, lease).await.unwrap().unwrap().lease, decided);

        let (mut waiting, _) = opened(2);
        waiting.lease.state = State::Closing;
        (waiting.lease.return_at, waiting.lease.next_read_at, waiting.lease.tick_at) =
            (Some(at(500)), Some(at(400)), Some(at(500)));
        add(&db, &waiting, &[]).await;
        let organisation: OrganisationId = "acme".parse().unwrap();
        transaction!(db, "test.wake", async |tx| -> Result<u64, StoreError> { wake(tx, &organisation, at(3)).await }).unwrap();
        let woken = super::kept(&db, waiting.lease.id).await.unwrap().unwrap().lease;
        assert_eq!((woken.return_at, woken.next_read_at, woken.tick_at), (Some(at(3)), Some(at(3)), Some(at(3))));
        let pure = decide(Some(&waiting.lease), &[], &Event::Woken, at(3));
        assert_eq!(pure.lease.unwrap().next_read_at, Some(at(3)));
        assert_eq!(pure.attempts.len(), 1, "the keeper's tick makes the return that is due now");
    }
}

#[tokio::test]
async fn reads_are_taken_once_and_come_back_if_their_worker_dies() {
    for db in databases().await {
        let (mut kept, _) = opened(1);
        kept.lease.next_read_at = Some(at(5));
        add(&db, &kept, &[]).await;
        let organisation = kept.lease.organisation.clone();
        let take = |now| {
            let (db, organisation) = (&db, organisation.clone());
            async move {
                transaction!(db, "test.reads", async |tx| -> Result<usize, StoreError> {
                    Ok(due_reads(tx, &organisation, at(now), at(now + 30), 10).await?.len())
                })
                .unwrap()
            }
        };
        assert_eq!((take(4).await, take(5).await, take(6).await, take(35).await), (0, 1, 0, 1));
    }
}

#[tokio::test]
async fn listings_page_by_key_and_exposure_counts_what_is_out() {
    for db in databases().await {
        for n in 1..=5 {
            let (mut kept, _) = opened(n);
            if n == 2 {
                kept.lease.state = State::Closed(Ending { end: LeaseEnd::Home, at: at(1), refusal: None });
            }
            if n == 3 {
                let reading =
                    Reading { place: Place::Out(policy("recovery")), version: Some(PlacementVersion(2)), begun_at: at(40) };
                let trust = VersionTrust { lend_seen: true, return_seen: true };
                kept.lease = decide(Some(&kept.lease), &[], &Event::Read { reading, trust }, at(41)).lease.unwrap();
            }
            add(&db, &kept, &[]).await;
        }
        let organisation: OrganisationId = "acme".parse().unwrap();
        let ids = |page: &Page| page.leases.iter().map(|kept| kept.lease.id.uuid().as_u128()).collect::<Vec<_>>();
        let first = list(&db, &organisation, true, None, 3).await.unwrap();
        assert_eq!(ids(&first), [5, 4, 3]);
        let last = list(&db, &organisation, true, first.next_before, 3).await.unwrap();
        assert_eq!((ids(&last), last.next_before), (vec![1], None));
        assert_eq!(ids(&list(&db, &organisation, false, None, 9).await.unwrap()), [5, 4, 3, 2, 1]);
        let exposure = exposure(&db, &organisation, at(2_000)).await.unwrap();
        assert_eq!((exposure.out_now, exposure.open, exposure.overdue, exposure.oldest_out_at), (1, 4, 4, Some(at(40))));
        let open = open_ids(&db, &organisation, None, None, 10).await.unwrap();
        assert_eq!(open.len(), 4);
        assert_eq!(open_ids(&db, &organisation, Some(at(1)), None, 10).await.unwrap(), []);
        assert_eq!(open_ids(&db, &organisation, None, open.get(1).copied(), 10).await.unwrap(), open[2..]);
    }
}

/// What a new lease of the account must not fall behind.
#[tokio::test]
async fn the_past_of_accounts_is_the_newest_version_that_any_of_their_leases_knows() {
    for db in databases().await {
        let mut of = std::collections::BTreeMap::new();
        for (n, account, home, out, back, end) in [
            (1, "twice", Some(1), Some(4), Some(5), Some(LeaseEnd::Home)),
            (2, "twice", Some(5), Some(7), None, Some(LeaseEnd::Released)),
            (3, "refused", None, None, None, Some(LeaseEnd::NeverLent)),
            (4, "never-out", Some(3), None, None, Some(LeaseEnd::Home)),
            (5, "back", Some(1), Some(2), Some(3), Some(LeaseEnd::Home)),
            (6, "open", Some(8), None, None, None),
            (7, "unasked", Some(9), None, None, None),
        ] {
            let (mut kept, _) = opened(n);
            let lease = &mut kept.lease;
            lease.account = account.parse().unwrap();
            lease.home_version = home.map(PlacementVersion);
            let out = out.map(|version| OutSight {
                first_at: at(3),
                last_at: at(4),
                version: Some(PlacementVersion(version)),
                policy: policy("recovery"),
            });
            lease.sight = Sight { out, back_version: back.map(PlacementVersion), ..Sight::default() };
            let released = end == Some(LeaseEnd::Released);
            if let Some(end) = end {
                lease.state = State::Closed(Ending { end, at: at(20), refusal: None });
            }
            let past = of.entry(lease.account.clone()).or_insert(PastRow { released: false, newest_version: None });
            past.newest_version = past.newest_version.max(lease.newest_version());
            past.released |= released;
            add(&db, &kept, &[]).await;
        }
        of.retain(|account, _| account.as_str() != "unasked");
        let (organisation, nobody) = ("acme".parse().unwrap(), "nobody".parse().unwrap());
        let asked: Vec<_> = of.keys().chain([&nobody]).collect();
        let past = transaction!(db, "test.past", async |tx| -> Result<PastLeases, StoreError> {
            past_of_accounts(tx, &organisation, &asked).await
        });
        assert_eq!(past.unwrap().into_iter().collect::<std::collections::BTreeMap<_, _>>(), of);
        let other = transaction!(db, "test.past", async |tx| -> Result<PastLeases, StoreError> {
            past_of_accounts(tx, &"other".parse().unwrap(), &asked).await
        });
        assert_eq!(other.unwrap(), PastLeases::new(), "of another tenant");
    }
}

/// A return withdraws a lend while a worker marks it: whoever is first, the other sees it.
#[tokio::test]
async fn a_mark_and_a_withdrawal_never_both_win() {
    for db in databases().await {
        for n in 1..=20 {
            let (kept, lend) = opened(n);
            let (lease, token) = (kept.lease.id, Uuid::from_u128(n));
            add(&db, &kept, std::slice::from_ref(&lend)).await;
            claimed(&db, lease, token, 61, 1).await;
            let withdraw = async {
                transaction!(db, "test.return", async |tx| -> Result<&'static str, StoreError> { withdraw(tx, lease).await })
                    .unwrap()
            };
            let (marked, withdrawn) = tokio::join!(mark(&db, lease, token, 2), withdraw);
            let expected = if marked.is_empty() { "void" } else { "unknown" };
            assert_eq!(withdrawn, expected);
        }
    }
}

async fn withdraw(tx: &mut Tx, lease: LeaseId) -> Result<&'static str, StoreError> {
    let kept = locked(tx, &[lease]).await?.remove(&lease).unwrap();
    let live = live_attempts(tx, &[lease]).await?.remove(&lease).unwrap();
    let decision = decide(Some(&kept.lease), &live, &Event::Due, at(3));
    let (lend, before) = (decision.attempts.iter().find(|a| a.kind == Kind::Lend).unwrap(), live[0].state.name());
    update_attempts(tx, &[(lease, lend, before, None)]).await?;
    update(tx, &[(decision.lease.as_ref().unwrap(), kept.lease.version)]).await?;
    Ok(lend.state.name())
}
