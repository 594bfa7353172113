//! Which service may call which method. This table is all of it: what is not here is refused at the edge of whoever is called.
//!
//! It is about services that call in their own name. A person's call, whoever passes it on, is the person's: the handlers look
//! at what the person may do.

use homeward_chassis::rpc::Access;

/// For each service what it may call, and of whom.
const TABLE: &[(&str, &[&str])] = &[
    (
        "recovery",
        &[
            "/homeward.directory.v1.DirectoryService/FindAccounts",
            "/homeward.directory.v1.DirectoryService/GetSync",
            "/homeward.policy.v1.PolicyService/ReadFacts",
            "/homeward.policy.v1.PolicyService/CompareNumbers",
            "/homeward.policy.v1.PolicyService/GetExposure",
            "/homeward.policy.v1.PolicyService/GetLease",
            "/homeward.policy.v1.PolicyService/ListLeases",
        ],
    ),
    // Whoever is known may ask for a return.
    ("patrol", &["/homeward.policy.v1.PolicyService/ReturnLease"]),
    // A link "this was not me" is its own credential: nobody is signed in who follows one.
    ("console", &["/homeward.recovery.v1.RecoveryService/LookUpRepudiation", "/homeward.recovery.v1.RecoveryService/Repudiate"]),
];

/// What services may call of one another.
pub fn between_services() -> Access {
    Access::of(TABLE)
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;

    #[test]
    fn every_method_of_the_table_exists() {
        let pool = DescriptorPool::decode(homeward_proto::FDS).unwrap();
        for (service, methods) in TABLE {
            for method in *methods {
                let (of, name) = method.trim_start_matches('/').split_once('/').unwrap();
                let of = pool.get_service_by_name(of).unwrap_or_else(|| panic!("{service}: {method}"));
                assert!(of.methods().any(|known| known.name() == name), "{service}: {method}");
            }
        }
    }

    #[test]
    fn nobody_but_policy_moves_accounts_and_no_service_lends_by_a_call() {
        let writes =
            ["ReleaseLease", "SetDrain", "RequestRecoveries", "CastVotes", "AttachProofs", "ReturnNow", "CancelRecovery"];
        for (service, methods) in TABLE {
            assert!(!methods.iter().any(|method| writes.iter().any(|write| method.ends_with(write))), "{service}");
        }
    }
}
