//! Keeps personal data and secrets out of logs and traces, whoever wrote them into a message.

use std::borrow::Cow;
use std::time::Duration;

use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

const BEARER: &str = "Bearer ";

/// `text` with every e-mail address cut to its first letter and domain, and every bearer token cut away.
pub fn mask_emails(text: &str) -> Cow<'_, str> {
    if !text.contains('@') && !text.contains(BEARER) {
        return Cow::Borrowed(text);
    }
    let masked = mask_addresses(text);
    if masked.contains(BEARER) { Cow::Owned(mask_bearers(&masked)) } else { Cow::Owned(masked) }
}

fn mask_addresses(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        let start = before.rfind(|c| !in_local_part(c)).map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8));
        let local = &before[start..];
        match local.chars().next() {
            Some(first) if after.starts_with(|c: char| c.is_alphanumeric()) => {
                masked.push_str(&before[..start]);
                masked.push(first);
                masked.push('…');
            }
            _ => masked.push_str(before),
        }
        masked.push('@');
        rest = after;
    }
    masked.push_str(rest);
    masked
}

fn in_local_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-' | '\'' | '…')
}

fn in_token(c: char) -> bool {
    c == '…' || (c.is_ascii_graphic() && !matches!(c, '"' | ',' | ')' | '}'))
}

fn mask_bearers(text: &str) -> String {
    let mut parts = text.split(BEARER);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push_str(BEARER);
        masked.push('…');
        masked.push_str(part.trim_start_matches(in_token));
    }
    masked
}

/// Exports spans with their attributes and events masked.
#[derive(Debug)]
pub(super) struct Masked<E>(pub(super) E);

impl<E: SpanExporter> SpanExporter for Masked<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        for span in &mut batch {
            span.attributes.iter_mut().for_each(mask_attribute);
            for event in &mut span.events.events {
                // What a log line said is the name of its event.
                if let Cow::Owned(masked) = mask_emails(&event.name) {
                    event.name = Cow::Owned(masked);
                }
                event.attributes.iter_mut().for_each(mask_attribute);
            }
        }
        self.0.export(batch).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

fn mask_attribute(attribute: &mut KeyValue) {
    if let Value::String(text) = &mut attribute.value
        && let Cow::Owned(masked) = mask_emails(text.as_str())
    {
        *text = masked.into();
    } else if let Value::Array(Array::String(texts)) = &mut attribute.value {
        for text in texts {
            *text = mask_emails(text.as_str()).into_owned().into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::mask_emails;

    fn check(text: &str, masked: &str) {
        assert_eq!(mask_emails(text), masked);
        assert_eq!(mask_emails(masked), masked, "masking twice changes nothing");
    }

    #[test]
    fn an_address_keeps_its_first_letter_and_its_domain() {
        check("mia.berg@example.com", "m…@example.com");
        check("told mia+x@example.com, and <Jörg@example.org>", "told m…@example.com, and <J…@example.org>");
        check("\"a@b\" élan@x.org", "\"a…@b\" é…@x.org");
        check("a@b@c", "a…@b…@c");
    }

    #[test]
    fn what_is_no_address_stays() {
        check("nothing here", "nothing here");
        check("@mention, 3 @ 4, a@", "@mention, 3 @ 4, a@");
    }

    #[test]
    fn a_token_does_not_show() {
        check("sent Bearer abc.def-1, to x", "sent Bearer …, to x");
        check("{\"authorization\": \"Bearer s3cr3t\"}", "{\"authorization\": \"Bearer …\"}");
    }
}
