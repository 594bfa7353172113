//! The checker bites: each mistake that a programmer could make yields a counter-example, the shortest there is.
//!
//! `counterexamples.rs` keeps them as readable tests.

use homeward_tests::model::mutation::Mutation;

#[test]
fn each_mutation_yields_a_counter_example() {
    let mut unnoticed = Vec::new();
    for mutation in Mutation::ALL {
        let report = mutation.world().check_shortest();
        match report.broken.first() {
            Some(broken) => {
                let (name, steps) = (mutation.name(), broken.steps.len());
                println!("{name}: {steps} steps, found in {:.2} s\n{broken}", report.time.as_secs_f64());
            }
            None => unnoticed.push(mutation),
        }
    }
    assert!(unnoticed.is_empty(), "the checker does not notice {unnoticed:?}");
}
