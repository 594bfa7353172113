//! The accounts of an organisation, made from a seed: the well-known people first, then as many others as asked for.

pub(crate) mod csv;

use std::collections::HashSet;
use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::account::{Account, Claim, Membership, Placed, Source, Status, Token};
use crate::config::SimulatorConfig;
use crate::policy::{self, PolicyRecord};
use crate::timeline::{Moment, Timeline};
use crate::well_known::{self as known, DOMAIN, Person, UNVERIFIED_DOMAIN};

/// Indexes into [`crate::policy::well_known`].
mod place {
    pub(super) const EVERYONE: usize = 0;
    pub(super) const ENGINEERING: usize = 1;
    pub(super) const SINGLE_SIGN_ON: usize = 3;
    pub(super) const UNMAPPED: usize = 4;
    pub(super) const GUESTS: usize = 5;
}

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// One unmanaged account more for so many managed ones.
const MANAGED_FOR_ONE_UNMANAGED: usize = 200;

const FIRST: [&str; 40] = [
    "Aiko", "Amara", "Anton", "Beatriz", "Boris", "Chloe", "Dario", "Dilan", "Elif", "Emil", "Farah", "Femi", "Greta", "Hugo",
    "Ines", "Ivan", "Jana", "Jorge", "Kaia", "Kofi", "Lars", "Leila", "Luca", "Maja", "Marek", "Nadia", "Noor", "Olga", "Oscar",
    "Petra", "Quentin", "Rosa", "Sven", "Tariq", "Uma", "Vera", "Wen", "Xenia", "Yusuf", "Zofia",
];
const LAST: [&str; 40] = [
    "Abe", "Almeida", "Bauer", "Bianchi", "Castro", "Chen", "Dahl", "Diallo", "Eriksen", "Farkas", "Gallo", "Gupta", "Hansen",
    "Hoang", "Ivanova", "Jansen", "Kaya", "Keller", "Kim", "Lopez", "Maier", "Mensah", "Mori", "Nguyen", "Olsen", "Park",
    "Petrov", "Quinn", "Rossi", "Sato", "Silva", "Singh", "Smit", "Thorne", "Ueda", "Varga", "Weiss", "Xu", "Yilmaz", "Zimmer",
];
const COMBINATIONS: usize = FIRST.len() * LAST.len();

/// The policies and all accounts of the organisation that `config` asks for, as they are at `now`.
///
/// # Errors
/// [`csv::CsvError`] if they come from a file that cannot be used.
pub(crate) fn organisation(config: &SimulatorConfig, now: Moment) -> Result<(Vec<PolicyRecord>, Vec<Account>), csv::CsvError> {
    let mut seed = Seed { rng: SmallRng::seed_from_u64(config.seed), now_ms: now / 1_000, offset: 0, made: 0 };
    seed.offset = seed.rng.random_range(0..COMBINATIONS);
    let mut policies = policy::well_known();
    let mut accounts = well_known_people(&mut seed);
    match &config.csv {
        None => generate(config, &mut seed, &mut accounts),
        Some(path) => {
            let taken: HashSet<String> = accounts.iter().map(|account| account.email.now().to_string()).collect();
            accounts.extend(csv::read(path, &mut seed, &mut policies, &taken)?);
        }
    }
    Ok((policies, accounts))
}

fn generate(config: &SimulatorConfig, seed: &mut Seed, accounts: &mut Vec<Account>) {
    let managed = |accounts: &[Account]| accounts.iter().filter(|account| account.claim == Claim::Managed).count();
    let mut wanted = config.accounts.saturating_sub(managed(accounts));
    accounts.reserve(wanted + wanted / MANAGED_FOR_ONE_UNMANAGED);
    for n in 1..=config.stranded.min(wanted) {
        accounts.push(seed.at_home(&known::stranded_email(n), Factor::Absent));
        wanted -= 1;
    }
    for n in 1..=config.lost_phones.min(wanted) {
        accounts.push(seed.at_home(&known::lost_phone_email(n), Factor::Lost));
        wanted -= 1;
    }
    for n in 0..wanted {
        accounts.push(seed.anyone());
        if n % MANAGED_FOR_ONE_UNMANAGED == MANAGED_FOR_ONE_UNMANAGED - 1 {
            accounts.push(seed.unmanaged());
        }
    }
}

fn well_known_people(seed: &mut Seed) -> Vec<Account> {
    let mut people: Vec<Account> = known::PEOPLE.iter().map(|person| seed.person(person)).collect();
    for account in &mut people {
        shape(account, seed.now_ms);
    }
    people
}

