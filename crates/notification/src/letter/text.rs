//! Subject and body by kind of notice. Plain text: nothing to load, nothing to hide a link behind.

use std::fmt::Write as _;

use super::LetterError;
use crate::delivery::{Kind, Notice};

/// What a letter says.
pub struct Text {
    /// Its subject.
    pub subject: String,
    /// Its body.
    pub body: String,
}

/// The text for a notice.
pub fn of(notice: &Notice) -> Result<Text, LetterError> {
    let mut text = match notice.kind {
        Kind::Requested => requested(notice),
        Kind::ApprovalNeeded => approval_needed(notice),
        Kind::ResetNeeded => reset_needed(notice),
        Kind::Invitation => invitation(notice),
        Kind::Reminder => reminder(notice),
        Kind::Closed => closed(notice),
        Kind::Incident => incident(notice),
    }?;
    if let Some(link) = optional(notice, "not_me_url") {
        let _ = write!(text.body, "\nIf you did not ask for this, open this page and press the button:\n{link}\n");
    }
    text.body += &footer(notice);
    Ok(text)
}

fn requested(notice: &Notice) -> Result<Text, LetterError> {
    let (email, requester) = (needed(notice, "account_email")?, needed(notice, "requester")?);
    Ok(Text {
        subject: format!("Someone asked to recover the second factor of {email}"),
        body: format!(
            "{}{requester} asked to recover the second factor of your account {email}.\n\
             Nothing has changed yet: proof is needed that it is you who asks, and a second person must approve.\n",
            greeting(notice)
        ),
    })
}

fn approval_needed(notice: &Notice) -> Result<Text, LetterError> {
    let (email, requester) = (needed(notice, "account_email")?, needed(notice, "requester")?);
    let reason = optional(notice, "reason").map(|reason| format!("Their reason: {reason}\n")).unwrap_or_default();
    let hint = optional(notice, "approve_hint").unwrap_or_else(|| format!("homeward approve {}", notice.recovery));
    Ok(Text {
        subject: format!("Your decision is needed: recovery of {email}"),
        body: format!(
            "{}{requester} asks to recover the second factor of {email}, and has attached proof.\n{reason}\
             If you approve, the account is lent to the recovery policy for a limited time and then put back.\n\n\
             To approve:\n  {hint}\nTo deny:\n  homeward deny {}\n",
            greeting(notice),
            notice.recovery
        ),
    })
}

fn reset_needed(notice: &Notice) -> Result<Text, LetterError> {
    let (email, page) = (needed(notice, "account_email")?, needed(notice, "reset_page")?);
    let how = optional(notice, "how").map(|how| format!("{how}\n")).unwrap_or_default();
    Ok(Text {
        subject: format!("Please remove the old factor of {email}"),
        body: format!(
            "{}the account {email} is in the recovery policy now. The provider has no call that removes the old factor, so a person must.\n\n\
             Open this page and reset two-step verification:\n{page}\n{how}\n\
             Homeward sees by itself when it is done. To have it look at once:\n  homeward confirm-reset {}\n",
            greeting(notice),
            notice.recovery
        ),
    })
}

fn invitation(notice: &Notice) -> Result<Text, LetterError> {
    let (email, page) = (needed(notice, "account_email")?, needed(notice, "sign_in_url")?);
    Ok(Text {
        subject: "You can sign in now: please set up a new second factor".into(),
        body: format!(
            "{}you can sign in to {email} with your password now.\n\n\
             1. Sign in here:\n{page}\n\
             2. Set up two-step verification at once, under your account's security settings.\n\n\
             {}After that two-step verification is mandatory again.\n",
            greeting(notice),
            until(notice)
        ),
    })
}

fn reminder(notice: &Notice) -> Result<Text, LetterError> {
    let (email, page) = (needed(notice, "account_email")?, needed(notice, "sign_in_url")?);
    Ok(Text {
        subject: "Time is running out: please set up your second factor".into(),
        body: format!(
            "{}your account {email} still has no second factor.\n\nSign in here and set one up:\n{page}\n\n\
             {}After that you will be asked for a factor that you do not have, and must ask for help again.\n",
            greeting(notice),
            until(notice)
        ),
    })
}

fn closed(notice: &Notice) -> Result<Text, LetterError> {
    let (email, sentence) = (needed(notice, "account_email")?, needed(notice, "outcome_sentence")?);
    Ok(Text {
        subject: format!("The recovery of {email} has ended: {}", needed(notice, "outcome")?.replace('_', " ")),
        body: format!("{}{sentence}\n", greeting(notice)),
    })
}

fn incident(notice: &Notice) -> Result<Text, LetterError> {
    let sentence = needed(notice, "sentence")?;
    let line = |title: &str, name: &str| optional(notice, name).map(|text| format!("{title}: {text}\n")).unwrap_or_default();
    Ok(Text {
        subject: format!(
            "Homeward incident: {}",
            optional(notice, "kind").unwrap_or_else(|| "needs a person".into()).replace('_', " ")
        ),
        body: format!(
            "{}{sentence}\n\n{}{}",
            greeting(notice),
            line("What Homeward does next", "next_action"),
            line("What you can safely do", "safe_action")
        ),
    })
}

fn greeting(notice: &Notice) -> String {
    if notice.recipient_name.is_empty() { "Hello,\n\n".into() } else { format!("Hello {},\n\n", notice.recipient_name) }
}

fn until(notice: &Notice) -> String {
    optional(notice, "due_at").map(|due| format!("You have until {due}. ")).unwrap_or_default()
}

fn footer(notice: &Notice) -> String {
    let trace = optional(notice, "trace_id").map(|id| format!(", trace {id}")).unwrap_or_default();
    let recovery = if notice.recovery.is_empty() { String::new() } else { format!(" · recovery {}", notice.recovery) };
    format!("\n-- \nHomeward · {}{recovery}{trace}\n", notice.organisation)
}

fn needed(notice: &Notice, name: &'static str) -> Result<String, LetterError> {
    optional(notice, name).ok_or(LetterError::Field(name))
}

fn optional(notice: &Notice, name: &str) -> Option<String> {
    notice.fields.get(name).filter(|text| !text.is_empty()).cloned()
}
