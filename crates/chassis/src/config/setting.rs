//! Reads settings into their types, and tells what does not fit in a form that can be explained.
//!
//! What comes from the environment is text, so a text is taken for a number or a truth where one is wanted, and the
//! other way round.

use std::fmt::{self, Display};

use ::config::{Value, ValueKind};
use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

/// Why a setting does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misfit {
    #[error("no such setting `{key}`")]
    UnknownKey { key: String, known: &'static [&'static str] },
    #[error("`{key}` is missing")]
    MissingKey { key: &'static str },
    #[error("no such choice `{found}`")]
    UnknownChoice { found: String, known: &'static [&'static str] },
    #[error("{0}")]
    Other(String),
}

impl Error for Misfit {
    fn custom<T: Display>(message: T) -> Self {
        Self::Other(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::Other(format!("expected {}, found {found}", in_words(&wanted.to_string())))
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::Other(format!("expected {}, found {found}", in_words(&wanted.to_string())))
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        Self::UnknownChoice { found: found.to_owned(), known }
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Self::UnknownKey { key: key.to_owned(), known }
    }

    fn missing_field(key: &'static str) -> Self {
        Self::MissingKey { key }
    }
}

/// serde names the Rust type, which means nothing to whoever writes the file.
fn in_words(wanted: &str) -> &str {
    match wanted {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        table if table.starts_with("struct ") => "a table",
        other => other,
    }
}

/// A setting, or a table of them, to be read into a type.
pub(super) struct Setting(pub(super) Value);

/// Reads a text as `$type` if it is one; everything else, and a text that is none, goes the usual way.
macro_rules! from_text {
    ($($method:ident, $visit:ident, $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            match &self.0.kind {
                ValueKind::String(text) if let Ok(value) = text.parse::<$type>() => visitor.$visit(value),
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Setting {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0.kind {
            ValueKind::Nil => visitor.visit_unit(),
            ValueKind::Boolean(value) => visitor.visit_bool(value),
            ValueKind::I64(value) => visitor.visit_i64(value),
            ValueKind::I128(value) => visitor.visit_i128(value),
            ValueKind::U64(value) => visitor.visit_u64(value),
            ValueKind::U128(value) => visitor.visit_u128(value),
            ValueKind::Float(value) => visitor.visit_f64(value),
            ValueKind::String(value) => visitor.visit_string(value),
            ValueKind::Array(values) => visitor.visit_seq(SeqDeserializer::new(values.into_iter().map(Setting))),
            ValueKind::Table(table) => {
                visitor.visit_map(MapDeserializer::new(table.into_iter().map(|(key, value)| (key, Setting(value)))))
            }
        }
    }

    from_text! {
        deserialize_bool, visit_bool, bool;
        deserialize_i8, visit_i64, i64;
        deserialize_i16, visit_i64, i64;
        deserialize_i32, visit_i64, i64;
        deserialize_i64, visit_i64, i64;
        deserialize_u8, visit_i64, i64;
        deserialize_u16, visit_i64, i64;
        deserialize_u32, visit_i64, i64;
        deserialize_u64, visit_u64, u64;
        deserialize_f32, visit_f64, f64;
        deserialize_f64, visit_f64, f64;
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0.kind {
            ValueKind::I64(value) => visitor.visit_string(value.to_string()),
            ValueKind::Boolean(value) => visitor.visit_string(value.to_string()),
            ValueKind::Nil
            | ValueKind::I128(_)
            | ValueKind::U64(_)
            | ValueKind::U128(_)
            | ValueKind::Float(_)
            | ValueKind::String(_)
            | ValueKind::Array(_)
            | ValueKind::Table(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if matches!(self.0.kind, ValueKind::Nil) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        if let Some(objection) = super::secret::objection(name, &self.0) {
            return Err(Misfit::Other(objection));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        choices: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0.kind {
            ValueKind::String(choice) => visitor.visit_enum(choice.into_deserializer()),
            ValueKind::Table(table) => visitor.visit_enum(MapAccessDeserializer::new(MapDeserializer::new(
                table.into_iter().map(|(key, value)| (key, Setting(value))),
            ))),
            found @ (ValueKind::Nil
            | ValueKind::Boolean(_)
            | ValueKind::I64(_)
            | ValueKind::I128(_)
            | ValueKind::U64(_)
            | ValueKind::U128(_)
            | ValueKind::Float(_)
            | ValueKind::Array(_)) => Err(Misfit::UnknownChoice { found: found.to_string(), known: choices }),
        }
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl IntoDeserializer<'_, Misfit> for Setting {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Setting(…)")
    }
}
