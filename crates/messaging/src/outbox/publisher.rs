//! Publishes rows in flights, and deletes what was confirmed.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

use homeward_chassis::boundary;
use homeward_store::{StoreError, transaction};
use homeward_types::limits::after;
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::broker::PublishError;
use crate::envelope::Envelope;
use crate::outbox::batch::{Outcome, Row};
use crate::outbox::confirmed::Confirmed;
use crate::outbox::lanes::Flight;
use crate::outbox::{Inner, store};

/// Most confirmed rows in one transaction of the sweeper.
const SWEEP: usize = 10_000;

/// Starts flights as rows come in. Ends only by being dropped, and its flights with it.
pub(super) async fn run(outbox: &Arc<Inner>) {
    let mut flights = JoinSet::new();
    loop {
        tokio::select! {
            () = outbox.lanes.added() => {}
            Some(ended) = flights.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(error = &error as &dyn Error, "publishing failed unexpectedly; the relay takes its rows");
                }
            }
        }
        for flight in outbox.lanes.start(outbox.pace.flights) {
            flights.spawn(fly(Arc::clone(outbox), flight));
        }
    }
}

/// Publishes what has gathered in a lane, until nothing has.
async fn fly(outbox: Arc<Inner>, flight: Flight) {
    loop {
        let rows = flight.next(outbox.pace.flight);
        if rows.is_empty() {
            return;
        }
        let span = tracing::debug_span!(
            "publish",
            otel.name = format!("send {}", flight.destination()),
            otel.kind = "producer",
            messaging.system = outbox.broker.system(),
            messaging.operation.type = "send",
            messaging.batch.message_count = rows.len()
        );
        if !span.is_disabled() {
            for row in &rows {
                row.envelope.trace.link(&span);
            }
        }
        publish(&outbox, rows).instrument(span).await;
    }
}

async fn publish(outbox: &Arc<Inner>, mut rows: Vec<Row>) {
    // The claim is checked again right before its effect: a row that waited too long in memory may be a relay's by now.
    let safe = after(outbox.clock.now(), outbox.pace.renew);
    rows.retain(|row| row.claimed_until > safe);
    if rows.is_empty() {
        outbox.relay.notify_one();
        return;
    }
    let marks: Vec<_> = rows.iter().map(|row| boundary!("publish", row.state.unwrap_or(&row.envelope.kind))).collect();
    let answers = publish_renewing(outbox, &mut rows).await;
    settle(outbox, rows, answers).await;
    drop(marks);
}

/// Publishes, and keeps the claims alive while the broker thinks.
async fn publish_renewing(outbox: &Arc<Inner>, rows: &mut [Row]) -> Vec<Result<(), PublishError>> {
    let batch: Vec<Arc<Envelope>> = rows.iter().map(|row| Arc::clone(&row.envelope)).collect();
    let publishing = outbox.broker.publish(batch);
    tokio::pin!(publishing);
    loop {
        tokio::select! {
            answers = &mut publishing => return answers,
            () = tokio::time::sleep(outbox.pace.renew) => {
                if let Err(error) = renew(outbox, rows).await {
                    tracing::warn!(error = &error as &dyn Error, "cannot renew the claim on messages in flight; a relay may publish them a second time");
                }
            }
        }
    }
}

async fn renew(outbox: &Arc<Inner>, rows: &mut [Row]) -> Result<(), StoreError> {
    let now = outbox.clock.now();
    let until = outbox.pace.claim_from(now);
    // A claim that has expired is no longer ours to renew.
    let ours: Vec<i64> = rows.iter().filter(|row| row.claimed_until > now).map(|row| row.envelope.sender_number).collect();
    transaction!(outbox.db, "outbox.renew", async |tx| -> Result<(), StoreError> { store::claim_until(tx, &ours, until).await })?;
    for row in rows.iter_mut().filter(|row| row.claimed_until > now) {
        row.claimed_until = until;
    }
    Ok(())
}

