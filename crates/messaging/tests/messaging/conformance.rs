//! What both brokers promise. Each case runs on each broker.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use homeward_messaging::{Broker, BrokerError, Consumer, Delivery, Envelope, PublishError, QueueSpec, Receipt, Redriven, Settle};
use homeward_types::{Clock, MessageId, SystemClock};

use crate::broker::Fresh;
use crate::sending::{COPY, DEADLINE, EVENTS, LIMITED, NARROW, QUEUES, WORK, envelope, eventually, expiring, publish, soon};

macro_rules! conformance {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let fresh = crate::broker::memory().await;
                super::$case(&fresh).await;
            })+
        }
        mod rabbit {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let fresh = crate::broker::rabbit().await;
                super::$case(&fresh).await;
            })+
        }
    };
}

conformance!(
    a_message_arrives_whole_at_every_bound_queue,
    an_unroutable_message_is_told_alone,
    a_batch_is_what_is_there_and_no_more,
    a_dropped_wait_loses_nothing,
    unsettled_messages_come_back_when_the_consumer_is_dropped,
    a_message_given_back_counts_its_deliveries,
    a_dead_letter_keeps_its_reason_and_looking_does_not_move_it,
    a_message_that_comes_back_too_often_becomes_a_dead_letter,
    a_full_queue_refuses_and_takes_again_once_there_is_room,
    a_redriven_message_reaches_only_the_queue_that_it_died_on,
    an_expired_command_is_not_redriven,
    settling_a_part_leaves_the_rest_in_hand,
    an_undeclared_queue_is_named,
    it_answers_when_it_is_asked,
    competing_consumers_share_the_work,
    cut_connections_lose_nothing_and_everything_comes_back,
);

const OK: Result<(), PublishError> = Ok(());

fn ids(messages: &[Arc<Envelope>]) -> Vec<MessageId> {
    messages.iter().map(|message| message.id).collect()
}

fn id(delivery: &Delivery) -> MessageId {
    delivery.envelope.as_ref().unwrap().id
}

/// Takes until there are so many.
async fn take(consumer: &mut dyn Consumer, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.extend(soon("a batch", consumer.next_batch(count - taken.len())).await.unwrap());
    }
    taken
}

async fn settle_all(consumer: &mut dyn Consumer, deliveries: &[Delivery], how: &Settle) {
    let settlements = deliveries.iter().map(|delivery| (delivery.receipt, how.clone())).collect();
    consumer.settle(settlements).await.unwrap();
}

/// Puts one message among the dead letters of `WORK`.
async fn bury(broker: &Arc<dyn Broker>, message: &Arc<Envelope>, reason: &str) {
    let publishing = publish(broker, vec![Arc::clone(message)]);
    let mut consumer = broker.subscribe(&WORK).await.unwrap();
    let taken = take(&mut *consumer, 1).await;
    settle_all(&mut *consumer, &taken, &Settle::DeadLetter(reason.to_owned())).await;
    assert_eq!(soon("a confirm", publishing).await.unwrap(), [OK]);
}

async fn dead_ids(broker: &Arc<dyn Broker>, queue: &QueueSpec) -> Vec<MessageId> {
    broker.dead(queue, 100).await.unwrap().into_iter().map(|letter| letter.envelope.unwrap().id).collect()
}

async fn a_message_arrives_whole_at_every_bound_queue(fresh: &Fresh) {
    let broker = Arc::clone(&fresh.broker);
    let sent = expiring("test.event.happened.v1", 7, None);
    let full = envelope("test.event.happened.v1", 8);
    let publishing = publish(&broker, vec![Arc::clone(&sent), Arc::clone(&full)]);
    for queue in [EVENTS, COPY] {
        let mut consumer = broker.subscribe(&queue).await.unwrap();
        let taken = take(&mut *consumer, 2).await;
        let messages: Vec<_> = taken.iter().map(|delivery| Arc::clone(delivery.envelope.as_ref().unwrap())).collect();
        assert_eq!(messages, [Arc::clone(&sent), Arc::clone(&full)], "on {}", queue.name);
        assert!(taken.iter().all(|delivery| delivery.deliveries == 1));
        settle_all(&mut *consumer, &taken, &Settle::Ack).await;
    }
    assert_eq!(soon("a confirm", publishing).await.unwrap(), [OK, OK]);
}

