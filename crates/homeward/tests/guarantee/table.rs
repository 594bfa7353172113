//! The table of `docs/guarantee.md`, read by the test that is made from it.

use std::path::Path;

/// The heading of the section that holds the table.
const HEADING: &str = "## Every fault, and what becomes of it";
const COLUMNS: [&str; 5] = ["fault", "lease path", "end", "outcome", "who is told"];

/// What the document says of one fault, or what a scene showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub fault: String,
    pub path: String,
    pub end: String,
    pub outcome: String,
    pub told: String,
}

/// Every row of the table, in order.
pub fn read() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guarantee.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let section = text.split_once(HEADING).unwrap_or_else(|| panic!("{} has no section {HEADING:?}", path.display())).1;
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let mut lines = section.lines().filter(|line| line.starts_with('|')).map(cells);
    assert_eq!(lines.next().as_deref(), Some(&COLUMNS.map(ToOwned::to_owned)[..]), "the table's head");
    lines.skip(1).map(row).collect()
}

fn cells(line: &str) -> Vec<String> {
    line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

fn row(cells: Vec<String>) -> Row {
    let [fault, path, end, outcome, told]: [String; 5] =
        cells.try_into().unwrap_or_else(|cells| panic!("a row has five cells: {cells:?}"));
    Row { fault, path, end, outcome, told }
}

impl Row {
    /// The row as the document would hold it.
    pub fn line(&self) -> String {
        format!("| {} | {} | {} | {} | {} |", self.fault, self.path, self.end, self.outcome, self.told)
    }
}
