//! Who gets what: the exchanges, and one queue for each consumer and kind of work. To add a queue, add one line.
//!
//! Every service declares all of it, so that no start order can lose a message.

/// The topic exchange that every message is published to.
pub const EXCHANGE: &str = "homeward";

/// The exchange of dead letters. Each queue's dead letters are routed by the queue's name to `<queue>.dead`.
pub const DEAD_EXCHANGE: &str = "homeward.dead";

/// A queue: its name, what it is bound to, and its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSpec {
    /// `<consumer>.<kind of work>`.
    pub name: &'static str,
    /// Routing-key patterns: `*` stands for one word, `#` for any number of them.
    pub bindings: &'static [&'static str],
    /// Most messages that a handler gets at once. Twice what one call to a provider takes, so that no call is half empty.
    pub batch: usize,
    /// Most messages that the in-process broker holds for it; further ones stay in the outboxes.
    pub held: usize,
    /// Most messages that RabbitMQ keeps for it; further ones stay in the outboxes.
    pub length: u32,
    /// Deliveries that came back unsettled before the broker itself makes a message a dead letter: a backstop, at least 100.
    pub delivery_limit: u32,
}

impl QueueSpec {
    /// A queue with the bounds that suit all of ours.
    pub const fn new(name: &'static str, bindings: &'static [&'static str]) -> Self {
        Self { name, bindings, batch: 200, held: 10_000, length: 1_000_000, delivery_limit: 100 }
    }

    /// Whether a message of this kind belongs here.
    pub fn takes(&self, kind: &str) -> bool {
        self.bindings.iter().any(|pattern| matches(pattern, kind))
    }
}

macro_rules! queues {
    ($($(#[$doc:meta])* $queue:ident = $name:literal <- $($binding:literal),+;)+) => {
        $($(#[$doc])* pub const $queue: QueueSpec = QueueSpec::new($name, &[$($binding),+]);)+

        /// Every queue there is.
        pub const QUEUES: &[QueueSpec] = &[$($queue),+];
    };
}

queues! {
    /// Directory watches the accounts that recovery names.
    DIRECTORY_WATCH = "directory.watch" <- "directory.command.*.v1";
    /// Policy lends. A queue of its own, so that returns never wait behind lends.
    POLICY_LEND = "policy.lend" <- "policy.command.lend-account.v1";
    /// Policy returns.
    POLICY_RETURN = "policy.return" <- "policy.command.return-account.v1";
    /// Policy resets factors, cleans windows, contains accounts.
    POLICY_CARE = "policy.care" <- "policy.command.reset-factor.v1", "policy.command.clean-window.v1", "policy.command.contain-account.v1";
    /// What happened, as far as the sagas need to know.
    RECOVERY_EVENTS = "recovery.events" <- "policy.event.*.v1", "directory.event.*.v1", "notification.event.*.v1", "patrol.event.*.v1";
    /// People to be told.
    NOTIFICATION_NOTICES = "notification.notices" <- "notification.command.*.v1";
    /// Patrol's own copy of the leases.
    PATROL_LEASES = "patrol.leases" <- "policy.event.*.v1";
}

/// The declared queue of this name.
pub fn queue(name: &str) -> Option<&'static QueueSpec> {
    QUEUES.iter().find(|queue| queue.name == name)
}

/// Whether a routing key matches a topic pattern, as RabbitMQ decides it.
fn matches(pattern: &str, kind: &str) -> bool {
    fn words(pattern: &[&str], kind: &[&str]) -> bool {
        match (pattern.split_first(), kind.split_first()) {
            (None, None) => true,
            (Some((&"#", rest)), _) => words(rest, kind) || kind.split_first().is_some_and(|(_, later)| words(pattern, later)),
            (Some((word, rest)), Some((first, later))) => (*word == "*" || word == first) && words(rest, later),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }
    words(&pattern.split('.').collect::<Vec<_>>(), &kind.split('.').collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receivers(kind: &str) -> Vec<&'static str> {
        QUEUES.iter().filter(|queue| queue.takes(kind)).map(|queue| queue.name).collect()
    }

    #[test]
    fn every_kind_reaches_the_queues_of_its_work() {
        let table: &[(&str, &[&str])] = &[
            ("directory.command.watch-account.v1", &["directory.watch"]),
            ("policy.command.lend-account.v1", &["policy.lend"]),
            ("policy.command.return-account.v1", &["policy.return"]),
            ("policy.command.reset-factor.v1", &["policy.care"]),
            ("policy.command.clean-window.v1", &["policy.care"]),
            ("policy.command.contain-account.v1", &["policy.care"]),
            ("policy.event.lease-opened.v1", &["recovery.events", "patrol.leases"]),
            ("directory.event.account-enrolled.v1", &["recovery.events"]),
            ("notification.event.notice-accepted.v1", &["recovery.events"]),
            ("notification.command.tell.v1", &["notification.notices"]),
            ("policy.command.lend-account.v2", &[]),
            ("recovery.event.case-closed.v1", &[]),
            ("policy.event.v1", &[]),
            ("", &[]),
        ];
        for (kind, queues) in table {
            assert_eq!(receivers(kind), *queues, "{kind}");
        }
    }

    #[test]
    fn patterns_match_as_on_a_topic_exchange() {
        let table = [
            ("a.#", "a", true),
            ("a.#", "a.b.c", true),
            ("#", "", true),
            ("#.c", "a.b.c", true),
            ("#.c", "a.b", false),
            ("a.*.c", "a.b.c", true),
            ("a.*.c", "a.c", false),
            ("a.*", "a.b.c", false),
            ("*", "", true),
        ];
        for (pattern, kind, expected) in table {
            assert_eq!(matches(pattern, kind), expected, "{pattern} on {kind}");
        }
    }

    #[test]
    fn names_are_unique_and_bounds_are_sane() {
        for (at, spec) in QUEUES.iter().enumerate() {
            assert!(QUEUES[..at].iter().all(|other| other.name != spec.name), "{}", spec.name);
            assert!(spec.delivery_limit >= 100 && spec.batch > 0 && spec.held >= 4 * spec.batch, "{spec:?}");
            assert_eq!(queue(spec.name), Some(spec));
        }
    }
}
