//! YAML as JSON values, with merge keys already followed.

use serde_json::Value;

use crate::text;

/// The documents of a YAML file of the repository; empty ones are left out.
pub fn documents(path: &str) -> Vec<Value> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text(path)).unwrap_or_else(|error| panic!("{path} is not YAML: {error}"));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// The one document of a YAML file.
pub fn document(path: &str) -> Value {
    let mut documents = documents(path);
    assert_eq!(documents.len(), 1, "{path} has one document");
    documents.remove(0)
}

/// The members of `value` at `key`, or none.
pub fn members<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value[key].as_object().into_iter().flatten()
}

/// The elements of `value` at `key`, or none.
pub fn elements<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

/// The texts of `value` at `key`, or none.
pub fn texts(value: &Value, key: &str) -> Vec<String> {
    elements(value, key).map(|element| element.as_str().map_or_else(|| element.to_string(), str::to_owned)).collect()
}