async fn an_unroutable_message_is_told_alone(fresh: &Fresh) {
    let broker = Arc::clone(&fresh.broker);
    let batch: Vec<_> = ["test.command.a.v1", "test.nobody.b.v1", "test.command.c.v1", "test.command.d.v2"]
        .iter()
        .zip(1..)
        .map(|(kind, number)| envelope(kind, number))
        .collect();
    let publishing = publish(&broker, batch.clone());
    let mut consumer = broker.subscribe(&WORK).await.unwrap();
    let taken = take(&mut *consumer, 2).await;
    assert_eq!(taken.iter().map(id).collect::<Vec<_>>(), [batch[0].id, batch[2].id]);
    settle_all(&mut *consumer, &taken, &Settle::Ack).await;
    let answers = soon("a confirm", publishing).await.unwrap();
    assert_eq!(answers, [OK, Err(PublishError::Unroutable), OK, Err(PublishError::Unroutable)]);
}

async fn a_batch_is_what_is_there_and_no_more(fresh: &Fresh) {
    let broker = Arc::clone(&fresh.broker);
    let batch: Vec<_> = (0..5).map(|number| envelope("test.command.a.v1", number)).collect();
    let publishing = publish(&broker, batch.clone());
    let mut consumer = broker.subscribe(&WORK).await.unwrap();
    let mut taken = Vec::new();
    while taken.len() < 5 {
        let more = soon("a batch", consumer.next_batch(2)).await.unwrap();
        assert!((1..=2).contains(&more.len()), "{} messages", more.len());
        taken.extend(more);
    }
    assert_eq!(taken.iter().map(id).collect::<Vec<_>>(), ids(&batch), "in the order of publishing");
    settle_all(&mut *consumer, &taken, &Settle::Ack).await;
    assert_eq!(soon("a confirm", publishing).await.unwrap(), vec![OK; 5]);
}

async fn a_dropped_wait_loses_nothing(fresh: &Fresh) {
    let broker = Arc::clone(&fresh.broker);
    let mut consumer = broker.subscribe(&WORK).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(50), consumer.next_batch(10)).await;
    assert!(waited.is_err(), "there was nothing to take");
    let batch: Vec<_> = (0..20).map(|number| envelope("test.command.a.v1", number)).collect();
    let publishing = publish(&broker, batch.clone());
    let mut taken = Vec::new();
    while taken.len() < 20 {
        // Dropped again and again, wherever it stands.
        if let Ok(more) = tokio::time::timeout(Duration::from_millis(1), consumer.next_batch(3)).await {
            taken.extend(more.unwrap());
        }
    }
    assert_eq!(taken.iter().map(id).collect::<Vec<_>>(), ids(&batch));
    settle_all(&mut *consumer, &taken, &Settle::Ack).await;
    assert_eq!(soon("a confirm", publishing).await.unwrap(), vec![OK; 20]);
}

async fn unsettled_messages_come_back_when_the_consumer_is_dropped(fresh: &Fresh) {
    let broker = Arc::clone(&fresh.broker);
    let batch: Vec<_> = (0..3).map(|number| envelope("test.command.a.v1", number)).collect();
    let publishing = publish(&broker, batch.clone());
    let mut consumer = broker.subscribe(&WORK).await.unwrap();
    let taken = take(&mut *consumer, 3).await;
    settle_all(&mut *consumer, &taken[..1], &Settle::Ack).await;
    drop(consumer);
    let mut consumer = broker.subscribe(&WORK).await.unwrap();
    let again = take(&mut *consumer, 2).await;
    let came_back: HashSet<_> = again.iter().map(|delivery| (id(delivery), delivery.deliveries)).collect();
    assert_eq!(came_back, HashSet::from([(batch[1].id, 2), (batch[2].id, 2)]));
    settle_all(&mut *consumer, &again, &Settle::Ack).await;
    assert_eq!(soon("a confirm", publishing).await.unwrap(), vec![OK; 3]);
}

