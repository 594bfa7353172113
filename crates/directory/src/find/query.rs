//! What a person typed, taken apart. Pure.

use std::collections::BTreeSet;

use homeward_types::{AccountId, Email};

use crate::account::{Account, fold};

/// A query in every reading that it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// An address.
    pub email: Option<Email>,
    /// An id; anything short without blanks could be one.
    pub id: Option<AccountId>,
    /// The text as searches compare it.
    pub folded: String,
    /// The words of a name; none for an address, which means that address alone.
    pub words: BTreeSet<String>,
}

impl Query {
    /// Takes a text apart.
    pub fn new(text: &str) -> Self {
        let text = text.trim();
        let email: Option<Email> = text.parse().ok();
        let words = if email.is_some() { BTreeSet::new() } else { fold::words(text) };
        Self { id: text.parse().ok(), folded: fold::fold(text), words, email }
    }

    /// Whether it names exactly this account.
    pub fn names(&self, account: &Account) -> bool {
        self.id.as_ref() == Some(&account.id) || (self.email.is_some() && self.email == account.email)
    }

    /// Whether it is worth asking the provider for an account with this id: names of people are short and have no digits.
    pub fn looks_like_an_id(&self) -> bool {
        self.id.as_ref().is_some_and(|id| id.as_str().len() >= 16 && id.as_str().chars().any(|c| c.is_ascii_digit()))
    }

    /// What it is compared by for close misses: an address by what stands before the `@`.
    pub fn text(&self) -> &str {
        self.folded.split_once('@').map_or(&self.folded, |(local, _)| local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_an_address_an_id_or_a_name() {
        let address = Query::new("  Sam.Okafor@Northwind.example ");
        assert_eq!(address.email.as_ref().map(Email::as_str), Some("sam.okafor@northwind.example"));
        assert!(address.words.is_empty() && !address.looks_like_an_id());
        assert_eq!(address.text(), "sam.okafor");
        let id = Query::new("712020:6b0c1d9e-0f5a-4f57-9d62-a0e1c5d7f001");
        assert!(id.email.is_none() && id.looks_like_an_id());
        let name = Query::new("Mia Berg");
        assert!(name.email.is_none() && name.id.is_none() && name.words.len() == 2);
        assert!(Query::new("Bartholomew-Christopher").id.is_some() && !Query::new("Bartholomew-Christopher").looks_like_an_id());
        assert_eq!(Query::new("  "), Query { email: None, id: None, folded: String::new(), words: BTreeSet::new() });
    }
}
