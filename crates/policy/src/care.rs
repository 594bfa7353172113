//! What is done for an account beside moving it: reset, cleaning, containment. Each may be asked again and again.

use std::sync::Arc;

use homeward_chassis::boundary;
use homeward_provider::{AccountToken, ErrorClass, Holder, Priority, ProviderError, Reset as ProviderReset};
use homeward_store::{StoreError, transaction};
use homeward_types::limits::after;
use homeward_types::{Email, Factor, ResetMethod, Timestamp};

use crate::lease::store::{self as leases, Kept};
use crate::lease::{Asked, Event, State, Subject};
use crate::ledger::{Happened, Ledger};
use crate::site::{Site, Sites};

/// How a reset went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reset {
    /// The provider was asked and accepted. Only a later read proves it.
    Done,
    /// There is no factor.
    AlreadyAbsent,
    /// The account was not seen out, or is not any more.
    NotOut,
    /// A person must do it.
    PersonNeeded {
        /// The page to open; may be empty.
        page: String,
        /// What to do there.
        how: String,
        /// When the read began that still shows the factor although a person said that it is gone.
        contradicted_at: Option<Timestamp>,
    },
}

/// What was revoked of what was opened in the window, and what cannot be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// In words, one each.
    pub revoked: Vec<String>,
    /// In words, one each.
    pub cannot: Vec<String>,
}

/// How a containment (or its end) went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contained {
    /// As asked.
    Done,
    /// Not, because.
    Problem(String),
}

/// Cares for accounts.
#[derive(Clone)]
pub struct Care {
    ledger: Ledger,
    sites: Arc<Sites>,
}

impl Care {
    /// Care at these organisations.
    pub fn new(ledger: Ledger, sites: Arc<Sites>) -> Self {
        Self { ledger, sites }
    }

    /// Removes the account's old factor, only while it is seen out. `kept` is its lease, if it has one. `None` if the provider does
    /// not answer, or if it is too early to tell whether what a person said at `confirmed_at` is so: ask again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reset(
        &self,
        subject: &Subject,
        kept: Option<&Kept>,
        confirmed_at: Option<Timestamp>,
    ) -> Result<Option<Reset>, StoreError> {
        let Some(site) = self.sites.get(&subject.organisation) else { return Ok(None) };
        let out = |kept: &&Kept| kept.lease.state == State::Active && kept.lease.account == subject.account;
        let Some(kept) = kept.filter(out) else { return Ok(Some(Reset::NotOut)) };
        let holder = Holder { account: subject.account.clone(), email: None };
        let read = site.provider().read_factors(std::slice::from_ref(&holder), Priority::Evidence).await;
        let Ok(readings) = read else { return Ok(None) };
        let reading = readings.into_iter().next();
        if reading.as_ref().is_some_and(|reading| reading.factor == Factor::Absent) {
            return Ok(Some(if kept.reset_at.is_some() { Reset::Done } else { Reset::AlreadyAbsent }));
        }
        let enrolled_at = reading.as_ref().filter(|reading| reading.factor == Factor::Enrolled).map(|reading| reading.begun_at);
        let lag = site.organisation().limits.factor_lag;
        let contradicted_at = match (confirmed_at, enrolled_at) {
            // A read may be behind by the lag: until then it says nothing against a person's word.
            (Some(confirmed), Some(read)) if read < after(confirmed, lag) => return Ok(None),
            (Some(_), read) => read,
            (None, _) => None,
        };
        let email = reading.and_then(|reading| reading.record).and_then(|record| record.email);
        let email = match email {
            Some(email) => email,
            None => match self.address(kept).await? {
                Some(email) => email,
                None => return Ok(None),
            },
        };
        match site.provider().capabilities().reset {
            ResetMethod::Person => Ok(Some(person(site, subject, &email, contradicted_at))),
            ResetMethod::Api if kept.reset_at.is_some() => Ok(Some(Reset::Done)),
            ResetMethod::Api => self.reset_once(site, subject, &email).await,
        }
    }

    /// The address that the newest move of the lease named.
    async fn address(&self, kept: &Kept) -> Result<Option<Email>, StoreError> {
        let sent = leases::last_sent(self.ledger.db(), kept.lease.id).await?;
        Ok(sent.map(|sent| sent.address))
    }

    /// By a call, asked once: a second call could take away the factor that the user has set up since.
    async fn reset_once(&self, site: &Site, subject: &Subject, email: &Email) -> Result<Option<Reset>, StoreError> {
        let now = self.ledger.now();
        let first = transaction!(self.ledger.db(), "lease.mark_reset", async |tx| -> Result<bool, StoreError> {
            leases::mark_reset(tx, subject.lease.uuid(), Some(now)).await
        })?;
        if !first {
            return Ok(Some(Reset::Done));
        }
        let answer = boundary!(
            "provider",
            "reset-factor",
            site.provider().reset_factor(&subject.account, email, Priority::Evidence).await
        );
        match answer {
            Ok(ProviderReset::Done) => Ok(Some(Reset::Done)),
            Ok(ProviderReset::Person(_)) => Ok(Some(person(site, subject, email, None))),
            Err(error) if error.proves_not_taken() => {
                tracing::warn!(%error, lease = %subject.lease, "the factor was not reset; it is asked again");
                transaction!(self.ledger.db(), "lease.mark_reset", async |tx| -> Result<bool, StoreError> {
                    leases::mark_reset(tx, subject.lease.uuid(), None).await
                })?;
                Ok(None)
            }
            Err(error) => Ok(Some(Reset::PersonNeeded {
                page: String::new(),
                how: format!(
                    "Whether the old factor was removed is not known ({error}). Look at the account; if it is still there, remove it by hand."
                ),
                contradicted_at: None,
            })),
        }
    }

    /// Revokes the tokens that were made in the window of `kept`, and says what cannot be ended. `None` if the provider does not
    /// answer.
    pub async fn clean(&self, subject: &Subject, kept: Option<&Kept>) -> Option<Cleaned> {
        let site = self.sites.get(&subject.organisation)?;
        let Some(kept) = kept else { return Some(Cleaned::default()) };
        let capabilities = site.provider().capabilities();
        let mut cleaned = Cleaned::default();
        if !capabilities.sessions {
            cleaned
                .cannot
                .push("sign-ins that were made in the window stay open: the provider has no call that ends them".into());
        }
        if !capabilities.tokens {
            cleaned.cannot.push(
                "programs' tokens that were made in the window stay valid: the provider has no call that lists them".into(),
            );
            return Some(cleaned);
        }
        let listed = boundary!("provider", "clean", site.provider().list_tokens(&subject.account, Priority::Evidence).await);
        let tokens = match listed {
            Ok(tokens) => tokens,
            Err(error) if is_final(&error) => {
                cleaned.cannot.push(format!("tokens that were made in the window could not be listed: {error}"));
                return Some(cleaned);
            }
            Err(_) => return None,
        };
        let window = window(kept);
        for token in tokens.iter().filter(|token| made_in(token, window)) {
            match boundary!(
                "provider",
                "clean",
                site.provider().delete_token(&subject.account, &token.id, Priority::Evidence).await
            ) {
                Ok(()) => cleaned.revoked.push(format!("token {:?}", token.label)),
                Err(error) if is_final(&error) => cleaned.cannot.push(format!("token {:?}: {error}", token.label)),
                Err(_) => return None,
            }
        }
        Some(cleaned)
    }

    /// Disables the account, or enables it again. Where a disabled account cannot be moved, it is returned first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn contain(&self, subject: &Subject, contain: bool, reason: &str) -> Result<Contained, StoreError> {
        let Some(site) = self.sites.get(&subject.organisation) else {
            return Ok(Contained::Problem(format!("no provider is configured for {}", subject.organisation)));
        };
        let capabilities = site.provider().capabilities();
        if !capabilities.containment {
            return Ok(Contained::Problem("the provider has no call that disables an account; do it on its own page".into()));
        }
        let open = leases::kept(self.ledger.db(), subject.lease).await?.is_some_and(|kept| kept.lease.is_open());
        if contain && open && capabilities.disabled_account_movable == Some(false) {
            self.return_first(subject, reason).await?;
            return Ok(Contained::Problem(
                "a disabled account could not be moved, so it is returned first; ask again once its lease has ended".into(),
            ));
        }
        let call = async {
            if contain {
                site.provider().disable(&subject.account, reason, Priority::Return).await
            } else {
                site.provider().enable(&subject.account, Priority::Return).await
            }
        };
        Ok(match boundary!("provider", "contain", call.await) {
            Ok(()) => Contained::Done,
            Err(error) => Contained::Problem(error.to_string()),
        })
    }

    async fn return_first(&self, subject: &Subject, reason: &str) -> Result<(), StoreError> {
        let asked = Asked { subject: subject.clone(), reason: reason.to_owned() };
        let happened = Happened::by_policy(subject.lease, Event::ReturnAsked(asked));
        self.ledger.turn("lease.return", &[happened]).await.map(drop)
    }
}

