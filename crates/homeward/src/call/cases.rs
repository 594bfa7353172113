//! Cases: diagnose, recover, prove, approve, deny, cancel, confirm, list.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context;
use homeward_proto::recovery::v1::{
    AttachProofsRequest, CancelRecoveryRequest, CastVotesRequest, ConfirmResetRequest, DiagnoseRequest, ItemResult,
    ListRecoveriesRequest, ListRecoveriesResponse, NewRecovery, Problem, Proof, RequestRecoveriesRequest,
    RequestRecoveriesResponse, RequestResult, Vote,
};
use homeward_proto::words::v1::{Diagnosis, ProofKind as WireProofKind, Tier};

use super::Connection;
use super::print::{Page, local_time, or_dash, table};
use crate::cli::{Act, Decide, Diagnose, List, One, Prove, Recover};
use crate::exit::{Failure, REFUSED};

/// The most that one call may carry.
const BULK: usize = 100;

pub async fn diagnose(args: Diagnose) -> Result<ExitCode, Failure> {
    let request = DiagnoseRequest { organisation: args.at.organisation, query: args.account };
    let response = Connection::open(&args.at.reach)?.recovery().diagnose(request).await?.into_inner();
    let lends = response.diagnosis.as_ref().is_some_and(|diagnosis| diagnosis.lends);
    Page(args.at.reach.output).print("homeward.recovery.v1.DiagnoseResponse", &response, |response| {
        response.diagnosis.as_ref().map(diagnosis_text).unwrap_or_default()
    })?;
    Ok(if lends { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

fn diagnosis_text(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    if let Some(account) = &diagnosis.account {
        let _ = writeln!(text, "{} <{}>, account {}", account.name, account.email, account.account);
    }
    let _ = writeln!(text, "{}\n→ {}", diagnosis.sentence, diagnosis.next);
    if diagnosis.tier() == Tier::High {
        let _ = writeln!(text, "More care is needed ({}): stronger proof and more approvals.", diagnosis.tier_reasons.join(", "));
    }
    if !diagnosis.candidates.is_empty() {
        let rows = diagnosis
            .candidates
            .iter()
            .map(|c| {
                [
                    c.account.clone(),
                    c.email.clone(),
                    c.name.clone(),
                    c.status.clone(),
                    local_time(c.last_active),
                    or_dash(&c.policy),
                ]
            })
            .collect();
        text += &table(["ACCOUNT", "E-MAIL", "NAME", "STATUS", "LAST ACTIVE", "POLICY"], rows, "");
    }
    text
}

pub async fn recover(args: Recover) -> Result<ExitCode, Failure> {
    let wanted = wanted(&args)?;
    let mut recovery = Connection::open(&args.at.reach)?.recovery();
    let mut all = RequestRecoveriesResponse::default();
    for part in wanted.chunks(BULK) {
        let request = RequestRecoveriesRequest { organisation: args.at.organisation.clone(), recoveries: part.to_vec() };
        all.results.extend(recovery.request_recoveries(request).await?.into_inner().results);
    }
    let refused = all.results.iter().any(|result| result.problem.is_some());
    Page(args.at.reach.output).print("homeward.recovery.v1.RequestRecoveriesResponse", &all, |all| {
        all.results.iter().zip(&wanted).map(|(result, asked)| request_text(&asked.query, result)).collect()
    })?;
    Ok(done_unless(refused))
}

/// What to ask for: the accounts of the command line, or a file's rows.
fn wanted(args: &Recover) -> Result<Vec<NewRecovery>, Failure> {
    let new = |query: String, reason: String| NewRecovery {
        query,
        reason,
        idempotency_key: String::new(),
        prefilled_from: args.prefilled_from.map(|id| id.to_string()).unwrap_or_default(),
    };
    let Some(path) = &args.file else {
        return Ok(args.accounts.iter().map(|account| new(account.clone(), args.reason.clone())).collect());
    };
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).with_context(|| format!("reading {}", path.display()))?;
    let head = reader.headers().with_context(|| format!("reading the first line of {}", path.display()))?.clone();
    let column = |name: &str| head.iter().position(|title| title.eq_ignore_ascii_case(name));
    let account = column("account").with_context(|| {
        format!("{} line 1: no column `account`; found: {}", path.display(), head.iter().collect::<Vec<_>>().join(", "))
    })?;
    let reason = column("reason");
    let mut wanted = Vec::new();
    for row in reader.records() {
        let row = row.with_context(|| format!("reading {}", path.display()))?;
        let line = row.position().map_or(0, csv::Position::line);
        let query = row.get(account).filter(|text| !text.is_empty());
        let query = query.with_context(|| format!("{} line {line}: the column `account` is empty", path.display()))?;
        let why = reason.and_then(|at| row.get(at)).filter(|text| !text.is_empty()).unwrap_or(&args.reason);
        wanted.push(new(query.to_owned(), why.to_owned()));
    }
    Ok(wanted)
}

fn request_text(query: &str, result: &RequestResult) -> String {
    let mut text = format!("{query}: ");
    match &result.problem {
        Some(problem) => text += &problem_text(problem),
        None => {
            let _ = writeln!(
                text,
                "recovery {} opened\n→ attach {} proof(s) with `homeward prove`, then {} approval(s) with `homeward approve`",
                result.recovery, result.proofs_needed, result.approvals_needed
            );
        }
    }
    if let Some(diagnosis) = &result.diagnosis {
        text += &diagnosis_text(diagnosis);
    }
    text
}

fn problem_text(problem: &Problem) -> String {
    format!("refused: {} ({})\n→ {}\n", problem.message, problem.reason, problem.remedy)
}

pub async fn prove(args: Prove) -> Result<ExitCode, Failure> {
    let mut recovery = Connection::open(&args.reach)?.recovery();
    let kind = WireProofKind::from(args.kind).into();
    let mut results = Vec::new();
    for part in args.recoveries.chunks(BULK) {
        let proofs = part.iter().map(|id| Proof { recovery: id.to_string(), kind, evidence: args.evidence.clone() }).collect();
        results.extend(recovery.attach_proofs(AttachProofsRequest { proofs }).await?.into_inner().results);
    }
    let all = homeward_proto::recovery::v1::AttachProofsResponse { results };
    Page(args.reach.output)
        .print("homeward.recovery.v1.AttachProofsResponse", &all, |all| items_text(&all.results, "proof attached"))?;
    Ok(done_unless(all.results.iter().any(|item| item.problem.is_some())))
}

pub async fn decide(args: Decide, approve: bool) -> Result<ExitCode, Failure> {
    let mut recovery = Connection::open(&args.reach)?.recovery();
    let mut results = Vec::new();
    for part in args.recoveries.chunks(BULK) {
        let votes = part.iter().map(|id| Vote { recovery: id.to_string(), approve, reason: args.reason.clone() }).collect();
        results.extend(recovery.cast_votes(CastVotesRequest { votes }).await?.into_inner().results);
    }
    let all = homeward_proto::recovery::v1::CastVotesResponse { results };
    let done = if approve { "approved" } else { "denied" };
    Page(args.reach.output).print("homeward.recovery.v1.CastVotesResponse", &all, |all| items_text(&all.results, done))?;
    Ok(done_unless(all.results.iter().any(|item| item.problem.is_some())))
}

fn items_text(items: &[ItemResult], done: &str) -> String {
    items
        .iter()
        .map(|item| match &item.problem {
            Some(problem) => format!("{}: {}", item.recovery, problem_text(problem)),
            None => format!("{}: {done}; now at {}\n", item.recovery, item.step),
        })
        .collect()
}

pub async fn cancel(args: Act) -> Result<ExitCode, Failure> {
    let request = CancelRecoveryRequest { recovery: args.recovery.to_string(), reason: args.reason };
    let response = Connection::open(&args.reach)?.recovery().cancel_recovery(request).await?.into_inner();
    Page(args.reach.output).print("homeward.recovery.v1.CancelRecoveryResponse", &response, |response| {
        format!("cancelled; now at {}", response.step)
    })?;
    Ok(ExitCode::SUCCESS)
}

pub async fn confirm_reset(args: One) -> Result<ExitCode, Failure> {
    let request = ConfirmResetRequest { recovery: args.recovery.to_string() };
    let response = Connection::open(&args.reach)?.recovery().confirm_reset(request).await?.into_inner();
    Page(args.reach.output).print("homeward.recovery.v1.ConfirmResetResponse", &response, |response| {
        format!("noted; Homeward reads the factor now and believes only what it reads (now at {})", response.step)
    })?;
    Ok(ExitCode::SUCCESS)
}

pub async fn list(args: List) -> Result<ExitCode, Failure> {
    let mut client = Connection::open(&args.at.reach)?.recovery();
    let mut all = ListRecoveriesResponse::default();
    while all.recoveries.len() < args.limit {
        let request = ListRecoveriesRequest {
            organisation: args.at.organisation.clone(),
            open_only: !args.all,
            before: all.next_before.clone(),
            page_size: i32::try_from((args.limit - all.recoveries.len()).min(1000)).unwrap_or(1000),
        };
        let page = client.list_recoveries(request).await?.into_inner();
        all.recoveries.extend(page.recoveries);
        all.next_before = page.next_before;
        if all.next_before.is_empty() {
            break;
        }
    }
    Page(args.at.reach.output).print("homeward.recovery.v1.ListRecoveriesResponse", &all, |all| {
        let rows = all
            .recoveries
            .iter()
            .map(|r| {
                let at = if r.outcome.is_empty() { r.step.clone() } else { r.outcome.clone() };
                [
                    r.recovery.clone(),
                    or_dash(&r.email),
                    at,
                    r.requester.clone(),
                    local_time(r.out_since),
                    local_time(r.due_at),
                    r.next.clone(),
                ]
            })
            .collect();
        table(["RECOVERY", "ACCOUNT", "AT", "REQUESTER", "OUT SINCE", "DUE AT", "NEXT"], rows, "No recoveries.")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn done_unless(refused: bool) -> ExitCode {
    if refused { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS }
}
