//! The stories. Each ends with every account at home.

mod many;

pub use many::stranded;

use std::time::Duration;

use anyhow::Context;
use homeward_proto::recovery::v1::{GetRecoveryRequest, Recovery};
use homeward_simulator::well_known::{self, Person};
use homeward_simulator::{Fault, FaultKind};
use tokio::time::Instant;

use super::stage::Stage;
use super::timeline::Who;
use crate::cli::{Demo, Story};
use crate::exit::Failure;

/// How long the whole of a story may take once everybody has acted.
const PATIENCE: Duration = Duration::from_mins(1);

const HELP_DESK: Who = Who::Person("help desk");
const APPROVER: Who = Who::Person("approver");
const ADMINISTRATOR: Who = Who::Person("administrator");
const USER: Who = Who::Person("user");

/// Ends the story where it went otherwise than it must.
macro_rules! expect {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(anyhow::anyhow!($($why)+).into());
        }
    };
}

/// What the verdict checks afterwards.
pub struct Played {
    /// The recoveries that were opened, closed by now.
    pub recoveries: Vec<Recovery>,
    /// The outcome that each must have.
    pub outcome: &'static str,
    /// The accounts that may have been touched.
    pub accounts: Vec<String>,
}

/// Plays a story to its end.
pub async fn play(stage: &Stage, demo: &Demo) -> Result<Played, Failure> {
    if demo.recoveries > 1 {
        return many::play(stage, demo.recoveries).await;
    }
    match demo.story {
        Story::LostPhone => helped(stage, well_known::LOST_PHONE).await,
        Story::LoginLoop => helped(stage, well_known::STORY).await,
        Story::NeverEnrols => never_enrols(stage).await,
        Story::ProviderDown => provider_down(stage).await,
        Story::WrongProfile => wrong_profile(stage).await,
        Story::NotManaged => not_managed(stage).await,
        Story::Denied => denied(stage).await,
        Story::Cancelled => cancelled(stage).await,
        Story::NotMe => not_me(stage).await,
    }
}

async fn helped(stage: &Stage, user: Person) -> Result<Played, Failure> {
    let recovery = until_approved(stage, user, user.email).await?;
    reset_if_needed(stage, &recovery).await?;
    sign_in(stage, user, &recovery).await?;
    ended(stage, user, &recovery, "enrolled").await
}

async fn never_enrols(stage: &Stage) -> Result<Played, Failure> {
    let user = well_known::STORY;
    let recovery = until_approved(stage, user, user.email).await?;
    reset_if_needed(stage, &recovery).await?;
    stage.mailbox.wait_for(&recovery, "invitation").await?;
    stage.timeline.line(USER, "has the invitation, and never gets round to it");
    ended(stage, user, &recovery, "not_enrolled").await
}

async fn provider_down(stage: &Stage) -> Result<Played, Failure> {
    const OUTAGE: Duration = Duration::from_secs(2);
    let user = well_known::STORY;
    let recovery = until_approved(stage, user, user.email).await?;
    reset_if_needed(stage, &recovery).await?;
    let letter = stage.mailbox.wait_for(&recovery, "invitation").await?;
    stage.timeline.line(Who::Person("the provider"), "stops answering Homeward: every connection is cut");
    stage.truth.fault(Fault::on("", FaultKind::Outage)).await?;
    stage.browser.sign_in_and_enrol(user.email, &letter).await?;
    stage.timeline.line(USER, "signs in and sets up a new factor; Homeward cannot see it yet");
    tokio::time::sleep(OUTAGE).await;
    let fired = stage.truth.faults().await?.iter().any(|fault| fault.fired > 0);
    expect!(fired, "the outage met no call: nothing was tried");
    stage.truth.clear_faults().await?;
    stage.timeline.line(Who::Person("the provider"), "answers again");
    ended(stage, user, &recovery, "enrolled").await
}

async fn wrong_profile(stage: &Stage) -> Result<Played, Failure> {
    let user = well_known::MIA_BERG;
    // A name is looked up in the replica, so the first reading through must be over.
    stage.help_desk.until_synced().await?;
    let diagnosis = stage.help_desk.diagnose(user.name).await?;
    stage.timeline.line(HELP_DESK, &format!("types \"{}\": {}", user.name, diagnosis.sentence));
    expect!(diagnosis.code == "several_match", "expected several matches, got {}", diagnosis.code);
    for candidate in &diagnosis.candidates {
        stage.timeline.line(Who::Homeward, &format!("  {} <{}>, account {}", candidate.name, candidate.email, candidate.account));
    }
    let refused = stage.help_desk.request(&[user.name.to_owned()]).await?;
    let problem = refused.first().and_then(|result| result.problem.as_ref()).context("a look-alike was accepted")?;
    stage.timeline.line(HELP_DESK, &format!("asks all the same, and is refused: {}", problem.message));
    let recovery = until_approved(stage, user, user.id).await?;
    reset_if_needed(stage, &recovery).await?;
    sign_in(stage, user, &recovery).await?;
    ended(stage, user, &recovery, "enrolled").await
}