fn person(site: &Site, subject: &Subject, email: &Email, contradicted_at: Option<Timestamp>) -> Reset {
    match site.provider().reset_instruction(&subject.account, email) {
        Some(instruction) => Reset::PersonNeeded { page: instruction.page.to_string(), how: instruction.how, contradicted_at },
        None => Reset::PersonNeeded {
            page: String::new(),
            how: "Remove the account's second factor on the provider's own page.".into(),
            contradicted_at,
        },
    }
}

/// Asking again would give the same answer.
fn is_final(error: &ProviderError) -> bool {
    match error.class {
        ErrorClass::PermanentForAccount | ErrorClass::PermanentForPolicy | ErrorClass::PermanentForOrganisation => true,
        ErrorClass::Retry { .. } | ErrorClass::Ambiguous => false,
    }
}

/// From the opening to the end, or until now.
fn window(kept: &Kept) -> (Timestamp, Option<Timestamp>) {
    let end = match &kept.lease.state {
        State::Closed(ending) => Some(ending.at),
        State::Opening | State::Active | State::Closing | State::Settling => None,
    };
    (kept.lease.opened_at, end)
}

/// A token without a date counts as made in the window.
fn made_in(token: &AccountToken, (from, to): (Timestamp, Option<Timestamp>)) -> bool {
    token.created_at.is_none_or(|at| at >= from && to.is_none_or(|to| at <= to))
}

#[cfg(test)]
mod tests {
    use homeward_provider::TokenId;

    use super::*;

    #[test]
    fn only_tokens_of_the_window_are_revoked() {
        let at = |n| Timestamp::UNIX_EPOCH + chrono::TimeDelta::seconds(n);
        let token = |created_at| AccountToken { id: TokenId::new("1"), label: "ci".into(), created_at };
        for (created, inside) in [(None, true), (Some(9), false), (Some(10), true), (Some(20), true), (Some(21), false)] {
            assert_eq!(made_in(&token(created.map(at)), (at(10), Some(at(20)))), inside, "{created:?}");
        }
        assert!(made_in(&token(Some(at(99))), (at(10), None)));
    }
}
