//! The provider: where an account is, writes that are still under way, and reads that may lag behind.

use homeward_types::{AccountId, Factor, Limits, OrganisationId, Placement};
use homeward_types::{Organisation, PlacementVersion, Policy, PolicyId, Tiers, Timestamp, TwoStep};

use super::few::Few;
use super::scale::{Scale, Ticks};

/// Where an account can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Place {
    /// Its mandatory policy.
    #[default]
    Home,
    /// The recovery policy: out.
    Recovery,
    /// Another protecting policy, where a person moved it.
    Elsewhere,
    /// A policy that does not protect, and is not the recovery policy; a person moved it there.
    Open,
}

impl Place {
    /// Every place.
    pub const ALL: [Self; 4] = [Self::Home, Self::Recovery, Self::Elsewhere, Self::Open];

    /// Whether everyone there must have a second factor.
    pub fn protects(self) -> bool {
        matches!(self, Self::Home | Self::Elsewhere)
    }

    /// The provider's id of the policy.
    pub fn name(self) -> &'static str {
        match self {
            Self::Home => "mandatory",
            Self::Recovery => "recovery",
            Self::Elsewhere => "delegated",
            Self::Open => "optional",
        }
    }

    /// The policy as production has it.
    ///
    /// # Panics
    /// Never: the names are well formed.
    pub fn policy(self) -> PolicyId {
        self.name().parse().expect("the names above are well formed")
    }

    /// The place that a policy of ours is.
    ///
    /// # Panics
    /// If the policy is not one of the model's.
    pub fn of(policy: &PolicyId) -> Self {
        Self::ALL.into_iter().find(|place| place.name() == policy.as_str()).expect("a policy that the model does not have")
    }
}

/// The organisation, as production's configuration has it.
///
/// # Panics
/// Never: the names are well formed.
pub fn organisation() -> Organisation {
    let policy =
        |place: Place, two_step| (place.policy(), Policy { name: place.name().to_owned(), two_step, factor_lives_in: None });
    Organisation {
        id: organisation_id(),
        policies: [
            policy(Place::Home, TwoStep::Mandatory),
            policy(Place::Recovery, TwoStep::Optional),
            policy(Place::Elsewhere, TwoStep::Delegated),
            policy(Place::Open, TwoStep::Optional),
        ]
        .into(),
        recovery_policy: Place::Recovery.policy(),
        home_policies: [Place::Home.policy()].into(),
        default_home: Place::Home.policy(),
        tiers: Tiers::default(),
        limits: Limits::default(),
    }
}

/// The tenant.
///
/// # Panics
/// Never: the name is well formed.
pub fn organisation_id() -> OrganisationId {
    "acme".parse().expect("well formed")
}

/// The account that a row is about. All rows name the same one: which account it is, is where the row stands.
///
/// # Panics
/// Never: the name is well formed.
pub fn account_id() -> AccountId {
    "557058:mia".parse().expect("well formed")
}

/// What the factor is read as. It does not matter to where the account is.
pub const FACTOR: Factor = Factor::Absent;

/// How the provider numbers placements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Versions {
    /// Each move has a later version, and the organisation's versions are trusted already.
    Trusted,
    /// Each move has a later version, and they have yet to earn trust.
    Unproved,
    /// There are none.
    None,
    /// There is one, and it never changes.
    Stuck,
}

/// What one read can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Shown {
    /// Where the account is.
    pub place: Place,
    /// The number of the move that brought it there.
    pub version: i8,
}

impl Shown {
    /// The version as the provider tells it.
    pub fn told(self, versions: Versions) -> Option<PlacementVersion> {
        match versions {
            Versions::Trusted | Versions::Unproved => Some(PlacementVersion(i64::from(self.version))),
            Versions::None => None,
            Versions::Stuck => Some(PlacementVersion(1)),
        }
    }

    /// As production's provider port answers.
    pub fn placement(self, versions: Versions, begun_at: Timestamp) -> Placement {
        Placement {
            account: account_id(),
            email: None,
            policy: Some(self.place.policy()),
            version: self.told(versions),
            begun_at,
        }
    }
}

