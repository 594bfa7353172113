//! The policies: which ids they have, what they demand, and which of them can be seen by a read.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use homeward_provider::atlassian::AtlassianProvider;
use homeward_provider::{IdentityProvider as _, Priority, Search};
use homeward_types::{AccountId, Email, Policy, PolicyId, TwoStep};

use super::ask::Asker;
use super::export::Named;
use super::words;
use crate::cli::SetupAtlassian;
use crate::exit::Failure;

/// One policy as an administrator tells it: `ID=NAME:TWO_STEP`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyAnswer {
    /// Atlassian's id.
    pub id: PolicyId,
    /// What it is.
    pub policy: Policy,
}

impl FromStr for PolicyAnswer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "expected ID=NAME:mandatory, ID=NAME:optional or ID=NAME:delegated:WHERE";
        let (id, rest) = text.split_once('=').ok_or(form)?;
        let id = id.trim().parse().map_err(|error| format!("{error}; {form}"))?;
        let (name, two_step, lives_in) = if let Some(name) = rest.strip_suffix(":mandatory") {
            (name, TwoStep::Mandatory, None)
        } else if let Some(name) = rest.strip_suffix(":optional") {
            (name, TwoStep::Optional, None)
        } else {
            let (name, lives_in) = rest.rsplit_once(":delegated").ok_or(form)?;
            (name, TwoStep::Delegated, lives_in.strip_prefix(':').map(str::to_owned))
        };
        if name.trim().is_empty() {
            return Err(format!("the policy has no name; {form}"));
        }
        Ok(Self { id, policy: Policy { name: name.trim().to_owned(), two_step, factor_lives_in: lives_in } })
    }
}

/// The policies of the configuration.
pub struct Policies {
    /// All of them.
    pub all: BTreeMap<PolicyId, Policy>,
    /// The one that accounts are lent to.
    pub recovery: PolicyId,
    /// Those that they are lent from.
    pub homes: BTreeSet<PolicyId>,
    /// Where an account goes when its home is gone.
    pub default_home: PolicyId,
}

/// Reads policy ids where a person cannot know them, and remembers which were seen.
pub struct Finder<'a> {
    provider: &'a AtlassianProvider,
    named: &'a [Named],
    /// Policy ids that reads showed, with how many accounts of those that were read.
    pub seen: BTreeMap<PolicyId, usize>,
}

impl<'a> Finder<'a> {
    /// One that looks at the first page of managed accounts, to show which policies are in use.
    pub async fn survey(provider: &'a AtlassianProvider, named: &'a [Named], ask: &Asker) -> Result<Self, Failure> {
        let mut finder = Self { provider, named, seen: BTreeMap::new() };
        for policy in named {
            if let Some(id) = &policy.id {
                *finder.seen.entry(id.clone()).or_default() += policy.agreeing;
            }
        }
        let page = match provider.page_accounts(None, Priority::Lend).await {
            Ok(page) => page,
            Err(error) if error.refuses_the_key() => {
                return Err(Failure::Configuration(format!("the API key was refused: {error}. Nothing was written")));
            }
            Err(error) => {
                ask.tell(&format!("The managed accounts could not be read, so no policy ids can be shown: {error}"));
                return Ok(finder);
            }
        };
        let accounts: Vec<AccountId> = page.items.into_iter().take(100).map(|record| record.account).collect();
        match finder.look(&accounts).await {
            Ok(()) if finder.seen.is_empty() => ask.tell("No managed account was found."),
            Ok(()) => finder.tell(ask, accounts.len()),
            Err(why) => {
                ask.tell(&format!("Which policies accounts are in could not be read, so no policy ids can be shown: {why}"));
            }
        }
        Ok(finder)
    }

