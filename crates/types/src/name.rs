//! Names that come from outside. The only way to get one is through its check.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not a name of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("{kind} is empty")]
    Empty {
        /// What was expected.
        kind: &'static str,
    },
    /// Longer than any real one.
    #[error("{kind} has {length} characters; at most {limit} are allowed")]
    TooLong {
        /// What was expected.
        kind: &'static str,
        /// Characters found.
        length: usize,
        /// Characters allowed.
        limit: usize,
    },
    /// A character that this kind of name never has.
    #[error("{kind} holds the character {found:?}, which is not allowed there")]
    Character {
        /// What was expected.
        kind: &'static str,
        /// The first offending character.
        found: char,
    },
    /// Not of the form `someone@domain`.
    #[error("{0:?} is not an e-mail address: expected the form someone@domain")]
    NotAnEmail(String),
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $limit:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                let allowed: fn(char) -> bool = $allowed;
                if text.is_empty() {
                    return Err(NameError::Empty { kind: $kind });
                }
                let length = text.chars().count();
                if length > $limit {
                    return Err(NameError::TooLong { kind: $kind, length, limit: $limit });
                }
                match text.chars().find(|c| !allowed(*c)) {
                    Some(found) => Err(NameError::Character { kind: $kind, found }),
                    None => Ok(Self(text)),
                }
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A tenant at the identity provider, as our configuration calls it (a short slug).
    OrganisationId, "organisation", 64, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
);
name!(
    /// An account, by the provider's id. Atlassian: `[a-zA-Z0-9_|:-]{1,128}`.
    AccountId, "account id", 128, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '|' | ':' | '-')
);
name!(
    /// An authentication policy, by the provider's id.
    PolicyId, "policy id", 128, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-' | '.')
);
name!(
    /// A person who asks, approves or operates; one person may hold several tokens and accounts.
    PersonId, "person", 128, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '+')
);

/// An e-mail address. Compared in lower case, as providers do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

impl Email {
    /// The address in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands after the `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// The address as logs may show it: first letter and domain.
    pub fn masked(&self) -> String {
        let first = self.0.chars().next().unwrap_or('?');
        format!("{first}…@{}", self.domain())
    }
}

impl TryFrom<String> for Email {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        const LIMIT: usize = 254; // RFC 5321, 4.5.3.1.3, less the angle brackets
        let length = text.chars().count();
        if length > LIMIT {
            return Err(NameError::TooLong { kind: "e-mail address", length, limit: LIMIT });
        }
        let well_formed =
            text.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'))
                && !text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ','));
        if well_formed { Ok(Self(text.to_lowercase())) } else { Err(NameError::NotAnEmail(text)) }
    }
}

impl FromStr for Email {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl From<Email> for String {
    fn from(email: Email) -> String {
        email.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_refused_with_what_is_wrong() {
        assert_eq!("".parse::<AccountId>(), Err(NameError::Empty { kind: "account id" }));
        assert_eq!("a b".parse::<AccountId>(), Err(NameError::Character { kind: "account id", found: ' ' }));
        assert!("557058:0b5e|x_-".parse::<AccountId>().is_ok());
    }

    #[test]
    fn an_address_is_compared_in_lower_case() {
        let email: Email = "Mia.Berg@Example.COM".parse().unwrap();
        assert_eq!(email.as_str(), "mia.berg@example.com");
        assert_eq!(email.domain(), "example.com");
        assert_eq!(email.masked(), "m…@example.com");
        for bad in ["", "mia", "@x", "mia@", "a@b@c", "a b@c", "a@b\n"] {
            assert!(bad.parse::<Email>().is_err(), "{bad:?}");
        }
    }
}
