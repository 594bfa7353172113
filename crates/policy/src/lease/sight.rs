//! What was seen of an account, and what a further reading proves (rule 3): seen, not assumed.

use homeward_types::limits::after;
use homeward_types::{Organisation, Placement, PlacementVersion, PolicyId, Timestamp, VersionTrust};

use super::Lease;

/// Where one read saw the account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// In a mandatory or delegated policy, never the recovery policy.
    Protecting(PolicyId),
    /// In any other policy.
    Out(PolicyId),
    /// The provider knows the account and named no policy.
    Nowhere,
}

/// One counted-or-not read of an account's placement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reading {
    /// Where it was.
    pub place: Place,
    /// The provider's version of that fact, where it has one.
    pub version: Option<PlacementVersion>,
    /// When we began the read (our clock).
    pub begun_at: Timestamp,
}

impl Reading {
    /// The reading that a placement makes in this organisation. A lease's recovery policy never protects, also when
    /// the configuration names another one by now.
    pub fn of(placement: &Placement, organisation: &Organisation, lease: &Lease) -> Self {
        let place = match &placement.policy {
            None => Place::Nowhere,
            Some(policy) if organisation.protects(policy) && *policy != lease.recovery_policy => {
                Place::Protecting(policy.clone())
            }
            Some(policy) => Place::Out(policy.clone()),
        };
        Self { place, version: placement.version, begun_at: placement.begun_at }
    }
}

/// What counted reads have shown so far.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sight {
    /// When the newest read that counted began.
    pub newest_begun_at: Option<Timestamp>,
    /// The account was seen out.
    pub out: Option<OutSight>,
    /// Reads that agree on one protecting policy, since the last *out*.
    pub run: Option<Run>,
    /// When the newest read that showed an end began.
    pub back_at: Option<Timestamp>,
    /// The placement's version in that read.
    pub back_version: Option<PlacementVersion>,
    /// Calls that missed the account.
    pub missed: Missed,
}

/// The account was seen out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutSight {
    /// When the first such read began.
    pub first_at: Timestamp,
    /// When the newest such read was decided on: later than whatever it saw.
    pub last_at: Timestamp,
    /// The newest version.
    pub version: Option<PlacementVersion>,
    /// Where.
    pub policy: PolicyId,
}

/// Reads that agree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    /// The policy that all of them showed.
    pub policy: PolicyId,
    /// The version that all of them showed.
    pub version: Option<PlacementVersion>,
    /// When the first of them began.
    pub first_begun_at: Timestamp,
}

/// When each of the two different calls first missed the account, since it was last there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Missed {
    /// The search for its id.
    pub search_at: Option<Timestamp>,
    /// The call for the account itself.
    pub itself_at: Option<Timestamp>,
}

/// What a reading proves about a lease.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Seen {
    /// The account is out.
    Out,
    /// The account is back home.
    Back,
    /// The account is in another protecting policy.
    ProtectedElsewhere(PolicyId),
    /// It may be so, but it is not proved; a read begun at this moment or later can prove it.
    NotYet {
        /// The earliest useful begin of the next read.
        again_at: Timestamp,
    },
    /// Older than what the lease knows, or without a placement.
    Nothing,
}

/// What `reading` proves about `lease`, with placement versions as far as they are trusted.
pub fn judge(lease: &Lease, reading: &Reading, trust: VersionTrust) -> Seen {
    match &reading.place {
        Place::Nowhere => Seen::Nothing,
        Place::Out(_) => judge_out(lease, reading, trust),
        Place::Protecting(policy) => judge_protected(lease, reading, policy, trust),
    }
}

/// *Out*: with a version later than home's, and not older than what was seen since. Without versions: begun at least
/// `read_lag` after the lease opened.
fn judge_out(lease: &Lease, reading: &Reading, trust: VersionTrust) -> Seen {
    if let (true, Some(version), Some(home)) = (trust.trusted(), reading.version, lease.home_version) {
        let later = version > home && lease.sight.newest_version().is_none_or(|since| version >= since);
        return if later { Seen::Out } else { Seen::NotYet { again_at: after(reading.begun_at, lease.terms.read_lag) } };
    }
    let useful_from = after(lease.opened_at, lease.terms.read_lag);
    if lease.sight.newest_begun_at.is_some_and(|newest| reading.begun_at <= newest) {
        Seen::Nothing
    } else if reading.begun_at < useful_from {
        Seen::NotYet { again_at: useful_from }
    } else {
        Seen::Out
    }
}

