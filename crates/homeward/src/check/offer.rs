//! What the provider offers, what it limits, and how late its reads may be. What nobody knows is printed as such.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use homeward_provider::{CallKind, CallLimit, Capabilities, Freshness, LimitSource};
use homeward_types::{Limits, ResetMethod};
use serde::Serialize;

/// How far behind Homeward takes reads to be, whatever the provider says.
#[derive(Debug, Serialize)]
pub struct Assumed {
    /// `limits.read_lag`, as it is written there.
    read_lag: String,
    /// `limits.factor_lag`.
    factor_lag: String,
}

impl Assumed {
    /// As configured.
    pub fn of(limits: &Limits) -> Self {
        let written = |lag: Duration| humantime::format_duration(lag).to_string();
        Self { read_lag: written(limits.read_lag), factor_lag: written(limits.factor_lag) }
    }
}

/// In lines.
pub fn text(can: &Capabilities, assumed: &Assumed) -> String {
    let mut text = String::new();
    let mut line = |what: &str, how: String| {
        // Writing into a text cannot fail.
        let _ = writeln!(text, "  {what:<34}{how}");
    };
    let reset = match can.reset {
        ResetMethod::Api => "by a call",
        ResetMethod::Person => "by a person, on the provider's page",
    };
    line("reset of a factor", reset.into());
    line("read of a factor", yes(Some(can.factor_readable)));
    line("version of a placement", yes(Some(can.placement_versions)));
    line("disable and enable", yes(Some(can.containment)));
    line("move a disabled account", yes(can.disabled_account_movable));
    line("delete an account's tokens", yes(Some(can.tokens)));
    line("end sessions", yes(Some(can.sessions)));
    line("events", yes(Some(can.events)));
    let Capabilities { move_batch, placement_batch, factor_batch, search_batch, .. } = can;
    line(
        "accounts in one call",
        format!("moves {move_batch}, placements {placement_batch}, factors {factor_batch}, searches by id {search_batch}"),
    );
    for (kind, limits) in by_kind(can) {
        line(&format!("limit of {}", name(kind)), limits.join("; "));
    }
    let Assumed { read_lag, factor_lag } = assumed;
    let late = &can.eventual;
    line("late reads: placements", format!("{}; read_lag takes them to be {read_lag} late", freshness(late.placements)));
    line("late reads: factors", format!("{}; factor_lag takes them to be {factor_lag} late", freshness(late.factors)));
    line("late reads: accounts", freshness(late.accounts));
    line("late reads: last activity", freshness(late.activity));
    line("late reads: events", freshness(late.events));
    text
}

/// Each kind with its limits, each different one once.
fn by_kind(can: &Capabilities) -> BTreeMap<CallKind, Vec<String>> {
    let mut kinds: BTreeMap<CallKind, Vec<String>> = BTreeMap::new();
    for limit in &can.rate_limits {
        let limits = kinds.entry(limit.kind).or_default();
        let told = limit.limit.map_or_else(|| "unknown".to_owned(), |limit| rate(&limit));
        if !limits.contains(&told) {
            limits.push(told);
        }
    }
    kinds
}

fn rate(limit: &CallLimit) -> String {
    let source = match limit.source {
        LimitSource::Published => "published",
        LimitSource::Answers => "by its answers",
    };
    let per = limit.per.map_or_else(|| "a period that nobody tells".into(), |per| humantime::format_duration(per).to_string());
    format!("{} calls in {per} ({source})", limit.calls)
}

fn freshness(freshness: Freshness) -> String {
    match freshness {
        Freshness::AtOnce => "never late".into(),
        Freshness::Behind { at_most: Some(most) } => format!("late by up to {}", humantime::format_duration(most)),
        Freshness::Behind { at_most: None } => "late, by an unknown time".into(),
        Freshness::Unknown => "unknown".into(),
    }
}

fn yes(yes: Option<bool>) -> String {
    match yes {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    }
    .into()
}

fn name(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Moves => "moves",
        CallKind::Tasks => "task reads",
        CallKind::Placements => "placement reads",
        CallKind::Searches => "searches, factor reads",
        CallKind::Pages => "pages of accounts",
        CallKind::Activity => "last activity",
        CallKind::Events => "events",
        CallKind::OneAccount => "one account's reads",
        CallKind::Containment => "disable, enable",
        CallKind::Tokens => "tokens",
        CallKind::Organisation => "the organisation",
    }
}

#[cfg(test)]
mod tests {
    use homeward_provider::{Eventual, RateLimit};

    use super::*;

    #[test]
    fn what_is_known_is_told_and_what_is_not_is_called_unknown() {
        let published = CallLimit { calls: 50, per: Some(Duration::from_mins(1)), source: LimitSource::Published };
        let limit = |kind, limit| RateLimit { kind, call: "GET /", limit };
        let can = Capabilities {
            rate_limits: vec![
                limit(CallKind::Moves, None),
                limit(CallKind::Events, Some(published)),
                limit(CallKind::Tokens, Some(CallLimit { calls: 7, per: None, source: LimitSource::Answers })),
                limit(CallKind::Tokens, None),
            ],
            eventual: Eventual {
                factors: Freshness::AtOnce,
                activity: Freshness::Behind { at_most: Some(Duration::from_hours(24)) },
                events: Freshness::Behind { at_most: None },
                ..Eventual::default()
            },
            ..Capabilities::default()
        };
        let told = text(&can, &Assumed { read_lag: "1m".into(), factor_lag: "2m".into() });
        let line = |what: &str| {
            let line = told.lines().find_map(|line| line.trim().strip_prefix(what));
            line.unwrap_or_else(|| panic!("{what} in {told}")).trim().to_owned()
        };
        assert_eq!(line("limit of moves"), "unknown");
        assert_eq!(line("limit of events"), "50 calls in 1m (published)");
        assert_eq!(line("limit of tokens"), "7 calls in a period that nobody tells (by its answers); unknown");
        assert_eq!(line("late reads: placements"), "unknown; read_lag takes them to be 1m late");
        assert_eq!(line("late reads: factors"), "never late; factor_lag takes them to be 2m late");
        assert_eq!(line("late reads: last activity"), "late by up to 1day");
        assert_eq!(line("late reads: events"), "late, by an unknown time");
        assert_eq!(line("move a disabled account"), "unknown");
    }
}
