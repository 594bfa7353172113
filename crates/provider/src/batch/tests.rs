use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{BatchLimit, Bisection};

/// Plays a provider that takes at most `limit` entries a call and refuses any call with a bad entry.
fn play(limit: &BatchLimit, length: usize, takes: usize, bad: &BTreeSet<usize>) -> (Vec<usize>, Vec<usize>, usize) {
    let mut work = Bisection::new(length, limit);
    let (mut through, mut refused, mut calls) = (Vec::new(), Vec::new(), 0);
    while let Some(part) = work.next_part() {
        calls += 1;
        if part.len() <= takes && bad.iter().all(|entry| !part.contains(entry)) {
            work.taken(&part);
            through.extend(part);
        } else if !work.refused(&part) {
            refused.extend(part);
        }
    }
    (through, refused, calls)
}

#[test]
fn one_bad_entry_blocks_nobody() {
    let limit = BatchLimit::new(100);
    let (through, refused, calls) = play(&limit, 100, 100, &BTreeSet::from([37]));
    assert_eq!(through.len(), 99);
    assert_eq!(refused, [37]);
    assert!(calls <= 15, "{calls}");
    assert_eq!(limit.size(), 100, "the entry was at fault, not the size");
}

#[test]
fn an_unknown_limit_is_learned_and_then_nearly_used_up() {
    for takes in [7, 50, 60, 99] {
        let limit = BatchLimit::new(100);
        let (through, _, calls) = play(&limit, 1_000, takes, &BTreeSet::new());
        let fewest = 1_000usize.div_ceil(takes);
        assert_eq!(through.len(), 1_000);
        assert!(calls <= fewest + 24, "takes {takes}: {calls} calls to learn and do, {fewest} at least");
        assert!(limit.size() <= takes && limit.size() * 20 >= takes * 19, "takes {takes}, learned {}", limit.size());
        let (_, _, calls) = play(&limit, 1_000, takes, &BTreeSet::new());
        assert!(calls * 10 <= fewest * 11, "takes {takes}: {calls} calls, {fewest} at least");
    }
}

#[test]
fn a_larger_size_is_tried_only_where_it_would_save_a_call() {
    for (takes, at_most) in [(50, 2), (60, 2), (99, 2), (33, 4), (34, 3), (13, 8)] {
        let limit = BatchLimit::new(100);
        let calls: Vec<usize> = (0..12).map(|_| play(&limit, 100, takes, &BTreeSet::new()).2).collect();
        assert_eq!(calls.last(), Some(&at_most), "takes {takes}: {calls:?}");
        let wasted: usize = calls.iter().map(|calls| calls - at_most).sum();
        assert!(wasted <= 20, "takes {takes}: {calls:?}");
    }
}

#[test]
fn what_is_left_is_shared_out_evenly() {
    let limit = BatchLimit::new(100);
    play(&limit, 1_000, 60, &BTreeSet::new());
    let mut work = Bisection::new(81, &limit);
    let parts: Vec<usize> = std::iter::from_fn(|| work.next_part()).map(|part| part.len()).collect();
    assert_eq!(parts, [41, 40]);
}

#[test]
fn a_provider_that_refuses_everyone_is_not_asked_for_everyone() {
    let limit = BatchLimit::new(100);
    let mut work = Bisection::new(1_000, &limit);
    let mut calls = 0;
    while let Some(part) = work.next_part() {
        calls += 1;
        work.refused(&part);
        if work.hopeless() {
            work.give_up();
        }
    }
    assert!(calls < 30, "{calls}");
}

proptest! {
    #[test]
    fn every_entry_is_answered_once(length in 0usize..300, size in 0usize..120, takes in 1usize..120, bad in proptest::collection::btree_set(0usize..300, 0..5)) {
        let limit = BatchLimit::new(size);
        let (through, refused, _) = play(&limit, length, takes, &bad);
        let mut all: Vec<usize> = through.iter().chain(&refused).copied().collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..length).collect::<Vec<_>>());
        prop_assert!(refused.iter().all(|entry| bad.contains(entry)));
        prop_assert!((1..=size.max(1)).contains(&limit.size()));
    }
}
