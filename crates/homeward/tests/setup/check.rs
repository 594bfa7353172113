//! `homeward check provider`: what is told, and with which exit code.

use homeward_simulator::well_known::key;
use serde_json::Value;

use super::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn what_each_key_can_do_is_told_without_trying_to_write() {
    let stage = Stage::new().await;
    stage.configured(key::SCOPED, Some(key::UNSCOPED), Some(key::READER)).await;
    let ran = stage.run(&["check", "provider"], &[]).await;
    assert_eq!(ran.status, 0, "{ran:?}");
    for told in ["northwind, for recovery: api_key", "northwind, for recovery: unscoped_key", "northwind, for patrol: api_key"] {
        assert!(ran.out.contains(told), "{told} in {}", ran.out);
    }
    assert!(ran.out.contains("SCOPED_KEY_REFUSED") && ran.out.contains("could write, not tried"), "{}", ran.out);
    assert!(ran.out.contains("expires   unknown"), "what nobody knows is said: {}", ran.out);
    for told in ["limit of moves", "200 calls in 1m (published)", "late reads: placements            unknown; read_lag takes"] {
        assert!(ran.out.contains(told), "{told} in {}", ran.out);
    }
    assert_eq!(stage.writes(), 0);
    assert!([key::SCOPED, key::UNSCOPED, key::READER].iter().all(|key| !ran.out.contains(key)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_and_a_silent_provider_have_exit_codes_of_their_own() {
    let stage = Stage::new().await;
    stage.configured(key::UNSCOPED, None, Some(key::READER)).await;
    assert!(stage.simulator.truth().revoke_key("reader"));
    let ran = stage.run(&["check", "provider", "--output=json"], &[]).await;
    assert_eq!(ran.status, 3, "{ran:?}");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report[0]["fine"], Value::Bool(false));
    assert_eq!(report[0]["patrol"]["keys"][0]["reads"][2]["outcome"]["reason"], "KEY_REFUSED");
    let text = stage.run(&["check", "provider"], &[]).await.out;
    assert!(text.contains("the key is refused") && text.contains("NEEDED for patrol"), "{text}");

    let Stage { simulator, folder } = stage;
    simulator.shutdown().await;
    let stage = Stage { folder, ..Stage::new().await };
    let ran = stage.run(&["check", "provider"], &[]).await;
    assert_eq!(ran.status, 4, "{ran:?}");
    assert!(ran.out.contains("NO_CONNECTION"), "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_move_anyone_is_not_enough() {
    let stage = Stage::new().await;
    let ran = stage.configured(key::READER, None, None).await;
    assert_eq!(ran.status, 3, "it is written, and told: {ran:?}");
    assert!(ran.out.contains("NO_KEY_MOVES"), "{}", ran.out);
    assert!(stage.path("homeward.toml").exists());
}
