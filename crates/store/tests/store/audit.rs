//! The audit log shows every change that was made behind its back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use homeward_store::audit::{self, Broken, Chainer, CheckpointFile, Entry, Fault, Line, Report, Signer, Tick, VerifyingKey};
use homeward_store::testing::TestDatabase;
use homeward_store::{Database, StoreError, on, on_tx, testing, transaction};
use homeward_types::{Clock, ManualClock, OrganisationId};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const SERVICE: &str = "policy";

/// A folder of the test's own.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("homeward-audit-{}", Uuid::new_v4().simple()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A log with its chainer.
struct Log {
    db: TestDatabase,
    clock: Arc<ManualClock>,
    chainer: Chainer,
    file: CheckpointFile,
    key: VerifyingKey,
    folder: Folder,
}

impl Log {
    fn new(db: TestDatabase) -> Self {
        let folder = Folder::new();
        let clock = Arc::new(ManualClock::new(DateTime::from_timestamp_micros(1_790_000_000_123_456).unwrap()));
        let file = CheckpointFile::new(folder.path("checkpoints"));
        let signer = Signer::load_or_create(&folder.path("key")).unwrap();
        let key = signer.key().clone();
        let chainer = Chainer::new(db.clone(), clock.clone(), SERVICE, signer, file.clone());
        Self { db, clock, chainer, file, key, folder }
    }

    async fn both() -> Vec<Self> {
        testing::migrated(&[audit::MIGRATIONS]).await.into_iter().map(Self::new).collect()
    }

    async fn add(&self, organisation: &str, count: usize) {
        let organisation: OrganisationId = organisation.parse().unwrap();
        let entries: Vec<_> = (0..count)
            .map(|n| {
                self.clock.advance(TimeDelta::microseconds(1));
                Entry::new(self.clock.now(), &organisation, "anna", "lease.opened", format!("account-{n}"))
                    .detail(serde_json::json!({"due": n, "b": [1.5, null], "a": "\u{0}ü"}))
                    .trace((n % 2 == 0).then(|| format!("{n:032x}")))
            })
            .collect();
        self.record(&entries).await;
    }

    async fn record(&self, entries: &[Entry]) {
        transaction!(self.db, "audit_entry.record", async |tx| -> Result<(), StoreError> { audit::record(tx, entries).await })
            .unwrap();
    }

    async fn tick(&self) -> Tick {
        self.chainer.tick().await.unwrap()
    }

    async fn report(&self) -> Report {
        audit::verify(&self.db, SERVICE, &self.file.read().unwrap(), std::slice::from_ref(&self.key)).await.unwrap()
    }

    /// Changes the log behind its back.
    async fn tamper(&self, sql: &'static str) {
        let changed = transaction!(self.db, "audit_entry.tamper", async |tx| -> Result<u64, StoreError> {
            Ok(on_tx!(tx, c => sqlx::query(sql).execute(c).await.map(|done| done.rows_affected()))?)
        });
        assert!(changed.unwrap() > 0, "{sql} changed nothing");
    }
}

fn broken(report: &Report, index: usize) -> Option<(i64, Fault)> {
    report.chains[index].broken.as_ref().map(|Broken { seq, fault }| (*seq, *fault))
}

