//! An organisation from a managed-accounts CSV export: the columns that the export has, found by their headings.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use crate::account::{Account, Placed, Status};
use crate::policy::{Demand, PolicyRecord};
use crate::timeline::{Moment, Timeline};

use super::Seed;

/// Why an export cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// It cannot be read.
    #[error("reading {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: csv::Error,
    },
    /// A column that must be there is not.
    #[error("{path} has no column \"{column}\"")]
    Column {
        /// The file.
        path: PathBuf,
        /// The heading that is missing.
        column: &'static str,
    },
    /// Two rows have the same address.
    #[error("{path}, line {line}: the address {email} was there before")]
    Twice {
        /// The file.
        path: PathBuf,
        /// The second row's line.
        line: u64,
        /// The address.
        email: String,
    },
}

struct Columns {
    name: usize,
    email: usize,
    last_active: Option<usize>,
    status: Option<usize>,
    policy: Option<usize>,
    single_sign_on: Option<usize>,
    two_step: Option<usize>,
}

impl Columns {
    fn of(headings: &csv::StringRecord, path: &Path) -> Result<Self, CsvError> {
        let find = |heading: &str| headings.iter().position(|found| found.trim().eq_ignore_ascii_case(heading));
        let must = |column| find(column).ok_or_else(|| CsvError::Column { path: path.to_owned(), column });
        Ok(Self {
            name: must("Name")?,
            email: must("Email")?,
            last_active: find("Last active"),
            status: find("Status"),
            policy: find("Policy name"),
            single_sign_on: find("SAML SSO"),
            two_step: find("Two-step verification"),
        })
    }
}

/// The accounts of an export. Policies that it names and `policies` lacks are added: delegated where single sign-on is
/// on, and mandatory otherwise. A row of an address that `taken` holds is left out.
///
/// # Errors
/// [`CsvError`] if the file cannot be read, lacks a column, or has an address twice.
pub(super) fn read(
    path: &Path,
    seed: &mut Seed,
    policies: &mut Vec<PolicyRecord>,
    taken: &HashSet<String>,
) -> Result<Vec<Account>, CsvError> {
    let failed = |source| CsvError::Read { path: path.to_owned(), source };
    let mut reader = csv::Reader::from_path(path).map_err(failed)?;
    let columns = Columns::of(reader.headers().map_err(failed)?, path)?;
    let (mut accounts, mut addresses) = (Vec::new(), HashSet::new());
    for row in reader.records() {
        let row = row.map_err(failed)?;
        let email = row.get(columns.email).unwrap_or_default().trim().to_lowercase();
        if taken.contains(&email) {
            continue;
        }
        if !addresses.insert(email.clone()) {
            let line = row.position().map_or(0, csv::Position::line);
            return Err(CsvError::Twice { path: path.to_owned(), line, email });
        }
        accounts.push(account(&row, &columns, &email, seed, policies));
    }
    Ok(accounts)
}

fn account(
    row: &csv::StringRecord,
    columns: &Columns,
    email: &str,
    seed: &mut Seed,
    policies: &mut Vec<PolicyRecord>,
) -> Account {
    let field = |column: Option<usize>| column.and_then(|column| row.get(column)).map_or("", str::trim);
    let yes = |text: &str| ["yes", "true", "enabled", "enforced", "on"].iter().any(|word| text.eq_ignore_ascii_case(word));
    let id = seed.account_id();
    let mut account = seed.account(id, row.get(columns.name).unwrap_or_default().trim(), email);
    account.factor = Timeline::new(yes(field(columns.two_step)));
    account.last_active = date_ms(field(columns.last_active));
    if !field(columns.status).is_empty() && !field(columns.status).eq_ignore_ascii_case("active") {
        account.status = Status::Inactive;
    }
    let name = field(columns.policy);
    if !name.is_empty() {
        let policy = policy(name, yes(field(columns.single_sign_on)), seed, policies);
        let version = account.placement.now().map_or(0, |placed| placed.version);
        account.placement = Timeline::new(Some(Placed { policy, version }));
    }
    account
}

fn policy(name: &str, delegated: bool, seed: &mut Seed, policies: &mut Vec<PolicyRecord>) -> usize {
    if let Some(known) = policies.iter().position(|policy| policy.name.eq_ignore_ascii_case(name)) {
        return known;
    }
    let demand = if delegated { Demand::Delegated } else { Demand::Mandatory };
    policies.push(PolicyRecord { id: seed.uuid(), name: name.into(), demand, deleted: false });
    policies.len() - 1
}

/// The export's dates; anything else means that the account was never active.
fn date_ms(text: &str) -> Option<Moment> {
    let date = ["%Y-%m-%d", "%d %b %Y", "%b %d, %Y"].iter().find_map(|form| NaiveDate::parse_from_str(text, form).ok())?;
    Some(date.and_hms_opt(12, 0, 0)?.and_utc().timestamp_millis())
}