/// What an account was until some time ago; a read that lags may still show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Past {
    /// What it was.
    pub shown: Shown,
    /// When that ended.
    pub until: Ticks,
}

/// A lend that was sent and has not taken effect yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Effect {
    /// The lease that it was sent under.
    pub lease: u8,
    /// Until when it takes effect, if it does; `None` when it is later than the limit.
    pub until: Option<Ticks>,
}

/// One account at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent things that happened to it")]
pub struct Account {
    /// Where it is.
    pub shown: Shown,
    /// Where it was, as far as a read could still show it; newest last.
    pub past: Few<Past, 5>,
    /// Lends under way.
    pub lends: Few<Effect, 2>,
    /// Ticks since the newest return was sent; `None` if none is under way. A return may take effect at any time and
    /// as often as it likes: it can only lead home.
    pub returning: Option<Ticks>,
    /// The newest version that a lease which is over knows.
    pub seen_before: i8,
    /// Homeward once lent it, so that the census may return it.
    pub was_lent: bool,
    /// Two persons released it.
    pub released: bool,
    /// A lend took, or may take, effect later than the limit, or a person moved the account where lends lead, which
    /// cannot be told from a lend: the promise then is one census.
    pub beyond: bool,
    /// The newest move was a person's.
    pub by_hand: bool,
    /// The newest move was a lend of this lease, which is another account's.
    pub along: Option<u8>,
}

impl Account {
    /// Whether it is out.
    pub fn is_out(&self) -> bool {
        self.shown.place == Place::Recovery
    }

    /// It must come home: it is out, nobody released it, and it is not a person alone who moved it there.
    pub fn is_stray(&self) -> bool {
        self.is_out() && !self.released && (self.was_lent || !self.by_hand)
    }

    /// Moves it. A move to where it is already changes nothing, not even the version.
    pub fn moved(&mut self, to: Place) {
        if self.shown.place == to {
            return;
        }
        self.past.push(Past { shown: self.shown, until: 0 });
        self.shown = Shown { place: to, version: self.shown.version + 1 };
        self.was_lent |= to == Place::Recovery;
        (self.by_hand, self.along) = (false, None);
    }

    /// A person moves it.
    pub fn moved_by_hand(&mut self, to: Place) {
        let was_lent = self.was_lent;
        self.moved(to);
        (self.was_lent, self.by_hand) = (was_lent, true);
    }

    /// What a read that began at `begun` can show now: what is, and what was at any moment since `read_lag` before.
    pub fn visible(&self, begun: Ticks, scale: &Scale) -> impl Iterator<Item = (Shown, bool)> + '_ {
        let from = begun - scale.read_lag;
        let old = self.past.iter().filter(move |past| past.until > from);
        // Behind: it was over when the read began.
        old.map(move |past| (past.shown, past.until <= begun)).chain(std::iter::once((self.shown, false)))
    }

    /// The address that it held is another one's now: what is under way to it goes there.
    pub fn swaps_with(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.lends, &mut other.lends);
        std::mem::swap(&mut self.returning, &mut other.returning);
        (self.beyond, other.beyond) = (self.beyond || other.beyond, self.beyond || other.beyond);
    }

    /// Forgets what no read can show any more, given when the oldest one under way began.
    pub fn forget(&mut self, oldest_begun: Ticks, scale: &Scale) {
        self.past.retain(|past| past.until > oldest_begun - scale.read_lag);
    }

    /// A tick passes. A return that is under way for longer than `oldest` ticks is not told from one of that age.
    pub fn age(&mut self, oldest: Ticks) {
        for past in self.past.as_mut_slice() {
            past.until -= 1;
        }
        for lend in self.lends.as_mut_slice() {
            lend.until = lend.until.map(|until| until - 1);
        }
        self.returning = self.returning.map(|age| (age + 1).min(oldest));
    }
}
