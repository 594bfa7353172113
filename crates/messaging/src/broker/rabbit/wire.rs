//! An envelope as AMQP properties and headers, and back.

use chrono::DateTime;
use homeward_chassis::telemetry::TraceContext;
use homeward_types::{MessageId, OrganisationId, Timestamp};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use uuid::Uuid;

use crate::broker::{PublishError, Undecodable};
use crate::envelope::Envelope;

/// AMQP's short strings (routing key, type, sender) hold so many bytes.
const SHORT: usize = 255;

/// `RabbitMQ` 4 refuses messages above 16 MiB by closing the channel, which would take the whole batch with it.
const LARGEST_PAYLOAD: usize = 8 * 1024 * 1024;

const ORGANISATION: &str = "organisation";
const CAUSATION: &str = "causation-id";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const SENDER_NUMBER: &str = "sender-number";
const ENTITY_VERSION: &str = "entity-version";
/// Microseconds since 1970 in UTC; AMQP's own timestamp has seconds only.
const AT: &str = "at-us";
const EXPIRES_AT: &str = "expires-at-us";
const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
const DEAD_REASON: &str = "dead-reason";
const DEAD_SINCE: &str = "dead-since-us";

/// Whether AMQP can carry it.
pub(super) fn check(envelope: &Envelope) -> Result<(), PublishError> {
    if envelope.kind.len() > SHORT || envelope.sender.len() > SHORT {
        return Err(PublishError::Refused(format!("its kind and its sender may have at most {SHORT} bytes each")));
    }
    if envelope.payload.len() > LARGEST_PAYLOAD {
        return Err(PublishError::Refused(format!(
            "it has {} bytes; at most {LARGEST_PAYLOAD} are allowed",
            envelope.payload.len()
        )));
    }
    Ok(())
}

/// Everything but the payload. The kind also stands in `type`, because a dead letter is given back under another routing key.
pub(super) fn properties(envelope: &Envelope) -> BasicProperties {
    let mut headers = FieldTable::default();
    let mut put = |name: &str, value: AMQPValue| {
        headers.insert(name.into(), value);
    };
    put(ORGANISATION, text(envelope.organisation.as_str()));
    put(IDEMPOTENCY_KEY, text(&envelope.idempotency_key));
    put(SENDER_NUMBER, AMQPValue::LongLongInt(envelope.sender_number));
    put(ENTITY_VERSION, AMQPValue::LongLongInt(envelope.entity_version));
    put(AT, AMQPValue::LongLongInt(envelope.at.timestamp_micros()));
    if let Some(causation) = envelope.causation {
        put(CAUSATION, text(&causation.to_string()));
    }
    if let Some(expires) = envelope.expires_at {
        put(EXPIRES_AT, AMQPValue::LongLongInt(expires.timestamp_micros()));
    }
    if !envelope.trace.traceparent.is_empty() {
        put(TRACEPARENT, text(&envelope.trace.traceparent));
    }
    if !envelope.trace.tracestate.is_empty() {
        put(TRACESTATE, text(&envelope.trace.tracestate));
    }
    BasicProperties::default()
        .with_content_type("application/protobuf".into())
        .with_delivery_mode(2)
        .with_message_id(envelope.id.to_string().into())
        .with_type(envelope.kind.as_str().into())
        .with_correlation_id(envelope.correlation.to_string().into())
        .with_app_id(envelope.sender.as_str().into())
        .with_timestamp(u64::try_from(envelope.at.timestamp()).unwrap_or(0))
        .with_headers(headers)
}

/// The envelope again; on failure the payload comes back with what is wrong.
pub(super) fn envelope(properties: &BasicProperties, payload: Vec<u8>) -> Result<Envelope, (Undecodable, Vec<u8>)> {
    match Reader(properties).envelope() {
        Ok(mut envelope) => {
            envelope.payload = payload.into();
            Ok(envelope)
        }
        Err(error) => Err((error, payload)),
    }
}

/// The message's id, if it has one of ours.
pub(super) fn message_id(properties: &BasicProperties) -> Option<MessageId> {
    properties.message_id().as_ref()?.as_str().parse().ok()
}

/// How often it was handed out, this time included.
pub(super) fn deliveries(delivery: &lapin::message::Delivery) -> u32 {
    let before = Reader(&delivery.properties).number("x-delivery-count").and_then(|count| u32::try_from(count).ok());
    before.unwrap_or(u32::from(delivery.redelivered)).saturating_add(1)
}

/// The properties of a dead letter.
pub(super) fn buried(properties: BasicProperties, reason: &str, since: Timestamp) -> BasicProperties {
    let mut headers = properties.headers().clone().unwrap_or_default();
    headers.insert(DEAD_REASON.into(), text(reason));
    headers.insert(DEAD_SINCE.into(), AMQPValue::LongLongInt(since.timestamp_micros()));
    properties.with_headers(headers)
}

/// Why it died and when: in our words, else in the broker's.
pub(super) fn epitaph(properties: &BasicProperties) -> (String, Option<Timestamp>) {
    let reader = Reader(properties);
    let since = reader.number(DEAD_SINCE).and_then(DateTime::from_timestamp_micros);
    if let Some(reason) = reader.text(DEAD_REASON) {
        return (reason, since);
    }
    let deaths =
        reader.header("x-death").and_then(AMQPValue::as_array).map(|deaths| deaths.as_slice().to_vec()).unwrap_or_default();
    let Some(AMQPValue::FieldTable(death)) = deaths.first() else { return ("unknown".to_owned(), since) };
    let reason = death.inner().get("reason").and_then(as_text).unwrap_or_else(|| "unknown".to_owned());
    let time = death.inner().get("time").and_then(AMQPValue::as_timestamp).and_then(|seconds| i64::try_from(seconds).ok());
    (format!("the broker gave it up: {reason}"), time.and_then(|seconds| DateTime::from_timestamp(seconds, 0)))
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn as_text(value: &AMQPValue) -> Option<String> {
    let AMQPValue::LongString(text) = value else { return None };
    String::from_utf8(text.as_bytes().to_vec()).ok()
}

struct Reader<'a>(&'a BasicProperties);