async fn a_message_given_back_counts_its_deliveries(fresh: &Fresh) {
    let broker = Arc::clone(&fresh.broker);
    let publishing = publish(&broker, vec![envelope("test.command.a.v1", 1)]);
    let mut consumer = broker.subscribe(&WORK).await.unwrap();
    for expected in 1..=4 {
        let taken = take(&mut *consumer, 1).await;
        assert_eq!(taken[0].deliveries, expected);
        let how = if expected < 4 { Settle::Retry } else { Settle::Ack };
        settle_all(&mut *consumer, &taken, &how).await;
    }
    assert_eq!(soon("a confirm", publishing).await.unwrap(), [OK]);
}

async fn a_dead_letter_keeps_its_reason_and_looking_does_not_move_it(fresh: &Fresh) {
    let broker = Arc::clone(&fresh.broker);
    let before = SystemClock.now();
    let message = envelope("test.command.a.v1", 1);
    bury(&broker, &message, "it names no lease: \"x\"").await;
    for _ in 0..3 {
        let letters = broker.dead(&WORK, 10).await.unwrap();
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].envelope.as_ref().unwrap(), &message);
        assert_eq!(letters[0].reason, "it names no lease: \"x\"");
        assert!(letters[0].since.is_some_and(|since| since >= before && since <= SystemClock.now()));
    }
    assert_eq!(broker.dead(&EVENTS, 10).await.unwrap(), []);
    let mut consumer = broker.subscribe(&WORK).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(100), consumer.next_batch(1)).await;
    assert!(waited.is_err(), "a dead letter was handed out");
}

async fn a_message_that_comes_back_too_often_becomes_a_dead_letter(fresh: &Fresh) {
    let broker = Arc::clone(&fresh.broker);
    let message = envelope("test.limited.a.v1", 1);
    let publishing = publish(&broker, vec![Arc::clone(&message)]);
    let mut consumer = broker.subscribe(&LIMITED).await.unwrap();
    for expected in 1..=LIMITED.delivery_limit + 1 {
        let taken = take(&mut *consumer, 1).await;
        assert_eq!(taken[0].deliveries, expected);
        settle_all(&mut *consumer, &taken, &Settle::Retry).await;
    }
    // The in-process broker gives it up when somebody would take it next.
    tokio::spawn(async move { consumer.next_batch(1).await.map(drop) });
    eventually("the message is given up", async || dead_ids(&broker, &LIMITED).await == [message.id]).await;
    assert_eq!(soon("a confirm", publishing).await.unwrap(), [OK]);
    let letters = broker.dead(&LIMITED, 1).await.unwrap();
    assert!(!letters[0].reason.is_empty() && letters[0].reason != "unknown", "{:?}", letters[0].reason);
}

async fn a_full_queue_refuses_and_takes_again_once_there_is_room(fresh: &Fresh) {
    let broker = Arc::clone(&fresh.broker);
    // RabbitMQ counts a little behind, so it may take a few more than its limit.
    let mut publishing = Vec::new();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let refused = loop {
        assert!(tokio::time::Instant::now() < deadline && publishing.len() < 100, "never full");
        let mut one = publish(&broker, vec![envelope("test.narrow.a.v1", 1)]);
        match tokio::time::timeout(Duration::from_millis(50), &mut one).await {
            Ok(answers) => match answers.unwrap().remove(0) {
                Ok(()) => publishing.push(None),
                Err(error) => break error,
            },
            // In one process the confirm waits for a consumer.
            Err(_) => publishing.push(Some(one)),
        }
    };
    assert!(matches!(&refused, PublishError::Unavailable(reason) if reason.contains("full")), "{refused:?}");
    assert!(publishing.len() >= NARROW.held, "full with {} messages", publishing.len());
    let mut consumer = broker.subscribe(&NARROW).await.unwrap();
    let taken = take(&mut *consumer, publishing.len()).await;
    settle_all(&mut *consumer, &taken, &Settle::Ack).await;
    for one in publishing.into_iter().flatten() {
        assert_eq!(soon("a confirm", one).await.unwrap(), [OK]);
    }
    let mut settled: Vec<Receipt> = Vec::new();
    eventually("there is room again", async || {
        let one = publish(&broker, vec![envelope("test.narrow.a.v1", 2)]);
        while let Ok(more) = tokio::time::timeout(Duration::from_millis(50), consumer.next_batch(10)).await {
            let more = more.unwrap();
            settle_all(&mut *consumer, &more, &Settle::Ack).await;
            settled.extend(more.iter().map(|delivery| delivery.receipt));
        }
        one.await.unwrap() == [OK]
    })
    .await;
    assert!(!settled.is_empty());
}

