//! docker-compose.yml

use std::collections::BTreeSet;

use serde_json::Value;

use crate::yaml::{elements, members, texts};
use crate::{is_pinned, none, prepared, program, schema, secrets_in, top, yaml};

const FILE: &str = "docker-compose.yml";

/// Images that have no program to ask them with; nobody waits for their health.
const SILENT: [&str; 2] = ["otel", "jaeger"];

/// What ends by itself.
const JOBS: [&str; 4] = ["prepare", "migrate", "cli", "demo"];

fn compose() -> Value {
    yaml::document(FILE)
}

/// Each service's name and what stands under it.
fn services(compose: &Value) -> Vec<(&str, &Value)> {
    members(compose, "services").map(|(name, service)| (name.as_str(), service)).collect()
}

/// Services that run the program.
fn ours(service: &Value) -> bool {
    service["image"].as_str().is_some_and(|image| image.starts_with("homeward:") || image.starts_with("homeward-demo:"))
}

fn environment(service: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    members(service, "environment").map(|(name, value)| (name.clone(), text(value).replace("$$", "$"))).collect()
}

/// For whom `prepare` made what is mounted at `/run/homeward`.
fn prepared_for(service: &Value) -> Option<String> {
    texts(service, "volumes").iter().find_map(|volume| {
        let (source, target) = volume.split_once(':')?;
        target.starts_with(prepared::SEEN_AS).then(|| source.trim_start_matches("prepared-").to_owned())
    })
}

#[test]
fn it_is_what_the_specification_says() {
    none(&schema::findings(&schema::COMPOSE, &compose(), FILE), "The Compose specification's schema.");
}

#[test]
fn every_role_is_served_and_every_command_is_one_that_the_program_knows() {
    let compose = compose();
    let mut findings = Vec::new();
    let mut served = BTreeSet::new();
    for (name, service) in services(&compose).into_iter().filter(|(_, service)| ours(service)) {
        let command = texts(service, "command");
        if command.first().is_some_and(|first| first == "serve") {
            served.insert(name.to_owned());
            assert_eq!(command.get(1).map(String::as_str), Some(name), "a service serves the role that it is called");
        }
        findings.extend(program::misunderstood(&command));
    }
    assert_eq!(served, ["console", "directory", "notification", "patrol", "policy", "recovery"].map(str::to_owned).into());
    none(&findings, "Commands in docker-compose.yml.");
}

#[test]
fn every_variable_is_a_setting_and_every_service_starts_with_a_configuration_that_is_fine() {
    let compose = compose();
    let mut findings = Vec::new();
    let mut checked = 0;
    for (name, service) in services(&compose).into_iter().filter(|(_, service)| ours(service)) {
        let environment = environment(service);
        let unknown = |variable: &String| !variable.starts_with("HOMEWARD__") && !program::takes_variable(variable);
        findings.extend(
            environment.iter().filter(|(variable, _)| unknown(variable)).map(|(variable, _)| format!("{name}: {variable}")),
        );
        let Some(role) = prepared_for(service) else { continue };
        findings.extend(environment.iter().filter_map(|(_, value)| prepared::missing(value, &role)));
        if environment.iter().any(|(variable, _)| variable == "HOMEWARD_CONFIG") {
            let here: Vec<_> =
                environment.into_iter().map(|(variable, value)| (variable, prepared::here(&value, &role))).collect();
            findings.extend(program::refused(&here, &texts(service, "command")).map(|said| format!("{name}: {said}")));
            checked += 1;
        }
    }
    assert_eq!(checked, 7, "six roles and the migrations");
    none(&findings, "Settings in docker-compose.yml, and the files that they name.");
}

