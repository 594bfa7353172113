//! Lends that came while their organisation's provider did not answer: tried again until they are decided or expire.

use std::sync::Arc;

use homeward_store::{StoreError, transaction};
use homeward_types::LeaseId;
use tokio_util::sync::CancellationToken;

use super::{BATCH, rest};
use crate::lend::intake::{Intake, IntakeError};
use crate::lend::{self, Command};
use crate::site::Site;
use crate::subscriber::decode_lend;

/// Tries the organisation's waiting lends until the shutdown.
pub async fn try_waiting_lends(site: Arc<Site>, intake: Intake, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(site.organisation().limits.probe) => {}
        }
        match again(&site, &intake).await {
            Ok(()) => {}
            Err(IntakeError::Store(error)) => {
                if !rest("deciding on lends that wait", &error, &shutdown).await {
                    return;
                }
            }
            Err(IntakeError::Log(error)) => tracing::warn!(error = &error as &dyn std::error::Error, "lends wait on"),
        }
    }
}

async fn again(site: &Site, intake: &Intake) -> Result<(), IntakeError> {
    let db = site.ledger().db();
    let waiting = lend::store::waiting(db, site.id(), BATCH).await?;
    if waiting.is_empty() {
        return Ok(());
    }
    let mut done: Vec<LeaseId> = waiting.iter().map(|waiting| waiting.lease).collect();
    // What was kept could be decoded when it came.
    let commands: Vec<Command> = waiting
        .into_iter()
        .filter_map(|waiting| decode_lend(&waiting.command, waiting.message, None, waiting.trace).ok())
        .collect();
    let undecided = intake.admit(commands).await?;
    done.retain(|lease| undecided.iter().all(|command| command.grant.lease != *lease));
    transaction!(db, "waiting_lend.done", async |tx| -> Result<(), StoreError> { lend::store::wait_no_more(tx, &done).await })?;
    Ok(())
}
