//! Rows in memory on their way out, by destination: what goes to one service never waits behind what goes to another.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

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

    /// The lanes in which another flight may start; each counts as started.
    pub(super) fn ready(&self, most_flights: usize) -> Vec<String> {
        let mut ready = Vec::new();
        for (destination, lane) in self.held().iter_mut() {
            if !lane.rows.is_empty() && lane.flights < most_flights {
                lane.flights += 1;
                ready.push(destination.clone());
            }
        }
        ready
    }

    /// The next rows of a lane, at most `most`. None: its flight is over.
    pub(super) fn next(&self, destination: &str, most: usize) -> Vec<Row> {
        let mut lanes = self.held();
        let Some(lane) = lanes.get_mut(destination) else { return Vec::new() };
        let count = lane.rows.len().min(most);
        if count == 0 {
            lane.flights = lane.flights.saturating_sub(1);
        }
        lane.rows.drain(..count).collect()
    }

    /// Every step leaves the lanes whole, so a panic elsewhere while they were held does no harm.
    fn held(&self) -> MutexGuard<'_, HashMap<String, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first two words of the kind.
fn destination(kind: &str) -> &str {
    kind.match_indices('.').nth(1).map_or(kind, |(end, _)| &kind[..end])
}
