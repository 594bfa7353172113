//! deploy/kubernetes, rendered as kustomize does.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;

use crate::yaml::{elements, members, texts};
use crate::{every_text, is_pinned, kustomize, none, prepared, program, schema, secrets_in, text};

const FOLDER: &str = "deploy/kubernetes/production";

/// Kinds of operators, whose schemas no package carries.
const UNCHECKED: [&str; 4] = [
    "postgresql.cnpg.io/v1 Cluster",
    "rabbitmq.com/v1beta1 RabbitmqCluster",
    "cert-manager.io/v1 Issuer",
    "cert-manager.io/v1 Certificate",
];

static ALL: LazyLock<Vec<Value>> = LazyLock::new(|| kustomize::render(FOLDER));

fn kind(resource: &Value) -> String {
    format!("{} {}", resource["apiVersion"].as_str().unwrap_or_default(), resource["kind"].as_str().unwrap_or_default())
}

fn name(resource: &Value) -> &str {
    resource["metadata"]["name"].as_str().unwrap_or_default()
}

/// Resources that make pods.
fn workloads() -> impl Iterator<Item = &'static Value> {
    ALL.iter().filter(|resource| resource.pointer("/spec/template/spec/containers").is_some())
}

fn of_kind(kind: &str) -> impl Iterator<Item = &'static Value> {
    ALL.iter().filter(move |resource| resource["kind"] == kind)
}

/// The program's container of a workload.
fn homeward(workload: &Value) -> &Value {
    elements(&workload["spec"]["template"]["spec"], "containers").find(|container| container["name"] == "homeward").unwrap()
}

/// Whether a selector chooses the pods of a workload.
fn chooses(selector: &Value, workload: &Value) -> bool {
    let labels = &workload["spec"]["template"]["metadata"]["labels"];
    let equal = members(selector, "matchLabels").all(|(label, value)| labels[label] == *value);
    let among = elements(selector, "matchExpressions").all(|rule| {
        assert_eq!(rule["operator"], "In");
        elements(rule, "values").any(|value| labels[rule["key"].as_str().unwrap()] == *value)
    });
    equal && among
}

#[test]
fn every_resource_is_what_its_schema_says() {
    let mut findings = Vec::new();
    let mut checked = 0;
    for resource in ALL.iter() {
        let (kind, place) = (kind(resource), format!("{} {}", resource["kind"], name(resource)));
        let known = schema::kubernetes(resource["apiVersion"].as_str().unwrap(), resource["kind"].as_str().unwrap());
        match known {
            Some(schema) => {
                findings.extend(schema::findings(&schema, resource, &place));
                checked += 1;
            }
            None if UNCHECKED.contains(&kind.as_str()) => {}
            None => findings.push(format!("{place}: no schema of {kind}; add it to deploy/schemas/update.py")),
        }
    }
    assert!(checked > 35, "{checked}");
    none(&findings, "Kubernetes' own schemas.");
}

#[test]
fn every_command_and_configuration_is_one_that_the_program_knows() {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for workload in workloads() {
        let (role, container) = (name(workload), homeward(workload));
        let command = texts(container, "args");
        findings.extend(program::misunderstood(&command));
        let environment: Vec<(String, String)> = elements(container, "env")
            .map(|e| (e["name"].as_str().unwrap().to_owned(), e["value"].as_str().unwrap().to_owned()))
            .collect();
        findings.extend(environment.iter().filter_map(|(_, value)| prepared::missing(value, role)));
        findings.extend(program::refused(&here(&environment, role), &command).map(|said| format!("{role}: {said}")));
        seen.insert(role);
    }
    assert_eq!(seen, ["console", "directory", "migrate", "notification", "patrol", "policy", "recovery"].into());
    none(&findings, "Commands and settings in deploy/kubernetes.");
}

/// The environment with the paths of this machine, and the settings of production with them too.
fn here(environment: &[(String, String)], role: &str) -> Vec<(String, String)> {
    let file = prepared::of(role).join("production.toml");
    let settings = text(&format!("{FOLDER}/homeward.toml"));
    std::fs::write(&file, prepared::here(&settings, role)).unwrap();
    let public = |value: &str| {
        value
            .replace("/run/public/tls.crt", "/run/homeward/certificate.pem")
            .replace("/run/public/tls.key", "/run/homeward/key.pem")
    };
    let value = |name: &str, value: &str| match name {
        "HOMEWARD_CONFIG" => file.display().to_string(),
        _ => prepared::here(&public(value), role),
    };
    environment.iter().map(|(name, text)| (name.clone(), value(name, text))).collect()
}

