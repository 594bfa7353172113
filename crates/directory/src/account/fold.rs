//! Names and addresses as searches compare them: lower case, no accents, words.

use std::collections::BTreeSet;

use homeward_types::Email;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Words of one account that are kept for searching; a name with more is a joke.
const MOST_WORDS: usize = 16;

/// Characters of a word that are kept.
const LONGEST_WORD: usize = 40;

/// Lower case, without accents, single blanks.
pub fn fold(text: &str) -> String {
    let plain: String = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words of a text, each once, sorted.
pub fn words(text: &str) -> BTreeSet<String> {
    let folded = fold(text);
    let words = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word.chars().take(LONGEST_WORD).collect()).take(MOST_WORDS).collect()
}

/// The words by which an account is found: those of the name, and those of the address before its `@`.
pub fn words_of(name: &str, email: Option<&Email>) -> BTreeSet<String> {
    let mut all = words(name);
    if let Some((local, _)) = email.and_then(|email| email.as_str().split_once('@')) {
        all.extend(words(local));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_accents_and_extra_blanks() {
        assert_eq!(fold("  Jürgen   MÜLLER-Ångström "), "jurgen muller-angstrom");
        assert_eq!(fold("Ｍｉａ"), "mia", "full width");
        assert_eq!(fold(""), "");
    }

    #[test]
    fn words_are_those_of_name_and_address() {
        let email: Email = "sam.okafor+work@northwind.example".parse().unwrap();
        let found: Vec<String> = words_of("Sam O'Kafor", Some(&email)).into_iter().collect();
        assert_eq!(found, ["kafor", "o", "okafor", "sam", "work"]);
        assert!(words("… – !").is_empty());
        assert_eq!(words("山田 太郎").len(), 2);
    }
}