    fn tell(&self, ask: &Asker, of: usize) {
        ask.tell(&format!("\nPolicies that accounts are in (of {of} accounts that were looked at):"));
        for (id, count) in &self.seen {
            let name = self.named.iter().find(|named| named.id.as_ref() == Some(id)).map(|named| named.name.as_str());
            ask.tell(&format!("  {id}  {count} accounts  {}", name.unwrap_or_default()));
        }
    }

    async fn look(&mut self, accounts: &[AccountId]) -> Result<(), String> {
        let placements = self.provider.read_placements(accounts, Priority::Lend).await.map_err(|error| error.to_string())?;
        for policy in placements.into_iter().filter_map(|placement| placement.policy) {
            *self.seen.entry(policy).or_default() += 1;
        }
        Ok(())
    }

    /// The policy that an answer means: an id, the name of one in the export, or the address of an account in it.
    async fn resolve(&mut self, answer: &str) -> Result<PolicyId, String> {
        if let Some(id) =
            self.named.iter().find(|named| named.name.eq_ignore_ascii_case(answer)).and_then(|named| named.id.clone())
        {
            return Ok(id);
        }
        if !answer.contains('@') {
            return answer.parse().map_err(|error| format!("{error}"));
        }
        let email: Email = answer.parse().map_err(|error| format!("{error}"))?;
        let found = self.provider.find_accounts(Search::Emails(&[email]), Priority::Lend).await;
        let found = found.map_err(|error| error.to_string())?;
        let account =
            found.into_iter().next().ok_or("Atlassian knows no account with that address in this organisation")?.account;
        let placements = self.provider.read_placements(&[account], Priority::Lend).await.map_err(|error| error.to_string())?;
        let policy = placements.into_iter().find_map(|placement| placement.policy);
        let policy = policy.ok_or("Atlassian does not say which policy that account is in; is it managed?")?;
        *self.seen.entry(policy.clone()).or_default() += 1;
        Ok(policy)
    }

    fn name_of(&self, id: &PolicyId) -> Option<String> {
        self.named.iter().find(|named| named.id.as_ref() == Some(id)).map(|named| named.name.clone())
    }

    async fn ask(&mut self, ask: &mut Asker, question: &str, needed: bool) -> Result<Option<PolicyId>, Failure> {
        loop {
            let Some(answer) = ask.optional(question, None, "--policy")? else {
                if needed {
                    ask.tell("It cannot be left out.");
                    continue;
                }
                return Ok(None);
            };
            match self.resolve(&answer).await {
                Ok(id) => {
                    ask.tell(&format!("  policy {id}"));
                    return Ok(Some(id));
                }
                Err(why) => ask.tell(&format!("  {why}")),
            }
        }
    }
}

/// The policies, from the command line or by asking.
pub async fn gather(args: &SetupAtlassian, ask: &mut Asker, finder: &mut Finder<'_>) -> Result<Policies, Failure> {
    if args.policies.is_empty() {
        if !ask.asks() {
            return Err(Failure::Configuration("there are no policies; give --policy for each. Nothing was written".into()));
        }
        return by_asking(ask, finder).await;
    }
    let all: BTreeMap<PolicyId, Policy> = args.policies.iter().map(|answer| (answer.id.clone(), answer.policy.clone())).collect();
    let of = |two_step: TwoStep| {
        args.policies.iter().filter(move |answer| answer.policy.two_step == two_step).map(|answer| answer.id.clone())
    };
    let missing = |what: &str| Failure::Configuration(format!("{what}. Nothing was written"));
    let recovery = args.recovery_policy.clone().or_else(|| of(TwoStep::Optional).next());
    let recovery = recovery.ok_or_else(|| missing("no policy is optional; give the recovery policy with --policy"))?;
    let homes: Vec<PolicyId> =
        if args.home_policies.is_empty() { of(TwoStep::Mandatory).collect() } else { args.home_policies.clone() };
    let default_home = args.default_home.clone().or_else(|| homes.first().cloned());
    let default_home = default_home.ok_or_else(|| missing("no policy is mandatory; give at least one with --policy"))?;
    Ok(Policies { all, recovery, homes: homes.into_iter().collect(), default_home })
}

