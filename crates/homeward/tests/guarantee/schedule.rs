//! A schedule of faults, made from a seed (pure): the same seed gives the same schedule, bit for bit. When its faults meet which
//! call of the real process is up to the machine, so the interleaving is not reproducible.

use std::time::Duration;

use homeward_simulator::{Fault, FaultKind, Says};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Kinds of trouble, as the report counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    TooManyRequests,
    ServerErrors,
    SlowAnswers,
    CutBefore,
    CutAfter,
    TimedOutButApplied,
    NeverApplied,
    AppliedLate,
    HalfABatch,
    StalePlacements,
    StaleFactors,
    BrokenAnswers,
    Outage,
    Crash,
}

/// All of them, in the order of the report.
pub const CLASSES: [Class; 14] = [
    Class::TooManyRequests,
    Class::ServerErrors,
    Class::SlowAnswers,
    Class::CutBefore,
    Class::CutAfter,
    Class::TimedOutButApplied,
    Class::NeverApplied,
    Class::AppliedLate,
    Class::HalfABatch,
    Class::StalePlacements,
    Class::StaleFactors,
    Class::BrokenAnswers,
    Class::Outage,
    Class::Crash,
];

/// How late and how stale the provider may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How late a move takes effect at most.
    pub late: Duration,
    /// How old a read is at most.
    pub stale: Duration,
}

/// One class of trouble for a while. A crash has no faults: the process is killed and started again.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    pub class: Class,
    pub from: Duration,
    pub lasts: Duration,
    pub faults: Vec<Fault>,
}

const MOVES: &str = "POST *add-users";
const PLACEMENTS: &str = "POST *bulk-fetch";
const FACTORS: &str = "POST *users/search";

/// Troubles one after the other, each a little into the next, until `length` is over. Every class comes once, in an order that
/// the seed decides, before any comes again.
pub fn schedule(seed: u64, length: Duration, bounds: Bounds) -> Vec<Trouble> {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut troubles, mut left, mut from) = (Vec::new(), Vec::new(), Duration::ZERO);
    while from < length {
        if left.is_empty() {
            left = CLASSES.to_vec();
        }
        let class = left.swap_remove(rng.random_range(0..left.len()));
        let lasts = Duration::from_millis(rng.random_range(400..900));
        let faults = faults(class, bounds, &mut rng).into_iter().map(|fault| fault.lasting(lasts)).collect();
        troubles.push(Trouble { class, from, lasts, faults });
        from += lasts.mul_f64(rng.random_range(0.5..1.0));
    }
    troubles
}

fn faults(class: Class, bounds: Bounds, rng: &mut StdRng) -> Vec<Fault> {
    let often = rng.random_range(0.3..0.9);
    let late_ms = millis(bounds.late.mul_f64(rng.random_range(0.3..1.0)));
    let stale_ms = millis(bounds.stale.mul_f64(rng.random_range(0.3..1.0)));
    let says = if rng.random_bool(0.5) { Says::Running } else { Says::Success };
    let everywhere = |what: FaultKind| Fault::on("", what).with_probability(often);
    let of_moves = |what: FaultKind| Fault::on(MOVES, what).with_probability(often);
    match class {
        Class::TooManyRequests => vec![everywhere(FaultKind::TooManyRequests)],
        Class::ServerErrors => [500, 503].map(|status| everywhere(FaultKind::ServerError { status })).into(),
        Class::SlowAnswers => vec![everywhere(FaultKind::Slow { by_ms: rng.random_range(50..300) })],
        Class::CutBefore => vec![everywhere(FaultKind::CutBefore)],
        Class::CutAfter => vec![everywhere(FaultKind::CutAfter)],
        Class::TimedOutButApplied => vec![of_moves(FaultKind::AppliedTimedOut { after_ms: 10_000 })],
        Class::NeverApplied => vec![of_moves(FaultKind::NeverApplied { says })],
        Class::AppliedLate => vec![of_moves(FaultKind::AppliedLate { by_ms: late_ms, says })],
        Class::HalfABatch => vec![of_moves(FaultKind::PartialBatch { only: Vec::new() })],
        Class::StalePlacements => vec![Fault::on(PLACEMENTS, FaultKind::StaleRead { by_ms: stale_ms })],
        Class::StaleFactors => vec![Fault::on(FACTORS, FaultKind::StaleRead { by_ms: stale_ms })],
        Class::BrokenAnswers => vec![
            everywhere(FaultKind::TruncatedJson),
            everywhere(FaultKind::Html { status: 200 }),
            everywhere(FaultKind::EmptyBody { status: 502 }),
            everywhere(FaultKind::WrongShape { status: 500 }),
        ],
        Class::Outage => vec![Fault::on("", FaultKind::Outage)],
        Class::Crash => Vec::new(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[test]
fn the_same_seed_gives_the_same_schedule_and_every_class_comes() {
    let bounds = Bounds { late: Duration::from_millis(900), stale: Duration::from_millis(90) };
    let length = Duration::from_secs(9);
    for seed in 0..50 {
        let troubles = schedule(seed, length, bounds);
        assert_eq!(troubles, schedule(seed, length, bounds));
        assert_ne!(troubles, schedule(seed + 1, length, bounds));
        let missing: Vec<Class> =
            CLASSES.into_iter().filter(|class| troubles.iter().all(|trouble| trouble.class != *class)).collect();
        assert!(missing.is_empty(), "seed {seed} has no {missing:?}");
    }
}
