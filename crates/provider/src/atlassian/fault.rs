//! What the provider says when it refuses: at least four shapes of body, or none at all.

use serde_json::Value;

use super::json::{list, number, text};

/// The longest piece of the provider's words that we pass on.
const LONGEST: usize = 300;

/// What a body of an error says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Fault {
    /// The provider's code for it: `ADMIN-404-5`, `forbidden.insufficientScope`, `403`.
    pub(super) code: String,
    /// The provider's words, cut, with addresses masked.
    pub(super) words: String,
    /// Whether the body has one of the provider's own shapes, or is empty; a page of some gateway between is neither.
    pub(super) genuine: bool,
    /// Whether there was any body.
    pub(super) empty: bool,
}

impl Fault {
    /// Reads any body.
    pub(super) fn of(body: &[u8]) -> Self {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Self { genuine: true, empty: true, ..Self::default() };
        }
        serde_json::from_slice(body).ok().and_then(|value| Self::of_value(&value)).unwrap_or_default()
    }

    fn of_value(value: &Value) -> Option<Self> {
        let (code, words) = if let Some(first) = list(value, "errors").first() {
            let words = [text(first, "title"), text(first, "detail")].into_iter().flatten().collect::<Vec<_>>().join(": ");
            (text(first, "code").or_else(|| text(first, "status")).unwrap_or_default().to_owned(), words)
        } else if let Some(key) = text(value, "key") {
            (key.to_owned(), value.get("context").map(context_words).unwrap_or_default())
        } else if let (Some(status), Some(error)) = (number(value, "status"), text(value, "error")) {
            (status.to_string(), text(value, "message").unwrap_or(error).to_owned())
        } else {
            let code = number(value, "code").map(|code| code.to_string()).or_else(|| Some(text(value, "code")?.to_owned()))?;
            (code, text(value, "message")?.to_owned())
        };
        Some(Self { code: tame(&code), words: tame(&words), genuine: true, empty: false })
    }
}

/// The context of a User-management error, without its account id.
fn context_words(context: &Value) -> String {
    if let Some(message) = text(context, "message").or_else(|| text(context, "key")) {
        return message.to_owned();
    }
    if let Some(domain) = text(context, "domain") {
        return format!("domain {domain}");
    }
    list(context, "errorCodes").iter().filter_map(|code| text(code, "code")).collect::<Vec<_>>().join(", ")
}

/// The provider's words as we pass them on: one line, not too long, no address in full.
pub(super) fn tame(words: &str) -> String {
    let masked = words
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .map(|word| if word.contains('@') { "(an address)" } else { word });
    let mut line = String::new();
    for word in masked {
        if line.chars().count() + word.chars().count() >= LONGEST {
            line.push('…');
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_known_shape_is_read() {
        let shapes: [(&str, &str, &str); 5] = [
            (
                r#"{"errors":[{"id":"1","status":"400","code":"ADMIN-400-1","title":"Bad","detail":"cursor"}]}"#,
                "ADMIN-400-1",
                "Bad: cursor",
            ),
            (r#"{"code":404,"message":"not here"}"#, "404", "not here"),
            (
                r#"{"timestamp":"t","path":"/p","status":403,"error":"Forbidden","message":"no permission","requestId":"r"}"#,
                "403",
                "no permission",
            ),
            (
                r#"{"key":"forbidden.unclaimedDomain","context":{"domain":"example.com"}}"#,
                "forbidden.unclaimedDomain",
                "domain example.com",
            ),
            (
                r#"{"key":"conflict.lifecycleErrors","context":{"accountId":"1","errorCodes":[{"code":"a"},{"code":"b"}]}}"#,
                "conflict.lifecycleErrors",
                "a, b",
            ),
        ];
        for (body, code, words) in shapes {
            let fault = Fault::of(body.as_bytes());
            assert_eq!((fault.code.as_str(), fault.words.as_str(), fault.genuine), (code, words, true), "{body}");
        }
        let empty = Fault::of(b" \n");
        assert!(empty.genuine && empty.empty);
    }

    #[test]
    fn a_page_of_a_gateway_is_not_the_providers_word() {
        for body in ["<html><body>404 Not Found</body></html>", "{", "[]", "null", r#"{"foo":1}"#, r#"{"code":404}"#] {
            assert!(!Fault::of(body.as_bytes()).genuine, "{body}");
        }
    }

    #[test]
    fn an_address_is_not_passed_on() {
        assert_eq!(tame("user mia.berg@example.com\nis not managed"), "user (an address) is not managed");
        assert!(tame(&"word ".repeat(1_000)).chars().count() <= LONGEST + 1);
    }

    proptest! {
        #[test]
        fn no_body_brings_it_down(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Fault::of(&body);
        }
    }
}