async fn by_asking(ask: &mut Asker, finder: &mut Finder<'_>) -> Result<Policies, Failure> {
    ask.tell(words::POLICIES);
    let mut all = BTreeMap::new();
    let policy = |name, two_step, factor_lives_in| Policy { name, two_step, factor_lives_in };
    let recovery = finder.ask(ask, "The recovery policy", true).await?;
    let Some(recovery) = recovery else { return Err(Failure::Configuration("there is no recovery policy".into())) };
    let name = ask.ask("  its name", Some(finder.name_of(&recovery).as_deref().unwrap_or("Recovery")), "--policy")?;
    all.insert(recovery.clone(), policy(name, TwoStep::Optional, None));
    let mut homes: Vec<PolicyId> = Vec::new();
    while let Some(id) = finder.ask(ask, "A home policy (mandatory); empty when there is no other", homes.is_empty()).await? {
        if id == recovery {
            ask.tell("  that is the recovery policy");
            continue;
        }
        let name = ask.ask("  its name", Some(finder.name_of(&id).as_deref().unwrap_or("Everyone")), "--policy")?;
        all.insert(id.clone(), policy(name, TwoStep::Mandatory, None));
        homes.push(id);
    }
    while let Some(id) = finder.ask(ask, "A policy with single sign-on; empty when there is no other", false).await? {
        if all.contains_key(&id) {
            ask.tell("  that policy was told before");
            continue;
        }
        let name = ask.ask("  its name", Some(finder.name_of(&id).as_deref().unwrap_or("Single sign-on")), "--policy")?;
        let lives_in = ask.optional("  the identity provider's name", None, "--policy")?;
        all.insert(id, policy(name, TwoStep::Delegated, lives_in));
    }
    let default_home = homes[0].clone();
    Ok(Policies { all, recovery, homes: homes.into_iter().collect(), default_home })
}

/// What reads show of the policies, in words: which were seen, and which are in use and not told.
pub fn checked(policies: &Policies, finder: &Finder<'_>) -> String {
    let mut lines = vec!["\nWhat can be checked of the policies:".to_owned()];
    for (id, policy) in &policies.all {
        let seen = match finder.seen.get(id) {
            Some(count) => format!("seen: {count} of the accounts that were looked at are in it"),
            None => "not seen: none of the accounts that were looked at is in it, so a mistyped id would not show".to_owned(),
        };
        lines.push(format!("  {} ({id}): {seen}", policy.name));
    }
    for (id, count) in finder.seen.iter().filter(|(id, _)| !policies.all.contains_key(*id)) {
        lines.push(format!("  {id}: {count} accounts are in it, and it is not told; their recoveries are refused"));
    }
    lines.push(if finder.seen.len() > 1 {
        "  the plan: more than one policy is in use, as Homeward needs".to_owned()
    } else {
        "  the plan: only one policy was seen; more than one needs Atlassian Guard Standard".to_owned()
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_told_on_one_line() {
        let told = |text: &str| text.parse::<PolicyAnswer>();
        let everyone = told("pol-1=Everyone: all of us:mandatory").expect("well formed");
        assert_eq!((everyone.id.as_str(), everyone.policy.name.as_str()), ("pol-1", "Everyone: all of us"));
        assert_eq!(told("p=Staff:delegated:Okta").expect("well formed").policy.factor_lives_in.as_deref(), Some("Okta"));
        assert_eq!(told("p=Staff:delegated").expect("well formed").policy.factor_lives_in, None);
        assert_eq!(told("p=Recovery:optional").expect("well formed").policy.two_step, TwoStep::Optional);
        for bad in ["p", "p=Name", "=Name:optional", "p=:optional", "p=Name:sometimes"] {
            assert!(told(bad).is_err(), "{bad}");
        }
    }
}