#[tokio::test]
async fn entries_are_linked_by_organisation_in_the_order_of_writing_and_anchored() {
    for log in Log::both().await {
        assert_eq!(log.tick().await, Tick::default());
        log.add("acme", 3).await;
        log.add("beta", 2).await;
        log.add("acme", 1300).await;
        assert_eq!(log.tick().await, Tick { linked: 1305, checkpoints: 2 });
        assert_eq!(log.tick().await, Tick::default());
        let report = log.report().await;
        assert!(report.is_intact(), "{report}");
        let chains: Vec<_> = report
            .chains
            .iter()
            .map(|chain| (chain.organisation.as_str(), chain.whole, chain.unanchored(), chain.unlinked))
            .collect();
        assert_eq!(chains, [("acme", 1303, 0, 0), ("beta", 2, 0, 0)], "{}", log.db.system());
        let order: Vec<i64> = on!(log.db, pool => sqlx::query_scalar("SELECT number FROM audit_entry WHERE organisation = 'acme' ORDER BY seq").fetch_all(pool).await).unwrap();
        assert!(order.is_sorted());
        let times: Vec<DateTime<chrono::Utc>> = on!(log.db, pool => sqlx::query_scalar("SELECT at FROM audit_entry WHERE organisation = 'acme' ORDER BY seq").fetch_all(pool).await).unwrap();
        assert!(times.is_sorted(), "a statement's entries keep their order");
    }
}

#[tokio::test]
async fn entries_go_with_their_cause() {
    for log in Log::both().await {
        let organisation: OrganisationId = "acme".parse().unwrap();
        let undone = transaction!(log.db, "audit_entry.record", async |tx| -> Result<(), StoreError> {
            audit::record(tx, &[Entry::new(log.clock.now(), &organisation, "anna", "lease.opened", "x").personal("Mia")]).await?;
            Err(StoreError::NotOneRow { what: "lease", changed: 0 })
        });
        assert!(undone.is_err());
        for sql in ["SELECT COUNT(*) FROM audit_entry", "SELECT COUNT(*) FROM audit_personal"] {
            let rows: i64 = on!(log.db, pool => sqlx::query_scalar(sql).fetch_one(pool).await).unwrap();
            assert_eq!(rows, 0);
        }
    }
}

#[tokio::test]
async fn any_change_to_any_column_is_found_at_its_entry() {
    for log in Log::both().await {
        log.add("acme", 9).await;
        log.tick().await;
        for (column, other) in [
            ("actor", "'carl'"),
            ("action", "'lease.closed'"),
            ("subject", "'account-x'"),
            ("detail", "'{}'"),
            ("trace_id", "'0'"),
            ("at", dialect_time(&log.db)),
            ("hash", "(SELECT hash FROM audit_entry WHERE seq = 1)"),
            ("personal", "(SELECT hash FROM audit_entry WHERE seq = 1)"),
        ] {
            // Kept beside, changed, found, put back.
            log.tamper_and_back(column, other).await;
        }
        assert!(log.report().await.is_intact());
    }
}

fn dialect_time(db: &Database) -> &'static str {
    homeward_store::dialect!(db, pg: "at + interval '1 microsecond'", lite: "replace(at, '+00:00', '9+00:00')")
}

impl Log {
    async fn tamper_and_back(&self, column: &str, other: &str) {
        for sql in [
            "DROP TABLE IF EXISTS kept".to_owned(),
            format!("CREATE TABLE kept AS SELECT {column} AS value FROM audit_entry WHERE seq = 5"),
            format!("UPDATE audit_entry SET {column} = {other} WHERE seq = 5"),
        ] {
            self.any(&sql).await;
        }
        let report = self.report().await;
        assert_eq!(broken(&report, 0), Some((5, Fault::Altered)), "{column} on {}", self.db.system());
        assert_eq!((report.chains[0].whole, report.is_intact()), (4, false));
        assert!(report.to_string().contains("BROKEN: entry 5 is not what was linked"), "{report}");
        self.any(&format!("UPDATE audit_entry SET {column} = (SELECT value FROM kept) WHERE seq = 5")).await;
    }

    async fn any(&self, sql: &str) {
        transaction!(self.db, "audit_entry.tamper", async |tx| -> Result<(), StoreError> {
            on_tx!(tx, c => sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(c).await.map(drop))?;
            Ok(())
        })
        .unwrap();
    }
}

