//! What people can do: sign in, enrol a factor, and (an administrator) reset somebody's factor. Here is the rule that
//! makes the story: who is in a mandatory policy without a factor is refused, and cannot enrol one either.

use serde::{Deserialize, Serialize};

use crate::account::Claim;
use crate::effect::Cause;
use crate::policy::Demand;
use crate::well_known::{FACTOR_CODE, PASSWORD};

use super::Organisation;
use super::events::Action;

/// How a sign-in ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignIn {
    /// In. The person may enrol a factor now.
    SignedIn,
    /// No account has this address.
    NoSuchAccount,
    /// Not the person's password.
    WrongPassword,
    /// The account is deactivated, suspended or closed.
    AccountDisabled,
    /// The login loop: the policy demands a factor, and there is none to ask for.
    Blocked,
    /// The factor's code is asked for.
    CodeAsked,
    /// The code was not right; a lost factor has no right code.
    CodeRefused,
    /// The policy sends the person to the identity provider's own sign-in.
    SingleSignOn,
}

impl SignIn {
    /// What the page tells the person.
    pub const fn message(self) -> &'static str {
        match self {
            Self::SignedIn => "You're signed in.",
            Self::NoSuchAccount => "We couldn't find an account with that email address.",
            Self::WrongPassword => "Incorrect email address or password.",
            Self::AccountDisabled => "Your account is deactivated. Contact your administrator.",
            Self::Blocked => {
                "Your organization requires two-step verification, and it is not set up for your account. Contact your administrator."
            }
            Self::CodeAsked => "Enter the 6-digit code from your authenticator app.",
            Self::CodeRefused => "That code isn't right. Lost your phone? Contact your administrator.",
            Self::SingleSignOn => "Continue with your organization's single sign-on.",
        }
    }
}

/// How an enrolment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enrolment {
    /// A new factor is set up (a former one, if any, is replaced).
    Enrolled,
    /// Only who is signed in can enrol.
    NotSignedIn,
    /// The factor lives at the identity provider.
    SingleSignOn,
}

/// How a reset on the admin console's page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// The factor is gone.
    Reset,
    /// No such account.
    NoSuchAccount,
    /// The account is not managed: the page has no controls.
    NotManaged,
    /// The policy is mandatory: the page shows no button.
    PolicyMandatory,
    /// The factor lives at the identity provider: the page shows no button.
    PolicyDelegated,
    /// Two-step verification is not enabled: the page shows no button.
    NoFactor,
}

impl Organisation {
    /// A person tries to sign in. The session is `Some` only for [`SignIn::SignedIn`].
    pub(crate) fn sign_in(&mut self, email: &str, password: &str, code: Option<&str>) -> (SignIn, Option<u64>) {
        let Some(slot) = self.find_email(email) else { return (SignIn::NoSuchAccount, None) };
        let outcome = self.judge(slot, password, code);
        if outcome != SignIn::SignedIn {
            return (outcome, None);
        }
        let session = self.open_session(slot);
        let now = self.now;
        self.accounts[slot].last_active = Some(now / 1_000);
        self.record(slot, now, Action::SignedIn, None);
        (outcome, Some(session))
    }

    fn judge(&self, slot: usize, password: &str, code: Option<&str>) -> SignIn {
        let account = &self.accounts[slot];
        if !account.usable() {
            return SignIn::AccountDisabled;
        }
        let demand = self.demand(slot);
        if demand == Demand::Delegated {
            return SignIn::SingleSignOn;
        }
        if password != PASSWORD {
            return SignIn::WrongPassword;
        }
        match (*account.factor.now(), demand, code) {
            (true, _, None) => SignIn::CodeAsked,
            (true, _, Some(code)) if account.lost || code != FACTOR_CODE => SignIn::CodeRefused,
            (true, _, Some(_)) | (false, Demand::Optional | Demand::Delegated, _) => SignIn::SignedIn,
            (false, Demand::Mandatory, _) => SignIn::Blocked,
        }
    }

    /// What the account's policy demands; an account in no policy is asked for nothing.
    pub(crate) fn demand(&self, slot: usize) -> Demand {
        self.accounts[slot].placement.now().map_or(Demand::Optional, |placed| self.policies[placed.policy].demand)
    }

    fn open_session(&mut self, slot: usize) -> u64 {
        let session: u64 = rand::Rng::random(&mut self.rng);
        self.close_session(slot);
        self.sessions.insert(session, slot);
        self.accounts[slot].session = Some(session);
        session
    }

    pub(super) fn close_session(&mut self, slot: usize) {
        if let Some(session) = self.accounts[slot].session.take() {
            self.sessions.remove(&session);
        }
    }

    /// The account that a session belongs to.
    pub(crate) fn session(&self, session: u64) -> Option<usize> {
        self.sessions.get(&session).copied()
    }

    /// The account of this address, if its person is signed in.
    pub(crate) fn signed_in(&self, email: &str) -> Option<usize> {
        self.find_email(email).filter(|slot| self.accounts[*slot].session.is_some())
    }

    /// A signed-in person sets up a new factor, whose codes the person knows.
    pub(crate) fn enrol(&mut self, who: Option<usize>) -> Enrolment {
        let Some(slot) = who else { return Enrolment::NotSignedIn };
        if self.demand(slot) == Demand::Delegated {
            return Enrolment::SingleSignOn;
        }
        let now = self.now;
        self.edit(slot, now, &Cause::Person, |account| {
            account.factor.set(now, true);
            account.lost = false;
        });
        self.record(slot, now, Action::FactorEnrolled, None);
        Enrolment::Enrolled
    }

    /// Why the admin console's page shows no reset button, if it does not.
    pub(crate) fn no_reset_button(&self, slot: usize) -> Option<Reset> {
        let account = &self.accounts[slot];
        if account.claim == Claim::Unmanaged {
            return Some(Reset::NotManaged);
        }
        match self.demand(slot) {
            Demand::Mandatory => Some(Reset::PolicyMandatory),
            Demand::Delegated => Some(Reset::PolicyDelegated),
            Demand::Optional if !account.factor.now() => Some(Reset::NoFactor),
            Demand::Optional => None,
        }
    }

    /// An administrator presses "Reset two-step verification".
    pub(crate) fn reset(&mut self, id: &str) -> Reset {
        let Some(slot) = self.find(id) else { return Reset::NoSuchAccount };
        if let Some(reason) = self.no_reset_button(slot) {
            return reason;
        }
        let now = self.now;
        self.edit(slot, now, &Cause::AdminPage, |account| {
            account.factor.set(now, false);
            account.lost = false;
        });
        self.record(slot, now, Action::FactorReset, None);
        Reset::Reset
    }
}
