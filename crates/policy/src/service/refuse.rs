//! What a request can have wrong, and what to do about it.

use homeward_chassis::rpc::Refused;
use homeward_store::StoreError;
use homeward_types::{LeaseId, OrganisationId};

use crate::ledger::Ledger;

/// Most rows of a page.
const PAGE: usize = 1_000;

/// The database's failure, as a caller may hear of it.
#[expect(clippy::needless_pass_by_value, reason = "the form that map_err wants")]
pub fn fault(error: StoreError) -> Refused {
    if error.is_infrastructure() {
        Refused::unavailable("DATABASE_UNAVAILABLE", "policy's database does not answer", "try again in a moment; returns go on by themselves")
    } else {
        Refused::internal(&error)
    }
}

pub fn lease_id(text: &str) -> Result<LeaseId, Refused> {
    text.parse().map_err(|_| Refused::invalid("LEASE_ID_INVALID", format!("{text:?} is not a lease's id"), "give the id that `homeward leases` shows"))
}

pub fn organisation_id(ledger: &Ledger, text: &str) -> Result<OrganisationId, Refused> {
    let id = text.parse().ok().filter(|id| ledger.organisation(id).is_some());
    id.ok_or_else(|| {
        let known = ledger.organisations().keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Refused::not_found("ORGANISATION_UNKNOWN", format!("no organisation is called {text:?}"), format!("use one of: {known}"))
    })
}

pub fn no_such_lease() -> Refused {
    Refused::not_found("LEASE_UNKNOWN", "no lease has this id", "see `homeward leases` for those that there are")
}

pub fn page_size(asked: i32) -> Result<usize, Refused> {
    match usize::try_from(asked) {
        Ok(0) => Ok(100),
        Ok(size) if size <= PAGE => Ok(size),
        Ok(_) | Err(_) => Err(Refused::invalid("PAGE_SIZE_INVALID", format!("page_size is {asked}"), "ask for 1 to 1000, or 0 for 100")),
    }
}

pub fn reason(text: &str) -> Result<&str, Refused> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Refused::invalid("REASON_MISSING", "a reason is needed; it is kept with the lease", "say why"));
    }
    Ok(text)
}
