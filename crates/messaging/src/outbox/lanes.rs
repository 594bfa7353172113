//! Rows in memory on their way out, by destination: what goes to one service never waits behind what goes to another.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::outbox::batch::Row;

/// One lane for each `<service>.<command|event>`.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: Mutex<HashMap<String, Lane>>,
    added: Notify,
}

#[derive(Default)]
struct Lane {
    rows: VecDeque<Row>,
    flights: usize,
}

impl Lanes {
    /// Puts rows into their lanes.
    pub(super) fn add(&self, rows: Vec<Row>) {
        let mut lanes = self.held();
        for row in rows {
            let destination = destination(&row.envelope.kind);
            match lanes.get_mut(destination) {
                Some(lane) => lane.rows.push_back(row),
                None => lanes.entry(destination.to_owned()).or_default().rows.push_back(row),
            }
        }
        drop(lanes);
        self.added.notify_one();
    }

    /// Waits until rows were added.
    pub(super) async fn added(&self) {
        self.added.notified().await;
    }

    /// A flight in each lane that has rows and room for one more.
    pub(super) fn start(self: &Arc<Self>, most_flights: usize) -> Vec<Flight> {
        let mut flights = Vec::new();
        for (destination, lane) in self.held().iter_mut() {
            if !lane.rows.is_empty() && lane.flights < most_flights {
                lane.flights += 1;
                flights.push(Flight { lanes: Arc::clone(self), destination: destination.clone() });
            }
        }
        flights
    }

    /// Every step leaves the lanes whole, so a panic elsewhere while they were held does no harm.
    fn held(&self) -> MutexGuard<'_, HashMap<String, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to publish rows of a lane, one batch after another.
pub(super) struct Flight {
    lanes: Arc<Lanes>,
    destination: String,
}

impl Flight {
    /// Where it goes: `<service>.<command|event>`.
    pub(super) fn destination(&self) -> &str {
        &self.destination
    }

    /// The next rows of the lane, at most `most`.
    pub(super) fn next(&self, most: usize) -> Vec<Row> {
        let mut lanes = self.lanes.held();
        let Some(lane) = lanes.get_mut(&self.destination) else { return Vec::new() };
        let count = lane.rows.len().min(most);
        lane.rows.drain(..count).collect()
    }
}

impl Drop for Flight {
    /// Also after a panic. Rows that came in since the last look get a new flight.
    fn drop(&mut self) {
        if let Some(lane) = self.lanes.held().get_mut(&self.destination) {
            lane.flights = lane.flights.saturating_sub(1);
        }
        self.lanes.added.notify_one();
    }
}

/// The first two words of the kind.
fn destination(kind: &str) -> &str {
    kind.match_indices('.').nth(1).map_or(kind, |(end, _)| &kind[..end])
}
