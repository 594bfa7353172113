//! What only RabbitMQ can get wrong: bytes that are no message, oversized ones, answers that belong to somebody else.

use std::sync::Arc;

use bytes::Bytes;
use homeward_messaging::{Broker, BrokerError, Envelope, PublishError, RabbitBroker, Settle};
use homeward_types::SystemClock;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};

use crate::broker::{Vhost, rabbit};
use crate::sending::{QUEUES, WORK, envelope, eventually, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_message_become_a_dead_letter_with_what_is_wrong() {
    let vhost = Vhost::make();
    let broker: Arc<dyn Broker> = Arc::new(RabbitBroker::new(&vhost.address, QUEUES, "test", Arc::new(SystemClock)).unwrap());
    let mut consumer = broker.subscribe(&WORK).await.unwrap();
    let connection = Connection::connect(&vhost.address, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let properties = BasicProperties::default().with_message_id("not-a-uuid".into());
    let options = BasicPublishOptions::default();
    let confirm =
        channel.basic_publish("homeward".into(), "test.command.a.v1".into(), options, b"garbage", properties).await.unwrap();
    confirm.await.unwrap();
    let taken = soon("it", consumer.next_batch(1)).await.unwrap();
    let error = taken[0].envelope.as_ref().unwrap_err();
    assert_eq!(error.property, "message-id");
    consumer.settle(vec![(taken[0].receipt, Settle::DeadLetter(error.to_string()))]).await.unwrap();
    let letters = broker.dead(&WORK, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].envelope.as_ref().unwrap_err(), error);
    assert_eq!(letters[0].reason, error.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_cannot_be_carried_is_refused_alone() {
    let fresh = rabbit().await;
    let huge = Arc::new(Envelope { payload: Bytes::from(vec![0; 9 << 20]), ..(*envelope("test.command.a.v1", 1)).clone() });
    let long = envelope(&format!("test.command.{}.v1", "a".repeat(300)), 2);
    let large = Arc::new(Envelope { payload: Bytes::from(vec![7; 3 << 20]), ..(*envelope("test.command.a.v1", 3)).clone() });
    let answers = fresh.broker.publish(vec![huge, long, Arc::clone(&large)]).await;
    assert!(matches!(&answers[..], [Err(PublishError::Refused(_)), Err(PublishError::Refused(_)), Ok(())]), "{answers:?}");
    let mut consumer = fresh.broker.subscribe(&WORK).await.unwrap();
    let taken = soon("the large one", consumer.next_batch(1)).await.unwrap();
    assert_eq!(taken[0].envelope.as_ref().unwrap(), &large);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_at_the_same_time_never_get_each_others_answers() {
    let fresh = rabbit().await;
    // From here on there is a channel that somebody could wrongly share.
    assert_eq!(fresh.broker.publish(vec![envelope("test.command.a.v1", 0)]).await, [Ok(())]);
    let mut flights = tokio::task::JoinSet::new();
    for flight in 0..60 {
        let broker = Arc::clone(&fresh.broker);
        flights.spawn(async move {
            let kind = |at: i64| if at % 7 == flight % 7 { "test.nobody.x.v1" } else { "test.command.a.v1" };
            let batch: Vec<_> = (0..20).map(|at| envelope(kind(at), at)).collect();
            let answers = broker.publish(batch).await;
            for (at, answer) in (0..).zip(answers) {
                let expected = if kind(at) == "test.nobody.x.v1" { Err(PublishError::Unroutable) } else { Ok(()) };
                assert_eq!(answer, expected, "message {at} of flight {flight}");
            }
        });
    }
    soon("all answers", flights.join_all()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_not_there_is_named_without_its_password() {
    let broker = RabbitBroker::new("amqp://user:secret@127.0.0.1:9/x", QUEUES, "test", Arc::new(SystemClock)).unwrap();
    let error = broker.connect().await.unwrap_err();
    assert!(matches!(&error, BrokerError::Unavailable { doing: "connecting", .. }), "{error:?}");
    assert!(broker.check().await.is_err());
    let answers = broker.publish(vec![envelope("test.command.a.v1", 1)]).await;
    assert!(matches!(&answers[..], [Err(PublishError::Unavailable(_))]), "{answers:?}");
    let bad = RabbitBroker::new("http://user:secret@host", QUEUES, "test", Arc::new(SystemClock)).err().unwrap();
    for text in [format!("{error} {error:?}"), format!("{answers:?}"), format!("{bad} {bad:?}")] {
        assert!(!text.contains("secret"), "{text}");
    }
    assert!(bad.to_string().contains("amqp://user:password@host:port/vhost"), "{bad}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_user_without_the_right_to_configure_does_once_somebody_has_declared() {
    let vhost = Vhost::make();
    let user = vhost.user(r#"{"configure":"^$","write":".*","read":".*"}"#);
    let broker = RabbitBroker::new(&user, QUEUES, "test", Arc::new(SystemClock)).unwrap().without_declaring();
    let error = broker.connect().await.unwrap_err().to_string();
    assert!(error.contains("homeward migrate") && error.contains("no exchange"), "{error}");
    let declaring = RabbitBroker::new(&user, QUEUES, "test", Arc::new(SystemClock)).unwrap();
    assert!(declaring.connect().await.is_err(), "it has no right to");
    RabbitBroker::new(&vhost.address, QUEUES, "test", Arc::new(SystemClock)).unwrap().connect().await.unwrap();
    // For a moment after a failure it fails at once.
    eventually("it connects", async || broker.connect().await.is_ok()).await;
    broker.check().await.unwrap();
    assert_eq!(broker.publish(vec![envelope("test.command.a.v1", 1)]).await, [Ok(())]);
    let mut consumer = broker.subscribe(&WORK).await.unwrap();
    let taken = soon("the message", consumer.next_batch(1)).await.unwrap();
    consumer.settle(vec![(taken[0].receipt, Settle::DeadLetter("a test".to_owned()))]).await.unwrap();
    assert_eq!(broker.dead(&WORK, 10).await.unwrap().len(), 1);
}
