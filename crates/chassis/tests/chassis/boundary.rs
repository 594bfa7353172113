//! The crash boundary, recorded. The record belongs to the process, so this is the one test that turns it on.

use homeward_chassis::boundary;
use homeward_chassis::boundary::record_to;

#[test]
fn a_boundary_shows_what_is_in_progress_and_what_has_ended() {
    let unrecorded = boundary!("commit", unreachable(), 1 + 1);
    assert_eq!(unrecorded, 2);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("boundaries");
    record_to(&file).unwrap();
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
}

fn unreachable() -> &'static str {
    panic!("the state is not worked out unless a crash test listens")
}
