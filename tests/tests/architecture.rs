//! The lines between the crates, held by a test: what may depend on what, and what stands where. ARCHITECTURE.md says why.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};

use homeward_tests::workspace::{Crate, Source, Workspace};

const SERVICES: [&str; 6] = ["directory", "policy", "patrol", "recovery", "notification", "console"];

/// From the ground up: a crate depends on lower layers only.
const LAYERS: [&[&str]; 6] = [
    &["types"],
    &["chassis", "store", "proto", "simulator"],
    &["messaging", "saga", "provider"],
    &SERVICES,
    &["homeward"],
    &TESTS,
];

/// What only tests and measurements use.
const TESTS: [&str; 2] = ["tests", "world"];

/// Within a layer only these.
const BESIDE: [(&str, &str); 2] = [("saga", "messaging"), ("store", "chassis")];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 7] = ["util", "utils", "common", "helpers", "misc", "shared", "manager"];

/// Most lines of a file, tests not counted.
const WALL: usize = 400;

/// Fails with one line for each finding.
fn none(findings: &[String], rule: &str) {
    assert!(findings.is_empty(), "{rule}\n{}\n", findings.join("\n"));
}

fn workspace() -> Workspace {
    Workspace::read().unwrap()
}

fn layer(name: &str) -> usize {
    LAYERS.iter().position(|layer| layer.contains(&name)).unwrap_or_else(|| {
        panic!("crates/{name}: a new crate; say in tests/tests/architecture.rs and ARCHITECTURE.md to which layer it belongs")
    })
}

/// The Rust files of production code of these crates.
fn sources<'a>(crates: impl IntoIterator<Item = &'a Crate>) -> impl Iterator<Item = &'a Source> {
    crates.into_iter().flat_map(|one| &one.rust)
}

#[test]
fn a_crate_depends_on_lower_layers_only() {
    let mut findings = Vec::new();
    for one in &workspace().crates {
        let mut all = one.dependencies("dependencies").unwrap();
        all.extend(one.dependencies("build-dependencies").unwrap());
        for (on, line) in all {
            let lower = layer(&on) < layer(&one.name) || BESIDE.contains(&(one.name.as_str(), on.as_str()));
            if !lower {
                findings.push(format!(
                    "{}: {} depends on {on}; move what both need to a lower layer",
                    one.manifest.at(line),
                    one.name
                ));
            }
        }
    }
    none(&findings, "Direction: binary → services → saga, messaging, provider → store, chassis, proto → types.");
}

#[test]
fn no_service_depends_on_another_not_even_in_tests() {
    let mut findings = Vec::new();
    for one in workspace().crates.iter().filter(|one| SERVICES.contains(&one.name.as_str())) {
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (on, line) in one.dependencies(table).unwrap() {
                if SERVICES.contains(&on.as_str()) {
                    findings.push(format!(
                        "{}: {} knows {on}; put a message or a call into proto/ instead",
                        one.manifest.at(line),
                        one.name
                    ));
                }
            }
        }
    }
    none(&findings, "Services meet in the wire contract only: each may run, restart and be replaced by itself.");
}

#[test]
fn only_the_binary_and_tests_know_the_simulator_and_the_binary_can_leave_it_out() {
    let mut findings = Vec::new();
    let workspace = workspace();
    for one in workspace.crates.iter().filter(|one| !TESTS.contains(&one.name.as_str())) {
        let named = one.dependencies("dependencies").unwrap().into_iter().find(|(on, _)| on == "simulator");
        let Some((_, line)) = named else { continue };
        let optional = one.manifest.lines[line - 1].text.contains("optional = true");
        if one.name != "homeward" || !optional {
            findings.push(format!("{}: make it a dev-dependency (in the binary: optional)", one.manifest.at(line)));
        }
    }
    none(&findings, "The simulator is absent from the production image.");
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let takes = |one: &Crate| {
        let manifest: Vec<&str> = one.manifest.lines.iter().map(|line| line.text.trim()).collect();
        manifest.windows(2).any(|pair| pair == ["[lints]", "workspace = true"])
    };
    let findings: Vec<_> = workspace()
        .crates
        .iter()
        .filter(|one| !takes(one))
        .map(|one| one.manifest.at(1) + ": add [lints] workspace = true")
        .collect();
    none(&findings, "The rules that clippy holds hold everywhere.");
}

