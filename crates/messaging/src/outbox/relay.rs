//! The relay: takes rows whose claim has expired and feeds them to the publisher.

use std::error::Error;
use std::sync::Arc;

use homeward_store::{StoreError, transaction};

use crate::envelope::Envelope;
use crate::outbox::batch::Row;
use crate::outbox::{Inner, store};

/// Looks for expired claims when told, and every so often by itself. Ends only by being dropped.
pub(super) async fn run(outbox: &Arc<Inner>) {
    loop {
        let found = match take(outbox).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "the relay cannot read the outbox; trying again");
                0
            }
        };
        if found < outbox.pace.flight {
            tokio::select! {
                () = outbox.relay.notified() => {}
                () = tokio::time::sleep(outbox.pace.poll) => {}
            }
        }
    }
}

/// Claims the oldest expired rows once there is room for them, and says how many there were.
async fn take(outbox: &Arc<Inner>) -> Result<usize, StoreError> {
    if !store::is_anything_expired(&outbox.db, outbox.clock.now()).await? {
        return Ok(0);
    }
    let most = u32::try_from(outbox.pace.flight.min(outbox.pace.in_memory)).unwrap_or(u32::MAX);
    let Ok(mut room) = Arc::clone(&outbox.room).acquire_many_owned(most).await else { return Ok(0) };
    let now = outbox.clock.now();
    let until = outbox.pace.claim_from(now);
    let claimed = transaction!(outbox.db, "outbox.claim", async |tx| -> Result<Vec<Envelope>, StoreError> {
        store::claim_expired(tx, &outbox.service, now, until, outbox.pace.flight).await
    })?;
    let found = claimed.len();
    // Confirmed, but the database was too unwell to delete it.
    let confirmed = outbox.confirmed.among(&claimed.iter().map(|envelope| envelope.id).collect::<Vec<_>>());
    let rows = claimed.into_iter().filter(|envelope| !confirmed.contains(&envelope.id)).map(|envelope| Row {
        envelope: Arc::new(envelope),
        claimed_until: until,
        state: None,
        ticket: None,
        _room: room.split(1),
    });
    outbox.lanes.add(rows.collect());
    Ok(found)
}
