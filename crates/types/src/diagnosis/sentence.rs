//! The sentences that a help-desk person reads.

use super::{AccountStatus, NotManagedReason, Outcome};
use crate::placement::Factor;

/// What was found.
pub(super) fn of(outcome: &Outcome) -> String {
    match outcome {
        Outcome::NoSuchAccount { .. } => "No account of this organisation matches.".into(),
        Outcome::SeveralMatch { candidates } => {
            format!("{} accounts match. Only one of them lost a factor, and nobody must guess which.", candidates.len())
        }
        Outcome::NotManaged { domain, reason: NotManagedReason::DomainNotVerified } => {
            format!("The account is not managed: the domain {domain} is not verified, so an administrator has no power over it.")
        }
        Outcome::NotManaged { domain, reason: NotManagedReason::NotClaimed } => {
            format!("The account is not managed: the domain {domain} is verified, but this account was never claimed.")
        }
        Outcome::NotActive { status: AccountStatus::Suspended } => "The account is suspended.".into(),
        Outcome::NotActive { status: AccountStatus::Deactivated } => "The account is deactivated.".into(),
        Outcome::NotActive { status: AccountStatus::Deleted | AccountStatus::Active } => "The account is deleted.".into(),
        Outcome::FactorElsewhere { lives_in } => {
            format!("The second factor is not kept here: it lives in {lives_in}.")
        }
        Outcome::PolicyUnmapped { policy } => format!(
            "The account is in the policy {policy}, which Homeward does not know; a policy's settings cannot be read by API."
        ),
        Outcome::PolicyNotHome { policy_name, .. } => {
            format!("The account is in “{policy_name}”, a mandatory policy that accounts are not lent from.")
        }
        Outcome::Stray => {
            "The account is in the recovery policy although nobody lent it: it is unprotected and nothing will bring it home by itself.".into()
        }
        Outcome::AlreadyOptional { policy_name, .. } => {
            format!("The account is in “{policy_name}”, where two-step verification is optional: no move is needed.")
        }
        Outcome::LoginLoop { home_name, .. } => format!(
            "The account is in “{home_name}”, where two-step verification is mandatory, but has no factor. \
             There is nothing to reset, so the admin page shows no reset button; and without a factor the user cannot sign in to set one up."
        ),
        Outcome::LendAndReset { home_name, .. } => format!(
            "The account is in “{home_name}”, where two-step verification is mandatory, and has a factor. \
             While the policy is mandatory the admin page shows no reset button."
        ),
        Outcome::LendAndConfirmReset { home_name, .. } => format!(
            "The account is in “{home_name}”, where two-step verification is mandatory, and the provider does not say whether it has a factor."
        ),
        Outcome::RecoveryOpen { recovery } => format!("A recovery of this account is already open: {recovery}."),
        Outcome::LeaseOpen { lease, free_at } => {
            format!("The account still has an open lease ({lease}); it can be free at {}.", free_at.format("%Y-%m-%d %H:%M:%S UTC"))
        }
        Outcome::Released => "Two persons released this account into the recovery policy; Homeward no longer brings it home.".into(),
        Outcome::Unreachable { since } => {
            format!("The identity provider has not answered since {}.", since.format("%Y-%m-%d %H:%M:%S UTC"))
        }
        Outcome::TooOld { since } => {
            format!("What Homeward knows of this account is from {}, which is too old to act on.", since.format("%Y-%m-%d %H:%M:%S UTC"))
        }
    }
}

/// What to do next.
pub(super) fn next(outcome: &Outcome) -> String {
    match outcome {
        Outcome::NoSuchAccount { closest } if closest.is_empty() => "Check the address with the user.".into(),
        Outcome::NoSuchAccount { closest } => format!(
            "Did you mean {}?",
            closest.iter().map(|c| format!("{} ({})", c.email, c.name)).collect::<Vec<_>>().join(", ")
        ),
        Outcome::SeveralMatch { .. } => "Ask again with the account id of the right one; compare last activity, status and policy.".into(),
        Outcome::NotManaged { domain, reason: NotManagedReason::DomainNotVerified } => {
            format!("Verify the domain {domain} and claim its accounts; until then only the user can recover the account.")
        }
        Outcome::NotManaged { domain, reason: NotManagedReason::NotClaimed } => {
            format!("Claim the accounts of {domain}; until then only the user can recover the account.")
        }
        Outcome::NotActive { .. } => "Restore the account first, then ask again.".into(),
        Outcome::FactorElsewhere { lives_in } => format!("Reset the factor in {lives_in}."),
        Outcome::PolicyUnmapped { policy } => {
            format!("Add {policy} to `policies` in the configuration, with its name and two_step setting, then ask again.")
        }
        Outcome::PolicyNotHome { policy, .. } => {
            format!("If accounts in {policy} may be lent, add it to `home_policies`; otherwise help the user by hand.")
        }
        Outcome::Stray => "An operator must look at it: return the account to its mandatory policy, or release it with two persons.".into(),
        Outcome::AlreadyOptional { factor: Factor::Absent, .. } => "Ask the user to sign in; there is no factor that stops them.".into(),
        Outcome::AlreadyOptional { factor: Factor::Enrolled | Factor::Unknown, .. } => {
            "Reset the factor on the account's page at the provider; then the user can sign in.".into()
        }
        Outcome::LoginLoop { .. } => {
            "Ask for a recovery: lend the account to the recovery policy, let the user sign in and enrol, return it.".into()
        }
        Outcome::LendAndReset { .. } => {
            "Ask for a recovery: lend the account to the recovery policy, reset the factor, let the user sign in and enrol, return it.".into()
        }
        Outcome::LendAndConfirmReset { .. } => {
            "Ask for a recovery: as with a factor, and a person confirms on the provider's page whether there is one to reset.".into()
        }
        Outcome::RecoveryOpen { recovery } => format!("Follow it with `homeward show {recovery}`."),
        Outcome::LeaseOpen { lease, .. } => format!("Wait until it is closed; see `homeward leases {lease}`."),
        Outcome::Released => "Two persons must re-open the lease before the account can be helped.".into(),
        Outcome::Unreachable { .. } => "Try again when the provider answers; nothing was changed.".into(),
        Outcome::TooOld { .. } => "Wait for the next directory sync and ask again.".into(),
    }
}