#[test]
fn nothing_runs_as_root_or_with_more_than_it_needs() {
    let mut findings = Vec::new();
    for workload in workloads() {
        let pod = &workload["spec"]["template"]["spec"];
        let mut expect = |what: &str, holds: bool| {
            if !holds {
                findings.push(format!("{} {}: {what}", workload["kind"], name(workload)));
            }
        };
        expect("runAsNonRoot", pod["securityContext"]["runAsNonRoot"] == true);
        expect("seccompProfile", pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault");
        expect("no token of the cluster", pod["automountServiceAccountToken"] == false);
        expect("its own service account", pod["serviceAccountName"] == workload["metadata"]["name"]);
        for container in elements(pod, "containers") {
            let context = &container["securityContext"];
            expect("readOnlyRootFilesystem", context["readOnlyRootFilesystem"] == true);
            expect("allowPrivilegeEscalation", context["allowPrivilegeEscalation"] == false);
            expect("capabilities", context["capabilities"]["drop"] == serde_json::json!(["ALL"]));
            expect("a limit of memory", container["resources"]["limits"].get("memory").is_some());
            expect("an image with its version", container["image"].as_str().is_some_and(is_pinned));
        }
        let account = of_kind("ServiceAccount").find(|account| name(account) == name(workload));
        expect("a service account that exists", account.is_some_and(|account| account["automountServiceAccountToken"] == false));
    }
    for resource in ALL.iter() {
        findings.extend(secrets_in(resource, name(resource)));
    }
    assert_eq!(of_kind("Secret").count(), 0, "secrets are referred to, never written down");
    none(&findings, "Least privilege, pinned images, no secret.");
}

#[test]
fn every_service_is_probed_replicated_and_kept_from_being_drained_at_once() {
    let mut served = 0;
    for workload in workloads().filter(|workload| workload["kind"] != "Job") {
        let (role, container) = (name(workload), homeward(workload));
        assert!(workload["spec"]["replicas"].as_u64().unwrap() >= 2, "{role}");
        for (probe, path) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
            assert_eq!(container[probe]["httpGet"]["path"], path, "{role}");
            let port = &container[probe]["httpGet"]["port"];
            assert!(elements(container, "ports").any(|known| known["name"] == *port), "{role}: no port {port}");
        }
        let budget = of_kind("PodDisruptionBudget").find(|budget| chooses(&budget["spec"]["selector"], workload));
        assert_eq!(budget.map(|budget| &budget["spec"]["maxUnavailable"]), Some(&1.into()), "{role}");
        let service =
            of_kind("Service").find(|service| service["spec"]["selector"] == workload["spec"]["selector"]["matchLabels"]);
        for port in elements(&service.unwrap()["spec"], "ports") {
            let all =
                elements(&workload["spec"]["template"]["spec"], "containers").flat_map(|container| elements(container, "ports"));
            assert!(all.into_iter().any(|known| known["name"] == port["targetPort"]), "{role}: {port}");
        }
        served += 1;
    }
    assert_eq!(served, 6);
}

/// The stores' pods are made by operators: these are their labels.
const STORES: [(&str, &str); 2] = [("cnpg.io/cluster", "homeward-postgres"), ("app.kubernetes.io/name", "homeward-rabbitmq")];

#[test]
fn network_policies_choose_pods_that_exist_and_each_service_is_closed_by_default() {
    let of_a_store = |selector: &Value| STORES.iter().any(|(label, value)| selector["matchLabels"][*label] == *value);
    let exists = |selector: &Value| of_a_store(selector) || workloads().any(|workload| chooses(selector, workload));
    let mut findings = Vec::new();
    for policy in of_kind("NetworkPolicy") {
        let spec = &policy["spec"];
        let peers = ["ingress", "egress"]
            .into_iter()
            .flat_map(|way| elements(spec, way))
            .flat_map(|rule| elements(rule, "from").chain(elements(rule, "to")));
        let selectors = peers.filter_map(|peer| peer.get("podSelector")).chain([&spec["podSelector"]]);
        findings.extend(
            selectors
                .filter(|selector| !exists(selector))
                .map(|selector| format!("{}: {selector} chooses nothing", name(policy))),
        );
    }
    let nobody = of_kind("NetworkPolicy").find(|policy| name(policy) == "nobody").unwrap();
    assert!(nobody["spec"].get("ingress").is_none() && nobody["spec"].get("egress").is_none());
    findings.extend(
        workloads()
            .filter(|workload| !chooses(&nobody["spec"]["podSelector"], workload))
            .map(|workload| format!("{} is open to everybody", name(workload))),
    );
    none(&findings, "Network policies.");
}

#[test]
fn what_is_referred_to_exists_or_is_listed_for_the_administrator() {
    let readme = text("deploy/README.md");
    let maps: BTreeSet<&str> = of_kind("ConfigMap").map(name).collect();
    let issued: BTreeSet<&str> =
        of_kind("Certificate").filter_map(|certificate| certificate["spec"]["secretName"].as_str()).collect();
    let mut findings = Vec::new();
    let mut secrets = BTreeSet::new();
    for resource in ALL.iter() {
        every_text(&resource["spec"], "", &mut |path, value| {
            let at = |end: &str| path.ends_with(end);
            if at("configMap.name") || (path.contains("configMapRefs") && at(".name")) {
                if !maps.contains(value) {
                    findings.push(format!("{}{path}: no ConfigMap {value}", name(resource)));
                }
            } else if (at("secret.name") || at("secretName") || at("passwordSecret.name") || at("Secret"))
                && !issued.contains(value)
            {
                secrets.insert(value.to_owned());
            }
        });
    }
    assert!(secrets.len() >= 12, "{secrets:?}");
    findings.extend(
        secrets
            .iter()
            .filter(|secret| !readme.contains(secret.as_str()))
            .map(|secret| format!("deploy/README.md does not say what is in the secret {secret}")),
    );
    none(&findings, "References.");
}
