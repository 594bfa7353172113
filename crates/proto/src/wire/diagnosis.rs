//! A diagnosis as people are shown it. One way only: nobody decides from the wire's form.

use homeward_types::Diagnosis;
use homeward_types::diagnosis::TierReason;

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
        Self {
            code: diagnosis.outcome.code().into(),
            sentence: diagnosis.sentence(),
            next: diagnosis.next(),
            tier: v1::Tier::from(diagnosis.tier).into(),
            tier_reasons: diagnosis.tier_reasons.iter().map(|reason| reason_name(*reason).into()).collect(),
            account: diagnosis.account.as_ref().map(Into::into),
            placement: diagnosis.placement.as_ref().map(Into::into),
            factor: v1::Factor::from(diagnosis.factor).into(),
            candidates: diagnosis.outcome.candidates().iter().map(Into::into).collect(),
            lends: diagnosis.outcome.lends_from().is_some(),
            home: diagnosis.outcome.lends_from().map(ToString::to_string).unwrap_or_default(),
            linked_id: diagnosis.outcome.linked_id().unwrap_or_default(),
        }
    }
}