async fn not_managed(stage: &Stage) -> Result<Played, Failure> {
    let user = well_known::UNMANAGED;
    let diagnosis = stage.help_desk.diagnose(user.email).await?;
    stage.timeline.line(HELP_DESK, &format!("asks about {}: {}", user.email, diagnosis.sentence));
    stage.timeline.line(Who::Homeward, &diagnosis.next);
    expect!(diagnosis.code == "not_managed", "expected not_managed, got {}", diagnosis.code);
    let refused = stage.help_desk.request(&[user.email.to_owned()]).await?;
    let problem = refused.first().and_then(|result| result.problem.as_ref()).context("an unmanaged account was accepted")?;
    stage.timeline.line(HELP_DESK, &format!("asks for a recovery all the same, and is refused: {}", problem.message));
    Ok(Played { recoveries: vec![], outcome: "", accounts: vec![] })
}

async fn denied(stage: &Stage) -> Result<Played, Failure> {
    let user = well_known::LOST_PHONE;
    let recovery = until_proved(stage, user, user.email).await?;
    stage.approver.vote(std::slice::from_ref(&recovery), false).await?;
    stage.timeline.line(APPROVER, "does not believe the caller, and denies");
    ended(stage, user, &recovery, "denied").await
}

async fn cancelled(stage: &Stage) -> Result<Played, Failure> {
    let user = well_known::LOST_PHONE;
    let recovery = until_approved(stage, user, user.email).await?;
    stage.mailbox.wait_for(&recovery, "reset_needed").await?;
    stage.help_desk.cancel(&recovery).await?;
    stage.timeline.line(HELP_DESK, "hears that the phone was found, and cancels while the account is out");
    ended(stage, user, &recovery, "cancelled").await
}

async fn not_me(stage: &Stage) -> Result<Played, Failure> {
    let user = well_known::STORY;
    let recovery = until_approved(stage, user, user.email).await?;
    reset_if_needed(stage, &recovery).await?;
    let letter = stage.mailbox.wait_for(&recovery, "invitation").await?;
    stage.browser.repudiate(&letter).await?;
    stage.timeline.line(USER, "opens the letter's link and presses \"this was not me\"");
    ended(stage, user, &recovery, "repudiated").await
}

/// Diagnosis, request and proof. Gives the recovery.
async fn until_proved(stage: &Stage, user: Person, query: &str) -> Result<String, Failure> {
    let page = stage.admin_page(user.id);
    if !stage.browser.sees_reset_button(&page).await? {
        stage.timeline.line(ADMINISTRATOR, &format!("opens {}'s page at the provider: no reset button", user.name));
    }
    let diagnosis = stage.help_desk.diagnose(query).await?;
    stage.timeline.line(HELP_DESK, &format!("asks why: {}", diagnosis.sentence));
    stage.timeline.line(Who::Homeward, &diagnosis.next);
    let results = stage.help_desk.request(&[query.to_owned()]).await?;
    let result = results.first().context("the request has no result")?;
    if let Some(problem) = &result.problem {
        return Err(anyhow::anyhow!("{}: {}", problem.message, problem.remedy).into());
    }
    stage.timeline.line(HELP_DESK, &format!("asks for a recovery: {}", result.recovery));
    stage.follow(&result.recovery);
    stage.help_desk.prove(std::slice::from_ref(&result.recovery)).await?;
    stage.timeline.line(HELP_DESK, "calls back on the number on file, and attaches that proof");
    Ok(result.recovery.clone())
}

/// As [`until_proved`], and the second person approves.
async fn until_approved(stage: &Stage, user: Person, query: &str) -> Result<String, Failure> {
    let recovery = until_proved(stage, user, query).await?;
    stage.approver.vote(std::slice::from_ref(&recovery), true).await?;
    stage.timeline.line(APPROVER, "a second person, approves");
    Ok(recovery)
}

/// The human step, where there is a factor to remove: the letter that comes first tells.
async fn reset_if_needed(stage: &Stage, recovery: &str) -> Result<(), Failure> {
    let Some(letter) = stage.mailbox.wait_for_first(recovery, "reset_needed", "invitation").await? else { return Ok(()) };
    stage.browser.reset_factor(&letter).await?;
    stage.timeline.line(ADMINISTRATOR, "follows the letter's link: the reset button is there now; presses it");
    stage.help_desk.confirm_reset(recovery).await?;
    Ok(())
}

async fn sign_in(stage: &Stage, user: Person, recovery: &str) -> Result<(), Failure> {
    let letter = stage.mailbox.wait_for(recovery, "invitation").await?;
    stage.browser.sign_in_and_enrol(user.email, &letter).await?;
    stage.timeline.line(USER, "follows the invitation, signs in with the password, sets up a new factor");
    Ok(())
}

/// Waits until the recovery is closed.
async fn ended(stage: &Stage, user: Person, recovery: &str, outcome: &'static str) -> Result<Played, Failure> {
    let began = Instant::now();
    loop {
        let request = GetRecoveryRequest { recovery: recovery.to_owned() };
        let now = stage.help_desk.homeward.recovery().get_recovery(request).await?.into_inner();
        let now = now.recovery.context("the recovery is gone")?;
        if now.closed_at.is_some() {
            stage.told_all().await?;
            return Ok(Played { recoveries: vec![now], outcome, accounts: vec![user.id.to_owned()] });
        }
        if began.elapsed() > PATIENCE {
            return Err(anyhow::anyhow!("the recovery is still at {} after {PATIENCE:?}: {}", now.step, now.next).into());
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}
