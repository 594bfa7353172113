//! The guarantee, held to its own document: `docs/guarantee.md` says what becomes of every fault, and each row is played
//! against the simulator. The rest is what the document promises besides: returns never stop, four ends, the emergency stop.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod emergency;
mod ends;
mod observed;
mod paused;
mod play;
mod scenario;
mod schedule;
mod schedules;
mod stage;
mod table;
#[path = "../kill/verdict.rs"]
mod verdict;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::{FutureExt, StreamExt};

/// Scenes at the same time: most of their time they wait.
const AT_ONCE: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_ends_as_the_document_says() {
    let only = std::env::var("HOMEWARD_FAULT").ok();
    let rows = table::read();
    let scenes = scenario::all();
    let names = |names: &mut dyn Iterator<Item = &str>| names.map(ToOwned::to_owned).collect::<BTreeSet<String>>();
    let documented = names(&mut rows.iter().map(|row| row.fault.as_str()));
    let played = names(&mut scenes.iter().map(|scene| scene.name));
    assert_eq!(documented.len(), rows.len(), "a fault has two rows");
    let chosen = scenes.iter().filter(|scene| only.as_ref().is_none_or(|only| scene.name.contains(only.as_str())));
    let began = Instant::now();
    let scenes = futures_util::stream::iter(chosen).map(|scene| async {
        let began = Instant::now();
        // One that panics must not hide how the others ended.
        let row = AssertUnwindSafe(scene.play()).catch_unwind().await.unwrap_or_else(|_| broke_off(scene.name));
        println!("{}    {:.1} s", row.line(), began.elapsed().as_secs_f64());
        row
    });
    let seen: Vec<table::Row> = scenes.buffer_unordered(AT_ONCE).collect().await;
    println!("{} faults in {:.0} s", seen.len(), began.elapsed().as_secs_f64());
    let wrong: Vec<String> = seen
        .iter()
        .filter(|row| !rows.contains(row))
        .map(|row| {
            let said = rows.iter().find(|said| said.fault == row.fault);
            format!(
                "the document says {}\nand it was       {}",
                said.map_or_else(|| "nothing".into(), table::Row::line),
                row.line()
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(documented, played, "a row without a scene, or a scene without a row");
}

fn broke_off(fault: &str) -> table::Row {
    let nothing = String::new;
    table::Row {
        fault: fault.to_owned(),
        path: "(the scene broke off)".into(),
        end: nothing(),
        outcome: nothing(),
        told: nothing(),
    }
}
