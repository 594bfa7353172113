//! Messages between services: envelope, topology, outbox and relay, consuming loop, and two brokers behind one trait.
//!
//! Owns the tables `outbox` and `heard_sender`, which every service has in its own database ([`MIGRATIONS`]), and
//! `dead_letter`, which the in-process broker makes in the database that it is given.
//!
//! The path of a message:
//! 1. A service puts it into a [`Batch`] and [stores](Batch::store) the batch in the transaction of its cause.
//! 2. After the commit it hands the batch to [`Outbox::publish`], which never waits. Batches of many callers merge.
//! 3. The [`Broker`] confirms: RabbitMQ once the message lies on its quorum, the in-process broker once every subscriber
//!    has committed and acknowledged it. Only then the outbox row is deleted. Rows whose writer died are found by the relay.
//! 4. [`consume()`] hands messages in batches to a [`Handler`], which commits; then they are acknowledged.
//!
//! Delivery is at least once everywhere; duplicates are dropped by natural keys in the receiving service.

pub mod broker;
pub mod consume;
pub mod envelope;
pub mod inbox;
pub mod outbox;
pub mod testing;
pub mod topology;

pub use broker::{
    Broker, BrokerError, Consumer, DeadLetter, Delivery, MemoryBroker, PublishError, RabbitBroker, Receipt, Redriven, Settle,
};
pub use consume::{HandleError, Handler, Received, Verdict, consume};
pub use envelope::{Envelope, NewMessage};
pub use outbox::{Batch, MIGRATIONS, Outbox, Published};
pub use topology::QueueSpec;
