//! The guarantee, checked by playing every interleaving of a small world.

use homeward_tests::model::place::Versions;
use homeward_tests::model::setup::*;

#[test]
fn try_all() {
    let pick = std::env::var("PICK").unwrap_or_default();
    let versions = match std::env::var("V").as_deref() { Ok("none") => Versions::None, Ok("stuck") => Versions::Stuck, Ok("unproved") => Versions::Unproved, _ => Versions::Trusted };
    let mut setup = match pick.as_str() { "alone" => Setup::leases_alone(versions), _ => Setup::one_lease(versions) };
    let n = |name: &str, d: usize| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(d);
    setup.workers = n("W", setup.workers);
    setup.looks = n("L", setup.looks);
    setup.coordinators = n("C", setup.coordinators);
    setup.scale.late_limit = n("LATE", 2) as i8;
    setup.scale.read_lag = n("LAG", 1) as i8;
    setup.scale.claim = n("CLAIM", 1) as i8;
    setup.scale.grant = n("GRANT", 1) as i8;
    setup.scale.lease = n("LEASE", 3) as i8;
    setup.scale.look = n("LOOK", 1) as i8;
    if n("RELEASE", 0) > 0 { setup.persons.release = true; }
    if n("HAND", 0) > 0 { setup.persons.hand = true; }
    if n("EXPLICIT", 0) > 0 { setup.network = Network::Explicit; }
    if n("KINDS", 0) > 0 { setup.kinds_in_a_run = Some(n("KINDS", 0) as u32); }
    if n("TWO", 0) > 0 { setup.cases = &[0, 0]; }
    if n("PAIR", 0) > 0 { setup.cases = &[0, 1]; setup.spare = 2; }
    let report = setup.check();
    println!("{report}");
    println!("missing {:?} pairs {:?}", report.missing, report.missing_pairs);
    assert!(report.broken.is_empty());
}
