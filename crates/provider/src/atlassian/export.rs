//! The managed-accounts export of the admin pages: a CSV file made by hand, for organisations that give no key, and to compare
//! what the API says with.
//!
//! Columns are found by their headings, in any order; which words stand in them is not documented, so what is not understood is
//! kept as a word and counted. Rows are read one after another; a row that cannot be used is told with its line, and nothing
//! else is lost by it.

mod summary;

use std::io::{BufRead, BufReader, Read};

use csv::{ByteRecord, ReaderBuilder};
use homeward_types::{Email, Factor};

pub use summary::{PolicyCount, Summary};

/// A row that spans more lines than this holds a quote that nobody closed.
const LONGEST_ROW: u64 = 20;
/// The largest row in bytes.
const LARGEST_ROW: usize = 256 * 1024;

/// Why a file is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It cannot be read.
    #[error("the file cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// Its first row is no CSV.
    #[error("the first row cannot be read: {0}")]
    Headings(#[from] csv::Error),
    /// It is written in another encoding.
    #[error("the file is not UTF-8 (it looks like UTF-16); save it as UTF-8")]
    Encoding,
    /// A column is missing.
    #[error("the file has no column \"{column}\"; its columns are: {found}")]
    NoColumn {
        /// Which.
        column: &'static str,
        /// What is there.
        found: String,
    },
}

/// A row that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// The line that it begins on.
    pub line: u64,
    /// Why, and how many lines are lost with it if it is not one.
    pub reason: String,
}

/// One account of the export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line that it begins on.
    pub line: u64,
    /// The address.
    pub email: Email,
    /// The name; may be empty.
    pub name: String,
    /// The account's status, as it is written.
    pub status: String,
    /// The policy's name; empty if the row has none.
    pub policy: String,
    /// The policy's type, as it is written.
    pub policy_kind: String,
    /// Whether single sign-on is on, as it is written.
    pub single_sign_on: String,
    /// The second factor, where the word is understood.
    pub factor: Factor,
    /// The word.
    pub two_step: String,
}

/// Where each column stands.
#[derive(Debug, Clone, Copy)]
struct Columns {
    email: usize,
    policy: usize,
    two_step: usize,
    name: Option<usize>,
    status: Option<usize>,
    kind: Option<usize>,
    single_sign_on: Option<usize>,
    all: usize,
}

/// An export being read.
pub struct Export<R> {
    records: csv::Reader<R>,
    columns: Columns,
    record: ByteRecord,
    ended: bool,
}

impl<R: Read> Export<BufReader<R>> {
    /// Reads the headings.
    ///
    /// # Errors
    /// [`ExportError`] if this is no export.
    pub fn open(file: R) -> Result<Self, ExportError> {
        let mut file = BufReader::with_capacity(64 * 1024, file);
        let begin = file.fill_buf()?;
        if begin.starts_with(&[0xFF, 0xFE]) || begin.starts_with(&[0xFE, 0xFF]) {
            return Err(ExportError::Encoding);
        }
        let delimiter = delimiter(begin);
        let mut records = ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(file);
        let mut headings = ByteRecord::new();
        records.read_byte_record(&mut headings)?;
        let columns = Columns::of(&headings)?;
        Ok(Self { records, columns, record: ByteRecord::new(), ended: false })
    }
}

/// What stands between columns: spreadsheets of some countries write semicolons.
fn delimiter(begin: &[u8]) -> u8 {
    let line = begin.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| line.split(|byte| *byte == wanted).count();
    [b',', b';', b'\t'].into_iter().rev().max_by_key(|candidate| count(*candidate)).unwrap_or(b',')
}

impl Columns {
    fn of(headings: &ByteRecord) -> Result<Self, ExportError> {
        let names: Vec<String> = headings.iter().map(heading).collect();
        let find = |wanted: &[&str]| names.iter().position(|name| wanted.contains(&name.as_str()));
        let must = |column: &'static str, wanted: &[&str]| {
            find(wanted).ok_or_else(|| ExportError::NoColumn { column, found: names.join(", ") })
        };
        Ok(Self {
            email: must("Email", &["email", "email address", "e-mail"])?,
            policy: must("Policy name", &["policy name", "policy", "authentication policy"])?,
            two_step: must("Two-step verification", &["two-step verification", "two step verification", "2sv"])?,
            name: find(&["name", "full name"]),
            status: find(&["status", "account status"]),
            kind: find(&["policy type"]),
            single_sign_on: find(&["saml sso", "saml single sign-on", "single sign-on"]),
            all: names.len(),
        })
    }
}

fn heading(name: &[u8]) -> String {
    let name = name.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(name);
    String::from_utf8_lossy(name).trim().trim_matches('"').to_lowercase()
}

impl<R: Read> Iterator for Export<R> {
    type Item = Result<Row, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.ended {
                return None;
            }
            let line = self.records.position().line();
            match self.records.read_byte_record(&mut self.record) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(BadRow { line, reason: format!("the file cannot be read any further: {error}") }));
                }
            }
            let begun = self.record.position().map_or(line, csv::Position::line);
            let lines = 1 + self.record.as_slice().iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
            // Empty lines before the row were passed over.
            let passed = self.records.position().line().saturating_sub(begun).saturating_sub(lines);
            let line = begun + passed;
            if self.record.iter().all(|field| field.trim_ascii().is_empty()) {
                continue;
            }
            return Some(row(&self.record, self.columns, line, lines).map_err(|reason| BadRow { line, reason }));
        }
    }
}

fn row(record: &ByteRecord, columns: Columns, line: u64, lines: u64) -> Result<Row, String> {
    if lines > LONGEST_ROW || record.as_slice().len() > LARGEST_ROW {
        return Err(format!("the row goes on for {lines} lines, which are lost: a quotation mark that nobody closed?"));
    }
    if record.len() < columns.all {
        return Err(format!("the row has {} columns, the headings are {}", record.len(), columns.all));
    }
    let field = |column: usize| {
        let bytes = record.get(column).unwrap_or_default().trim_ascii();
        std::str::from_utf8(bytes).map_err(|_| format!("column {} is not UTF-8", column + 1))
    };
    let optional = |column: Option<usize>| column.map_or(Ok(""), field).map(str::to_owned);
    let email = field(columns.email)?;
    if email.is_empty() {
        return Err("the row has no address".into());
    }
    let two_step = field(columns.two_step)?;
    Ok(Row {
        line,
        email: email.parse().map_err(|_| "the address is none".to_owned())?,
        name: optional(columns.name)?,
        status: optional(columns.status)?,
        policy: field(columns.policy)?.to_owned(),
        policy_kind: optional(columns.kind)?,
        single_sign_on: optional(columns.single_sign_on)?,
        factor: factor(two_step),
        two_step: two_step.to_owned(),
    })
}

/// What a word says of a person's factor. Words about what a policy demands say nothing of it.
fn factor(word: &str) -> Factor {
    match word.to_lowercase().as_str() {
        "yes" | "true" | "enabled" | "enrolled" | "on" | "active" => Factor::Enrolled,
        "no" | "false" | "disabled" | "not enabled" | "not enrolled" | "off" | "none" | "inactive" => Factor::Absent,
        _ => Factor::Unknown,
    }
}

#[cfg(test)]
#[path = "export/tests.rs"]
mod tests;
