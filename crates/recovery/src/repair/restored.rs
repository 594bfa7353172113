//! Restored is noticed (rule 12): if policy heard higher numbers of this database's outbox than it has given, the database was
//! restored from a backup. Cases without a lease end and people are told; policy lends nothing until two persons say so. Leases
//! without a case are adopted and slots counted anew in every round anyway.

use std::collections::BTreeSet;

use homeward_messaging::inbox;
use homeward_saga::Arrival;
use homeward_types::Organisation;
use uuid::Uuid;

use super::{NOBODY, PAGE, Repair, RepairError};
use crate::case;
use crate::saga::RecoverySaga;
use crate::saga::input::Input;

/// Whose numbers are compared: what is lost on the way to policy is what matters.
const POLICY: &str = "policy";

impl Repair {
    /// Compares numbers with policy, which looks at its own at the same time.
    pub(super) async fn compare_numbers(&self) -> Result<(), RepairError> {
        let shared = &self.shared;
        let heard = inbox::heard(&shared.db).await?.get(POLICY).copied().unwrap_or(0);
        let ours = shared.others.compare_numbers(heard, false).await?;
        // Read after policy has answered: in a database that goes on, this one is never lower.
        let last = shared.outbox.last_number().await?;
        if ours <= last {
            return Ok(());
        }
        tracing::error!(heard = ours, last, "recovery's database was restored from a backup: cases without a lease end");
        shared.others.compare_numbers(heard, true).await?;
        for organisation in shared.organisations.values() {
            self.end_cases(organisation).await?;
        }
        // Last: if we die before, it is noticed once more.
        shared.outbox.go_on_above(ours).await?;
        Ok(())
    }

    async fn end_cases(&self, organisation: &Organisation) -> Result<(), RepairError> {
        let leases = self.shared.others.open_leases(&organisation.id).await?;
        let leased: BTreeSet<Uuid> = leases.iter().map(|lease| lease.id.uuid()).collect();
        let Ok(by) = NOBODY.parse() else { return Ok(()) };
        let end = Input::Cancelled { by, reason: "recovery's database was restored from a backup".into() };
        let mut after = Uuid::nil();
        loop {
            let ids = case::store::open_ids(&self.shared.db, &organisation.id, after, PAGE).await?;
            let Some(last) = ids.last() else { return Ok(()) };
            after = *last;
            let mut without: Vec<Arrival<RecoverySaga>> = Vec::new();
            for (id, seen) in self.shared.coordinator.read(&ids).await? {
                if seen.progress.data.lease.is_none() && !leased.contains(&id) {
                    without.push(Arrival::input(id, end.clone()));
                }
            }
            self.shared.coordinator.submit(without).await?;
        }
    }
}
