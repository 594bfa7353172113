//! Takes the commands: stores what is new, answers again what has come to its end.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use homeward_chassis::boundary;
use homeward_messaging::{Batch, HandleError, Handler, Outbox, Received, Verdict};
use homeward_proto::notification::v1::SendNotice;
use homeward_store::{Database, StoreError, transaction};

use crate::delivery::{Notice, store};
use crate::sender::Sender;
use crate::wire;

/// Handles `notification.notices`.
pub struct Subscriber {
    db: Database,
    outbox: Outbox,
    sender: Arc<Sender>,
}

impl Subscriber {
    /// New notices go to `sender` at once.
    pub fn new(db: Database, outbox: Outbox, sender: Arc<Sender>) -> Self {
        Self { db, outbox, sender }
    }

    /// Stores the new ones, answers the ended ones. Gives the new ones' keys and the answers.
    async fn take(&self, notices: &[Notice]) -> Result<(HashSet<String>, Batch), StoreError> {
        let now = self.sender.now();
        let _mark = boundary!("commit", "notice");
        transaction!(self.db, "delivery.take", async |tx| -> Result<(HashSet<String>, Batch), StoreError> {
            let fresh: HashSet<String> = store::insert(tx, notices, now).await?.into_iter().collect();
            let known: Vec<&str> = notices.iter().map(|n| n.delivery_key.as_str()).filter(|key| !fresh.contains(*key)).collect();
            let mut answers = self.outbox.batch();
            for standing in store::standing(tx, &known).await? {
                let asked = notices.iter().find(|notice| notice.delivery_key == standing.delivery_key);
                if let (Some(notice), Some(ended)) = (asked, standing.ended()) {
                    answers.push(wire::answer(notice, &ended));
                }
            }
            answers.store(tx).await?;
            Ok((fresh, answers))
        })
    }
}

#[async_trait]
impl Handler for Subscriber {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        let mut verdicts = Vec::with_capacity(batch.len());
        let mut notices: Vec<Notice> = Vec::with_capacity(batch.len());
        let mut seen = HashSet::new();
        let claimed_until = self.sender.claim_until();
        for received in &batch {
            let decoded = received.envelope.decode::<SendNotice>().map_err(|error| error.to_string());
            match decoded.and_then(|command| wire::notice(received, command, claimed_until).map_err(|error| error.to_string())) {
                // One statement cannot insert a key twice; the repeat in the same batch is answered by the first.
                Ok(notice) => {
                    if seen.insert(notice.delivery_key.clone()) {
                        notices.push(notice);
                    }
                    verdicts.push(Verdict::Done);
                }
                Err(problem) => verdicts.push(Verdict::DeadLetter(problem)),
            }
        }
        // Two processes that store the same notices do it in the same order, and do not wait for each other.
        notices.sort_by(|a, b| a.delivery_key.cmp(&b.delivery_key));
        let (fresh, answers) = self.take(&notices).await?;
        self.outbox.publish(answers);
        notices.retain(|notice| fresh.contains(&notice.delivery_key));
        self.sender.hand_over(notices);
        Ok(verdicts)
    }

    async fn is_ready(&self) -> bool {
        self.db.ping().await.is_ok()
    }
}