#[tokio::test]
async fn an_entry_removed_moved_or_slipped_in_is_found() {
    for log in Log::both().await {
        log.add("acme", 9).await;
        log.add("beta", 9).await;
        log.tick().await;
        log.tamper("DELETE FROM audit_entry WHERE organisation = 'acme' AND seq = 4").await;
        log.tamper("UPDATE audit_entry SET seq = seq + 100 WHERE organisation = 'beta' AND seq >= 6").await;
        let report = log.report().await;
        assert_eq!((broken(&report, 0), broken(&report, 1)), (Some((4, Fault::Missing)), Some((6, Fault::Missing))));
    }
}

#[tokio::test]
async fn a_cut_off_end_is_found_by_the_checkpoint() {
    for log in Log::both().await {
        log.add("acme", 9).await;
        log.tick().await;
        log.tamper("DELETE FROM audit_entry WHERE seq > 7").await;
        assert_eq!(broken(&log.report().await, 0), Some((8, Fault::Missing)));
        // Someone who tidies up the end that the database knows is found by the file.
        log.tamper("UPDATE audit_checkpoint SET seq = 7, anchored_seq = 7, hash = (SELECT hash FROM audit_entry WHERE seq = 7)")
            .await;
        assert_eq!(broken(&log.report().await, 0), Some((8, Fault::Missing)));
        // All of it gone: the file still knows.
        log.tamper("DELETE FROM audit_entry").await;
        log.tamper("DELETE FROM audit_checkpoint").await;
        assert_eq!(broken(&log.report().await, 0), Some((1, Fault::Missing)));
    }
}

#[tokio::test]
async fn a_chain_written_anew_does_not_fit_the_checkpoints() {
    for log in Log::both().await {
        log.add("acme", 9).await;
        log.tick().await;
        log.add("acme", 2).await;
        log.tick().await;
        // An intruder alters an entry and has the whole chain made again, with a key of their own.
        log.tamper("UPDATE audit_entry SET actor = 'carl' WHERE seq = 3").await;
        log.tamper("UPDATE audit_entry SET seq = NULL, hash = NULL").await;
        log.tamper("DELETE FROM audit_checkpoint").await;
        let other = Signer::load_or_create(&log.folder.path("other")).unwrap();
        let intruder =
            Chainer::new(log.db.clone(), log.clock.clone(), SERVICE, other, CheckpointFile::new(log.folder.path("theirs")));
        assert_eq!(intruder.tick().await.unwrap().linked, 11);
        assert_eq!(broken(&log.report().await, 0), Some((9, Fault::Rewritten)));
        // Their checkpoints are worth nothing.
        let theirs = CheckpointFile::new(log.folder.path("theirs")).read().unwrap();
        let report = audit::verify(&log.db, SERVICE, &theirs, std::slice::from_ref(&log.key)).await.unwrap();
        assert_eq!((report.unsigned, report.is_intact(), report.chains[0].anchored), (1, false, 0));
    }
}

#[tokio::test]
async fn what_no_checkpoint_covers_is_named() {
    for log in Log::both().await {
        log.add("acme", 4).await;
        log.tick().await;
        let file = std::fs::read(log.file.path()).unwrap();
        log.add("acme", 3).await;
        log.tick().await;
        log.add("acme", 2).await;
        // As if the newest checkpoint had not reached the file.
        std::fs::write(log.file.path(), file).unwrap();
        let report = log.report().await;
        let chain = &report.chains[0];
        assert_eq!((chain.whole, chain.anchored, chain.unanchored(), chain.unlinked), (7, 4, 3, 2));
        assert!(report.is_intact() && report.to_string().contains("unanchored tail: 5 to 7"), "{report}");
    }
}

