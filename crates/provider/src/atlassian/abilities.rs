//! What Atlassian offers, what it limits, and what of it is eventual: as documented, and as learned since the start.

use std::time::Duration;

use homeward_types::ResetMethod;

use super::AtlassianProvider;
use super::paths::{
    ADD_USERS, API_KEYS, BULK_FETCH, DELETE_TOKEN, DISABLE, DOMAINS, ENABLE, EVENT_ACTIONS, EVENTS_STREAM, Endpoint, LAST_ACTIVE,
    MANAGE, MANAGE_PROFILE, MANAGED_ACCOUNTS, TASK, TOKENS, USER_DETAILS, USER_SEARCH,
};
use super::users::{EMAILS_A_SEARCH, IDS_A_SEARCH};
use crate::budget::Usage;
use crate::capabilities::{CallKind, CallLimit, Capabilities, Eventual, Freshness, LeastExposure, LimitSource, RateLimit};

/// What each call is for.
const KINDS: [(CallKind, &Endpoint); super::paths::ALL.len()] = [
    (CallKind::Moves, &ADD_USERS),
    (CallKind::Tasks, &TASK),
    (CallKind::Placements, &BULK_FETCH),
    (CallKind::Searches, &USER_SEARCH),
    (CallKind::Pages, &MANAGED_ACCOUNTS),
    (CallKind::Activity, &LAST_ACTIVE),
    (CallKind::Events, &EVENTS_STREAM),
    (CallKind::OneAccount, &USER_DETAILS),
    (CallKind::OneAccount, &MANAGE),
    (CallKind::OneAccount, &MANAGE_PROFILE),
    (CallKind::Containment, &DISABLE),
    (CallKind::Containment, &ENABLE),
    (CallKind::Tokens, &TOKENS),
    (CallKind::Tokens, &DELETE_TOKEN),
    (CallKind::Organisation, &DOMAINS),
    (CallKind::Organisation, &EVENT_ACTIONS),
    (CallKind::Organisation, &API_KEYS),
];

/// How far the last activity is behind (section 2 of the fact sheet).
const ACTIVITY_BEHIND: Duration = Duration::from_hours(24);

/// What the documentation says of reads. How fresh a placement, `mfaEnabled` and a user's entry are is not documented; the
/// log may show an event after newer ones, and nobody says how late.
const EVENTUAL: Eventual = Eventual {
    placements: Freshness::Unknown,
    factors: Freshness::Unknown,
    accounts: Freshness::Unknown,
    activity: Freshness::Behind { at_most: Some(ACTIVITY_BEHIND) },
    events: Freshness::Behind { at_most: None },
};

impl AtlassianProvider {
    pub(super) fn abilities(&self) -> Capabilities {
        Capabilities {
            reset: ResetMethod::Person,
            least_exposure: LeastExposure::PolicyMove,
            factor_readable: true,
            placement_versions: true,
            moves_keyed_by_email: true,
            moves_are_tasks: true,
            move_batch: self.move_batch.size(),
            placement_batch: self.placement_batch.size(),
            factor_batch: EMAILS_A_SEARCH,
            search_batch: IDS_A_SEARCH,
            rate_limits: rate_limits(&self.usage()),
            eventual: EVENTUAL,
            containment: true,
            disabled_account_movable: None,
            tokens: true,
            sessions: false,
            events: true,
        }
    }
}

fn rate_limits(usage: &[Usage]) -> Vec<RateLimit> {
    let of = |(kind, endpoint): (CallKind, &Endpoint)| {
        let used = usage.iter().find(|path| path.call == endpoint.name);
        RateLimit { kind, call: endpoint.name, limit: limit(endpoint, used) }
    };
    KINDS.into_iter().map(of).collect()
}

/// What an answer told counts more than what is published. Answers tell a number of calls and no period: only where it is the
/// published number, the published period is its period too.
fn limit(endpoint: &Endpoint, used: Option<&Usage>) -> Option<CallLimit> {
    const PUBLISHED_FOR: Duration = Duration::from_mins(1);
    match used.filter(|path| path.told).and_then(|path| path.limit) {
        Some(calls) => Some(CallLimit {
            calls,
            per: endpoint.per_minute.filter(|published| *published == calls).map(|_| PUBLISHED_FOR),
            source: LimitSource::Answers,
        }),
        None => endpoint.per_minute.map(|calls| CallLimit { calls, per: Some(PUBLISHED_FOR), source: LimitSource::Published }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::atlassian::paths;

    fn used(call: &'static str, limit: Option<u32>, told: bool) -> Usage {
        Usage { call, sent: 1, refused: 0, limit, told, remaining: None }
    }

    #[test]
    fn each_call_has_a_kind() {
        let of = |endpoints: &mut dyn Iterator<Item = &Endpoint>| endpoints.map(|call| call.name).collect::<BTreeSet<_>>();
        assert_eq!(of(&mut KINDS.iter().map(|(_, call)| *call)), of(&mut paths::ALL.into_iter()));
    }

    #[test]
    fn a_limit_is_what_an_answer_told_else_what_is_published_else_unknown() {
        let minute = Some(Duration::from_mins(1));
        let published = CallLimit { calls: 50, per: minute, source: LimitSource::Published };
        assert_eq!(limit(&EVENTS_STREAM, None), Some(published));
        let not_told = used(EVENTS_STREAM.name, Some(50), false);
        assert_eq!(limit(&EVENTS_STREAM, Some(&not_told)), Some(published), "a call whose answer told nothing");
        let told = |calls| limit(&EVENTS_STREAM, Some(&used(EVENTS_STREAM.name, Some(calls), true)));
        assert_eq!(told(50), Some(CallLimit { source: LimitSource::Answers, ..published }));
        assert_eq!(told(60), Some(CallLimit { calls: 60, per: None, source: LimitSource::Answers }));
        assert_eq!(limit(&ADD_USERS, None), None, "nobody told it");
        assert_eq!(limit(&ADD_USERS, Some(&used(ADD_USERS.name, None, false))), None);
    }
}
