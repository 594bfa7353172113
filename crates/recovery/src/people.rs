//! Who is who: requester, approvers and subject of a case must be different human beings.
//!
//! A human being may hold several tokens, several entries in the configuration and several accounts. Entries that share an
//! e-mail address or an account of the provider are one human being, and count as one in every rule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use homeward_chassis::auth::Persons;
use homeward_types::{AccountId, Email, Person, PersonId, Role};

/// At most so many approvers are told of one request; telling everyone would tell nobody.
const ASKED: usize = 5;

/// Why the settings about persons cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeopleError {
    /// A person to be asked for approvals is not there.
    #[error("`approvers` names {0}, who is not among `persons`")]
    Unknown(PersonId),
    /// A name that means the account's owner.
    #[error("a person is called {0}, which is what the owner of an account is called; give the person another id")]
    Reserved(PersonId),
    /// A person to be asked may not approve.
    #[error("`approvers` names {0}, who does not have the role approver")]
    NotAnApprover(PersonId),
}

/// The persons, with what makes two entries the same human being.
#[derive(Debug, Clone)]
pub struct People {
    persons: Arc<Persons>,
    humans: BTreeMap<PersonId, PersonId>,
    belongings: BTreeMap<PersonId, Belongings>,
    asked: Vec<PersonId>,
}

/// All addresses and accounts of one human being.
#[derive(Debug, Clone, Default)]
struct Belongings {
    emails: BTreeSet<Email>,
    accounts: BTreeSet<AccountId>,
}

impl People {
    /// `approvers` are told of requests; everyone with the role approver where it is empty.
    ///
    /// # Errors
    /// A [`PeopleError`] about `approvers`.
    pub fn new(persons: Arc<Persons>, approvers: &[PersonId]) -> Result<Self, PeopleError> {
        if let Some(person) = persons.iter().find(|person| person.id.as_str() == crate::domain::OWNER) {
            return Err(PeopleError::Reserved(person.id.clone()));
        }
        for id in approvers {
            let person = persons.get(id).ok_or_else(|| PeopleError::Unknown(id.clone()))?;
            if !person.may(Role::Approver) {
                return Err(PeopleError::NotAnApprover(id.clone()));
            }
        }
        let asked = if approvers.is_empty() {
            persons.iter().filter(|person| person.may(Role::Approver)).map(|person| person.id.clone()).collect()
        } else {
            approvers.to_vec()
        };
        let humans = humans(&persons);
        let mut belongings: BTreeMap<PersonId, Belongings> = BTreeMap::new();
        for person in persons.iter() {
            let Some(human) = humans.get(&person.id) else { continue };
            if *human != person.id {
                tracing::warn!(person = %person.id, same_as = %human, "two persons share an e-mail address or an account; they count as one");
            }
            let theirs = belongings.entry(human.clone()).or_default();
            theirs.emails.extend(person.email.clone());
            theirs.accounts.extend(person.accounts.iter().cloned());
        }
        Ok(Self { persons, humans, belongings, asked })
    }

    /// The one name of the human being behind an entry.
    pub fn human(&self, person: &PersonId) -> PersonId {
        self.humans.get(person).unwrap_or(person).clone()
    }

    /// The entry of a person.
    pub fn get(&self, person: &PersonId) -> Option<&Person> {
        self.persons.get(person)
    }

    /// Whether the account is this person's own, by its id or its address.
    pub fn is_own(&self, person: &PersonId, account: &AccountId, email: Option<&Email>) -> bool {
        self.belongings
            .get(&self.human(person))
            .is_some_and(|theirs| theirs.accounts.contains(account) || email.is_some_and(|email| theirs.emails.contains(email)))
    }

    /// Who is told that there is something to approve: at most five, never the requester or the subject.
    pub fn approvers_for<'a>(
        &'a self,
        requester: &'a PersonId,
        account: &'a AccountId,
        email: Option<&'a Email>,
    ) -> impl Iterator<Item = &'a Person> {
        let requester = self.human(requester);
        self.asked
            .iter()
            .filter(move |person| self.human(person) != requester && !self.is_own(person, account, email))
            .filter_map(|person| self.persons.get(person))
            .filter(|person| person.email.is_some())
            .take(ASKED)
    }
}