/// Writes down what became of a flight.
async fn settle(outbox: &Arc<Inner>, rows: Vec<Row>, answers: Vec<Result<(), PublishError>>) {
    let (mut confirmed, mut parked, mut unavailable) = (Vec::new(), Vec::new(), Vec::new());
    for (row, answer) in rows.into_iter().zip(answers) {
        match answer {
            Ok(()) => confirmed.push(row),
            Err(error @ (PublishError::Unroutable | PublishError::Refused(_))) => parked.push((row, error.to_string())),
            Err(PublishError::Unavailable(reason)) => unavailable.push((row, reason)),
        }
    }
    if !confirmed.is_empty() {
        let done: Vec<Confirmed> =
            confirmed.iter().map(|row| Confirmed { number: row.envelope.sender_number, id: row.envelope.id }).collect();
        outbox.confirmed.add(&done);
        outbox.sweep.notify_one();
        for row in &confirmed {
            row.tell(Outcome::Confirmed);
        }
        outbox.confirmations.send_modify(|count| *count += 1);
    }
    if parked.is_empty() && unavailable.is_empty() {
        return;
    }
    if let Some((row, reason)) = unavailable.first() {
        tracing::warn!(
            kind = row.envelope.kind,
            rows = unavailable.len(),
            reason,
            "messages were not confirmed; the relay tries them again"
        );
    }
    if let Err(error) = put_aside(outbox, &parked, &unavailable).await {
        // Their claims expire by themselves; a relay then meets the same answer.
        tracing::warn!(error = &error as &dyn Error, "cannot write down that messages were not published");
        return;
    }
    for (row, reason) in &parked {
        tracing::error!(
            message.id = %row.envelope.id, kind = row.envelope.kind, reason,
            "a message is parked in the outbox: mend its cause, then unpark it with `homeward dead redrive`"
        );
        row.tell(Outcome::Parked);
    }
}

/// Parks what can never be published as it is, each alone, and lets the rest rest for a moment.
async fn put_aside(outbox: &Arc<Inner>, parked: &[(Row, String)], unavailable: &[(Row, String)]) -> Result<(), StoreError> {
    let now = outbox.clock.now();
    let again = after(now, outbox.pace.retry);
    let ours: Vec<i64> =
        unavailable.iter().filter(|(row, _)| row.claimed_until > now).map(|(row, _)| row.envelope.sender_number).collect();
    let mut by_reason: HashMap<&str, Vec<i64>> = HashMap::new();
    for (row, reason) in parked {
        by_reason.entry(reason).or_default().push(row.envelope.sender_number);
    }
    transaction!(outbox.db, "outbox.put-aside", async |tx| -> Result<(), StoreError> {
        for (reason, numbers) in &by_reason {
            store::park(tx, numbers, reason).await?;
        }
        store::claim_until(tx, &ours, again).await
    })
}

impl Row {
    /// Tells the writer, if it waits.
    fn tell(&self, outcome: Outcome) {
        if let Some(ticket) = &self.ticket {
            // The writer may have stopped waiting.
            ticket.send((self.envelope.id, outcome)).ok();
        }
    }
}

/// Deletes confirmed rows that no transaction took along. Ends only by being dropped.
pub(super) async fn sweep(outbox: &Arc<Inner>) {
    loop {
        outbox.sweep.notified().await;
        tokio::time::sleep(outbox.pace.sweep).await;
        delete_confirmed(outbox).await;
    }
}

/// Deletes all confirmed rows that nobody is deleting.
pub(super) async fn delete_confirmed(outbox: &Arc<Inner>) {
    loop {
        let rows = outbox.confirmed.take(SWEEP);
        if rows.is_empty() {
            return;
        }
        let numbers: Vec<i64> = rows.iter().map(|row| row.number).collect();
        let deleted =
            transaction!(outbox.db, "outbox.sweep", async |tx| -> Result<(), StoreError> { store::delete(tx, &numbers).await });
        match deleted {
            Ok(()) => outbox.confirmed.deleted(&rows),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn Error,
                    rows = rows.len(),
                    "cannot delete confirmed messages; trying again later"
                );
                outbox.confirmed.give_back(rows);
                outbox.sweep.notify_one();
                tokio::time::sleep(outbox.pace.retry).await;
                return;
            }
        }
    }
}