/// *Back*: with a version later than the newest *out*. Otherwise (without trusted versions, never seen out, or home shows
/// a version that did not grow) two agreeing reads at least `read_lag` apart, both begun after the last *out*.
fn judge_protected(lease: &Lease, reading: &Reading, policy: &PolicyId, trust: VersionTrust) -> Seen {
    let proved = if *policy == lease.home { Seen::Back } else { Seen::ProtectedElsewhere(policy.clone()) };
    let out = lease.sight.out.as_ref();
    if let (true, Some(version), Some(out)) = (trust.trusted(), reading.version, out.and_then(|out| out.version))
        && version > out
    {
        return proved;
    }
    let newest = lease.sight.newest_begun_at.max(out.map(|out| out.last_at));
    if newest.is_some_and(|newest| reading.begun_at <= newest) {
        return Seen::Nothing;
    }
    let first =
        lease.sight.run.as_ref().filter(|run| run.agrees(policy, reading)).map_or(reading.begun_at, |run| run.first_begun_at);
    let again_at = after(first, lease.terms.read_lag);
    if reading.begun_at >= again_at && reading.begun_at > first { proved } else { Seen::NotYet { again_at } }
}

impl Run {
    fn agrees(&self, policy: &PolicyId, reading: &Reading) -> bool {
        self.policy == *policy && self.version == reading.version
    }
}

impl Sight {
    /// The newest version that counted reads have shown.
    pub fn newest_version(&self) -> Option<PlacementVersion> {
        self.out.as_ref().and_then(|out| out.version).max(self.back_version)
    }

    /// The sight after a reading that was judged so at `now`. A reading older than what is known changes nothing.
    #[must_use]
    pub fn after(&self, reading: &Reading, seen: &Seen, now: Timestamp) -> Self {
        let mut sight = self.clone();
        if matches!(seen, Seen::Nothing) {
            if matches!(reading.place, Place::Nowhere) {
                sight.missed = Missed::default();
            }
            return sight;
        }
        sight.missed = Missed::default();
        sight.newest_begun_at = sight.newest_begun_at.max(Some(reading.begun_at));
        match &reading.place {
            Place::Nowhere => {}
            Place::Out(policy) => {
                sight.run = None;
                if matches!(seen, Seen::Out) {
                    sight.out = Some(sight.out_again(reading, policy, now));
                }
            }
            Place::Protecting(policy) => sight.run = sight.run_on(reading, policy),
        }
        if matches!(seen, Seen::Back | Seen::ProtectedElsewhere(_)) {
            sight.back_at = sight.back_at.max(Some(reading.begun_at));
            sight.back_version = sight.back_version.max(reading.version);
        }
        sight
    }

    fn out_again(&self, reading: &Reading, policy: &PolicyId, now: Timestamp) -> OutSight {
        let before = self.out.as_ref();
        OutSight {
            first_at: before.map_or(reading.begun_at, |out| out.first_at.min(reading.begun_at)),
            last_at: before.map_or(now, |out| out.last_at.max(now)),
            version: before.and_then(|out| out.version).max(reading.version),
            policy: policy.clone(),
        }
    }

    /// A run begins after the last *out*, and ends where a read disagrees.
    fn run_on(&self, reading: &Reading, policy: &PolicyId) -> Option<Run> {
        if self.out.as_ref().is_some_and(|out| reading.begun_at <= out.last_at) {
            return self.run.clone();
        }
        match &self.run {
            Some(run) if run.agrees(policy, reading) => Some(run.clone()),
            Some(_) | None => Some(Run { policy: policy.clone(), version: reading.version, first_begun_at: reading.begun_at }),
        }
    }
}
