//! As much of kustomize as deploy/kubernetes uses: resources, patches by kind, common labels, images, replicas, generated
//! `ConfigMap`s. What it makes was compared with `kubectl kustomize`; see deploy/README.md.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::yaml::{elements, members, texts};
use crate::{text, top, yaml};

/// What a folder with a kustomization.yaml makes.
pub fn render(folder: &str) -> Vec<Value> {
    let plan = yaml::document(&format!("{folder}/kustomization.yaml"));
    known_parts(folder, &plan);
    let mut all = Vec::new();
    for resource in texts(&plan, "resources") {
        let path = join(folder, &resource);
        if top().join(&path).is_dir() { all.extend(render(&path)) } else { all.extend(yaml::documents(&path)) }
    }
    all.extend(elements(&plan, "configMapGenerator").map(|map| config_map(folder, map)));
    for patch in elements(&plan, "patches") {
        let changes = yaml::document(&join(folder, patch["path"].as_str().unwrap()));
        let kind = patch["target"]["kind"].as_str().unwrap();
        let mut hit = 0;
        for resource in all.iter_mut().filter(|resource| resource["kind"] == kind) {
            lay_over(&mut resource["spec"], &changes["spec"]);
            hit += 1;
        }
        assert!(hit > 0, "{folder}: a patch for {kind} finds none");
    }
    for resource in &mut all {
        finish(&plan, resource);
    }
    all
}

/// A part that this does not know would silently be left out.
fn known_parts(folder: &str, plan: &Value) {
    const KNOWN: [&str; 10] = [
        "apiVersion",
        "kind",
        "resources",
        "labels",
        "configMapGenerator",
        "generatorOptions",
        "patches",
        "namespace",
        "images",
        "replicas",
    ];
    for part in plan.as_object().unwrap().keys() {
        assert!(KNOWN.contains(&part.as_str()), "{folder}/kustomization.yaml has {part}, which this test does not know");
    }
}

/// A path relative to `folder`, in the repository.
fn join(folder: &str, path: &str) -> String {
    let mut whole = PathBuf::new();
    for part in Path::new(folder).join(path).components() {
        match part {
            std::path::Component::ParentDir => drop(whole.pop()),
            std::path::Component::Normal(name) => whole.push(name),
            std::path::Component::Prefix(_) | std::path::Component::RootDir | std::path::Component::CurDir => {}
        }
    }
    whole.display().to_string()
}

fn config_map(folder: &str, map: &Value) -> Value {
    let data: Map<String, Value> =
        texts(map, "files").into_iter().map(|file| (file.clone(), text(&join(folder, &file)).into())).collect();
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": map["name"] }, "data": data })
}

/// Strategic merge: tables are merged, lists of named things by what names them, and other lists are replaced.
fn lay_over(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(under.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(under), Value::Array(over)) if over.iter().all(|value| name(value).is_some()) => {
            for value in over {
                match under.iter_mut().find(|known| name(known) == name(value)) {
                    Some(known) => lay_over(known, value),
                    None => under.push(value.clone()),
                }
            }
        }
        (under, over) => *under = over.clone(),
    }
}

/// What names an element of a list: its name, or for mounts and ports where they are.
fn name(value: &Value) -> Option<&Value> {
    ["mountPath", "containerPort", "name"].iter().find_map(|key| value.get(key))
}

fn finish(plan: &Value, resource: &mut Value) {
    if let Some(namespace) = plan.get("namespace").filter(|_| resource["kind"] != "Namespace") {
        resource["metadata"]["namespace"] = namespace.clone();
    }
    for labels in elements(plan, "labels") {
        for (label, value) in members(labels, "pairs") {
            resource["metadata"]["labels"][label] = value.clone();
            if resource["spec"].get("template").is_some() {
                resource["spec"]["template"]["metadata"]["labels"][label] = value.clone();
            }
        }
    }
    let change = elements(plan, "replicas").find(|change| change["name"] == resource["metadata"]["name"]);
    if let Some(change) = change.filter(|_| resource["spec"].get("replicas").is_some()) {
        resource["spec"]["replicas"] = change["count"].clone();
    }
    let containers = resource.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        if let Some(image) = elements(plan, "images").find(|image| image["name"] == container["image"]) {
            container["image"] = format!("{}:{}", image["newName"].as_str().unwrap(), image["newTag"].as_str().unwrap()).into();
        }
    }
}