#[test]
fn only_proto_has_a_build_script() {
    let workspace = workspace();
    let others = workspace.crates.iter().filter(|one| one.name != "proto");
    let scripts = sources(others).filter(|source| source.name() == "build.rs");
    let findings: Vec<_> = scripts.map(|source| source.at(1) + ": generate in crates/proto, or at run time").collect();
    none(&findings, "A build script is hard to review and runs on everybody's machine; one is enough.");
}

#[test]
fn a_module_is_named_after_what_is_in_it() {
    let workspace = workspace();
    let empty = |name: &str| EMPTY_NAMES.contains(&name);
    let mut findings = Vec::new();
    for source in sources(&workspace.crates) {
        let stem = source.name().trim_end_matches(".rs");
        if empty(stem) || source.folders().any(empty) {
            findings.push(source.at(1) + ": name it after the one thing that it does, or move its parts to where they are used");
        }
        let words = source.words();
        let inline = words.windows(2).filter(|pair| pair[0].0 == "mod" && empty(pair[1].0));
        findings
            .extend(inline.map(|pair| format!("{}: name the module {} after what is in it", source.at(pair[1].1), pair[1].0)));
    }
    none(&findings, "Names that mean nothing collect everything.");
}

#[test]
fn sql_stands_in_store_files() {
    const SQL: [&str; 3] = ["sqlx::query", "sqlx::raw_sql", "QueryBuilder"];
    let workspace = workspace();
    // The crate `store` is the ground that the store files stand on.
    let others = workspace.crates.iter().filter(|one| one.name != "store");
    let is_store = |source: &Source| {
        matches!(source.name(), "store.rs" | "outbox.rs" | "inbox.rs" | "timers.rs")
            || source.folders().any(|folder| folder == "store")
    };
    let mut findings = Vec::new();
    for source in sources(others).filter(|source| !is_store(source)) {
        let with_sql = source.code().filter(|line| SQL.iter().any(|sql| line.text.contains(sql)));
        findings.extend(with_sql.map(|line| source.at(line.number) + ": move the statement to the store.rs of its table"));
    }
    none(&findings, "Whoever reads a store file has read everything that happens to its table.");
}

/// The tables that a crate's migrations create, or (the migration runner's own) its code.
fn tables(one: &Crate) -> BTreeSet<String> {
    let mut tables = BTreeSet::new();
    for source in one.sql.iter().chain(&one.rust) {
        let words: Vec<&str> =
            source.words().into_iter().map(|(word, _)| word).filter(|word| !matches!(*word, "IF" | "NOT" | "EXISTS")).collect();
        tables.extend(words.windows(3).filter(|three| three[..2] == ["CREATE", "TABLE"]).map(|three| three[2].to_owned()));
    }
    tables
}

#[test]
fn a_table_is_written_by_the_crate_whose_migration_made_it() {
    let workspace = workspace();
    let made_by: BTreeMap<&str, BTreeSet<String>> = workspace.crates.iter().map(|one| (one.name.as_str(), tables(one))).collect();
    let mut findings = Vec::new();
    let mut written = 0;
    // Measurements and tests may set a stage.
    for one in workspace.crates.iter().filter(|one| !TESTS.contains(&one.name.as_str())) {
        for source in &one.rust {
            let words = source.words();
            let is_name = |word: &str| word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            let targets = words.windows(3).filter_map(|three| match [three[0].0, three[1].0, three[2].0] {
                ["INSERT", "INTO", _] | ["DELETE", "FROM", _] => Some(three[2]),
                [before, "UPDATE", table] if before != "FOR" && is_name(table) => Some(three[2]),
                _ => None,
            });
            for (table, line) in targets {
                written += 1;
                // SQLite's own: where the outbox's numbers are kept.
                let numbers = one.name == "messaging" && table == "sqlite_sequence";
                if !numbers && !made_by[one.name.as_str()].contains(table) {
                    let owner = made_by.iter().find(|(_, tables)| tables.contains(table)).map_or("nobody", |(name, _)| name);
                    findings.push(format!(
                        "{}: {} writes {table}, which {owner} owns; ask its owner to write it",
                        source.at(line),
                        one.name
                    ));
                }
            }
        }
    }
    assert!(written > 20, "only {written} writes found: does this test still know how SQL is written here?");
    none(&findings, "What only one crate writes, only one crate can break.");
}

