//! The schemas under deploy/schemas.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::text;

/// The Compose specification's.
pub static COMPOSE: LazyLock<Validator> = LazyLock::new(|| validator(&json(&text("deploy/schemas/compose-spec.json"))));

static KUBERNETES: LazyLock<Value> = LazyLock::new(|| json(&text("deploy/schemas/kubernetes.json")));

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn validator(schema: &Value) -> Validator {
    jsonschema::validator_for(schema).unwrap()
}

/// The schema of a kind of Kubernetes resource, by `apiVersion` and `kind`, if it is among those that are checked in.
pub fn kubernetes(api_version: &str, kind: &str) -> Option<Validator> {
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    let group = group.split('.').next().unwrap_or(group);
    let name = format!("io.k8s.api.{group}.{version}.{kind}");
    KUBERNETES["$defs"].get(&name)?;
    Some(validator(&json!({ "$defs": KUBERNETES["$defs"], "$ref": format!("#/$defs/{name}") })))
}

/// What a schema finds wrong with `value`.
pub fn findings(schema: &Validator, value: &Value, place: &str) -> Vec<String> {
    schema.iter_errors(value).map(|error| format!("{place}{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_schemas_find_what_is_wrong() {
    let misspelt = json!({ "services": { "a": { "image": "x:1.0", "read_onyl": true } } });
    assert_eq!(findings(&COMPOSE, &misspelt, "").len(), 1);
    let deployment = kubernetes("apps/v1", "Deployment").unwrap();
    let right = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "a" },
        "spec": { "selector": { "matchLabels": { "a": "b" } }, "template": { "spec": { "containers": [{ "name": "a" }] } } },
    });
    assert!(findings(&deployment, &right, "").is_empty());
    let mut misspelt = right.clone();
    misspelt["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = json!({});
    assert!(!findings(&deployment, &misspelt, "").is_empty());
    let mut wrong = right;
    wrong["spec"]["replicas"] = json!("two");
    assert!(!findings(&deployment, &wrong, "").is_empty());
    assert!(kubernetes("postgresql.cnpg.io/v1", "Cluster").is_none());
}
