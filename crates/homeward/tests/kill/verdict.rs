//! What must be true in the end, read from the provider's ground truth, the lease log, the letters, and the public API.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use homeward_simulator::well_known::policy::RECOVERY;
use homeward_simulator::{AccountTruth, Effect, Fact};
use homeward_types::Timestamp;
use homeward_world::Simulated;
use homeward_world::crowd::Crowd;
use homeward_world::desk::Desk;
use homeward_world::letters::{Letter, Letters};
use serde::Deserialize;

/// How long the last recoveries may take to close once their owners were told.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every account is where it was, every recovery closed, every owner told, nobody else touched.
pub async fn nobody_is_left_behind(
    desk: &Desk,
    simulated: &Simulated,
    crowd: &Crowd,
    letters: &Letters,
    before: &[AccountTruth],
) {
    let began = Instant::now();
    loop {
        let open = desk.recoveries(true).await.unwrap();
        if open.is_empty() {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{} recoveries stay open, for example {:?}", open.len(), open[0]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let cases = crowd.cases();
    let all = desk.recoveries(false).await.unwrap();
    let known: HashSet<&str> = all.iter().map(|recovery| recovery.recovery.as_str()).collect();
    assert!(!cases.is_empty(), "nothing happened");
    assert_eq!(all.len(), cases.len(), "a repeated request opened a second recovery");
    assert!(cases.keys().all(|id| known.contains(id.as_str())), "a recovery that was promised is not there");
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for recovery in &all {
        *outcomes.entry(&recovery.outcome).or_default() += 1;
        let told = Letter { recovery: recovery.recovery.clone(), kind: "closed".into(), to: "owner".into() };
        assert!(letters.has(&told), "the owner of {} was not told", recovery.recovery);
    }
    println!("outcomes: {outcomes:?}");
    let touched: HashSet<&str> = cases.values().map(|person| person.account.as_str()).collect();
    let after: HashMap<String, AccountTruth> =
        simulated.accounts().await.unwrap().into_iter().map(|account| (account.id.clone(), account)).collect();
    for account in before {
        let now = &after[&account.id];
        assert_eq!(now.policy, account.policy, "{} is not where it was", account.email);
        if !touched.contains(account.id.as_str()) {
            assert_eq!(now, account, "{} was touched", account.email);
        }
    }
}

/// Waits until nobody is out any more.
pub async fn everybody_is_home(simulated: &Simulated, before: &[AccountTruth]) {
    let home: HashMap<&str, &AccountTruth> = before.iter().map(|account| (account.id.as_str(), account)).collect();
    let began = Instant::now();
    loop {
        let accounts = simulated.accounts().await.unwrap();
        let out: Vec<&AccountTruth> = accounts
            .iter()
            .filter(|account| home.get(account.id.as_str()).is_some_and(|home| home.policy != account.policy))
            .collect();
        if out.is_empty() {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{} accounts stay out, for example {:?}", out.len(), out[0]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A line of the append-only file outside the database.
#[derive(Debug, Deserialize)]
struct Line {
    at: Timestamp,
    what: String,
    lease: String,
    account: String,
    due_at: Timestamp,
}

/// A lease as the lines tell it.
pub struct Lease {
    pub account: String,
    pub opened: Timestamp,
    pub due_at: Timestamp,
    pub closed: Option<Timestamp>,
}

/// Each stay in the recovery policy lies within a lease that was opened before it began and closed after it ended.
pub async fn nobody_was_out_without_a_lease(simulated: &Simulated, leases: &Path) {
    let mut of_account: HashMap<String, Vec<Lease>> = HashMap::new();
    for lease in self::leases(leases).into_values() {
        of_account.entry(lease.account.clone()).or_default().push(lease);
    }
    let log = simulated.log(0).await.unwrap();
    let stays = stays(&log);
    assert!(!stays.is_empty(), "nobody was ever out");
    for stay in stays {
        let back = stay.back.unwrap_or_else(|| panic!("{} is out", stay.account));
        let leases = of_account.get(stay.account).map_or(&[][..], Vec::as_slice);
        let covered = leases.iter().any(|lease| lease.opened <= stay.out && lease.closed.is_some_and(|closed| closed >= back));
        assert!(covered, "{} was out from {} to {back} without an open lease", stay.account, stay.out);
    }
}

/// Every lease of the file, by its id.
pub fn leases(path: &Path) -> HashMap<String, Lease> {
    let mut leases: HashMap<String, Lease> = HashMap::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let line: Line = serde_json::from_str(line).unwrap();
        let new = Lease { account: line.account, opened: line.at, due_at: line.due_at, closed: None };
        let lease = leases.entry(line.lease).or_insert(new);
        match line.what.as_str() {
            // A line whose lease was not committed then is repeated; the first one counts.
            "opened" => lease.opened = lease.opened.min(line.at),
            "closed" => lease.closed = lease.closed.max(Some(line.at)),
            other => panic!("{other} is not known"),
        }
    }
    leases
}

/// Each account that was still out when its lease was due: by how much. A lease that policy opened by itself was due at once.
pub async fn past_due(simulated: &Simulated, path: &Path) -> Vec<Late> {
    let mut due: HashMap<String, Vec<Timestamp>> = HashMap::new();
    for lease in leases(path).into_values() {
        due.entry(lease.account).or_default().push(lease.due_at);
    }
    let log = simulated.log(0).await.unwrap();
    let late = |stay: &Stay<'_>| {
        let back = stay.back?;
        let due = *due.get(stay.account)?.iter().filter(|due| **due >= stay.out).min()?;
        (due < back).then(|| Late { account: stay.account.to_owned(), due, back })
    };
    stays(&log).iter().filter_map(late).collect()
}

/// An account that came home after its time.
pub struct Late {
    pub account: String,
    pub due: Timestamp,
    pub back: Timestamp,
}

/// A stay in the recovery policy.
pub struct Stay<'a> {
    pub account: &'a str,
    pub out: Timestamp,
    pub back: Option<Timestamp>,
}

/// When each account was in the recovery policy.
pub fn stays(log: &[Effect]) -> Vec<Stay<'_>> {
    let mut stays: Vec<Stay<'_>> = Vec::new();
    let mut open: HashMap<&str, usize> = HashMap::new();
    for effect in log.iter().filter(|effect| effect.fact == Fact::Policy) {
        let account = effect.account.as_str();
        if effect.to.as_deref() == Some(RECOVERY) {
            open.entry(account).or_insert_with(|| {
                stays.push(Stay { account, out: effect.at, back: None });
                stays.len() - 1
            });
        } else if let Some(stay) = open.remove(account) {
            stays[stay].back = Some(effect.at);
        }
    }
    stays
}
