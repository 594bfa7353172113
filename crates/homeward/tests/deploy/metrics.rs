//! Dashboards and alerts name metrics that exist: those that the program's own source makes, and a few of RabbitMQ's and
//! Prometheus' own.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::{every_text, none, text, top, yaml};

/// Of others: Prometheus' own, and RabbitMQ's page `/metrics/detailed`.
const FOREIGN: [&str; 3] = ["up", "rabbitmq_detailed_queue_messages_ready", "rabbitmq_detailed_queue_consumers"];

/// The metrics that our source makes, as Prometheus' page spells them.
fn ours() -> BTreeSet<String> {
    let mut sources = String::new();
    for entry in std::fs::read_dir(top().join("crates")).unwrap() {
        gather(&entry.unwrap().path().join("src"), &mut sources);
    }
    let mut found = BTreeSet::new();
    for (function, rest) in calls(&sources) {
        let mut texts = rest.split('"').skip(1).step_by(2);
        let Some(name) = texts.next().filter(|name| name.starts_with("homeward.")) else { continue };
        let name = name.replace('.', "_");
        match function {
            "counter" => drop(found.insert(format!("{name}_total"))),
            "seconds" => found.extend(["bucket", "sum", "count"].map(|part| format!("{name}_seconds_{part}"))),
            _ => drop(found.insert(format!("{name}{}", suffix(texts.next().unwrap_or_default())))),
        }
    }
    found
}

/// What the page appends for a unit. Units in braces only say what is counted.
fn suffix(unit: &str) -> &'static str {
    match unit {
        "s" => "_seconds",
        "By" => "_bytes",
        "1" => "_ratio",
        _ => "",
    }
}

/// Every call of the three functions of `homeward_chassis::metrics` that make an instrument, and what stands behind it.
fn calls(sources: &str) -> impl Iterator<Item = (&'static str, &str)> {
    ["counter", "gauge", "seconds"].into_iter().flat_map(move |function| {
        let call = format!("{function}(");
        let ends: Vec<usize> = sources.match_indices(&call).map(|(at, _)| at + call.len()).collect();
        ends.into_iter().map(move |end| (function, &sources[end..])).filter(|(_, rest)| rest.trim_start().starts_with('"'))
    })
}

fn gather(folder: &Path, sources: &mut String) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            gather(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// The names of metrics in an expression of Prometheus: words before a selector or alone, that are not its own words.
fn named(expression: &str) -> BTreeSet<String> {
    let bare = without_labels(expression);
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    bare.split(|c: char| !word(c))
        .filter(|word| word.starts_with("homeward_") || word.starts_with("rabbitmq_") || *word == "up")
        .map(str::to_owned)
        .collect()
}

/// Without what stands in braces: labels, and the texts that they are compared with.
fn without_labels(expression: &str) -> String {
    let mut depth = 0;
    expression
        .chars()
        .filter(|c| match c {
            '{' => {
                depth += 1;
                false
            }
            '}' => {
                depth -= 1;
                false
            }
            _ => depth == 0,
        })
        .collect()
}

fn unknown(expressions: &[(String, String)]) -> Vec<String> {
    let known = ours();
    assert!(known.len() > 15, "does this test still know how instruments are made? {known:?}");
    let exists = |name: &str| known.contains(name) || FOREIGN.contains(&name);
    expressions
        .iter()
        .flat_map(|(place, expression)| {
            let names = named(expression);
            let nothing = names.is_empty().then(|| format!("{place}: no metric in {expression:?}"));
            let unknown = names.into_iter().filter(|name| !exists(name)).map(|name| format!("{place}: nobody exports {name}"));
            unknown.chain(nothing).collect::<Vec<_>>()
        })
        .collect()
}

/// Every `expr` in `value`.
fn expressions(value: &Value, place: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    every_text(value, "", &mut |path, text| {
        if path.rsplit('.').next() == Some("expr") {
            found.push((format!("{place}{path}"), text.to_owned()));
        }
    });
    found
}

#[test]
fn alerts_name_metrics_that_exist() {
    let rules = expressions(&yaml::document("deploy/prometheus/rules.yml"), "deploy/prometheus/rules.yml");
    assert!(rules.len() >= 10);
    none(&unknown(&rules), "An alert on a metric that nobody exports never fires.");
}

#[test]
fn dashboards_name_metrics_that_exist_and_are_provisioned() {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(top().join("deploy/grafana/dashboards")).unwrap() {
        let name = format!("deploy/grafana/dashboards/{}", entry.unwrap().file_name().display());
        let dashboard: Value = serde_json::from_str(&text(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(dashboard["uid"].is_string() && dashboard["title"].is_string(), "{name}");
        all.extend(expressions(&dashboard, &name));
    }
    assert!(all.len() > 25, "{}", all.len());
    none(&unknown(&all), "A panel of a metric that nobody exports stays empty.");
    let provider = yaml::document("deploy/grafana/provisioning/dashboards/homeward.yml");
    let path = provider["providers"][0]["options"]["path"].as_str().unwrap();
    assert!(text("docker-compose.yml").contains(&format!("./deploy/grafana/dashboards:{path}:ro")));
    let sources = yaml::document("deploy/grafana/provisioning/datasources/homeward.yml");
    assert_eq!(sources["datasources"][0]["uid"], "prometheus", "what the panels ask");
}

#[test]
fn every_role_is_scraped_at_its_probes() {
    let prometheus = yaml::document("deploy/prometheus/prometheus.yml");
    let compose = yaml::document("docker-compose.yml");
    let homeward = &prometheus["scrape_configs"][0];
    let mut named = yaml::texts(&homeward["dns_sd_configs"][0], "names");
    named.sort();
    let mut serving: Vec<String> = yaml::members(&compose, "services")
        .filter(|(_, service)| service["command"][0] == "serve")
        .map(|(name, _)| name.clone())
        .collect();
    serving.sort();
    assert_eq!(named, serving);
    let port = homeward["dns_sd_configs"][0]["port"].to_string();
    let probes = compose["services"]["policy"]["environment"]["HOMEWARD__LISTEN__PROBES"].as_str().unwrap();
    assert!(probes.ends_with(&format!(":{port}")), "{probes} is not at {port}");
}
