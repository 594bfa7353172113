//! The HTML of the people's pages: plain, complete, and escaped.

use std::fmt::Write;

use crate::account::{Claim, Status};
use crate::organisation::Organisation;
use crate::organisation::diff::word;
use crate::organisation::people::{Enrolment, Reset, SignIn};
use crate::well_known::{ADMIN_PAGE, FACTOR_CODE, PASSWORD};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem;color:#172b4d}\
    h1{font-size:1.4rem}dl{display:grid;grid-template-columns:14rem 1fr;gap:.3rem}dt{color:#5e6c84}dd{margin:0}\
    input,button{font:inherit;padding:.4rem .6rem;margin:.2rem 0}label{display:block}\
    .note{background:#f4f5f7;padding:.6rem .8rem;border-radius:4px}.bad{background:#ffebe6}";

fn layout(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} (simulated)</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1>{body}<p><small>A simulated page for trying Homeward; no real account is here.</small></p>\
         </main></body></html>"
    )
}

/// Text as HTML shows it.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The sign-in form, with what the last try came to.
pub(super) fn sign_in(email: &str, last: Option<SignIn>) -> String {
    let note = last.map(|outcome| {
        let class = if outcome == SignIn::CodeAsked { "note" } else { "note bad" };
        format!("<p class=\"{class}\" id=\"outcome\" data-outcome=\"{}\">{}</p>", word(outcome), outcome.message())
    });
    let asks_code = matches!(last, Some(SignIn::CodeAsked | SignIn::CodeRefused));
    let code = if asks_code { "<label>Verification code <input name=\"code\" inputmode=\"numeric\"></label>" } else { "" };
    let body = format!(
        "{}<form method=\"post\" action=\"/fake/sign-in\">\
         <label>Email <input name=\"email\" type=\"email\" value=\"{}\"></label>\
         <label>Password <input name=\"password\" type=\"password\" value=\"{PASSWORD}\"></label>{code}\
         <button>Log in</button></form>\
         <p><small>Everybody's password here is “{PASSWORD}”, and a factor that is not lost shows {FACTOR_CODE}.</small></p>",
        note.unwrap_or_default(),
        escape(email)
    );
    layout("Log in to continue", &body)
}

/// The page after a sign-in: here a factor can be set up.
pub(super) fn signed_in(email: &str, session: &str) -> String {
    let body = format!(
        "<p class=\"note\" id=\"outcome\" data-outcome=\"signed_in\">{} You are {}.</p>\
         <form method=\"post\" action=\"/fake/enrol\"><input type=\"hidden\" name=\"session\" value=\"{session}\">\
         <button>Set up two-step verification</button></form>",
        SignIn::SignedIn.message(),
        escape(email)
    );
    layout("Welcome back", &body)
}

/// The page after an enrolment.
pub(super) fn enrolled(outcome: Enrolment) -> String {
    let message = match outcome {
        Enrolment::Enrolled => "Two-step verification is on. Your next sign-in will ask for a code.",
        Enrolment::NotSignedIn => "Log in first to set up two-step verification.",
        Enrolment::SingleSignOn => "Two-step verification is set up at your identity provider.",
    };
    let class = if outcome == Enrolment::Enrolled { "note" } else { "note bad" };
    let body = format!("<p class=\"{class}\" id=\"outcome\" data-outcome=\"{}\">{message}</p>", word(outcome));
    layout("Two-step verification", &body)
}

/// The address of the admin console's page of an account.
pub(crate) fn admin_path(account: &str) -> String {
    ADMIN_PAGE.replace("{account_id}", &account.replace('%', "%25").replace('|', "%7C"))
}

/// The admin console's page of an account. The reset button is there only where the real console has one.
pub(super) fn admin(organisation: &Organisation, slot: usize) -> String {
    let account = &organisation.accounts[slot];
    let truth = organisation.truth(slot);
    let status = match (account.claim, account.status) {
        (Claim::Unmanaged, _) => "Not managed by this organization".to_owned(),
        (Claim::Managed, Status::Active) => format!("Active, membership {}", word(account.membership)),
        (Claim::Managed, status) => word(status),
    };
    let mut body = String::from("<dl>");
    let two_step = if truth.factor { "Enabled" } else { "Not enabled" };
    let rows = [
        ("Email", truth.email.as_str()),
        ("Account ID", truth.id.as_str()),
        ("Status", status.as_str()),
        ("Authentication policy", truth.policy_name.as_deref().unwrap_or("None")),
        ("Two-step verification", two_step),
    ];
    for (term, value) in rows {
        // Writing to a String cannot fail.
        let _ = write!(body, "<dt>{term}</dt><dd>{}</dd>", escape(value));
    }
    body.push_str("</dl>");
    match organisation.no_reset_button(slot) {
        None => {
            let path = escape(&admin_path(&account.id));
            let _ = write!(
                body,
                "<form method=\"post\" action=\"{path}/reset\"><button id=\"reset\">Reset two-step verification</button></form>"
            );
        }
        Some(Reset::NotManaged) => {
            body.push_str("<p class=\"note\">You can't edit accounts that your organization doesn't manage.</p>");
        }
        // The real page says nothing at all here, which is what sends people into the forum.
        Some(Reset::PolicyMandatory | Reset::PolicyDelegated | Reset::NoFactor | Reset::NoSuchAccount | Reset::Reset) => {}
    }
    layout(&truth.name, &body)
}

/// The page for an id that no account has.
pub(super) fn no_account() -> String {
    layout("Account not found", "<p>No account has this id.</p>")
}
