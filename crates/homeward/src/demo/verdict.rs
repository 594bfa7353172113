//! Whether it is true: read from the ground truth that Homeward cannot see.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use homeward_proto::words::v1::LeaseEnd;
use homeward_simulator::well_known::policy::RECOVERY;
use homeward_simulator::{AccountTruth, Claim, Effect, Fact};

use super::stage::Stage;
use super::story::Played;

/// One thing that was checked.
struct Check {
    holds: bool,
    sentence: String,
}

/// All that was checked.
pub struct Verdict {
    checks: Vec<Check>,
    report: String,
}

impl Verdict {
    /// Whether everything was verified.
    pub fn verified(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }

    /// The report for people.
    pub fn report(&self) -> String {
        let mut text = self.report.clone();
        for check in &self.checks {
            let _ = writeln!(text, "  {} {}", if check.holds { "✓" } else { "✗" }, check.sentence);
        }
        text
    }

    /// Compares what was played with what is true.
    pub async fn of(stage: &Stage, played: &Played) -> anyhow::Result<Self> {
        let touched: BTreeSet<&str> = played.accounts.iter().map(String::as_str).collect();
        let log = stage.truth.log(stage.before.last_effect).await?;
        let now = stage.truth.accounts().await?;
        let mut verdict = Self { checks: Vec::new(), report: String::new() };
        let home = first_home(&log);
        let stays: BTreeMap<&str, f64> =
            touched.iter().filter_map(|account| Some((*account, exposure(&log, account)?))).collect();
        verdict.exposure(&stays);
        verdict.everybody_is_home(&now, &touched, &home);
        verdict.recoveries_ended(played);
        verdict.everybody_was_told(stage, played).await?;
        verdict.others_are_untouched(stage, &now, &touched, &log);
        verdict.where_to_look(stage, played);
        Ok(verdict)
    }

    fn check(&mut self, holds: bool, sentence: impl Into<String>) {
        self.checks.push(Check { holds, sentence: sentence.into() });
    }

    fn exposure(&mut self, stays: &BTreeMap<&str, f64>) {
        let mut seconds: Vec<f64> = stays.values().copied().collect();
        seconds.sort_by(f64::total_cmp);
        let _ = match seconds.as_slice() {
            [] => writeln!(self.report, "Exposure: nobody was out"),
            [one] => writeln!(self.report, "Exposure: {one:.3} s out of the mandatory policy"),
            [least, .., most] => writeln!(
                self.report,
                "Exposure: {} accounts out, each between {least:.3} s and {most:.3} s, median {:.3} s",
                seconds.len(),
                seconds[seconds.len() / 2]
            ),
        };
    }

    fn everybody_is_home(&mut self, now: &[AccountTruth], touched: &BTreeSet<&str>, home: &BTreeMap<&str, &str>) {
        let out: Vec<String> = now
            .iter()
            .filter(|account| touched.contains(account.id.as_str()))
            .filter(|account| match home.get(account.id.as_str()) {
                Some(home) => account.policy.as_deref() != Some(*home),
                None => account.policy.as_deref() == Some(RECOVERY),
            })
            .map(|account| account.email.clone())
            .collect();
        let sentence = if out.is_empty() {
            format!("{} account(s) of the story: in the policy where they began", touched.len())
        } else {
            format!("NOT at home: {}", out.join(", "))
        };
        self.check(out.is_empty(), sentence);
    }

    fn recoveries_ended(&mut self, played: &Played) {
        let astray: Vec<_> = played.recoveries.iter().filter(|recovery| recovery.outcome != played.outcome).collect();
        for recovery in &astray {
            self.check(false, format!("recovery {} ended as {}, not {}", recovery.recovery, recovery.outcome, played.outcome));
        }
        let seen_back = |end| matches!(end, LeaseEnd::Home | LeaseEnd::NeverLent | LeaseEnd::Unspecified);
        let proved = played
            .recoveries
            .iter()
            .all(|r| seen_back(r.lease_end()) && (r.out_since.is_none() || !r.return_evidence.is_empty()));
        if let [one] = played.recoveries.as_slice() {
            let evidence = if one.return_evidence.is_empty() { "never lent, nothing to return" } else { &one.return_evidence };
            self.check(proved, format!("return: {evidence}"));
        } else if !played.recoveries.is_empty() {
            self.check(
                proved,
                format!("{} returns, each seen at the provider before its lease was closed", played.recoveries.len()),
            );
        }
    }