#[test]
fn wire_types_stay_at_the_edge_of_a_service() {
    const EDGE: [&str; 4] = ["service", "subscriber", "others", "wire"];
    let workspace = workspace();
    let at_edge = |source: &Source| {
        EDGE.contains(&source.name().trim_end_matches(".rs")) || source.folders().any(|folder| EDGE.contains(&folder))
    };
    let inner =
        workspace.crates.iter().filter(|one| !matches!(one.name.as_str(), "proto" | "console" | "homeward" | "tests" | "world"));
    let mut findings = Vec::new();
    for source in sources(inner).filter(|source| !at_edge(source)) {
        // A service says in lib.rs under which generated name it is served.
        let served = |text: &str| source.name() == "lib.rs" && text.contains("_service_server::");
        let lines = source.code().filter(|line| line.text.contains("homeward_proto::") && !served(&line.text));
        findings.extend(lines.map(|line| source.at(line.number) + ": convert in wire.rs, and use a type of our own here"));
    }
    none(&findings, "The wire's types stand in service.rs, subscriber.rs, others.rs, wire.rs, or in folders of these names.");
}

#[test]
fn time_and_environment_come_in_by_parameter() {
    const BANNED: [&str; 4] = ["Utc::now", "Local::now", "SystemTime::now", "env::set_var"];
    let workspace = workspace();
    let mut findings = Vec::new();
    for source in sources(&workspace.crates).filter(|source| !source.path.ends_with("types/src/clock.rs")) {
        let lines = source.lines.iter().filter(|line| !line.text.trim_start().starts_with("//"));
        let uses =
            lines.filter(|line| BANNED.iter().any(|banned| line.text.contains(banned) && !line.text.contains("const BANNED")));
        findings.extend(
            uses.map(|line| source.at(line.number) + ": take a homeward_types::Clock (environment: through chassis::config)"),
        );
    }
    none(&findings, "Tests own the time.");
}

#[test]
fn delivery_is_at_least_once_and_nothing_claims_more() {
    let workspace = workspace();
    // Put together here, so that this file does not have the words either.
    let claim = ["exactly", "once"].join(" ");
    let texts =
        ["README.md", "ARCHITECTURE.md"].into_iter().map(|path| workspace.file(path).expect("it is part of the repository"));
    let texts: Vec<Source> = texts.collect();
    let mut findings = Vec::new();
    for source in sources(&workspace.crates).chain(workspace.crates.iter().flat_map(|one| &one.sql)).chain(&texts) {
        let lines = source.lines.iter().filter(|line| line.text.to_lowercase().replace('-', " ").contains(&claim));
        findings.extend(lines.map(|line| source.at(line.number) + ": say what happens on a repeat instead"));
    }
    none(&findings, "Messages and calls repeat; effects do not.");
}

#[test]
fn a_file_can_be_read_in_one_sitting() {
    let workspace = workspace();
    let mut findings = Vec::new();
    // The package `tests` is all tests.
    for source in sources(&workspace.crates).filter(|source| !source.path.starts_with("tests")) {
        let lines = source.lines.iter().filter(|line| !line.test).count();
        if lines > WALL {
            findings.push(format!("{}: {lines} lines; find the second subject in it and give that a file", source.at(1)));
        }
    }
    none(&findings, &format!("A file has at most {WALL} lines, tests not counted; 300 is the norm."));
}

#[test]
fn a_file_begins_by_saying_what_it_is_for() {
    let workspace = workspace();
    let says = |source: &Source| {
        source.lines.iter().find(|line| !line.text.trim().is_empty()).is_some_and(|line| line.text.starts_with("//!"))
    };
    let silent = sources(&workspace.crates).filter(|source| source.lines.iter().any(|line| !line.test) && !says(source));
    let findings: Vec<_> = silent.map(|source| source.at(1) + ": begin with //! and a sentence").collect();
    none(&findings, "The first line of a file is for whoever opens it for the first time.");
}

#[test]
fn no_test_is_left_out() {
    let workspace = workspace();
    let mut findings = Vec::new();
    for source in sources(&workspace.crates) {
        let lines = source.lines.iter().filter(|line| line.text.trim_start().starts_with("#[ignore"));
        findings.extend(lines.map(|line| source.at(line.number) + ": mend it, or delete it and say why in the commit"));
    }
    none(&findings, "A test that does not run says nothing.");
}
