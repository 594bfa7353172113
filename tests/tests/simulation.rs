//! The seeded simulation: two thousand seeds, the same seed twice, mistakes that it must find, and a day of silence.

use homeward_policy::lease::Terms;
use homeward_tests::model::mutation::Mutation;
use homeward_tests::model::place::Versions;
use homeward_tests::simulation::agenda::{HOUR, SECOND};
use homeward_tests::simulation::draft::Draft;
use homeward_tests::simulation::many::{Order, Sum, run_many};
use homeward_tests::simulation::outage;
use homeward_tests::simulation::run::run;
use homeward_tests::simulation::shrink::shortest;
use homeward_tests::simulation::world::lease_id;
use homeward_types::Limits;

/// Seeds in the test command.
const SEEDS: u64 = 2_000;

/// Seeds that failed once. Each stays.
const PINNED: [u64; 8] = [276, 917, 1_146, 5_154, 10_357, 10_554, 17_212, 17_542];

/// The shortest run of a failing seed, in words.
fn shortest_in_words(draft: &Draft) -> String {
    let Some((draft, outcome)) = shortest(draft) else { return String::new() };
    let faults: Vec<String> = draft.faults.iter().map(ToString::to_string).collect();
    format!("faults: {faults:#?}\ncases: {:#?}\n{}", draft.cases, outcome.trace.join("\n"))
}

fn holds(sum: &Sum) {
    println!("{sum}");
    if let Some((seed, broken)) = sum.failed.iter().next() {
        panic!("seed {seed} {broken}\n{}", shortest_in_words(&Draft::of(*seed)));
    }
}

#[test]
fn everyone_comes_home_in_every_seed() {
    let sum = run_many(Order { from: 0, seeds: SEEDS, mutation: None, threads: 2 });
    holds(&sum);
    assert!(sum.missing().is_empty(), "these faults never happened: {:?}", sum.missing());
    for seed in PINNED {
        holds(&run_many(Order { from: seed, seeds: 1, mutation: None, threads: 1 }));
    }
}

#[test]
fn a_seed_reproduces_a_run_bit_for_bit() {
    for seed in 0..40 {
        let (once, again) = (run(&Draft::of(seed), false), run(&Draft::of(seed), true));
        assert_eq!((once.hash, once.figures, &once.tally), (again.hash, again.figures, &again.tally), "seed {seed}");
        assert_ne!(once.hash, run(&Draft::of(seed + 1), false).hash, "seed {seed} is not another");
    }
}

#[test]
fn mistakes_are_found_and_made_short() {
    let mistakes = [
        Mutation::CloseOnAccepted,
        Mutation::SkipSettling,
        Mutation::CloseOnStaleRead,
        Mutation::CancelThroughLend,
        Mutation::ResendUnknownLend,
        Mutation::LendBeforeConfirmed,
    ];
    for mutation in mistakes {
        let sum = run_many(Order { from: 0, seeds: SEEDS, mutation: Some(mutation), threads: 2 });
        let (seed, broken) = sum.failed.iter().next().unwrap_or_else(|| panic!("{mutation:?} is not found in {SEEDS} seeds"));
        let draft = Draft { mutation: Some(mutation), ..Draft::of(*seed) };
        let (short, outcome) = shortest(&draft).expect("it fails again");
        println!(
            "{mutation:?}: found by seed {seed} after {} seeds: {broken}; {} faults and {} cases make it",
            sum.seeds,
            short.faults.len(),
            short.cases.len()
        );
        assert!(outcome.broken.is_some_and(|short| short.law == broken.law), "the short run breaks the same law");
        assert!(short.faults.len() <= draft.faults.len() && short.cases.len() <= draft.cases.len());
    }
}

#[test]
fn after_a_day_of_silence_everyone_is_home_within_the_bound() {
    let worlds = [
        (100, false, Versions::Trusted),
        (100, false, Versions::None),
        (600, false, Versions::Trusted),
        (100, true, Versions::Trusted),
        (100, true, Versions::None),
        (600, true, Versions::Trusted),
        (600, true, Versions::None),
    ];
    for (per_minute, shared, versions) in worlds {
        let report = outage::play(outage::Order { accounts: 10_000, per_minute, shared, versions, lasts: 24 * HOUR });
        println!("{report}");
        assert_eq!(report.broken, None);
        assert!(report.all_home <= report.bound, "everyone is home within the bound");
        assert!(report.first_return <= 5 * SECOND, "the first return goes at once");
        assert!(report.first_lend > report.overdue_home, "lends wait until nobody is out past their time");
        assert_eq!(report.lends, 0, "nothing is lent in the silence");
        assert!(report.out_of_order <= 400, "the overdue go first, but for what is under way");
    }
}

#[test]
fn waits_between_returns_are_capped_and_spread() {
    let limits = Limits::default();
    let terms = Terms::from(&limits);
    let waits: std::collections::BTreeSet<_> = (0..10_000).map(|n| terms.return_wait(lease_id(n), 20)).collect();
    let (shortest, longest) = (waits.first().copied().unwrap_or_default(), waits.last().copied().unwrap_or_default());
    assert!(shortest >= limits.return_retry_max / 2 && longest <= limits.return_retry_max, "{shortest:?} to {longest:?}");
    assert!(waits.len() > 200, "10,000 leases have {} different waits", waits.len());
}
