//! Why a call did not succeed: a stable code for each way, a sentence, and what helps. `docs/atlassian.md` lists them all.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $sentence:literal, $remedy:literal;)+) => {
        /// Why a call did not succeed. The code is stable; programs and documents may rely on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// What happened, in a part of a sentence.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)+ }
            }

            /// What a person can do; empty where Homeward tries again by itself.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)+ }
            }
        }
    };
}

reasons! {
    /// 401: the key itself was refused.
    KeyRefused = "KEY_REFUSED", "the key was refused (revoked, expired or mistyped)",
        "make a new API key and put it into the configuration";
    /// 403: the key is known, and may not do this.
    KeyMayNot = "KEY_MAY_NOT", "the key may not do this", "check its scopes and that its administrator still is one";
    /// 403 of an API that takes no keys with scopes.
    ScopedKeyRefused = "SCOPED_KEY_REFUSED", "this API refuses keys with scopes",
        "set unscoped_key to an API key without scopes";
    /// 403 for this account only: it is not ours, or it lives in another directory.
    AccountForbidden = "ACCOUNT_FORBIDDEN", "this account may not be managed with this key",
        "the account is not managed by the organisation, or it comes from an identity provider";
    /// 404 where only the settings can be wrong.
    OrganisationNotFound = "ORGANISATION_NOT_FOUND", "not found", "check org_id, directory_id and base_url";
    /// 404 of a policy.
    PolicyNotFound = "POLICY_NOT_FOUND", "the policy was not found", "check the policy ids in the configuration";
    /// 404 of an account, a task or a token.
    NotFound = "NOT_FOUND", "not found", "";
    /// 400, 413, 422: something in the request does not suit.
    RequestRefused = "REQUEST_REFUSED", "the request was refused", "";
    /// 409.
    StateConflict = "STATE_CONFLICT", "the account is in a state that does not allow it", "";
    /// 429.
    RateLimited = "RATE_LIMITED", "the rate limit is used up", "";
    /// 3xx.
    Redirected = "REDIRECTED", "a redirect, which is never followed", "check base_url";
    /// 5xx.
    ProviderFailed = "PROVIDER_FAILED", "the provider failed", "";
    /// Any other status.
    UndocumentedAnswer = "UNDOCUMENTED_ANSWER", "an answer that is not documented", "";
    /// A body in none of the provider's shapes.
    NotTheProvider = "NOT_THE_PROVIDER", "an answer that is not the provider's: something between may have answered",
        "check base_url and any proxy on the way";
    /// A success whose body is not what is documented, or is too large, or ends in the middle.
    UnreadableAnswer = "UNREADABLE_ANSWER", "the answer could not be read", "";
    /// Nothing was sent: the name of the host.
    NameNotResolved = "NAME_NOT_RESOLVED", "the provider's name could not be resolved", "check base_url and the network";
    /// Nothing was sent: no connection, or a certificate that is not the provider's.
    NoConnection = "NO_CONNECTION", "no connection to the provider, or its certificate is not trusted",
        "check base_url, the network and ca_file";
    /// Sent, and no answer in time.
    NoAnswer = "NO_ANSWER", "no answer in time", "";
    /// Sent, and cut off.
    Cut = "CUT", "the connection was cut before an answer", "";
    /// Not sent: our own budget under the rate limit.
    NoRoom = "NO_ROOM", "the provider's rate limit leaves no room", "";
    /// Not sent: its moment had passed.
    TooLate = "TOO_LATE", "the time until which it might be sent is over", "";
    /// Not sent: it cannot be written as a request.
    Impossible = "IMPOSSIBLE", "it cannot be written as a request", "check the ids in the configuration";
    /// Not sent: others of the same order were refused or failed first.
    NotSent = "NOT_SENT", "others of the same order were refused or failed first", "";
    /// A setting of ours.
    SettingWrong = "SETTING_WRONG", "a setting cannot be used", "correct it in the configuration";
    /// Nothing of the above; the sentence of the error says what.
    Unclassified = "UNCLASSIFIED", "something else, told in the error itself", "";
}

impl Reason {
    /// Whether the key, not the request, was refused.
    pub const fn is_about_the_key(self) -> bool {
        matches!(self, Self::KeyRefused | Self::KeyMayNot | Self::ScopedKeyRefused)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_code_stands_for_one_reason() {
        let codes: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        assert!(codes.iter().all(|code| code.chars().all(|c| c.is_ascii_uppercase() || c == '_')));
    }
}
