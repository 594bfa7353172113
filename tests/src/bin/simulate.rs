//! Runs the seeded simulation for as long as you like: `cargo run -p homeward-tests --bin simulate -- --seeds 1000000`.

use std::process::ExitCode;

use clap::Parser;
use homeward_tests::simulation::draft::Draft;
use homeward_tests::simulation::many::{Order, run_many};
use homeward_tests::simulation::run::run;
use homeward_tests::simulation::shrink::shortest;

/// Seeds between two lines of progress.
const PART: u64 = 10_000;

/// Plays seeds; a failing one is printed with its shortest run.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only this one.
    #[arg(long)]
    seed: Option<u64>,
    /// With `--seed`: everything that happens in it, as it was drawn.
    #[arg(long)]
    trace: bool,
    /// Runs at once; all cores if not said.
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let failed = match arguments.seed {
        Some(seed) => one(seed, arguments.trace),
        None => many(&arguments),
    };
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn one(seed: u64, trace: bool) -> bool {
    let draft = Draft::of(seed);
    let outcome = run(&draft, trace);
    for line in &outcome.trace {
        println!("{line}");
    }
    println!("seed {seed}: hash {:016x}, {:?}", outcome.hash, outcome.figures);
    if outcome.broken.is_some() {
        explain(seed);
    }
    outcome.broken.is_some()
}

fn many(arguments: &Arguments) -> bool {
    let threads = arguments.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let mut from = arguments.from;
    let last = arguments.from.saturating_add(arguments.seeds);
    let mut failed = false;
    while from < last {
        let seeds = PART.min(last - from);
        let sum = run_many(Order { from, seeds, mutation: None, threads });
        println!("seeds {from} to {}:\n{sum}", from + seeds - 1);
        if let Some(seed) = sum.failed.keys().next() {
            explain(*seed);
            failed = true;
        }
        from += seeds;
    }
    failed
}

/// The shortest run of a failing seed.
fn explain(seed: u64) {
    let Some((draft, outcome)) = shortest(&Draft::of(seed)) else { return };
    println!("seed {seed}, made as short as it gets: {} cases, versions {:?}, faults:", draft.cases.len(), draft.versions);
    for fault in &draft.faults {
        println!("  {fault}");
    }
    for case in &draft.cases {
        println!("  {case:?}");
    }
    for line in &outcome.trace {
        println!("{line}");
    }
}
