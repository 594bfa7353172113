//! One batch of claimed attempts on its way to the provider.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use homeward_chassis::boundary;
use homeward_provider::{MoveAnswer, MoveOrder, Priority};
use homeward_store::audit::{self, Entry};
use homeward_store::{StoreError, transaction};
use homeward_types::limits::after;
use homeward_types::{AccountId, Email, LeaseId, Placement, PolicyId, Timestamp};
use serde_json::json;
use tracing::Instrument;
use uuid::Uuid;

use crate::lease::store::{self as leases, Candidate, Marked, Marking};
use crate::lease::{Answer, Asked, Event, Kind, Subject, Terms};
use crate::ledger::{Happened, Ledger, POLICY};
use crate::site::Site;
use crate::worker::REST;
use crate::worker::answers::{self, Written};
use crate::worker::way::{Way, way};

/// A batch that this worker holds under one claim.
pub(super) struct Flight {
    site: Arc<Site>,
    kind: Kind,
    token: Uuid,
    batch: Vec<Candidate>,
}

impl Flight {
    pub(super) fn new(site: Arc<Site>, kind: Kind, token: Uuid, batch: Vec<Candidate>) -> Self {
        Self { site, kind, token, batch }
    }

    fn ledger(&self) -> &Ledger {
        self.site.ledger()
    }

    fn priority(&self) -> Priority {
        match self.kind {
            Kind::Lend => Priority::Lend,
            Kind::Return => Priority::Return,
        }
    }

    /// The whole way. What fails on it is left to the claim's end, or given back.
    pub(super) async fn fly(self) {
        let span = tracing::info_span!("provider.move", kind = self.kind.name(), accounts = self.batch.len(), organisation = %self.site.id());
        for candidate in &self.batch {
            candidate.trace.link(&span);
        }
        self.send().instrument(span).await;
    }

