use std::collections::BTreeSet;
use std::path::Path;

use super::*;

#[test]
fn each_call_stands_once_in_the_list_with_its_source() {
    let names: BTreeSet<&str> = ALL.iter().map(|endpoint| endpoint.name).collect();
    assert_eq!(names.len(), ALL.len());
    for endpoint in ALL {
        assert!(["GET", "POST", "DELETE"].contains(&endpoint.method()), "{}", endpoint.name);
        assert!(endpoint.template().starts_with("/admin/") || endpoint.template().starts_with("/users/"));
        assert!(endpoint.source.starts_with(|c: char| c.is_ascii_digit()), "{} has no source", endpoint.name);
    }
    let list = include_str!("../paths.rs");
    let declared = list.matches(": Endpoint =").count();
    assert_eq!(declared, ALL.len(), "a path was declared that ALL does not hold");
}

/// Calls that must never be added: they act on everybody, or cannot be taken back.
#[test]
fn what_harms_everybody_is_not_in_the_list() {
    for endpoint in ALL {
        let forbidden = ["lifecycle/delete", "manage/email", "api-tokens/count", "/revoke", "/policies", "/suspend", "/restore"];
        assert!(forbidden.iter().all(|part| !endpoint.name.contains(part)), "{}", endpoint.name);
        assert!(endpoint.method() != "DELETE" || endpoint == &DELETE_TOKEN);
        assert!(!endpoint.name.contains("/api-access/") || endpoint == &API_KEYS && endpoint.effect == Effect::Read);
    }
}

#[test]
fn no_path_is_written_anywhere_else_in_the_adapter() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the sources are there") {
            let path = entry.expect("the sources are there").path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("atlassian/paths.rs") && !path.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).expect("a text");
                read += 1;
                for (number, line) in text.lines().enumerate() {
                    let code = line.trim_start();
                    let written = ["\"/admin/", "\"/users/", "\"/v1/", "\"/v2/", "orgs/", "Endpoint {"];
                    let found = written.iter().find(|part| code.contains(*part));
                    assert!(found.is_none() || code.starts_with("//"), "{}:{}: {code}", path.display(), number + 1);
                }
            }
        }
    }
    assert!(read > 10, "only {read} files were read");
}

#[test]
fn a_value_cannot_leave_its_segment() {
    let base: Url = "https://api.example/prefix/".parse().expect("an address");
    let url = TASK.url(&base, |name| Some(if name == "orgId" { "o|1:2" } else { "a/../b?c#d%2e" })).expect("encoded");
    assert_eq!(
        url.as_str(),
        "https://api.example/prefix/admin/control/v1/orgs/o%7C1%3A2/auth-policy/task/a%2F..%2Fb%3Fc%23d%252e"
    );
    for climbing in [".", "..", ""] {
        assert!(TASK.url(&base, |_| Some(climbing)).is_err());
    }
    assert!(TASK.url(&base, |_| None).is_err());
}

#[test]
fn every_write_lists_what_proves_that_it_was_not_taken() {
    let writes: Vec<&str> = ALL.iter().filter(|endpoint| endpoint.effect != Effect::Read).map(|endpoint| endpoint.name).collect();
    assert_eq!(writes, [ADD_USERS.name, DISABLE.name, ENABLE.name, DELETE_TOKEN.name]);
    assert_eq!(ADD_USERS.effect, Effect::Write { refusals: &[400, 401, 403, 404, 429] });
}
