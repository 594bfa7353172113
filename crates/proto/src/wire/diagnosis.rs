//! A diagnosis as people are shown it. One way only: nobody decides from the wire's form.

use homeward_types::Diagnosis;
use homeward_types::diagnosis::{Outcome, TierReason};

use crate::words::v1;

fn reason_name(reason: TierReason) -> &'static str {
    match reason {
        TierReason::Administrator => "administrator",
        TierReason::Unseen => "unseen",
        TierReason::MailChanged => "mail_changed",
        TierReason::RepudiatedBefore => "repudiated_before",
        TierReason::ManyRequests => "many_requests",
    }
}

impl From<&Diagnosis> for v1::Diagnosis {
    fn from(diagnosis: &Diagnosis) -> Self {
        let candidates = match &diagnosis.outcome {
            Outcome::NoSuchAccount { closest } => closest.as_slice(),
            Outcome::SeveralMatch { candidates } => candidates.as_slice(),
            _ => &[],
        };
        let linked_id = match &diagnosis.outcome {
            Outcome::RecoveryOpen { recovery } => recovery.to_string(),
            Outcome::LeaseOpen { lease, .. } => lease.to_string(),
            _ => String::new(),
        };
        Self {
            code: diagnosis.outcome.code().into(),
            sentence: diagnosis.sentence(),
            next: diagnosis.next(),
            tier: v1::Tier::from(diagnosis.tier).into(),
            tier_reasons: diagnosis.tier_reasons.iter().map(|reason| reason_name(*reason).into()).collect(),
            account: diagnosis.account.as_ref().map(Into::into),
            placement: diagnosis.placement.as_ref().map(Into::into),
            factor: v1::Factor::from(diagnosis.factor).into(),
            candidates: candidates.iter().map(Into::into).collect(),
            lends: diagnosis.outcome.lends_from().is_some(),
            home: diagnosis.outcome.lends_from().map(ToString::to_string).unwrap_or_default(),
            linked_id,
        }
    }
}
