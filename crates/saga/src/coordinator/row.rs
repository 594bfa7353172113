//! A saga's row between the table and the decisions.

use std::sync::Arc;

use homeward_chassis::telemetry::TraceContext;
use homeward_store::StoreError;
use homeward_types::Timestamp;
use uuid::Uuid;

use crate::arrival::UnknownDefinition;
use crate::definition::Saga;
use crate::plan::Progress;
use crate::registry::Registry;
use crate::store::{Stored, Write};

/// The first moment of the year 10000, which has no RFC 3339 text that sorts. In seconds since 1970.
const LAST_DATE: Timestamp = match Timestamp::from_timestamp(253_402_300_800, 0) {
    Some(at) => at,
    None => Timestamp::MAX_UTC,
};

/// A saga under a definition that the program has.
#[expect(clippy::struct_field_names, reason = "`row_version` is the column's name, besides the definition's `version`")]
pub(super) struct Row<S: Saga> {
    pub(super) version: u32,
    pub(super) progress: Arc<Progress<S::Data>>,
    pub(super) trace: TraceContext,
    /// The version that was read; 0 for a new row.
    pub(super) row_version: i64,
    /// When it next wants a tick; known once it has changed.
    pub(super) due_at: Option<Timestamp>,
    pub(super) closed_at: Option<Timestamp>,
    pub(super) changed: bool,
}

impl<S: Saga> Row<S> {
    /// The saga that a row holds, or the definition that this program does not have.
    ///
    /// # Errors
    /// [`StoreError::Inconsistent`] if the data cannot be read.
    pub(super) fn of(stored: Stored, registry: &Registry<S>) -> Result<Result<Self, UnknownDefinition>, StoreError> {
        let version = u32::try_from(stored.version).ok().filter(|_| stored.name == S::NAME);
        let known = version.and_then(|version| Some((version, registry.get(version)?)));
        let has_step = |saga: &S| stored.step.as_deref().is_none_or(|step| saga.definition().position(step).is_some());
        let Some((version, _)) = known.filter(|(_, saga)| has_step(saga)) else {
            return Ok(Err(UnknownDefinition { name: stored.name, version: stored.version, step: stored.step }));
        };
        let unreadable =
            |column, reason: String| StoreError::Inconsistent { table: "saga", column, row: stored.id.to_string(), reason };
        let progress = Progress {
            data: serde_json::from_str(stored.data.get()).map_err(|e| unreadable("data", e.to_string()))?,
            step: stored.step,
            entered_at: stored.entered_at,
            asked_again: u32::try_from(stored.asked_again).map_err(|e| unreadable("asked_again", e.to_string()))?,
            asked_at: stored.asked_at,
            reminded: usize::try_from(stored.reminded).map_err(|e| unreadable("reminded", e.to_string()))?,
        };
        Ok(Ok(Self {
            version,
            progress: Arc::new(progress),
            trace: stored.trace.into(),
            row_version: stored.row_version,
            due_at: None,
            closed_at: stored.closed_at,
            changed: false,
        }))
    }

    /// A saga that is about to begin, under the newest definition.
    pub(super) fn new(data: S::Data, trace: TraceContext, now: Timestamp) -> Self {
        Self {
            version: S::VERSION,
            progress: Arc::new(Progress::fresh(data, now)),
            trace,
            row_version: 0,
            due_at: None,
            closed_at: None,
            changed: false,
        }
    }

    /// What to write of it.
    ///
    /// # Errors
    /// [`StoreError::Json`] if its data has no JSON.
    pub(super) fn written(&mut self, id: Uuid, now: Timestamp) -> Result<Write, StoreError> {
        let progress = &self.progress;
        let data = serde_json::value::to_raw_value(&progress.data)
            .map_err(|source| StoreError::Json { what: "a saga's data", source })?;
        self.closed_at = if progress.is_closed() { Some(self.closed_at.unwrap_or(now)) } else { None };
        Ok(Write {
            id,
            step: progress.step.clone(),
            data,
            entered_at: progress.entered_at,
            asked_at: progress.asked_at,
            asked_again: i64::from(progress.asked_again),
            reminded: i64::try_from(progress.reminded).unwrap_or(i64::MAX),
            // A date that no calendar on the wire holds is never.
            due_at: self.due_at.filter(|at| *at < LAST_DATE),
            row_version: self.row_version,
            closed_at: self.closed_at,
        })
    }
}