async fn a_redriven_message_reaches_only_the_queue_that_it_died_on(fresh: &Fresh) {
    let broker = Arc::clone(&fresh.broker);
    let message = envelope("test.event.happened.v1", 1);
    let publishing = publish(&broker, vec![Arc::clone(&message)]);
    let mut events = broker.subscribe(&EVENTS).await.unwrap();
    let mut copy = broker.subscribe(&COPY).await.unwrap();
    let taken = take(&mut *events, 1).await;
    settle_all(&mut *events, &taken, &Settle::DeadLetter("mend me".to_owned())).await;
    let taken = take(&mut *copy, 1).await;
    settle_all(&mut *copy, &taken, &Settle::Ack).await;
    assert_eq!(soon("a confirm", publishing).await.unwrap(), [OK]);

    let nobody = MessageId::new(&SystemClock);
    let now = SystemClock.now();
    let redriven = broker.redrive(&EVENTS, &[message.id, nobody], now).await.unwrap();
    assert_eq!(redriven, [Redriven::Sent(message.id), Redriven::Missing(nobody)]);
    let again = take(&mut *events, 1).await;
    assert_eq!(again[0].envelope.as_ref().unwrap(), &message);
    settle_all(&mut *events, &again, &Settle::Ack).await;
    eventually("it is dead no more", async || dead_ids(&broker, &EVENTS).await.is_empty()).await;
    let waited = tokio::time::timeout(Duration::from_millis(100), copy.next_batch(1)).await;
    assert!(waited.is_err(), "the other queue got it again");
}

async fn an_expired_command_is_not_redriven(fresh: &Fresh) {
    let broker = Arc::clone(&fresh.broker);
    let now = SystemClock.now();
    let late = expiring("test.command.a.v1", 1, Some(now - Duration::from_secs(1)));
    let timely = expiring("test.command.a.v1", 2, Some(now + Duration::from_mins(1)));
    bury(&broker, &late, "one").await;
    bury(&broker, &timely, "two").await;
    let redriven = broker.redrive(&WORK, &[late.id, timely.id], now).await.unwrap();
    assert_eq!(redriven, [Redriven::Expired(late.id), Redriven::Sent(timely.id)]);
    let mut consumer = broker.subscribe(&WORK).await.unwrap();
    let taken = take(&mut *consumer, 1).await;
    assert_eq!(id(&taken[0]), timely.id);
    settle_all(&mut *consumer, &taken, &Settle::Ack).await;
    eventually("only the late one stays dead", async || dead_ids(&broker, &WORK).await == [late.id]).await;
}

async fn settling_a_part_leaves_the_rest_in_hand(fresh: &Fresh) {
    let broker = Arc::clone(&fresh.broker);
    let batch: Vec<_> = (0..6).map(|number| envelope("test.command.a.v1", number)).collect();
    let publishing = publish(&broker, batch.clone());
    let mut consumer = broker.subscribe(&WORK).await.unwrap();
    let taken = take(&mut *consumer, 6).await;
    // The first two together, one from the middle, one from the end.
    let part: Vec<_> = [0, 1, 3, 5].iter().map(|at| taken[*at].clone()).collect();
    settle_all(&mut *consumer, &part, &Settle::Ack).await;
    drop(consumer);
    let mut consumer = broker.subscribe(&WORK).await.unwrap();
    let rest = take(&mut *consumer, 2).await;
    assert_eq!(rest.iter().map(id).collect::<HashSet<_>>(), HashSet::from([batch[2].id, batch[4].id]));
    settle_all(&mut *consumer, &rest, &Settle::Ack).await;
    assert_eq!(soon("a confirm", publishing).await.unwrap(), vec![OK; 6]);
}

