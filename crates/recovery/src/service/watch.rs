//! A recovery's timeline as it grows, until it is closed.

use std::sync::Arc;
use std::time::Duration;

use homeward_chassis::rpc::Refused;
use homeward_proto::recovery::v1::{WatchRecoveryRequest, WatchRecoveryResponse};
use homeward_types::RecoveryId;
use tokio::sync::{broadcast, mpsc};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use uuid::Uuid;

use super::problem::unread;
use super::{recovery_id, show};
use crate::parts::Shared;
use crate::timeline;

/// How often to look without a reason: another process may have written.
const POLL: Duration = Duration::from_millis(500);

/// Entries read at a time.
const PAGE: i64 = 200;

/// Entries that may wait for a slow reader; then we wait for it.
const WAITING: usize = 16;

type Item = Result<WatchRecoveryResponse, Status>;

/// Begins to watch; a recovery that does not exist is refused at once.
pub(super) async fn watch(
    shared: &Arc<Shared>,
    request: &WatchRecoveryRequest,
) -> Result<impl Stream<Item = Item> + use<>, Refused> {
    let id = recovery_id(&request.recovery)?;
    show::one(shared, id).await?;
    let (entries, stream) = mpsc::channel(WAITING);
    let changed = shared.changed.subscribe();
    tokio::spawn(Watcher { shared: shared.clone(), id, entries }.run(changed));
    Ok(ReceiverStream::new(stream))
}

struct Watcher {
    shared: Arc<Shared>,
    id: RecoveryId,
    entries: mpsc::Sender<Item>,
}

impl Watcher {
    async fn run(self, mut changed: broadcast::Receiver<Uuid>) {
        let mut last = 0;
        loop {
            match self.tell_news(last).await {
                Ok(Some(told)) => last = told,
                // The reader has gone, or the recovery is closed and all of it was told.
                Ok(None) => return,
                Err(refused) => {
                    self.entries.send(Err(refused.into())).await.ok();
                    return;
                }
            }
            tokio::select! {
                () = something_happens(&mut changed, self.id.uuid()) => {}
                () = self.entries.closed() => return,
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Sends what came after entry `last`, and answers the newest number; `None` when there is nothing more to watch.
    async fn tell_news(&self, mut last: i64) -> Result<Option<i64>, Refused> {
        loop {
            // The state first: entries that come in between are told with an older state, and told again they are not.
            let (case, seen) = show::one(&self.shared, self.id).await?;
            let closed = seen.progress.is_closed() && case.ended.is_some();
            let recovery = show::shown(&self.shared, case, &seen);
            let page = timeline::store::after(&self.shared.db, self.id.uuid(), last, PAGE).await;
            let page = page.map_err(|error| unread(&error))?;
            let full = i64::try_from(page.len()).is_ok_and(|rows| rows >= PAGE);
            for entry in page {
                last = entry.number;
                let news = WatchRecoveryResponse { entry: Some(show::entry(entry)), recovery: Some(recovery.clone()) };
                if self.entries.send(Ok(news)).await.is_err() {
                    return Ok(None);
                }
            }
            if !full {
                return Ok((!closed).then_some(last));
            }
        }
    }
}

/// Waits until the recovery may have changed. Missing some news is as good as having some.
async fn something_happens(changed: &mut broadcast::Receiver<Uuid>, id: Uuid) {
    loop {
        match changed.recv().await {
            Ok(of) if of == id => return,
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending::<()>().await,
        }
    }
}
