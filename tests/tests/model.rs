//! The guarantee, checked by playing every interleaving of a small world. Every decision in it is production code.
//!
//! Each check prints its bounds, states and time. It fails if a law is broken, if a kind of fault that the world allows never
//! happened, or if the distinct states fall a tenth below what was recorded: then less was checked than is said.

use homeward_tests::model::check::Report;
use homeward_tests::model::place::Versions;
use homeward_tests::model::setup::Setup;

fn holds(setup: Setup, recorded: usize) {
    let report: Report = setup.check();
    println!("{report}");
    if let Some(broken) = report.broken.first() {
        panic!("{broken}");
    }
    assert!(report.missing.is_empty(), "these faults never happened: {:?}", report.missing);
    assert!(report.distinct * 10 >= recorded * 9, "{} distinct states, {recorded} were recorded", report.distinct);
}

#[test]
fn one_lease_with_versions_that_are_trusted() {
    holds(Setup::one_lease(Versions::Trusted), 1_791_901);
}

#[test]
fn one_lease_with_versions_that_have_yet_to_earn_trust() {
    holds(Setup::one_lease(Versions::Unproved), 1_946_365);
}

#[test]
fn one_lease_without_versions() {
    holds(Setup::one_lease(Versions::None), 1_359_887);
}

#[test]
fn one_lease_with_a_version_that_never_changes() {
    holds(Setup::one_lease(Versions::Stuck), 1_685_103);
}

#[test]
fn two_leases_of_one_account_asked_for_by_anyone_at_any_time() {
    holds(Setup::leases_alone(Versions::Trusted), 1_787_112);
}

#[test]
fn two_leases_of_one_account_without_versions() {
    holds(Setup::leases_alone(Versions::None), 1_045_166);
}