impl Reader<'_> {
    fn envelope(&self) -> Result<Envelope, Undecodable> {
        let short = |value: &Option<lapin::types::ShortString>| value.as_ref().map(|text| text.as_str().to_owned());
        let properties = self.0;
        Ok(Envelope {
            id: parsed("message-id", short(properties.message_id()))?,
            kind: present("type", short(properties.kind()))?,
            organisation: parsed::<OrganisationId>(ORGANISATION, self.text(ORGANISATION))?,
            correlation: parsed::<Uuid>("correlation-id", short(properties.correlation_id()))?,
            causation: self.text(CAUSATION).map(|text| parsed(CAUSATION, Some(text))).transpose()?,
            idempotency_key: present(IDEMPOTENCY_KEY, self.text(IDEMPOTENCY_KEY))?,
            sender: present("app-id", short(properties.app_id()))?,
            sender_number: present(SENDER_NUMBER, self.number(SENDER_NUMBER))?,
            entity_version: present(ENTITY_VERSION, self.number(ENTITY_VERSION))?,
            trace: TraceContext {
                traceparent: self.text(TRACEPARENT).unwrap_or_default(),
                tracestate: self.text(TRACESTATE).unwrap_or_default(),
            },
            at: moment(AT, present(AT, self.number(AT))?)?,
            expires_at: self.number(EXPIRES_AT).map(|micros| moment(EXPIRES_AT, micros)).transpose()?,
            payload: bytes::Bytes::new(),
        })
    }

    fn header(&self, name: &str) -> Option<&AMQPValue> {
        self.0.headers().as_ref()?.inner().get(name)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.header(name).and_then(as_text)
    }

    fn number(&self, name: &str) -> Option<i64> {
        let AMQPValue::LongLongInt(number) = self.header(name)? else { return None };
        Some(*number)
    }
}

fn present<T>(property: &'static str, value: Option<T>) -> Result<T, Undecodable> {
    value.ok_or_else(|| Undecodable { property, problem: "is missing, or of another type".to_owned() })
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(property: &'static str, value: Option<String>) -> Result<T, Undecodable> {
    present(property, value)?.parse().map_err(|error: T::Err| Undecodable { property, problem: format!("is none: {error}") })
}

fn moment(property: &'static str, micros: i64) -> Result<Timestamp, Undecodable> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| Undecodable { property, problem: format!("{micros} is no moment") })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn moments() -> impl Strategy<Value = Timestamp> {
        (0..4_102_444_800_000_000_i64).prop_map(|micros| DateTime::from_timestamp_micros(micros).unwrap())
    }

    fn ids() -> impl Strategy<Value = Uuid> {
        any::<u128>().prop_map(Uuid::from_u128)
    }

    prop_compose! {
        fn envelopes()(
            id in ids(), kind in "[a-z.]{1,255}", organisation in "[a-z][a-z0-9-]{0,60}", correlation in ids(), causation in prop::option::of(ids()),
            idempotency_key in ".{0,400}", sender in "[a-z]{1,20}", numbers in any::<(i64, i64)>(),
            traceparent in "|00-[0-9a-f]{32}-[0-9a-f]{16}-01", tracestate in "|[a-z]=[a-z]{0,500}",
        )(
            at in moments(), expires_at in prop::option::of(moments()), payload in prop::collection::vec(any::<u8>(), 0..300),
            envelope in Just((id, kind, organisation, correlation, causation, idempotency_key, sender, numbers, traceparent, tracestate)),
        ) -> Envelope {
            let (id, kind, organisation, correlation, causation, idempotency_key, sender, numbers, traceparent, tracestate) = envelope;
            Envelope {
                id: MessageId::from_uuid(id),
                kind,
                organisation: organisation.parse().unwrap(),
                correlation,
                causation: causation.map(MessageId::from_uuid),
                idempotency_key,
                sender,
                sender_number: numbers.0,
                entity_version: numbers.1,
                trace: TraceContext { traceparent, tracestate },
                at,
                expires_at,
                payload: Bytes::from(payload),
            }
        }
    }

    proptest! {
        #[test]
        fn an_envelope_comes_back_as_it_was(sent in envelopes()) {
            prop_assert_eq!(check(&sent), Ok(()));
            let came = envelope(&properties(&sent), sent.payload.to_vec()).map_err(|(error, _)| error);
            prop_assert_eq!(came.as_ref(), Ok(&sent));
            let dead = buried(properties(&sent), "why", sent.at);
            prop_assert_eq!(epitaph(&dead), ("why".to_owned(), Some(sent.at)));
            prop_assert_eq!(envelope(&dead, sent.payload.to_vec()).map_err(|(error, _)| error), Ok(sent));
        }
    }

    #[test]
    fn each_missing_property_is_named() {
        let (error, payload) = envelope(&BasicProperties::default(), vec![1]).unwrap_err();
        assert_eq!((error.property, payload), ("message-id", vec![1]));
        let id = BasicProperties::default().with_message_id(Uuid::nil().to_string().into());
        assert_eq!(envelope(&id, vec![]).unwrap_err().0.property, "type");
        let kind = id.with_type("a.event.b.v1".into());
        assert_eq!(envelope(&kind, vec![]).unwrap_err().0.to_string(), "organisation is missing, or of another type");
    }
}
