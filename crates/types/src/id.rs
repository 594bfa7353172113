//! Ids that know their kind, so that a swapped pair does not compile.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::{NoContext, Timestamp as UuidTime, Uuid};

use crate::clock::Clock;

/// A UUID of the kind `K`. New ones are version 7, so that they sort by time of birth.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

/// Marks the ids of recoveries.
pub enum RecoveryKind {}
/// Marks the ids of leases.
pub enum LeaseKind {}
/// Marks the ids of attempts.
pub enum AttemptKind {}
/// Marks the ids of messages.
pub enum MessageKind {}
/// Marks the ids of incidents.
pub enum IncidentKind {}

/// One case: one account, one saga, one trace.
pub type RecoveryId = Id<RecoveryKind>;
/// The permission to be out. The lease that serves a recovery bears the recovery's id; adopted and reopened ones bear their own.
pub type LeaseId = Id<LeaseKind>;
/// One write at the provider under a lease.
pub type AttemptId = Id<AttemptKind>;
/// One message on the broker.
pub type MessageId = Id<MessageKind>;
/// One matter for a person's eye.
pub type IncidentId = Id<IncidentKind>;

impl<K> Id<K> {
    /// A new id, born at the clock's present moment.
    pub fn new(clock: &dyn Clock) -> Self {
        let now = clock.now();
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        Self::from_uuid(Uuid::new_v7(UuidTime::from_unix(NoContext, seconds, now.timestamp_subsec_nanos())))
    }

    /// The id that a stored or received UUID stands for.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    /// The bare UUID, for storage and wire.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl From<RecoveryId> for LeaseId {
    fn from(id: RecoveryId) -> Self {
        Self::from_uuid(id.0)
    }
}

impl From<LeaseId> for RecoveryId {
    fn from(id: LeaseId) -> Self {
        Self::from_uuid(id.0)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl<K> FromStr for Id<K> {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self::from_uuid)
    }
}
impl<K> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
impl<'de, K> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Uuid::deserialize(deserializer).map(Self::from_uuid)
    }
}
