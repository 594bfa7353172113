//! Leases and what operators do: return, drain, release, incidents, audit.

use std::fmt::Write as _;
use std::process::ExitCode;

use homeward_proto::policy::v1::{
    GetExposureRequest, GetExposureResponse, GetLeaseRequest, GetLeaseResponse, Lease, LeaseState, ListLeasesRequest,
    ListLeasesResponse, ReleaseLeaseRequest, ReturnLeaseRequest, ReturnLeasesRequest, SetDrainRequest,
};
use homeward_proto::recovery::v1::{ListIncidentsRequest, VerifyAuditRequest};
use homeward_proto::words::v1::LeaseEnd;

use super::Connection;
use super::print::{Page, local_time, or_dash, table};
use crate::cli::{Act, AuditArgs, Drain, Incidents, Leases, ReturnNow};
use crate::exit::{Failure, REFUSED};

pub async fn return_now(args: ReturnNow) -> Result<ExitCode, Failure> {
    let mut policy = Connection::open(&args.reach)?.policy();
    if let Some(organisation) = args.all {
        let request = ReturnLeasesRequest { organisation, leases: vec![], only_overdue: args.overdue, reason: args.reason };
        let response = policy.return_leases(request).await?.into_inner();
        Page(args.reach.output).print("homeward.policy.v1.ReturnLeasesResponse", &response, |response| {
            format!("{} lease(s) are being returned; follow them with `homeward leases`", response.returning)
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    for lease in args.leases {
        let request = ReturnLeaseRequest { lease: lease.to_string(), reason: args.reason.clone() };
        let response = policy.return_lease(request).await?.into_inner();
        Page(args.reach.output).print("homeward.policy.v1.ReturnLeaseResponse", &response, |response| {
            format!("{lease}: {}", state_name(response.state()))
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn leases(args: Leases) -> Result<ExitCode, Failure> {
    let mut policy = Connection::open(&args.reach)?.policy();
    let page = Page(args.reach.output);
    if let Some(lease) = args.lease {
        let response = policy.get_lease(GetLeaseRequest { lease: lease.to_string() }).await?.into_inner();
        page.print("homeward.policy.v1.GetLeaseResponse", &response, lease_text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut all = ListLeasesResponse::default();
    while all.leases.len() < args.limit {
        let request = ListLeasesRequest {
            organisation: args.organisation.clone().unwrap_or_default(),
            open_only: !args.all,
            before: all.next_before.clone(),
            page_size: i32::try_from((args.limit - all.leases.len()).min(1000)).unwrap_or(1000),
        };
        let next = policy.list_leases(request).await?.into_inner();
        all.leases.extend(next.leases);
        all.next_before = next.next_before;
        if all.next_before.is_empty() {
            break;
        }
    }
    page.print("homeward.policy.v1.ListLeasesResponse", &all, |all| {
        let rows = all
            .leases
            .iter()
            .map(|l| {
                let overdue = if l.overdue { "overdue" } else { "" };
                [l.lease.clone(), l.account.clone(), standing(l), local_time(l.seen_out_at), local_time(l.due_at), overdue.into()]
            })
            .collect();
        table(["LEASE", "ACCOUNT", "STATE", "OUT SINCE", "DUE AT", ""], rows, "No leases: nobody is out.")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn state_name(state: LeaseState) -> &'static str {
    match state {
        LeaseState::Opening => "opening",
        LeaseState::Active => "active",
        LeaseState::Closing => "closing",
        LeaseState::Settling => "settling",
        LeaseState::Closed => "closed",
        LeaseState::Unspecified => "unknown",
    }
}

fn standing(lease: &Lease) -> String {
    match lease.end() {
        LeaseEnd::Unspecified => state_name(lease.state()).into(),
        LeaseEnd::Home => "closed: home".into(),
        LeaseEnd::ProtectedElsewhere => format!("closed: protected in {}", lease.end_policy),
        LeaseEnd::Gone => "closed: gone".into(),
        LeaseEnd::Released => "closed: released".into(),
        LeaseEnd::NeverLent => "closed: never lent".into(),
    }
}

fn lease_text(response: &GetLeaseResponse) -> String {
    let Some(lease) = &response.lease else { return "No such lease.".into() };
    let mut text = String::new();
    let facts = [
        ("lease", lease.lease.clone()),
        ("account", lease.account.clone()),
        ("state", standing(lease)),
        ("home", lease.home.clone()),
        ("opened", local_time(lease.opened_at)),
        ("due", local_time(lease.due_at)),
        ("seen out", local_time(lease.seen_out_at)),
        ("seen back", local_time(lease.seen_back_at)),
        ("closed", local_time(lease.closed_at)),
        ("origin", lease.origin.clone()),
        ("returning because", or_dash(&lease.return_reason)),
        ("evidence", or_dash(&lease.evidence)),
    ];
    for (name, value) in facts {
        let _ = writeln!(text, "{name:<18} {value}");
    }
    let rows = response
        .attempts
        .iter()
        .map(|a| [a.kind.clone(), a.state.clone(), local_time(a.sent_at), or_dash(&a.task), a.detail.clone()])
        .collect();
    text + "\n" + &table(["ATTEMPT", "STATE", "SENT", "TASK", "DETAIL"], rows, "No attempts.")
}

/// What lends and returns have shown of the provider.
pub async fn provider(args: AuditArgs) -> Result<ExitCode, Failure> {
    let request = GetExposureRequest { organisation: args.at.organisation };
    let response = Connection::open(&args.at.reach)?.policy().get_exposure(request).await?.into_inner();
    Page(args.at.reach.output).print("homeward.policy.v1.GetExposureResponse", &response, provider_text)?;
    Ok(ExitCode::SUCCESS)
}

fn provider_text(exposure: &GetExposureResponse) -> String {
    let judged =
        |text: &str| if text.is_empty() { "not judged yet: needs a first lend and return".to_owned() } else { text.to_owned() };
    let answers = match exposure.unreachable_since {
        None => "yes".to_owned(),
        since @ Some(_) => format!("no, since {}", local_time(since)),
    };
    let versions = if exposure.versions_trusted { "trusted: one read can prove" } else { "not trusted: two reads must agree" };
    format!(
        "answers                      {answers}\nout now, overdue, cap        {}, {}, {}\nlends                        {}\n\
         reading a move's task        {}\nversion at the first lend    {}\nversion at the first return  {}\n\
         placements' versions         {versions}",
        exposure.out_now,
        exposure.overdue,
        exposure.hard_cap,
        if exposure.draining { "stopped by an operator" } else { "go on" },
        judged(&exposure.task_read),
        judged(&exposure.lend_version),
        judged(&exposure.return_version),
    )
}

pub async fn drain(args: Drain) -> Result<ExitCode, Failure> {
    let request = SetDrainRequest { organisation: args.at.organisation, drain: !args.end, reason: args.reason };
    let response = Connection::open(&args.at.reach)?.policy().set_drain(request).await?.into_inner();
    Page(args.at.reach.output).print("homeward.policy.v1.SetDrainResponse", &response, |response| {
        if response.draining { "draining: no new lends, returns go on".into() } else { "lending again".into() }
    })?;
    Ok(ExitCode::SUCCESS)
}

pub async fn release(args: Act) -> Result<ExitCode, Failure> {
    let request = ReleaseLeaseRequest { lease: args.recovery.to_string(), reason: args.reason };
    let response = Connection::open(&args.reach)?.policy().release_lease(request).await?.into_inner();
    Page(args.reach.output).print("homeward.policy.v1.ReleaseLeaseResponse", &response, |response| {
        if response.released {
            "released for ever; the report keeps both names and reasons".into()
        } else {
            "noted; a second operator must release it too".into()
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

pub async fn incidents(args: Incidents) -> Result<ExitCode, Failure> {
    let request = ListIncidentsRequest {
        organisation: args.at.organisation,
        page_size: i32::try_from(args.limit.min(1000)).unwrap_or(1000),
        before: String::new(),
    };
    let response = Connection::open(&args.at.reach)?.recovery().list_incidents(request).await?.into_inner();
    Page(args.at.reach.output).print("homeward.recovery.v1.ListIncidentsResponse", &response, |response| {
        let rows = response
            .incidents
            .iter()
            .map(|i| {
                [local_time(i.opened_at), i.kind.clone(), i.sentence.clone(), or_dash(&i.next_action), or_dash(&i.safe_action)]
            })
            .collect();
        table(["SINCE", "KIND", "WHAT", "HOMEWARD DOES", "YOU CAN"], rows, "No incidents.")
    })?;
    Ok(ExitCode::SUCCESS)
}

pub async fn audit(args: AuditArgs) -> Result<ExitCode, Failure> {
    let request = VerifyAuditRequest { organisation: args.at.organisation };
    let response = Connection::open(&args.at.reach)?.recovery().verify_audit(request).await?.into_inner();
    let intact = response.intact;
    Page(args.at.reach.output).print("homeward.recovery.v1.VerifyAuditResponse", &response, |response| {
        if response.intact {
            format!("intact: {} entries, {} of them anchored by a signed checkpoint", response.entries, response.anchored)
        } else {
            format!("NOT intact: {}", response.finding)
        }
    })?;
    Ok(if intact { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}
