//! What a coordinator measures.

use homeward_chassis::metrics::{Counter, Histogram, KeyValue, counter, seconds};

use crate::coordinator::work::Left;

pub(super) struct Metrics {
    saga: &'static str,
    step_duration: Histogram<f64>,
    unhandled: Counter<u64>,
}

impl Metrics {
    pub(super) fn new(saga: &'static str) -> Self {
        Self {
            saga,
            step_duration: seconds("homeward.saga.step.duration", "How long sagas were at a step that they left"),
            unhandled: counter("homeward.saga.unhandled", "Due sagas that could not be handled, each time that it was tried"),
        }
    }

    pub(super) fn left(&self, steps: &[Left]) {
        for left in steps {
            let attributes = [KeyValue::new("saga.name", self.saga), KeyValue::new("saga.step", left.step.clone())];
            self.step_duration.record(left.seconds, &attributes);
        }
    }

    pub(super) fn unhandled(&self, sagas: usize) {
        self.unhandled.add(sagas.try_into().unwrap_or(u64::MAX), &[KeyValue::new("saga.name", self.saga)]);
    }
}