/// What is special about each well-known person.
fn shape(account: &mut Account, now_ms: i64) {
    let id = &*account.id;
    let in_policy = |policy: usize| Timeline::new(Some(Placed { policy, version: now_ms - 300 * DAY_MS }));
    if id == known::STORY.id {
        account.factor = Timeline::new(false);
    } else if [known::LOST_PHONE.id, known::MIA_BERG.id].contains(&id) {
        account.lost = true;
    } else if id == known::OTHER_MIA_BERG.id {
        account.placement = in_policy(place::ENGINEERING);
        account.last_active = Some(now_ms - 35 * DAY_MS);
    } else if id == known::UNMANAGED.id {
        account.claim = Claim::Unmanaged;
        account.placement = Timeline::new(None);
    } else if id == known::SUSPENDED.id {
        account.membership = Membership::Suspended;
    } else if id == known::DEACTIVATED.id {
        account.status = Status::Inactive;
    } else if id == known::SINGLE_SIGN_ON.id {
        account.source = Source::Synced;
        account.placement = in_policy(place::SINGLE_SIGN_ON);
        account.factor = Timeline::new(false);
    } else if id == known::ADMINISTRATOR.id {
        account.administrator = true;
        account.lost = true;
    } else if id == known::LONG_UNSEEN.id {
        account.lost = true;
        account.last_active = Some(now_ms - 400 * DAY_MS);
    } else if id == known::UNMAPPED.id {
        account.placement = in_policy(place::UNMAPPED);
    } else if id == known::GUEST.id {
        account.placement = in_policy(place::GUESTS);
        account.lost = true;
    } else if id == known::ENGINEER.id {
        account.placement = in_policy(place::ENGINEERING);
        account.factor = Timeline::new(false);
    }
}

#[derive(Clone, Copy)]
enum Factor {
    Absent,
    Lost,
}

/// Where names, ids and dates come from.
struct Seed {
    rng: SmallRng,
    now_ms: i64,
    offset: usize,
    made: usize,
}

impl Seed {
    /// An account at home in the default policy with a factor in use, seen today.
    fn account(&mut self, id: Arc<str>, name: &str, email: &str) -> Account {
        let created = self.now_ms - self.rng.random_range(400..1_500) * DAY_MS;
        let version = self.now_ms - self.rng.random_range(DAY_MS..390 * DAY_MS);
        Account {
            id,
            name: name.into(),
            email: Timeline::new(email.into()),
            claim: Claim::Managed,
            status: Status::Active,
            membership: Membership::Active,
            source: Source::Invited,
            administrator: false,
            placement: Timeline::new(Some(Placed { policy: place::EVERYONE, version })),
            factor: Timeline::new(true),
            lost: false,
            last_active: Some(self.now_ms - self.rng.random_range(0..DAY_MS / 4)),
            created,
            tokens: Vec::new(),
            session: None,
            gone: false,
            former: Vec::new(),
        }
    }

    fn person(&mut self, person: &Person) -> Account {
        self.account(person.id.into(), person.name, person.email)
    }

    /// A new UUID.
    fn uuid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.rng.random()).into_uuid().to_string()
    }

    /// A new account id; most have the present form, a few an older one.
    fn account_id(&mut self) -> Arc<str> {
        self.made += 1;
        let uuid = self.uuid();
        if self.made.is_multiple_of(97) {
            return format!("557058:{uuid}").into();
        }
        if self.made.is_multiple_of(50) {
            return uuid.replace('-', "")[..24].into();
        }
        format!("712020:{uuid}").into()
    }

    /// A name, and the part of an address before the `@`; never the same twice.
    fn name(&mut self) -> (String, String) {
        // 7919 shares no factor with the number of combinations, so each comes once before any comes again.
        let turn = (self.made * 7_919 + self.offset) % COMBINATIONS;
        let (first, last) = (FIRST[turn % FIRST.len()], LAST[turn / FIRST.len()]);
        let round = self.made / COMBINATIONS;
        let number = if round == 0 { String::new() } else { (round + 1).to_string() };
        (format!("{first} {last}"), format!("{}.{}{number}", first.to_lowercase(), last.to_lowercase()))
    }

    fn at_home(&mut self, email: &str, factor: Factor) -> Account {
        let (id, (name, _)) = (self.account_id(), self.name());
        let mut account = self.account(id, &name, email);
        match factor {
            Factor::Absent => account.factor = Timeline::new(false),
            Factor::Lost => account.lost = true,
        }
        account
    }

    fn anyone(&mut self) -> Account {
        let (id, (name, local)) = (self.account_id(), self.name());
        let mut account = self.account(id, &name, &format!("{local}@{DOMAIN}"));
        let version = account.placement.now().map_or(0, |placed| placed.version);
        match self.rng.random_range(0..1_000) {
            0..30 => {
                account.source = Source::Synced;
                account.factor = Timeline::new(false);
                account.placement = Timeline::new(Some(Placed { policy: place::SINGLE_SIGN_ON, version }));
            }
            30..90 => account.placement = Timeline::new(Some(Placed { policy: place::ENGINEERING, version })),
            90..100 => account.placement = Timeline::new(Some(Placed { policy: place::GUESTS, version })),
            100..105 => account.factor = Timeline::new(false),
            105..110 => account.status = Status::Inactive,
            110..113 => account.membership = Membership::Suspended,
            113..133 => account.last_active = Some(self.now_ms - self.rng.random_range(91..390) * DAY_MS),
            133..140 => account.last_active = None,
            140..190 => account.tokens.push(self.token(account.created)),
            _ => account.last_active = Some(self.now_ms - self.rng.random_range(0..20 * DAY_MS)),
        }
        account
    }

    fn token(&mut self, created_ms: i64) -> Token {
        Token { id: self.uuid(), label: "reporting".into(), created_ms }
    }

    fn unmanaged(&mut self) -> Account {
        let (id, (name, local)) = (self.account_id(), self.name());
        let mut account = self.account(id, &name, &format!("{local}@{UNVERIFIED_DOMAIN}"));
        account.claim = Claim::Unmanaged;
        account.placement = Timeline::new(None);
        account
    }
}