    async fn everybody_was_told(&mut self, stage: &Stage, played: &Played) -> anyhow::Result<()> {
        let names = stage.mailbox.names().await?;
        let untold = played
            .recoveries
            .iter()
            .filter(|r| !names.iter().any(|name| name.starts_with(&format!("{}.closed.owner", r.recovery))));
        let untold: Vec<_> = untold.map(|recovery| recovery.recovery.clone()).collect();
        if !played.recoveries.is_empty() {
            let sentence = if untold.is_empty() {
                "the owner was told how it ended".into()
            } else {
                format!("owners NOT told: {}", untold.join(", "))
            };
            self.check(untold.is_empty(), sentence);
        }
        let _ = writeln!(self.report, "Mails: {} letters in {}", names.len(), stage.mailbox.place());
        Ok(())
    }

    fn others_are_untouched(&mut self, stage: &Stage, now: &[AccountTruth], touched: &BTreeSet<&str>, log: &[Effect]) {
        let others = stage.before.accounts.iter().filter(|account| !touched.contains(account.id.as_str()));
        let (mut managed, mut changed) = (0_usize, Vec::new());
        let now: BTreeMap<&str, &AccountTruth> = now.iter().map(|account| (account.id.as_str(), account)).collect();
        for before in others {
            managed += usize::from(before.claim == Claim::Managed);
            let same = now.get(before.id.as_str()).is_some_and(|now| facts(now) == facts(before));
            changed.extend((!same).then(|| before.email.clone()));
        }
        let strangers = log.iter().filter(|effect| !touched.contains(effect.account.as_str())).count();
        let untouched = changed.is_empty() && strangers == 0;
        let sentence = if untouched {
            format!(
                "{managed} other accounts: untouched (placement, version and factor as before; none in the provider's own log)"
            )
        } else {
            format!("other accounts were TOUCHED: {} ({strangers} effects)", changed.join(", "))
        };
        self.check(untouched, sentence);
    }

    fn where_to_look(&mut self, stage: &Stage, played: &Played) {
        if let [one] = played.recoveries.as_slice() {
            let link = if one.trace_link.is_empty() { String::new() } else { format!(" {}", one.trace_link) };
            let _ = writeln!(self.report, "Trace: {}{link}", one.trace_id);
        }
        if let Some(near) = &stage.near {
            let _ = writeln!(self.report, "Limits: profile `short` (a lease of {} s here)", near.lease_seconds);
        }
        let _ = writeln!(self.report, "Verified against the provider's ground truth:");
    }
}

/// What must be as before: placement, version, factor.
fn facts(account: &AccountTruth) -> (Option<&str>, Option<i64>, bool) {
    (account.policy.as_deref(), account.version, account.factor)
}

/// Where each account was before it was first moved.
fn first_home(log: &[Effect]) -> BTreeMap<&str, &str> {
    let mut home = BTreeMap::new();
    for effect in log.iter().filter(|effect| effect.fact == Fact::Policy) {
        if let Some(from) = effect.from.as_deref() {
            home.entry(effect.account.as_str()).or_insert(from);
        }
    }
    home
}

/// Seconds that the account spent in the recovery policy; `None` if it never was, or still is, there.
fn exposure(log: &[Effect], account: &str) -> Option<f64> {
    let mut out: Option<DateTime<Utc>> = None;
    let mut total = None;
    for effect in log.iter().filter(|effect| effect.fact == Fact::Policy && effect.account == account) {
        if effect.to.as_deref() == Some(RECOVERY) {
            out = out.or(Some(effect.at));
        } else if let Some(since) = out.take() {
            *total.get_or_insert(0.0) += (effect.at - since).as_seconds_f64();
        }
    }
    if out.is_some() { None } else { total }
}
