//! What a scene came to, in the words of the table: from what policy told, what recovery shows, the letters that arrived, and
//! the provider's ground truth.

use std::collections::{BTreeMap, BTreeSet};

use homeward_proto::policy::v1::{Lease, LeaseState};
use homeward_proto::words::v1::LeaseEnd;
use homeward_world::letters::Letter;

use crate::stage::{Case, Stage};
use crate::table::Row;

/// Those who may get a closing letter, in the order of the table.
const RECEIVERS: [&str; 4] = ["owner", "requester", "approver", "operator"];

/// Waits until everything is over, and says what it was. Accounts that served to earn trust in versions are left out.
pub async fn observe(stage: &Stage, cases: &[Case]) -> Row {
    for case in cases {
        stage.until("a case is closed", async || stage.shown(case).await.closed_at.is_some()).await;
    }
    let leases = || all(stage);
    stage.until("every lease is closed", async || leases().values().all(|told| state(told) == LeaseState::Closed)).await;
    // Whoever is out now was taken out after the last word.
    let leases = leases();
    for told in leases.values() {
        let (last, account) = (&told[told.len() - 1], &told[0].account);
        if matches!(last.end(), LeaseEnd::Home | LeaseEnd::ProtectedElsewhere) {
            let policy = stage.policy_of(account);
            assert!(stage.ground.organisation.protects(&policy.parse().unwrap()), "{account} is in {policy}\n{}", stage.told());
        }
    }
    let of_cases: Vec<[String; 3]> = join(cases, stage, &leases).await;
    let others: Vec<&Vec<Lease>> = leases.values().filter(|told| !is_case(cases, told)).collect();
    let column = |n: usize, other: fn(&[Lease]) -> Option<String>| {
        let own = of_cases.iter().map(|cells| cells[n].clone());
        let others = others.iter().filter_map(|told| other(told));
        own.chain(others).collect::<Vec<_>>().join(" + ")
    };
    Row {
        fault: String::new(),
        path: column(0, |told| Some(format!("{}: {}", told[0].origin, path(told)))),
        end: column(1, |told| Some(end(told))),
        outcome: column(2, |_| None),
        told: told(stage, cases),
    }
}

fn is_case(cases: &[Case], told: &[Lease]) -> bool {
    cases.iter().any(|case| case.id == told[0].lease)
}

/// What was told of each lease, oldest lease first, each by version.
fn all(stage: &Stage) -> BTreeMap<String, Vec<Lease>> {
    let mut leases: BTreeMap<String, BTreeMap<i64, Lease>> = BTreeMap::new();
    for lease in stage.witness.leases() {
        if !stage.is_left_out(&lease.account) {
            leases.entry(lease.lease.clone()).or_default().entry(lease.version).or_insert(lease);
        }
    }
    leases.into_iter().map(|(id, told)| (id, told.into_values().collect())).collect()
}

fn state(told: &[Lease]) -> LeaseState {
    told.last().map_or(LeaseState::Unspecified, Lease::state)
}

/// Path, end and outcome of each case; once, where all are the same.
async fn join(cases: &[Case], stage: &Stage, leases: &BTreeMap<String, Vec<Lease>>) -> Vec<[String; 3]> {
    let mut all = Vec::new();
    for case in cases {
        let told = leases.get(&case.id).unwrap_or_else(|| panic!("nothing was told of {}\n{}", case.id, stage.told()));
        all.push([path(told), end(told), stage.shown(case).await.outcome]);
    }
    if all.windows(2).all(|pair| pair[0] == pair[1]) {
        all.truncate(1);
    }
    all
}

fn path(told: &[Lease]) -> String {
    let mut states: Vec<&str> = told.iter().map(|lease| name(lease.state())).collect();
    states.dedup();
    states.join(" → ")
}

pub fn name(state: LeaseState) -> &'static str {
    match state {
        LeaseState::Opening => "opening",
        LeaseState::Active => "active",
        LeaseState::Closing => "closing",
        LeaseState::Settling => "settling",
        LeaseState::Closed => "closed",
        LeaseState::Unspecified => "unknown",
    }
}

fn end(told: &[Lease]) -> String {
    let end = told.last().map_or(LeaseEnd::Unspecified, Lease::end);
    end.as_str_name().trim_start_matches("LEASE_END_").to_lowercase()
}

impl Stage {
    /// Who got a letter about the end of a case, in the order of the table.
    pub fn closing_letters(&self, case: &Case) -> Vec<&'static str> {
        let letters: Vec<Letter> = std::fs::read_dir(self.ground.letters())
            .unwrap()
            .filter_map(|entry| Letter::of(&entry.unwrap().file_name().to_string_lossy()))
            .filter(|letter| letter.kind == "closed" && letter.recovery == case.id)
            .collect();
        RECEIVERS.into_iter().filter(|to| letters.iter().any(|letter| letter.to == *to)).collect()
    }
}

/// Who got a letter about the end, and which incidents are open.
fn told(stage: &Stage, cases: &[Case]) -> String {
    let letters: Vec<Vec<&str>> = cases.iter().map(|case| stage.closing_letters(case)).collect();
    let receivers = RECEIVERS.into_iter().filter(|to| letters.iter().all(|letters| letters.contains(to)));
    let incidents = stage.witness.incidents();
    let kinds: BTreeSet<&str> = incidents
        .iter()
        .filter(|incident| !stage.is_left_out(&incident.account))
        .map(|incident| incident.kind.as_str())
        .collect();
    let incidents = kinds.into_iter().map(|kind| format!("incident {kind}"));
    receivers.map(ToOwned::to_owned).chain(incidents).collect::<Vec<_>>().join(", ")
}
