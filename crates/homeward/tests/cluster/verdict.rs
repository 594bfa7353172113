//! What must be true after each part: by the provider's ground truth, the public API, the databases, the broker and the letters.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use homeward_messaging::topology::QUEUES;
use homeward_simulator::AccountTruth;
use homeward_world::Cluster;
use homeward_world::crowd::Crowd;
use homeward_world::desk::Desk;
use homeward_world::letters::Letters;

use crate::faults::Faults;
use crate::part::People;

/// How long the last things may take to come to rest once every owner was told.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until something is so, and says what it is instead if it does not come to that.
async fn comes_to<T: PartialEq + std::fmt::Debug>(what: &str, wanted: &T, cluster: &Cluster, look: impl AsyncFn() -> T) {
    let began = Instant::now();
    loop {
        let is = look().await;
        if is == *wanted {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: {is:?}, not {wanted:?}\n{}", cluster.last_words());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every account is where it was, every case is closed, and nobody else was touched.
pub async fn nobody_is_left_behind(desk: &Desk, cluster: &Cluster, people: &People, crowd: &Crowd) {
    comes_to("open recoveries", &0, cluster, async || desk.recoveries(true).await.unwrap().len()).await;
    let cases = crowd.cases();
    assert!(!cases.is_empty(), "nothing happened");
    let all: HashMap<String, String> =
        desk.recoveries(false).await.unwrap().into_iter().map(|recovery| (recovery.recovery, recovery.outcome)).collect();
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for id in cases.keys() {
        let outcome = all.get(id).unwrap_or_else(|| panic!("{id} was promised and is not there"));
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("outcomes: {outcomes:?}");
    let before: HashMap<&str, &AccountTruth> = people.before.iter().map(|account| (account.id.as_str(), account)).collect();
    let away = async || {
        let now = people.simulated.accounts().await.unwrap();
        now.into_iter().filter(|account| account.policy != before[account.id.as_str()].policy).map(|a| a.email).collect()
    };
    comes_to("accounts away from home", &Vec::<String>::new(), cluster, away).await;
}

/// Every saga is closed, every outbox empty, every letter settled, and only poison is dead.
pub async fn nothing_is_left_over(cluster: &Cluster, faults: &Faults) {
    let questions = [
        ("open sagas", "SELECT count(*) FROM recovery.saga WHERE step IS NOT NULL"),
        ("open leases", "SELECT count(*) FROM policy.lease WHERE state <> 'closed'"),
        ("slots", "SELECT count(*) FROM recovery.slot"),
        ("letters that wait", "SELECT count(*) FROM notification.delivery WHERE state <> 'accepted'"),
        (
            "messages in outboxes",
            "SELECT (SELECT count(*) FROM directory.outbox) + (SELECT count(*) FROM policy.outbox) + (SELECT count(*) FROM recovery.outbox) \
             + (SELECT count(*) FROM notification.outbox) + (SELECT count(*) FROM patrol.outbox)",
        ),
    ];
    for (what, sql) in questions {
        comes_to(what, &"0".to_owned(), cluster, async || cluster.servers.ask(sql).unwrap()).await;
    }
    for queue in QUEUES {
        let sent: BTreeSet<String> = faults.poison(queue.name).iter().cloned().collect();
        let dead = format!("{}.dead", queue.name);
        let lying = async || cluster.servers.lying_in(&dead).await.unwrap().into_iter().collect::<BTreeSet<_>>();
        comes_to(&dead, &sent, cluster, lying).await;
    }
}

/// Each letter bears the Message-ID of its delivery key, and none was sent more often than kills explain. Says how many were
/// sent once more.
pub fn letters_are_repeated_only_by_kills(letters: &Letters, folder: &Path, cuts: usize) -> usize {
    let mut ids = HashSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "eml") {
            continue;
        }
        let key = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let id = text.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap_or_default().to_owned();
        assert!(id.trim_start_matches('<').starts_with(&format!("{key}@")), "{key} went out as {id}");
        assert!(ids.insert(id), "{key} shares its Message-ID");
    }
    for (letter, times) in letters.repeated() {
        assert!(*times <= cuts, "{letter:?} was sent {times} times more, and {cuts} kills fell between acceptance and commit");
    }
    letters.repeated().len()
}
