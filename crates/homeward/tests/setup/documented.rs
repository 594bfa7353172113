//! `docs/atlassian.md` explains every code that the program can show about the provider.

use std::path::Path;

use homeward_provider::Reason;
use homeward_provider::atlassian::paths;

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/atlassian.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn every_reason_of_a_failed_call_stands_in_the_document_with_its_sentence() {
    let document = document();
    for reason in Reason::ALL {
        let row = document.lines().find(|line| line.starts_with(&format!("| `{}` |", reason.code())));
        let row = row.unwrap_or_else(|| panic!("docs/atlassian.md does not tell of {reason}"));
        assert!(row.contains(reason.sentence()), "docs/atlassian.md says something else of {reason}: {}", reason.sentence());
        assert!(row.matches(" | ").count() >= 2 && row.len() > reason.sentence().len() + 40, "what to do about {reason}? {row}");
    }
}

#[test]
fn every_call_stands_in_the_document() {
    let document = document();
    for endpoint in paths::ALL {
        assert!(document.contains(endpoint.name), "docs/atlassian.md does not name {}", endpoint.name);
    }
}

/// The codes in the sources between quotation marks after one of these words.
fn codes(file: &str, before: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.split(before).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

#[test]
fn every_note_incident_refusal_and_difference_stands_in_the_document() {
    let document = document();
    let mut all = Vec::new();
    for (file, before) in [
        ("provider/src/atlassian/self_test.rs", "note(\""),
        ("policy/src/incident.rs", "(lease, id, \""),
        ("policy/src/incident.rs", "kind: \""),
        ("policy/src/incident/provider.rs", "(id, organisation, \""),
        ("policy/src/service/many.rs", "&id, \""),
        ("patrol/src/finding.rs", "=> \""),
        ("patrol/src/keys.rs", "kind: \""),
        ("recovery/src/incident.rs", "kind: \""),
        ("types/src/end.rs", "Self::Changed => \""),
        ("homeward/src/crosscheck.rs", "differs(\""),
        ("types/src/diagnosis/outcome.rs", "=> \""),
    ] {
        let found = codes(file, before);
        assert!(!found.is_empty(), "no code found in {file} after {before}: does this test still read the sources?");
        all.extend(found);
    }
    assert!(all.len() > 30, "{all:?}");
    for code in all {
        assert!(document.contains(&format!("`{code}`")), "docs/atlassian.md does not tell of {code}");
    }
}
