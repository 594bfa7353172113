//! The proofs that every saga must pass.

use homeward_saga::proofs::prove_all;

use crate::saga::rehearsal::RecoveryRehearsal;

#[test]
fn every_trouble_at_every_step_and_a_crash_at_every_boundary_end_well() {
    let reports = prove_all(&[&RecoveryRehearsal::new().unwrap()]).unwrap_or_else(|broken| panic!("{broken}"));
    let report = &reports["recovery"];
    for step in ["prove", "approve", "take-slot", "lend", "reset-factor", "invite", "await-enrolment"] {
        assert!(report.failed_at.contains(step), "nothing failed at {step}: {:?}", report.failed_at);
    }
    for boundary in ["commit", "publish", "call"] {
        let hits: usize = report.hits.iter().filter(|((name, _), _)| *name == boundary).map(|(_, hits)| hits).sum();
        assert!(hits > 100, "{boundary} was hit {hits} times");
    }
}
