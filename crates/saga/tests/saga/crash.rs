//! What a crash leaves, on both databases: nothing that was not committed, everything that was.

use std::sync::atomic::Ordering;

use chrono::TimeDelta;
use homeward_saga::{Arrival, Handled};
use uuid::Uuid;

use crate::demo::{Command, Input, Lending};
use crate::library::{Library, Mood, World, begin_loan, clock, databases, loans};
use crate::store;

#[tokio::test]
async fn a_crash_before_the_commit_leaves_nothing() {
    for db in databases().await {
        let (clock, mut world) = (clock(), World::default());
        let crashing = Library::open(db.clone(), &clock, &world.post);
        let loans = loans(5);
        crashing.begin(&loans[..4]).await;
        crashing.set_mood(Mood::Hangs);
        let coordinator = crashing.coordinator.clone();
        let mut arrivals: Vec<_> = loans[..4].iter().map(|id| Arrival::input(*id, Input::Agreed(true))).collect();
        arrivals.push(begin_loan(loans[4]));
        let handling = tokio::spawn(async move { coordinator.handle(arrivals).await });
        let before = crashing.desk().calls.load(Ordering::SeqCst);
        while crashing.desk().calls.load(Ordering::SeqCst) == before {
            crashing.desk().called.notified().await;
        }
        handling.abort();
        assert!(handling.await.unwrap_err().is_cancelled());
        let after = Library::open(db.reopen().await, &clock, &world.post);
        assert_eq!(store::sagas(&db).await, 4);
        for id in &loans[..4] {
            assert_eq!(after.step(*id).await, "agree");
        }
        after.begin(&loans[4..]).await;
        after.settle(&mut world, &loans, 1).await;
    }
}

#[tokio::test]
async fn a_crash_between_commit_and_publish_loses_no_command() {
    for db in databases().await {
        let (clock, mut world) = (clock(), World::default());
        let loans = loans(30);
        // A process that commits and dies before anything of it is published, again at every step.
        for turn in 0.. {
            let mortal = Library::silent(db.reopen().await, &clock, &world.post);
            if turn == 0 {
                mortal.begin(&loans).await;
            }
            mortal.say(&loans, &Input::Agreed(true)).await;
            mortal.say(&loans, &Input::Read).await;
            let arrivals = world.carry(&mortal.post.take(), 1);
            mortal.coordinator.handle(arrivals).await.unwrap();
            if mortal.closed(&loans).await == loans.len() {
                break;
            }
            assert!(turn < 100, "{} of {} loans closed", mortal.closed(&loans).await, loans.len());
            drop(mortal);
            // Another process finds what it left, after its claim.
            clock.advance(TimeDelta::seconds(11));
            let heir = Library::open(db.reopen().await, &clock, &world.post);
            while heir.outbox.backlog().await.unwrap().waiting > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        }
        let library = Library::silent(db.clone(), &clock, &world.post);
        for id in &loans {
            world.check_end(&library.see(*id).await, *id);
            let asked = |command| world.carried.iter().filter(|carried| **carried == (*id, command)).count();
            assert_eq!(
                (asked(Command::Ask), asked(Command::HandOut), asked(Command::Tell)),
                (1, 1, 1),
                "nothing was asked again"
            );
        }
    }
}

#[tokio::test]
async fn every_message_may_come_three_times_and_in_any_order() {
    for db in databases().await {
        let mut world = World::default();
        let library = Library::open(db.clone(), &clock(), &world.post);
        let loans = loans(30);
        library.begin(&loans).await;
        library.settle(&mut world, &loans, 3).await;
        for id in &loans {
            world.check_end(&library.see(*id).await, *id);
        }
        // And all of it once more after the end.
        let versions: Vec<i64> = versions(&library, &loans).await;
        for input in [Input::Agreed(true), Input::Kept(true), Input::Book(crate::table::out(1)), Input::Read, Input::Told] {
            let handled = library.say(&loans, &input).await;
            assert!(handled.iter().all(|answer| matches!(answer, Handled::Done { changed: false, .. })), "{handled:?}");
        }
        assert_eq!(versions, self::versions(&library, &loans).await);
    }
}

