//! Between the wire's leases and findings and ours.

use homeward_messaging::{NewMessage, Received};
use homeward_proto::patrol::v1 as patrol;
use homeward_proto::policy::v1::{IncidentOpened, LeaseChanged, LeaseState};
use homeward_proto::wire::{WireError, lease_end, moment_optional, parse, timestamp};

use crate::copy::LeaseCopy;
use crate::finding::Finding;
use crate::finding::store::Standing;
use crate::keys::Matter;

/// The lease that an event of policy tells about.
pub fn lease(received: &Received, event: &LeaseChanged) -> Result<LeaseCopy, WireError> {
    let lease = event.lease.as_ref().ok_or_else(|| WireError::missing("lease"))?;
    let state = lease.state();
    if state == LeaseState::Unspecified {
        return Err(WireError::missing("lease.state"));
    }
    Ok(LeaseCopy {
        id: parse("lease.lease", &lease.lease)?,
        organisation: parse("lease.organisation", &lease.organisation)?,
        account: parse("lease.account", &lease.account)?,
        version: lease.version,
        open: state != LeaseState::Closed,
        ended: lease_end(lease.end(), &lease.end_policy)?.map(|end| end.to_string()).unwrap_or_default(),
        opened_at: moment_optional("lease.opened_at", lease.opened_at)?,
        due_at: moment_optional("lease.due_at", lease.due_at)?,
        closed_at: moment_optional("lease.closed_at", lease.closed_at)?,
        ever_out: lease.seen_out_at.is_some(),
        first_seen_out: None,
        tail_reads: 0,
        trace: received.trace(),
    })
}

/// The message that tells people of a finding.
pub fn incident(finding: &Finding, lease: &LeaseCopy, asks_return: bool) -> NewMessage {
    let next = if asks_return {
        "patrol asks policy to return the account at every patrol"
    } else {
        "patrol looks again at its next round"
    };
    let payload = IncidentOpened {
        incident: finding.incident.to_string(),
        organisation: finding.organisation.to_string(),
        account: finding.account.to_string(),
        lease: finding.lease.to_string(),
        kind: finding.kind.into(),
        sentence: format!("patrol: {}", finding.sentence),
        next_action: next.into(),
        next_at: None,
        safe_action: format!(
            "look at it with `homeward leases {0}`, and return it with `homeward return-now {0} --reason …`",
            finding.lease
        ),
    };
    NewMessage::new(
        "patrol.event.incident-opened.v1",
        finding.organisation.clone(),
        finding.lease.uuid(),
        finding.incident.to_string(),
        &payload,
    )
    .within(lease.trace.clone())
}

/// The message that tells people of patrol's key.
pub fn key_incident(matter: &Matter) -> NewMessage {
    let incident = matter.incident();
    let payload = IncidentOpened {
        incident: incident.to_string(),
        organisation: matter.organisation.to_string(),
        account: String::new(),
        lease: String::new(),
        kind: matter.kind.into(),
        sentence: matter.sentence.clone(),
        next_action: "policy goes on with its own key; patrol tries again at each round".into(),
        next_at: None,
        safe_action:
            "run `homeward check provider`; make a new key for patrol at the provider, put it into the configuration and \
                      restart"
                .into(),
    };
    let organisation = matter.organisation.clone();
    NewMessage::new("patrol.event.incident-opened.v1", organisation, incident.uuid(), incident.to_string(), &payload)
}

/// A finding as people are shown it.
pub fn finding(standing: Standing) -> patrol::Finding {
    patrol::Finding {
        account: standing.account,
        lease: standing.lease.to_string(),
        kind: standing.kind,
        sentence: standing.sentence,
        since: Some(timestamp(standing.since)),
    }
}