#[test]
fn nothing_runs_as_root_or_with_more_than_it_needs() {
    let compose = compose();
    let mut findings = Vec::new();
    for (name, service) in services(&compose) {
        let mut expect = |what: &str, holds: bool| {
            if !holds {
                findings.push(format!("{name}: {what}"));
            }
        };
        let user = service["user"].as_str().unwrap_or_default();
        expect(
            "user: a number that is not 0",
            user.split(':').next().and_then(|id| id.parse::<u32>().ok()).is_some_and(|id| id > 0),
        );
        expect("read_only: true", service["read_only"] == true);
        expect("cap_drop: [ALL]", texts(service, "cap_drop") == ["ALL"] && service.get("cap_add").is_none());
        expect("no-new-privileges", texts(service, "security_opt") == ["no-new-privileges:true"]);
        expect("not privileged", service.get("privileged").is_none());
        expect("an image with its version", service["image"].as_str().is_some_and(is_pinned));
        for port in texts(service, "ports") {
            expect(&format!("{port} on loopback only"), port.starts_with("127.0.0.1:"));
        }
    }
    findings.extend(secrets_in(&compose, FILE));
    none(&findings, "Least privilege, pinned images, loopback, no secret.");
}

#[test]
fn our_images_carry_our_version() {
    let compose = compose();
    let expected = format!(":{}", env!("CARGO_PKG_VERSION"));
    let built: Vec<_> = services(&compose).into_iter().filter(|(_, service)| service.get("build").is_some()).collect();
    assert!(built.len() >= 9, "{}", built.len());
    let dockerfile = crate::text("deploy/Dockerfile");
    for (name, service) in built {
        assert!(service["image"].as_str().unwrap().ends_with(&expected), "{name}: {}", service["image"]);
        let target = service["build"]["target"].as_str().unwrap();
        assert!(dockerfile.contains(&format!(" AS {target}\n")), "{name}: deploy/Dockerfile has no target {target}");
    }
}

#[test]
fn what_is_waited_for_can_come_true() {
    let compose = compose();
    let all = services(&compose);
    let find = |name: &str| all.iter().find(|(found, _)| *found == name).map(|(_, service)| *service);
    let healthy = |service: &Value| service["healthcheck"].get("test").is_some() && service["healthcheck"]["disable"] != true;
    let mut findings = Vec::new();
    for (name, service) in &all {
        if !JOBS.contains(name) && !SILENT.contains(name) && !healthy(service) {
            findings.push(format!("{name} has no health check"));
        }
        for (awaited, how) in members(service, "depends_on") {
            let Some(other) = find(awaited) else {
                findings.push(format!("{name} waits for {awaited}, which is not there"));
                continue;
            };
            let possible = match how["condition"].as_str().unwrap_or_default() {
                "service_healthy" => healthy(other),
                "service_completed_successfully" => JOBS.contains(&awaited.as_str()) && other["restart"] == "no",
                "service_started" => SILENT.contains(&awaited.as_str()),
                _ => false,
            };
            if !possible {
                findings.push(format!("{name} waits for {awaited} to be {}, which it never is", how["condition"]));
            }
        }
    }
    none(&findings, "Start order.");
}

#[test]
fn what_is_mounted_exists() {
    let compose = compose();
    let mut findings = Vec::new();
    let mut used = BTreeSet::new();
    for (name, service) in services(&compose) {
        for volume in texts(service, "volumes") {
            let source = volume.split(':').next().unwrap().to_owned();
            if source.starts_with('.') {
                if !top().join(&source).exists() {
                    findings.push(format!("{name}: {source} is not in the repository"));
                }
            } else if compose["volumes"].get(&source).is_none() {
                findings.push(format!("{name}: volume {source} is not declared"));
            } else {
                used.insert(source);
            }
        }
        for network in elements(service, "networks").filter_map(Value::as_str) {
            if compose["networks"].get(network).is_none() {
                findings.push(format!("{name}: network {network} is not declared"));
            }
        }
    }
    findings.extend(
        members(&compose, "volumes")
            .filter(|(name, _)| !used.contains(*name))
            .map(|(name, _)| format!("volume {name} is not used")),
    );
    none(&findings, "Volumes and networks.");
}
