//! Many lost phones at once: half of them have a factor that a person must remove, half are in the login loop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use homeward_proto::recovery::v1::{ListRecoveriesRequest, Recovery};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{APPROVER, HELP_DESK, PATIENCE, Played, Stage, Who};
use crate::exit::Failure;

/// People that act at the same moment.
const AT_ONCE: usize = 16;

/// How many of `recoveries` are in the login loop; the others have lost a phone with a factor on it.
pub fn stranded(recoveries: usize) -> usize {
    recoveries.div_ceil(2)
}

pub async fn play(stage: &Stage, recoveries: usize) -> Result<Played, Failure> {
    let emails = needy(stage, recoveries)?;
    let results = stage.help_desk.request(&emails).await?;
    if let Some(problem) = results.iter().find_map(|result| result.problem.as_ref()) {
        return Err(anyhow::anyhow!("{}: {}", problem.message, problem.remedy).into());
    }
    let of: BTreeMap<String, String> = results.iter().map(|result| result.recovery.clone()).zip(emails).collect();
    let ids: Vec<String> = of.keys().cloned().collect();
    stage.timeline.line(HELP_DESK, &format!("asks for {recoveries} recoveries"));
    stage.help_desk.prove(&ids).await?;
    stage.timeline.line(HELP_DESK, "attaches proof to each");
    stage.approver.vote(&ids, true).await?;
    stage.timeline.line(APPROVER, "approves all of them; the exposure cap lets them out a few at a time");
    let closed = help_all(stage, &of).await?;
    stage.told_all().await?;
    let accounts = closed.iter().map(|recovery| recovery.account.clone()).collect();
    Ok(Played { recoveries: closed, outcome: "enrolled", accounts })
}

/// People who need help, as the simulated organisation has them.
fn needy(stage: &Stage, recoveries: usize) -> Result<Vec<String>, Failure> {
    let needs_help = |email: &&String| email.starts_with("stranded.") || email.starts_with("lost.");
    let emails: Vec<String> =
        stage.before.accounts.iter().map(|account| &account.email).filter(needs_help).take(recoveries).cloned().collect();
    if emails.len() < recoveries {
        return Err(anyhow::anyhow!(
            "only {} accounts are in trouble at this simulator; start it with more --stranded and --lost-phones, or ask for fewer --recoveries",
            emails.len()
        )
        .into());
    }
    Ok(emails)
}

/// Follows the letters' links until every recovery is closed.
async fn help_all(stage: &Stage, of: &BTreeMap<String, String>) -> Result<Vec<Recovery>, Failure> {
    stage.timeline.expect("recoveries closed", of.len());
    let mut acting: JoinSet<anyhow::Result<()>> = JoinSet::new();
    let (mut seen, room) = (BTreeSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
    let (mut progress_at, mut closed_before) = (Instant::now(), 0);
    loop {
        for name in stage.mailbox.names().await?.into_iter().filter(|name| !seen.contains(name)).collect::<Vec<_>>() {
            act(stage, of, &name, &room, &mut acting);
            seen.insert(name);
        }
        while let Some(done) = acting.try_join_next() {
            done.map_err(anyhow::Error::from)??;
        }
        let closed = closed(stage, of).await?;
        if closed.len() > closed_before {
            (progress_at, closed_before) = (Instant::now(), closed.len());
            stage.timeline.reached(closed.len());
        }
        if closed.len() == of.len() {
            stage.timeline.arrived();
            stage.timeline.line(Who::Homeward, &format!("{} recoveries closed", closed.len()));
            return Ok(closed);
        }
        if progress_at.elapsed() > PATIENCE {
            return Err(anyhow::anyhow!(
                "only {} of {} recoveries closed, and none in the last {PATIENCE:?}",
                closed.len(),
                of.len()
            )
            .into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn act(
    stage: &Stage,
    of: &BTreeMap<String, String>,
    name: &str,
    room: &Arc<Semaphore>,
    acting: &mut JoinSet<anyhow::Result<()>>,
) {
    let mut parts = name.split('.');
    let (Some(recovery), Some(kind)) = (parts.next(), parts.next()) else { return };
    let Some(email) = of.get(recovery).cloned() else { return };
    let invited = kind == "invitation";
    if !invited && kind != "reset_needed" {
        return;
    }
    let (mailbox, browser, room, name) = (stage.mailbox.clone(), stage.browser.clone(), room.clone(), name.to_owned());
    acting.spawn(async move {
        let _place = room.acquire().await?;
        let letter = mailbox.open(&name).await?;
        if invited { browser.sign_in_and_enrol(&email, &letter).await } else { browser.reset_factor(&letter).await }
    });
}

async fn closed(stage: &Stage, of: &BTreeMap<String, String>) -> Result<Vec<Recovery>, Failure> {
    let mut all = Vec::new();
    let mut before = String::new();
    loop {
        let request = ListRecoveriesRequest {
            organisation: stage.help_desk.organisation.clone(),
            open_only: false,
            before,
            page_size: 1000,
        };
        let page = stage.help_desk.homeward.recovery().list_recoveries(request).await?.into_inner();
        all.extend(page.recoveries.into_iter().filter(|r| r.closed_at.is_some() && of.contains_key(&r.recovery)));
        if page.next_before.is_empty() {
            return Ok(all);
        }
        before = page.next_before;
    }
}