#[tokio::test]
async fn a_forged_or_damaged_line_of_the_file_is_counted() {
    for log in Log::both().await {
        log.add("acme", 4).await;
        log.tick().await;
        let text = std::fs::read_to_string(log.file.path()).unwrap();
        std::fs::write(log.file.path(), format!("{text}{}", text.replace("\"seq\":4", "\"seq\":3"))).unwrap();
        let report = log.report().await;
        assert_eq!((report.unsigned, report.unreadable, report.is_intact()), (1, 0, false));
        assert_eq!(broken(&report, 0), None, "a forged line must not blame the chain");
        // A crash cut the last line off; the next checkpoint begins a line of its own.
        std::fs::write(log.file.path(), &text[..text.len() / 2]).unwrap();
        log.add("acme", 1).await;
        log.tick().await;
        let lines = log.file.read().unwrap();
        assert!(matches!(&lines[..], [Line::Unreadable { line: 1 }, Line::Checkpoint(newest)] if newest.seq == 5), "{lines:?}");
        let report = log.report().await;
        assert_eq!((report.unsigned, report.unreadable, report.is_intact(), report.chains[0].anchored), (0, 1, true, 5));
        // The checkpoints of another service in the same file are none of this log's business.
        let report = audit::verify(&log.db, "recovery", &log.file.read().unwrap(), &[]).await.unwrap();
        assert_eq!((report.unsigned, report.chains[0].anchored), (0, 0));
    }
}

