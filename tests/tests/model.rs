//! The guarantee, checked by playing every interleaving of a small world.

use homeward_tests::model::machine::Machine;
use homeward_tests::model::place::Versions;
use homeward_tests::model::setup::Setup;
use stateright::{Checker, HasDiscoveries, Model};

#[test]
fn one_account_one_lease() {
    let begun = std::time::Instant::now();
    let cap: usize = std::env::var("CAP").ok().and_then(|cap| cap.parse().ok()).unwrap_or(2_000_000);
    let checker = Machine::new(Setup::one_lease(Versions::Trusted))
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(cap)
        .spawn_bfs()
        .join();
    let machine = checker.model();
    println!(
        "{} states, {} distinct, depth {}, {:?}",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        begun.elapsed()
    );
    println!("{:?} leases, {:?} cases, {:?} calm", machine.leases.size(), machine.cases.size(), machine.calm.longest());
    println!("{:?}", machine.tally.counts());
    for (law, path) in checker.discoveries() {
        println!("BROKEN: {law}");
        let last = path.last_state().clone();
        for (_, action) in path.into_vec() {
            if let Some(action) = action {
                println!("   {action}");
            }
        }
        println!("{last:?}");
        let way = machine.way_home(&last);
        for action in way.steps.iter().take(40) {
            println!("    ~ {action}");
        }
        println!("{:?}", way.last);
        for lease in &way.last.leases {
            println!("{:?}", machine.leases.kept(lease.row));
        }
    }
    checker.assert_properties();
}
