//! The crash boundary, recorded and halted at. The record belongs to the process, so this is the one test that turns it on.

use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use homeward_chassis::boundary;
use homeward_chassis::boundary::{listen, record_to};

#[test]
fn a_boundary_shows_what_is_in_progress_and_what_has_ended_and_halts_where_it_is_told() {
    let unrecorded = boundary!("commit", unreachable(), 1 + 1);
    assert_eq!(unrecorded, 2);

    let folder = tempfile::tempdir().unwrap();
    let (file, halts_file) = (folder.path().join("boundaries"), folder.path().join("halts"));
    listen(&file, Some(halts_file.clone())).unwrap();
    assert!(record_to(&file).is_err());
    let lines = || std::fs::read_to_string(&file).unwrap();

    let seen = boundary!("commit", "lend", lines());
    assert_eq!(seen, "commit lend begin\n");
    assert_eq!(lines(), "commit lend begin\ncommit lend end\n");

    let publishing = boundary!("publish", "two words");
    assert!(lines().ends_with("publish two-words begin\n"));
    drop(publishing);
    assert!(lines().ends_with("publish two-words end\n"));

    let failed = (|| -> Result<(), ()> {
        boundary!("provider", 7, Err(())?);
        Ok(())
    })();
    assert_eq!(failed, Err(()));
    assert!(lines().ends_with("provider 7 begin\nprovider 7 end\n"));

    // Other boundaries, other states, other moments go on.
    std::fs::write(&halts_file, "commit close begin\nprovider lend begin\ncommit lend end\n").unwrap();
    boundary!("publish", "close", ());
    boundary!("commit", "closed", ());
    boundary!("provider", "lend-and-more", ());
    let first = halts(
        &file,
        "commit invite+close+closed begin halt\n",
        |effect| boundary!("commit", "invite+close+closed", effect()),
        false,
    );
    let second = halts(&file, "commit lend end halt\n", |effect| boundary!("commit", "lend", effect()), true);
    // Whoever stands still goes on as soon as nothing asks for it any more.
    std::fs::write(halts_file, "").unwrap();
    for gone_on in [first, second] {
        let went = gone_on.recv_timeout(Duration::from_secs(10));
        assert_eq!(went, Err(std::sync::mpsc::RecvTimeoutError::Disconnected), "it still stands still");
    }
}

/// Runs `work` on a thread that must write `last` to the record and go no further; `after` says whether its effect was had.
/// What is given back ends when the thread has gone on after all.
fn halts(record: &Path, last: &str, work: impl FnOnce(&dyn Fn()) + Send + 'static, after: bool) -> Receiver<()> {
    let (effect, had) = std::sync::mpsc::channel();
    let (alive, gone_on) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        work(&|| effect.send(()).unwrap());
        drop(alive);
    });
    let began = Instant::now();
    while !std::fs::read_to_string(record).unwrap().ends_with(last) {
        assert!(began.elapsed() < Duration::from_secs(10), "no halt: {}", std::fs::read_to_string(record).unwrap());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(had.try_recv().is_ok(), after, "{last}");
    let waited = gone_on.recv_timeout(Duration::from_millis(50));
    assert_eq!(waited, Err(std::sync::mpsc::RecvTimeoutError::Timeout), "it went on after {last}");
    gone_on
}

fn unreachable() -> &'static str {
    panic!("the state is not worked out unless a crash test listens")
}