async fn an_undeclared_queue_is_named(fresh: &Fresh) {
    const STRANGER: QueueSpec = QueueSpec::new("test.stranger", &["x"]);
    let broker = Arc::clone(&fresh.broker);
    assert!(QUEUES.iter().all(|queue| queue.name != STRANGER.name));
    let unknown = BrokerError::UnknownQueue("test.stranger".to_owned());
    assert_eq!(broker.subscribe(&STRANGER).await.err(), Some(unknown.clone()));
    assert_eq!(broker.dead(&STRANGER, 1).await.err(), Some(unknown));
}

async fn competing_consumers_share_the_work(fresh: &Fresh) {
    let broker = Arc::clone(&fresh.broker);
    let mut consumers = [broker.subscribe(&WORK).await.unwrap(), broker.subscribe(&WORK).await.unwrap()];
    let batch: Vec<_> = (0..40).map(|number| envelope("test.command.a.v1", number)).collect();
    let publishing = publish(&broker, batch.clone());
    let mut taken = [Vec::new(), Vec::new()];
    // Each in turn takes what it is given; whoever is given nothing for a moment lets the other go on.
    while taken.iter().map(Vec::len).sum::<usize>() < 40 {
        for (consumer, taken) in consumers.iter_mut().zip(&mut taken) {
            if let Ok(more) = tokio::time::timeout(Duration::from_millis(50), consumer.next_batch(8)).await {
                let more = more.unwrap();
                settle_all(&mut **consumer, &more, &Settle::Ack).await;
                taken.extend(more.iter().map(id));
            }
        }
    }
    let all: HashSet<MessageId> = taken.iter().flatten().copied().collect();
    assert_eq!(all, ids(&batch).into_iter().collect(), "each message went to one of them");
    assert!(taken.iter().all(|taken| !taken.is_empty()), "one of them got nothing: {taken:?}");
    assert_eq!(soon("a confirm", publishing).await.unwrap(), vec![OK; 40]);
}

/// Twice: what was built anew can be cut, too.
async fn cut_connections_lose_nothing_and_everything_comes_back(fresh: &Fresh) {
    let broker = Arc::clone(&fresh.broker);
    let mut consumer = broker.subscribe(&WORK).await.unwrap();
    for round in 0..2 {
        let held = envelope("test.command.a.v1", 2 * round);
        let first = publish(&broker, vec![Arc::clone(&held)]);
        let taken = take(&mut *consumer, 1).await;
        eventually("all connections are listed and cut", async || fresh.cut().await >= fresh.connections()).await;
        if fresh.connections() > 0 {
            // What it held is told to be lost, in taking or in settling, and it does not hang.
            let settled = consumer.settle(vec![(taken[0].receipt, Settle::Ack)]).await;
            let told = settled.is_err() || soon("the loss", consumer.next_batch(1)).await.is_err();
            assert!(told, "a consumer whose connection was cut went on");
        }
        consumer = broker.subscribe(&WORK).await.unwrap();
        let next = envelope("test.command.a.v1", 2 * round + 1);
        // A publish may still meet the old connection; the outbox would try again, and so do we.
        let second = {
            let (broker, next) = (Arc::clone(&broker), Arc::clone(&next));
            tokio::spawn(async move {
                while broker.publish(vec![Arc::clone(&next)]).await != [OK] {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            })
        };
        let mut seen = HashSet::new();
        while !(seen.contains(&held.id) && seen.contains(&next.id)) {
            let more = soon("both messages", consumer.next_batch(8)).await.unwrap();
            settle_all(&mut *consumer, &more, &Settle::Ack).await;
            seen.extend(more.iter().map(id));
        }
        soon("a confirm", second).await.unwrap();
        soon("the first confirm, or its loss", first).await.unwrap();
    }
}

async fn it_answers_when_it_is_asked(fresh: &Fresh) {
    let broker = &fresh.broker;
    for _ in 0..3 {
        soon("an answer", broker.check()).await.unwrap();
    }
    // And goes on as before.
    let mut consumer = broker.subscribe(&WORK).await.unwrap();
    let publishing = publish(broker, vec![envelope("test.command.a.v1", 1)]);
    let taken = take(&mut *consumer, 1).await;
    settle_all(&mut *consumer, &taken, &Settle::Ack).await;
    assert_eq!(soon("a confirm", publishing).await.unwrap(), [OK]);
}
