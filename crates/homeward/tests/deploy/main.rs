//! Holds the deployment files to what they are written for: the schemas of Compose and Kubernetes, the settings and commands
//! that this very program knows, the metrics that it exports. Needs no network and no container engine.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod compose;
mod kubernetes;
mod kustomize;
mod metrics;
mod prepared;
mod program;
mod schema;
mod yaml;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The top of the repository.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A file of the repository, as text.
fn text(path: &str) -> String {
    let file = top().join(path);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Fails with one line for each finding.
fn none(findings: &[String], rule: &str) {
    assert!(findings.is_empty(), "{rule}\n{}\n", findings.join("\n"));
}

/// Calls `see` with every text in `value` and the path to it.
fn every_text(value: &Value, path: &str, see: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) => see(path, text),
        Value::Array(values) => values.iter().enumerate().for_each(|(n, inner)| every_text(inner, &format!("{path}[{n}]"), see)),
        Value::Object(table) => table.iter().for_each(|(key, inner)| every_text(inner, &format!("{path}.{key}"), see)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether an image's version is named, so that two who start it get the same.
fn is_pinned(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':')
        .is_some_and(|(_, tag)| tag.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()) && tag.contains('.'))
}

/// Findings about texts that are, or look like, secrets: those belong into files that a job or an administrator makes.
fn secrets_in(value: &Value, place: &str) -> Vec<String> {
    const NAMES: [&str; 5] = ["password", "secret", "token", "api_key", "signing_key"];
    // How PostgreSQL keeps passwords; none itself.
    const HARMLESS: [&str; 1] = ["password_encryption"];
    let mut findings = Vec::new();
    every_text(value, "", &mut |path, text| {
        let key = path.rsplit('.').next().unwrap_or(path).to_lowercase();
        let named = NAMES.iter().any(|name| key.contains(name)) && !HARMLESS.contains(&key.as_str());
        // Kubernetes' names of secrets.
        let reference = key.ends_with("secretname") || key.ends_with("secret");
        let file = key.ends_with("_file") || text.starts_with('/');
        let switch = matches!(text, "true" | "false");
        let in_address = url::Url::parse(text).is_ok_and(|url| url.password().is_some());
        if (named && !file && !switch && !reference) || in_address || text.contains("PRIVATE KEY") {
            findings.push(format!("{place}{path}: give it by a file"));
        }
    });
    findings
}

#[test]
fn what_looks_like_a_secret_is_found() {
    let bad = serde_json::json!({ "environment": { "A_PASSWORD": "x", "B": "amqp://a:b@c", "C_TOKEN_FILE": "/run/c" } });
    assert_eq!(secrets_in(&bad, "x").len(), 2);
    assert!(
        is_pinned("a/b:v1.2")
            && !is_pinned("a/b")
            && !is_pinned("a:latest")
            && !is_pinned("localhost:5000/a")
            && !is_pinned("a:17")
    );
}

#[test]
fn every_image_that_a_build_begins_with_is_pinned() {
    let text = text("deploy/Dockerfile");
    let begins: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("FROM ")).filter_map(|line| line.split(' ').next()).collect();
    let stages: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("FROM ")?.split(" AS ").nth(1)).collect();
    let findings: Vec<_> = begins
        .iter()
        .filter(|from| !stages.contains(from) && !is_pinned(from))
        .map(|from| format!("deploy/Dockerfile: {from}"))
        .collect();
    assert!(begins.len() >= 6, "does this test still know how the Dockerfile is written? {begins:?}");
    none(&findings, "A build of tomorrow begins with what today's began with.");
}
