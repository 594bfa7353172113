use std::time::Duration;

use chrono::{TimeZone, Utc};
use homeward_types::Factor::{Absent, Enrolled, Unknown};
use proptest::prelude::*;

use super::*;

const LAG: Duration = Duration::from_mins(1);

/// Seconds after the account was seen out.
fn at(second: i64) -> Timestamp {
    Utc.with_ymd_and_hms(2026, 11, 24, 8, 0, 0).unwrap() + TimeDelta::seconds(second)
}

/// The provider's clock is five minutes ahead of ours.
fn theirs(second: i64) -> i64 {
    (at(second) + TimeDelta::minutes(5)).timestamp_millis()
}

fn fresh() -> Evidence {
    Evidence::new(at(0), Some(PlacementVersion(theirs(-10))))
}

enum Fact {
    Read(Factor, i64),
    LogEnrolled(i64),
    LogRemoved(i64),
}
use Fact::{LogEnrolled, LogRemoved, Read};

/// Plays facts and gives the news of the last one.
fn play(evidence: &mut Evidence, facts: &[Fact]) -> News {
    facts.iter().fold(News::Nothing, |_, fact| match fact {
        Read(factor, second) => evidence.read(*factor, at(*second), LAG),
        LogEnrolled(second) => evidence.log(Logged { enrolled: Some(theirs(*second)), removed: None }, at(1_000), LAG),
        LogRemoved(second) => evidence.log(Logged { enrolled: None, removed: Some(theirs(*second)) }, at(1_000), LAG),
    })
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_row_of_rule_five_holds() {
    let table: Vec<(&str, Vec<Fact>, News)> = vec![
        ("absent after seen out is the baseline", vec![Read(Absent, 1)], News::Baseline),
        ("a read begun when it was seen out is too early", vec![Read(Absent, 0)], News::Nothing),
        ("the baseline is told once", vec![Read(Absent, 1), Read(Absent, 2)], News::Nothing),
        ("an unknown factor says nothing", vec![Read(Unknown, 1)], News::Nothing),
        (
            "enrolled before any baseline says nothing",
            vec![Read(Enrolled, 1), Read(Enrolled, 100), Read(Enrolled, 200)],
            News::Nothing,
        ),
        ("one enrolled read is not enough", vec![Read(Absent, 1), Read(Enrolled, 61)], News::Nothing),
        (
            "two, each a lag after what came before, are",
            vec![Read(Absent, 1), Read(Enrolled, 61), Read(Enrolled, 121)],
            News::Enrolled,
        ),
        (
            "the first came too soon after the baseline",
            vec![Read(Absent, 1), Read(Enrolled, 60), Read(Enrolled, 120)],
            News::Nothing,
        ),
        ("the two are too close to each other", vec![Read(Absent, 1), Read(Enrolled, 61), Read(Enrolled, 120)], News::Nothing),
        (
            "reads between count neither for nor against",
            vec![Read(Absent, 1), Read(Enrolled, 61), Read(Enrolled, 100), Read(Enrolled, 121)],
            News::Enrolled,
        ),
        (
            "an absent between begins anew",
            vec![Read(Absent, 1), Read(Enrolled, 61), Read(Absent, 90), Read(Enrolled, 121)],
            News::Nothing,
        ),
        (
            "and then two are needed again",
            vec![Read(Absent, 1), Read(Enrolled, 61), Read(Absent, 90), Read(Enrolled, 91), Read(Enrolled, 151)],
            News::Enrolled,
        ),
        (
            "an unknown between does not",
            vec![Read(Absent, 1), Read(Enrolled, 61), Read(Unknown, 90), Read(Enrolled, 121)],
            News::Enrolled,
        ),
        ("a read that comes in late is dropped", vec![Read(Absent, 100), Read(Enrolled, 61), Read(Enrolled, 160)], News::Nothing),
        ("a line of the log that is later than the move proves it", vec![LogEnrolled(5)], News::Enrolled),
        ("one that is not, does not", vec![LogEnrolled(-10)], News::Nothing),
        ("a later removal undoes it", vec![LogRemoved(9), LogEnrolled(5)], News::Nothing),
        ("also one at the same moment", vec![LogRemoved(5), LogEnrolled(5)], News::Nothing),
        ("an earlier removal does not", vec![LogRemoved(3), LogEnrolled(5)], News::Enrolled),
        ("the newest read speaks against it", vec![Read(Absent, 20), LogEnrolled(5)], News::Nothing),
        ("until one confirms it", vec![Read(Absent, 20), LogEnrolled(5), Read(Enrolled, 80)], News::Enrolled),
        (
            "not one that may be older than the baseline",
            vec![Read(Absent, 20), LogEnrolled(5), Read(Enrolled, 79)],
            News::Nothing,
        ),
        (
            "reset and enrolment were both between two reads",
            vec![Read(Enrolled, 1), LogRemoved(3), LogEnrolled(5)],
            News::Enrolled,
        ),
        ("nothing comes after the proof", vec![LogEnrolled(5), Read(Absent, 200)], News::Nothing),
    ];
    for (name, facts, news) in table {
        assert_eq!(play(&mut fresh(), &facts), news, "{name}");
    }
}

#[test]
fn the_log_proves_nothing_without_a_version_of_this_stay() {
    let month_ago = PlacementVersion((at(0) - TimeDelta::days(30)).timestamp_millis());
    for version in [None, Some(month_ago), Some(PlacementVersion(7))] {
        let mut evidence = Evidence::new(at(0), version);
        assert_eq!(play(&mut evidence, &[LogEnrolled(5)]), News::Nothing, "{version:?}");
        assert_eq!(evidence.logged, Logged::default());
    }
}

#[test]
fn the_next_read_is_the_first_that_can_tell_more() {
    let next = |facts: &[Fact]| {
        let mut evidence = fresh();
        play(&mut evidence, facts);
        evidence.next_useful_read(LAG)
    };
    assert_eq!(next(&[]), Some(at(0) + TimeDelta::microseconds(1)));
    assert_eq!(next(&[Read(Enrolled, 5)]), Some(at(0) + TimeDelta::microseconds(1)), "still no baseline");
    assert_eq!(next(&[Read(Absent, 5)]), Some(at(65)));
    assert_eq!(next(&[Read(Absent, 5), LogEnrolled(6)]), Some(at(65)));
    assert_eq!(next(&[Read(Absent, 5), Read(Enrolled, 66)]), Some(at(126)));
    assert_eq!(next(&[LogEnrolled(6)]), None);
}

#[test]
fn the_words_name_what_was_seen() {
    let mut evidence = fresh();
    play(&mut evidence, &[Read(Absent, 1), Read(Enrolled, 61), Read(Enrolled, 121)]);
    let proof = evidence.proof.unwrap();
    assert_eq!(proof.seen_at, at(121));
    assert_eq!(
        proof.words,
        "the factor was absent in a read begun 2026-11-24T08:00:01.000Z and enrolled in reads begun 2026-11-24T08:01:01.000Z and \
         2026-11-24T08:02:01.000Z"
    );
}

/// A factor that really changes at some moments, and reads that lag behind by less than a lag: what is proved is true.
fn truth_at(changes: &[i64], second: i64) -> bool {
    changes.iter().filter(|change| **change <= second).count() % 2 == 1
}

proptest! {
    #[test]
    fn reads_that_lag_by_less_than_the_lag_never_prove_what_never_was(
        mut changes in prop::collection::vec(-100_i64..600, 0..4),
        mut reads in prop::collection::vec((1_i64..900, 0_i64..60), 1..40),
    ) {
        changes.sort_unstable();
        reads.sort_unstable();
        let mut evidence = fresh();
        let mut baseline = None;
        for (second, behind) in reads {
            let factor = if truth_at(&changes, second - behind) { Enrolled } else { Absent };
            let news = evidence.read(factor, at(second), LAG);
            if news == News::Baseline {
                baseline = Some(second);
            }
            if news == News::Enrolled {
                let baseline = baseline.expect("a proof by reads has a baseline");
                // It was truly enrolled at some moment after the baseline's read had begun, and truly absent before that.
                prop_assert!((baseline..=second).any(|moment| truth_at(&changes, moment)));
                prop_assert!((baseline - 60..=second).any(|moment| !truth_at(&changes, moment)));
                break;
            }
        }
    }

    #[test]
    fn repeats_and_late_reads_change_nothing(facts in prop::collection::vec((0_i64..300, 0_u8..3), 0..30)) {
        let factor = |number: u8| [Enrolled, Absent, Unknown][usize::from(number)];
        let mut evidence = fresh();
        for (second, number) in &facts {
            evidence.read(factor(*number), at(*second), LAG);
            let before = evidence.clone();
            evidence.read(factor(*number), at(*second), LAG);
            evidence.read(Absent, at(0), LAG);
            prop_assert_eq!(&evidence, &before);
        }
    }
}
