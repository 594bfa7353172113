//! One recovery and its timeline, as it stands and as it goes on.

use std::fmt::Write as _;
use std::process::ExitCode;

use homeward_proto::recovery::v1::{GetRecoveryRequest, GetRecoveryResponse, Recovery, TimelineEntry, WatchRecoveryRequest};

use super::Connection;
use super::print::{Page, local_time, moment, or_dash};
use crate::cli::One;
use crate::exit::Failure;

pub async fn show(args: One) -> Result<ExitCode, Failure> {
    let request = GetRecoveryRequest { recovery: args.recovery.to_string() };
    let response = Connection::open(&args.reach)?.recovery().get_recovery(request).await?.into_inner();
    Page(args.reach.output).print("homeward.recovery.v1.GetRecoveryResponse", &response, recovery_text)?;
    Ok(ExitCode::SUCCESS)
}

pub async fn watch(args: One) -> Result<ExitCode, Failure> {
    let request = WatchRecoveryRequest { recovery: args.recovery.to_string() };
    let mut stream = Connection::open(&args.reach)?.recovery().watch_recovery(request).await?.into_inner();
    let page = Page(args.reach.output);
    while let Some(news) = stream.message().await? {
        page.print("homeward.recovery.v1.WatchRecoveryResponse", &news, |news| {
            news.entry.as_ref().map(entry_text).unwrap_or_default()
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

fn recovery_text(response: &GetRecoveryResponse) -> String {
    let Some(recovery) = &response.recovery else { return "No such recovery.".into() };
    let mut text = String::new();
    for (name, value) in
        facts(recovery, &response.approvers).into_iter().filter(|(name, value)| !(name.is_empty() && value.is_empty()))
    {
        let _ = writeln!(text, "{name:<12} {value}");
    }
    text.push('\n');
    for entry in &response.timeline {
        text += &entry_text(entry);
    }
    text
}

fn facts(recovery: &Recovery, approvers: &[String]) -> Vec<(&'static str, String)> {
    let exposure = match (moment(recovery.out_since), moment(recovery.back_at)) {
        (Some(out), Some(back)) => format!("{:.3} s out", (back - out).as_seconds_f64()),
        (Some(_), None) => "out now".into(),
        (None, _) => "never out".into(),
    };
    let outcome =
        if recovery.outcome.is_empty() { "–".into() } else { format!("{}: {}", recovery.outcome, recovery.outcome_sentence) };
    vec![
        ("recovery", recovery.recovery.clone()),
        ("account", format!("{} <{}> ({})", recovery.name, recovery.email, recovery.account)),
        ("at", recovery.step.clone()),
        ("next", or_dash(&recovery.next)),
        ("requester", recovery.requester.clone()),
        ("approvers", or_dash(&approvers.join(", "))),
        ("exposure", exposure),
        ("due", local_time(recovery.due_at)),
        ("outcome", outcome),
        ("return", or_dash(&recovery.return_evidence)),
        ("trace", or_dash(&recovery.trace_id)),
        ("", recovery.trace_link.clone()),
    ]
}

fn entry_text(entry: &TimelineEntry) -> String {
    let by = if entry.actor.is_empty() { String::new() } else { format!(" ({})", entry.actor) };
    let at = moment(entry.at).map_or_else(|| "–".into(), |at| at.format("%H:%M:%S%.3f").to_string());
    format!("{at}  {:<16} {}{by}\n", entry.kind, entry.sentence)
}