async fn versions(library: &Library, loans: &[Uuid]) -> Vec<i64> {
    library.coordinator.read(loans).await.unwrap().values().map(|seen| seen.row_version).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_coordinators_at_once_move_every_saga_as_one_would() {
    for db in databases().await {
        let (clock, mut world) = (clock(), World::default());
        let one = Library::open(db.clone(), &clock, &world.post);
        let two = Library::open(db.reopen().await, &clock, &world.post);
        let loans = loans(60);
        // Both are told everything, at once; and new loans of the same ids.
        let both = async |arrivals: Vec<Arrival<Lending>>| {
            let (mine, mut theirs) = (arrivals.clone(), arrivals);
            theirs.reverse();
            let (one, two) = (one.coordinator.clone(), two.coordinator.clone());
            let (first, second) = tokio::join!(
                tokio::spawn(async move { one.handle(mine).await }),
                tokio::spawn(async move { two.handle(theirs).await })
            );
            let changed = |answer: &Handled<Lending>| match answer {
                Handled::Done { changed, .. } => *changed,
                Handled::Missing | Handled::Unknown(_) | Handled::Refused(_) => panic!("{answer:?}"),
            };
            let mut second = second.unwrap().unwrap();
            second.reverse();
            first
                .unwrap()
                .unwrap()
                .iter()
                .zip(&second)
                .map(|(a, b)| usize::from(changed(a)) + usize::from(changed(b)))
                .collect::<Vec<_>>()
        };
        let told = |input: Input| loans.iter().map(|id| Arrival::input(*id, input.clone())).collect::<Vec<_>>();
        assert_eq!(both(loans.iter().map(|id| begin_loan(*id)).collect()).await, vec![1; 60], "each begins once");
        assert_eq!(both(told(Input::Agreed(true))).await, vec![1; 60], "each vote counts once");
        one.settle(&mut world, &loans, 2).await;
        for id in &loans {
            world.check_end(&two.see(*id).await, *id);
        }
        assert_eq!(store::copies(&db).await, 0);
    }
}

/// Small and even enough to choose where to crash (Knuth's MMIX).
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }
}

/// Processes that die wherever they happen to wait: inside a statement, before the commit, after it, before the answer.
#[tokio::test]
async fn processes_that_die_anywhere_leave_sagas_that_end() {
    for db in databases().await {
        for seed in 0..6 {
            let (clock, mut world, mut chance) = (clock(), World::default(), Chance(seed));
            let loans = loans(20);
            let mut unheard: Vec<Arrival<Lending>> = loans.iter().map(|id| begin_loan(*id)).collect();
            let mut deaths = 0;
            for _ in 0..60 {
                let library = Library::open(db.reopen().await, &clock, &world.post);
                unheard.extend(world.carry(&library.post.take(), 1 + chance.below(2)));
                let input = if chance.below(2) == 0 { Input::Agreed(true) } else { Input::Read };
                unheard.extend(loans.iter().map(|id| Arrival::input(*id, input.clone())));
                let (coordinator, arrivals) = (library.coordinator.clone(), unheard.clone());
                let handling = tokio::spawn(async move { coordinator.handle(arrivals).await });
                for _ in 0..chance.below(120) {
                    tokio::task::yield_now().await;
                }
                if chance.below(3) > 0 {
                    handling.abort();
                }
                match handling.await {
                    Ok(handled) => {
                        handled.unwrap();
                        unheard.clear();
                    }
                    Err(_) => deaths += 1,
                }
                clock.advance(TimeDelta::seconds(4));
            }
            assert!(deaths > 5, "only {deaths} processes died");
            let library = Library::open(db.reopen().await, &clock, &world.post);
            library.coordinator.handle(loans.iter().map(|id| begin_loan(*id)).collect()).await.unwrap();
            library.coordinator.handle(unheard).await.unwrap();
            library.settle(&mut world, &loans, 1).await;
            for id in &loans {
                world.shelves[id].check_end(&library.see(*id).await.progress.data).unwrap();
            }
            assert_eq!(store::copies(&db).await, 0, "seed {seed}");
        }
    }
}