    async fn send(&self) {
        let Some(placements) = self.addresses().await else { return };
        let mut markings = Vec::new();
        let (mut later, mut happened) = (Vec::new(), Vec::new());
        for candidate in &self.batch {
            match way(self.kind, candidate, placements.get(&candidate.account), self.site.organisation()) {
                Way::Write(marking) => markings.push(marking),
                Way::Later => later.push(candidate),
                Way::GiveUp => happened.push(self.give_up(candidate)),
            }
        }
        self.give_back(&later, self.site.organisation().limits.probe).await;
        if let Err(error) = self.ledger().turn("lease.changed", &happened).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "lends that are not wanted any more expire by themselves");
        }
        match self.mark(&markings).await {
            Ok(marked) => self.write(&marked, &markings).await,
            // Nothing was marked, so nothing may be written: the claim's end frees the attempts.
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                kind = self.kind.name(),
                "attempts could not be marked, nothing was sent"
            ),
        }
    }

    /// The addresses, read by account id immediately before (moves are keyed by e-mail).
    async fn addresses(&self) -> Option<HashMap<AccountId, Placement>> {
        let accounts: Vec<AccountId> = self.batch.iter().map(|candidate| candidate.account.clone()).collect();
        let read =
            boundary!("provider", self.kind.name(), self.site.provider().read_placements(&accounts, self.priority()).await);
        self.site.heard(read.as_ref().err()).await;
        match read {
            Ok(placements) => Some(placements.into_iter().map(|placement| (placement.account.clone(), placement)).collect()),
            Err(error) => {
                tracing::warn!(%error, kind = self.kind.name(), "addresses cannot be read; nothing was sent");
                let all: Vec<&Candidate> = self.batch.iter().collect();
                let wait = error.retry_after().unwrap_or_default().max(self.site.organisation().limits.return_retry);
                self.give_back(&all, wait).await;
                None
            }
        }
    }

    fn give_up(&self, candidate: &Candidate) -> Happened {
        let organisation = self.site.organisation();
        let subject = Subject {
            lease: candidate.lease,
            organisation: organisation.id.clone(),
            account: candidate.account.clone(),
            home: candidate.home.clone(),
            recovery_policy: candidate.recovery_policy.clone(),
            terms: Terms::from(&organisation.limits),
        };
        let reason = "policies were not as the lease knows them any more when the account was to be lent".to_owned();
        Happened::by_policy(candidate.lease, Event::ReturnAsked(Asked { subject, reason }))
    }

    async fn give_back(&self, given: &[&Candidate], wait: Duration) {
        if given.is_empty() {
            return;
        }
        let ids: Vec<(LeaseId, u32)> = given.iter().map(|candidate| (candidate.lease, candidate.number)).collect();
        let not_before = after(self.ledger().now(), wait);
        let done = transaction!(self.ledger().db(), "attempt.give_back", async |tx| -> Result<(), StoreError> {
            leases::give_back(tx, self.token, &ids, not_before).await
        });
        if let Err(error) = done {
            tracing::debug!(error = &error as &dyn std::error::Error, "the claim's end gives them back");
        }
    }

    /// The committed mark before the write. What is not marked leaves the batch.
    async fn mark(&self, markings: &[Marking]) -> Result<Vec<Marked>, StoreError> {
        if markings.is_empty() {
            return Ok(Vec::new());
        }
        let mut ids: Vec<LeaseId> = markings.iter().map(|marking| marking.lease).collect();
        ids.sort_unstable();
        boundary!(
            "commit",
            self.kind.name(),
            transaction!(self.ledger().db(), "attempt.send", async |tx| -> Result<Vec<Marked>, StoreError> {
                // Whoever withdraws an attempt holds its lease's row, too: one of both is first.
                leases::hold(tx, &ids).await?;
                let now = self.ledger().now();
                let marked = leases::mark_sent(tx, self.token, now, markings).await?;
                let sent: Vec<LeaseId> = marked.iter().map(|(lease, _, _)| *lease).collect();
                if let Some(until) = marked.iter().map(|(_, _, until)| *until).max() {
                    leases::expect_read(tx, &sent, until).await?;
                }
                audit::record(tx, &self.entries(&marked, now)).await?;
                Ok(marked)
            })
        )
    }

    fn entries(&self, marked: &[Marked], now: Timestamp) -> Vec<Entry> {
        let entry = |(lease, number, until): &Marked| {
            Entry::new(now, self.site.id(), POLICY, "attempt.send", lease.to_string())
                .detail(json!({ "attempt": number, "kind": self.kind.name(), "last_possible_send": until }))
        };
        marked.iter().map(entry).collect()
    }

    /// One call for each destination. Each attempt is answered by what is known then; what is not known is unknown.
    async fn write(&self, marked: &[Marked], markings: &[Marking]) {
        let by_key: HashMap<(LeaseId, u32), &Marking> = markings.iter().map(|m| ((m.lease, m.number), m)).collect();
        let accounts: HashMap<LeaseId, &AccountId> = self.batch.iter().map(|c| (c.lease, &c.account)).collect();
        let mut orders: BTreeMap<&PolicyId, Order> = BTreeMap::new();
        for (lease, number, until) in marked {
            let (Some(marking), Some(account)) = (by_key.get(&(*lease, *number)), accounts.get(lease)) else { continue };
            let order = orders.entry(&marking.destination).or_default();
            order.who.push(((*account).clone(), marking.address.clone()));
            order.written.push(Written { lease: *lease, number: *number, account: (*account).clone() });
            order.send_before = Some(order.send_before.map_or(*until, |before| before.min(*until)));
        }
        for (to, order) in orders {
            let happened = self.order(to, &order).await;
            self.keep(&happened).await;
        }
    }

    async fn order(&self, to: &PolicyId, order: &Order) -> Vec<Happened> {
        let now = self.ledger().now();
        let send_before = order.send_before.unwrap_or(now);
        // The clock once more before the write: a worker that was paused must not send.
        if send_before <= now {
            return not_sent(order, now);
        }
        let moving = MoveOrder { to, who: &order.who, send_before, priority: self.priority() };
        let patience = self.site.organisation().limits.claim;
        let answers: Vec<MoveAnswer> = boundary!(
            "provider",
            format_args!("{}-move", self.kind.name()),
            tokio::time::timeout(patience, self.site.provider().move_accounts(moving)).await.unwrap_or_default()
        );
        if let Some(error) = answers.iter().find_map(|answer| answer.answer.as_ref().err()) {
            self.site.heard_of_key(error).await;
        }
        answers::happened(&self.site, self.kind, &order.written, &answers, self.ledger().now())
    }

    /// Keeps the answers. If the database refuses for long, the claims run out and the attempts are unknown, as after a crash.
    async fn keep(&self, happened: &[Happened]) {
        for (kind, answer) in
            happened.iter().filter_map(|what| answers::name(&what.event).map(|answer| (self.kind.name(), answer)))
        {
            self.ledger().meters().answered(kind, answer, 1);
        }
        for _ in 0..10 {
            match self.ledger().turn("attempt.answer", happened).await {
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        kind = self.kind.name(),
                        "answers cannot be kept yet"
                    );
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}

/// Moves into one policy.
#[derive(Default)]
struct Order {
    who: Vec<(AccountId, Email)>,
    written: Vec<Written>,
    send_before: Option<Timestamp>,
}

/// Marked, and provably never written.
fn not_sent(order: &Order, now: Timestamp) -> Vec<Happened> {
    let answer = || Answer::Refused { retry_after: Duration::ZERO, detail: "not sent: the worker's time was over".into() };
    order.written.iter().map(|attempt| answers::answered(attempt, answer(), None, now)).collect()
}