#[tokio::test]
async fn personal_data_is_erased_without_breaking_the_chain() {
    for log in Log::both().await {
        let (acme, beta): (OrganisationId, OrganisationId) = ("acme".parse().unwrap(), "beta".parse().unwrap());
        let entry = |organisation, subject: &str, text: &str| {
            Entry::new(log.clock.now(), organisation, "anna", "proof.given", subject).personal(text)
        };
        log.record(&[
            entry(&acme, "mia", "Mia Berg, +49 30\0 1"),
            entry(&acme, "tom", "Tom"),
            entry(&acme, "mia", "again"),
            entry(&beta, "mia", "Mia"),
        ])
        .await;
        log.tick().await;
        let before = log.report().await;
        assert_eq!((before.is_intact(), before.chains[0].erased), (true, 0));
        let erased = transaction!(log.db, "audit_personal.erase", async |tx| -> Result<u64, StoreError> {
            audit::erase_personal(tx, &acme, &["mia".to_owned(), "nobody".to_owned()]).await
        });
        assert_eq!(erased.unwrap(), 2);
        let left: Vec<String> =
            on!(log.db, pool => sqlx::query_scalar("SELECT text FROM audit_personal ORDER BY text").fetch_all(pool).await)
                .unwrap();
        assert_eq!(left, ["Mia", "Tom"]);
        let report = log.report().await;
        assert!(report.is_intact(), "{report}");
        assert_eq!((report.chains[0].erased, report.chains[1].erased, report.chains[0].whole), (2, 0, 3));
        // Erased, not exchanged.
        log.tamper("UPDATE audit_personal SET text = 'Tim' WHERE text = 'Tom'").await;
        assert_eq!(broken(&log.report().await, 0), Some((2, Fault::PersonalAltered)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn chainers_of_several_processes_take_turns() {
    for log in Log::both().await {
        let stop = CancellationToken::new();
        let mut tasks = Vec::new();
        for _ in 0..3 {
            let signer = Signer::load_or_create(&log.folder.path("key")).unwrap();
            let chainer = Chainer::new(log.db.reopen().await, log.clock.clone(), SERVICE, signer, log.file.clone());
            let stop = stop.clone();
            tasks.push(tokio::spawn(async move {
                while !stop.is_cancelled() {
                    chainer.tick().await.unwrap();
                }
                chainer.tick().await.unwrap();
            }));
        }
        for _ in 0..20 {
            log.add("acme", 20).await;
        }
        stop.cancel();
        for task in tasks {
            task.await.unwrap();
        }
        let report = log.report().await;
        assert!(report.is_intact(), "{report}");
        assert_eq!(
            (report.chains[0].whole, report.chains[0].unanchored(), report.unreadable),
            (400, 0, 0),
            "{}",
            log.db.system()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_of_each_process_is_complete_whoever_linked() {
    for log in Log::both().await {
        let one_more = |name: &str| {
            let signer = Signer::load_or_create(&log.folder.path(&format!("{name}.key"))).unwrap();
            let (key, file) = (signer.key().clone(), CheckpointFile::new(log.folder.path(&format!("{name}.checkpoints"))));
            let chainer = |signer| Chainer::new((*log.db).clone(), log.clock.clone(), SERVICE, signer, file.clone());
            (chainer(signer), key, file.clone())
        };
        let (first, second) = (one_more("first"), one_more("second"));
        for (n, (chainer, ..)) in [&first, &second, &second, &first, &first].into_iter().enumerate() {
            log.add("acme", 3).await;
            log.add("umbrella", 1).await;
            assert_eq!(chainer.tick().await.unwrap().linked, 4, "round {n}");
        }
        assert_eq!(second.0.tick().await.unwrap(), Tick { linked: 0, checkpoints: 2 }, "what the first has linked since");
        for (_, key, file) in [&first, &second] {
            let report = audit::verify(&log.db, SERVICE, &file.read().unwrap(), std::slice::from_ref(key)).await.unwrap();
            assert!(report.is_intact(), "{report}");
            assert_eq!(report.chains.iter().map(homeward_store::audit::Chain::unanchored).sum::<i64>(), 0, "{report}");
        }
        // A process that starts again knows from its file where it was.
        let (again, ..) = one_more("second");
        assert_eq!(again.tick().await.unwrap(), Tick { linked: 0, checkpoints: 0 });
    }
}

#[tokio::test]
async fn a_running_chainer_links_within_a_second_and_once_more_when_told_to_stop() {
    for log in Log::both().await {
        let stop = CancellationToken::new();
        let Log { db, clock, chainer, file, key, folder } = log;
        let running = tokio::spawn({
            let stop = stop.clone();
            async move {
                chainer.run(stop).await;
                chainer
            }
        });
        let signer = Signer::load_or_create(&folder.path("spare")).unwrap();
        let log = Log {
            chainer: Chainer::new(db.clone(), clock.clone(), "spare", signer, CheckpointFile::new(folder.path("spare"))),
            db,
            clock,
            file,
            key,
            folder,
        };
        log.add("acme", 5).await;
        tokio::time::timeout(std::time::Duration::from_secs(20), async {
            while log.report().await.chains[0].anchored < 5 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        log.add("acme", 1).await;
        stop.cancel();
        running.await.unwrap();
        assert_eq!(log.report().await.chains[0].anchored, 6);
    }
}

#[tokio::test]
async fn a_checkpoint_file_that_cannot_be_written_delays_only_the_anchor() {
    for log in Log::both().await {
        log.add("acme", 2).await;
        std::fs::create_dir(log.file.path()).unwrap();
        let error = log.chainer.tick().await.unwrap_err();
        assert!(matches!(error, StoreError::File { .. }) && error.is_infrastructure(), "{error:?}");
        std::fs::remove_dir(log.file.path()).unwrap();
        assert_eq!((log.report().await.chains[0].whole, log.report().await.chains[0].anchored), (2, 0));
        assert_eq!(log.tick().await, Tick { linked: 0, checkpoints: 1 });
        assert_eq!(log.report().await.chains[0].anchored, 2);
    }
}

#[tokio::test]
async fn a_key_is_made_once_kept_private_and_refused_if_damaged() {
    let folder = Folder::new();
    let path = folder.path("audit.key");
    let first = Signer::load_or_create(&path).unwrap();
    assert_eq!(Signer::load_or_create(&path).unwrap().key(), first.key());
    assert_eq!(VerifyingKey::from_hex(&first.key().to_hex()).as_ref(), Some(first.key()));
    assert_eq!(private_mode(&path), 0o600);
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1, "no draft stays behind");
    std::fs::write(&path, "nonsense").unwrap();
    assert!(Signer::load_or_create(&path).unwrap_err().to_string().contains("audit.key"));
}

fn private_mode(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777
}
