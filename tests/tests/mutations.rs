//! The checker bites: each mistake that a programmer could make yields a counter-example.

use homeward_tests::model::mutation::Mutation;
use homeward_tests::model::place::Versions;
use homeward_tests::model::setup::Setup;

/// The smallest world in which the mistake can show.
fn world(mutation: Mutation) -> Setup {
    let (alone, one) = (Setup::leases_alone(Versions::Trusted), Setup::one_lease(Versions::Trusted));
    match mutation {
        Mutation::NoTombstone | Mutation::CancelThroughLend | Mutation::IgnoreLateLentNews | Mutation::LowerVersionAccepted => {
            one
        }
        Mutation::NoOneOpenLeaseIndex => Setup { looks: 2, ..alone },
        Mutation::OutWithoutVersion => Setup { rest: false, floor: true, ..alone },
        Mutation::NoRowVersion => Setup { coordinators: 2, ..one },
        Mutation::LeaseAfterMove
        | Mutation::CloseOnAccepted
        | Mutation::CloseOnStaleRead
        | Mutation::SkipSettling
        | Mutation::IgnoreLateLent
        | Mutation::ResendUnknownLend
        | Mutation::ReturnLeavesReady
        | Mutation::ReturnLeavesReadyUnguarded
        | Mutation::LendBeforeConfirmed
        | Mutation::HomeUnchecked => alone,
    }
}

#[test]
fn each_mutation_yields_a_counter_example() {
    let mut unnoticed = Vec::new();
    for mutation in Mutation::ALL {
        let report = Setup { mutation: Some(mutation), ..world(mutation) }.check_shortest();
        match report.broken.first() {
            Some(broken) => println!("{mutation:?}: found in {:.2} s\n{broken}", report.time.as_secs_f64()),
            None => unnoticed.push(mutation),
        }
    }
    assert!(unnoticed.is_empty(), "the checker does not notice {unnoticed:?}");
}