/// For each entry the least id of the entries that are the same human being.
fn humans(persons: &Persons) -> BTreeMap<PersonId, PersonId> {
    let mut humans: BTreeMap<PersonId, PersonId> = persons.iter().map(|person| (person.id.clone(), person.id.clone())).collect();
    // Sharing is not transitive by itself (one shares an address with the second, the second an account with the third),
    // so look until nothing changes; each turn makes at least one name smaller.
    loop {
        let mut changed = false;
        let mut by_email: BTreeMap<Email, PersonId> = BTreeMap::new();
        let mut by_account: BTreeMap<AccountId, PersonId> = BTreeMap::new();
        for person in persons.iter() {
            let mut least = humans[&person.id].clone();
            for known in person.email.iter().filter_map(|email| by_email.get(email)) {
                least = least.min(humans[known].clone());
            }
            for known in person.accounts.iter().filter_map(|account| by_account.get(account)) {
                least = least.min(humans[known].clone());
            }
            let shared = person.email.iter().filter_map(|email| by_email.get(email));
            let same: Vec<PersonId> = shared
                .chain(person.accounts.iter().filter_map(|account| by_account.get(account)))
                .cloned()
                .chain([person.id.clone()])
                .collect();
            for one in same {
                if humans[&one] != least {
                    humans.insert(one, least.clone());
                    changed = true;
                }
            }
            by_email.extend(person.email.clone().map(|email| (email, person.id.clone())));
            by_account.extend(person.accounts.iter().map(|account| (account.clone(), person.id.clone())));
        }
        if !changed {
            return humans;
        }
    }
}

#[cfg(test)]
mod tests {
    use homeward_chassis::auth::PersonConfig;

    use super::*;

    fn person(id: &str, email: Option<&str>, roles: &[Role], accounts: &[&str]) -> PersonConfig {
        PersonConfig {
            id: id.parse().unwrap(),
            name: id.to_uppercase(),
            email: email.map(|email| email.parse().unwrap()),
            roles: roles.iter().copied().collect(),
            accounts: accounts.iter().map(|account| account.parse().unwrap()).collect(),
            tokens_sha256: vec![],
        }
    }

    fn id(text: &str) -> PersonId {
        text.parse().unwrap()
    }

    fn people(persons: &[PersonConfig], approvers: &[PersonId]) -> Result<People, PeopleError> {
        People::new(Arc::new(Persons::from_config(persons).unwrap()), approvers)
    }

    #[test]
    fn entries_that_share_an_address_or_an_account_are_one_human_being() {
        let people = people(
            &[
                person("dora", Some("d@example.com"), &[], &["acc-2"]),
                person("anna", Some("a@example.com"), &[], &[]),
                person("carl", Some("c@example.com"), &[], &["acc-1", "acc-2"]),
                person("bert", Some("A@Example.com"), &[], &["acc-1"]),
                person("emil", None, &[], &[]),
            ],
            &[],
        )
        .unwrap();
        for same in ["anna", "bert", "carl", "dora"] {
            assert_eq!(people.human(&id(same)), id("anna"), "{same}");
        }
        assert_eq!(people.human(&id("emil")), id("emil"));
        assert_eq!(people.human(&id("unknown")), id("unknown"));
    }

    #[test]
    fn an_account_is_a_persons_own_by_id_and_by_address() {
        let people = people(&[person("anna", Some("a@example.com"), &[], &["acc-1"])], &[]).unwrap();
        let (other, theirs) = ("acc-9".parse().unwrap(), "acc-1".parse().unwrap());
        assert!(people.is_own(&id("anna"), &theirs, None));
        assert!(people.is_own(&id("anna"), &other, Some(&"a@example.com".parse().unwrap())));
        assert!(!people.is_own(&id("anna"), &other, Some(&"b@example.com".parse().unwrap())));
        assert!(!people.is_own(&id("anna"), &other, None));
    }

    #[test]
    fn at_most_five_approvers_are_asked_and_never_the_requester_or_the_subject() {
        let mut persons: Vec<_> =
            (0..9).map(|n| person(&format!("p{n}"), Some(&format!("p{n}@example.com")), &[Role::Approver], &[])).collect();
        persons.push(person("rita", Some("p1@example.com"), &[Role::Requester], &[]));
        persons.push(person("mute", None, &[Role::Approver], &[]));
        let people = people(&persons, &[]).unwrap();
        let (account, email) = ("acc".parse().unwrap(), "p2@example.com".parse().unwrap());
        let rita = id("rita");
        let asked: Vec<_> = people.approvers_for(&rita, &account, Some(&email)).map(|person| person.id.to_string()).collect();
        assert_eq!(asked, ["p0", "p3", "p4", "p5", "p6"]);
    }

    #[test]
    fn a_list_of_approvers_must_be_possible() {
        let persons = [person("anna", None, &[Role::Approver], &[]), person("otto", None, &[Role::Operator], &[])];
        assert_eq!(people(&persons, &[id("nobody")]).err(), Some(PeopleError::Unknown(id("nobody"))));
        assert_eq!(people(&persons, &[id("otto")]).err(), Some(PeopleError::NotAnApprover(id("otto"))));
        assert!(people(&persons, &[id("anna")]).is_ok());
        assert_eq!(people(&[person("owner", None, &[], &[])], &[]).err(), Some(PeopleError::Reserved(id("owner"))));
    }
}
