//! Incidents about an organisation's provider rather than about one account: keys that are refused or end soon, and what the
//! first moves showed.

use homeward_provider::{KeyName, ProviderError};
use homeward_types::{IncidentId, OrganisationId, Timestamp};

use super::Incident;
use crate::keys::Notice;

impl Incident {
    fn of_provider(id: IncidentId, organisation: &OrganisationId, kind: &'static str, matter: &str) -> Self {
        Self {
            id,
            organisation: organisation.clone(),
            account: None,
            lease: None,
            kind,
            matter: format!("{kind}:{organisation}:{matter}"),
            sentence: String::new(),
            next_action: String::new(),
            next_at: None,
            safe_action: String::new(),
        }
    }

    /// The provider refuses a key. Told once a day for each call.
    pub fn key_refused(id: IncidentId, organisation: &OrganisationId, error: &ProviderError, now: Timestamp) -> Self {
        let matter = format!("{}:{}", error.call, now.format("%Y-%m-%d"));
        Self {
            sentence: format!("the provider refuses a key: {error}"),
            next_action: "nobody is lent meanwhile; returns are tried until the key is taken again".into(),
            safe_action:
                "run `homeward check provider`; make a new key at the provider, put it into the configuration and restart; \
                          until then move accounts that are out home by hand on the provider's own page"
                    .into(),
            ..Self::of_provider(id, organisation, "key_refused", &matter)
        }
    }

    /// A key ends soon, or has ended.
    pub fn key_expires(
        id: IncidentId,
        organisation: &OrganisationId,
        (key, fingerprint): (KeyName, &str),
        at: Timestamp,
        notice: Notice,
    ) -> Self {
        let setting = key.setting();
        let day = at.format("%Y-%m-%d %H:%M UTC");
        let sentence = match notice {
            Notice::Days(days) => format!("the key {setting} ends in less than {days} day(s), at {day}"),
            Notice::Over => format!("the key {setting} has ended, at {day}"),
        };
        let matter = format!("{setting}:{fingerprint}:{}:{}", at.timestamp(), notice.name());
        Self {
            sentence,
            next_action: notice.next(at).map_or_else(|| "none".into(), |_| "it is told again nearer to the end".into()),
            next_at: notice.next(at),
            safe_action: "make a new key at the provider (no call makes one), put it into the configuration with its end, and \
                          restart; revoke the old one then"
                .into(),
            ..Self::of_provider(id, organisation, "key_expires", &matter)
        }
    }

    /// The first lend or return showed that moves' tasks cannot be read.
    pub fn task_unreadable(id: IncidentId, organisation: &OrganisationId, why: &str) -> Self {
        Self {
            sentence: format!("how far a move is cannot be read: {why}"),
            next_action: "moves are followed by reading placements alone, so one that failed is noticed later".into(),
            safe_action: "give the key the scope that reading tasks takes (write:policies:admin), or use one without scopes"
                .into(),
            ..Self::of_provider(id, organisation, "task_unreadable", "first")
        }
    }
}
