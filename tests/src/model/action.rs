//! What can happen next.

use std::fmt;

use homeward_policy::lease::Kind;

use super::lease_book::Reply;
use super::place::{Place, Shown};
use super::state::{Leases, What};

/// One step of one actor, or of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A tick passes.
    Time,
    /// A tick passes although something could be done.
    Pause,
    /// A lend takes effect.
    LendLands(u8, u8),
    /// A lend that was accepted never takes effect.
    LendVanishes(u8, u8),
    /// A lend will take effect later than the limit.
    LendBeyond(u8, u8),
    /// A return takes effect.
    ReturnLands(u8),
    /// A person moves the account.
    Hand(u8, Place),
    /// The two accounts swap their addresses.
    Swap,
    /// A case begins: its lend is granted and asked for.
    Begin(u8),
    /// A command to lend arrives at policy, which begins to read.
    LendArrives(u8),
    /// A read ends; for a lend the row is committed. `again`: the message that asked for it comes once more.
    LookEnds {
        /// Which read.
        look: u8,
        /// What it shows.
        seen: Shown,
        /// It was over when the read began.
        behind: bool,
        /// The message comes once more.
        again: bool,
    },
    /// A read of a lease's account ends; its lend named an address that another account holds, which is read, too.
    LooksAlong {
        /// Which read.
        look: u8,
        /// What it shows.
        seen: Shown,
        /// It was over when the read began.
        behind: bool,
        /// What the read of the other account shows.
        other: Shown,
        /// It was over when that read began.
        other_behind: bool,
    },
    /// A command to return arrives at policy.
    ReturnArrives(u8, bool),
    /// A command to lend is lost.
    LendLost(u8),
    /// A command to return is lost.
    ReturnLost(u8),
    /// News arrives at recovery.
    NewsArrives(u8, u8, bool),
    /// News is lost.
    NewsLost(u8, u8),
    /// The broker confirms `lease.opened`.
    Confirm(u8),
    /// A worker marks attempts and writes to the provider.
    Mark(Leases, Kind),
    /// The provider answers a worker.
    Answer(u8, Reply),
    /// The provider answers a worker that it took a part of a batch; what it says of the one lease besides.
    AnswerPart(u8, u8, Reply),
    /// A worker dies, before or after it wrote to the provider.
    WorkerDies(u8, bool),
    /// Patrol begins to read an account back.
    PatrolLooks(u8),
    /// The census begins to read an account.
    CensusLooks(u8),
    /// Policy looks at what is due of a lease.
    LeaseTick(u8),
    /// Recovery looks at what is due of a case.
    CaseTick(u8),
    /// A person cancels.
    Cancel(u8),
    /// The user sets up a new factor.
    Enrol(u8),
    /// Two persons release the account.
    Release(u8),
    /// A second coordinator decides, and does not write yet.
    Hold(u8, What),
    /// It writes what it has decided.
    Write,
    /// It dies with its decision unwritten.
    CoordinatorDies,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |kind: &Kind| kind.name();
        match self {
            Self::Time => write!(f, "a tick passes"),
            Self::Pause => write!(f, "a tick passes while somebody stands still"),
            Self::LendLands(account, _) => write!(f, "a lend takes effect: account {account} is out"),
            Self::LendVanishes(account, _) => write!(f, "a lend of account {account} that the provider took never takes effect"),
            Self::LendBeyond(account, _) => write!(f, "a lend of account {account} will take effect later than the limit"),
            Self::ReturnLands(account) => write!(f, "a return takes effect: account {account} is home"),
            Self::Hand(account, to) => write!(f, "a person moves account {account} by hand: it is {}", place(*to)),
            Self::Begin(case) => write!(f, "case {case} asks for its lend"),
            Self::LendArrives(case) => write!(f, "the lend of case {case} arrives at policy, which reads the account"),
            Self::Swap => f.write_str("the two accounts swap their addresses"),
            Self::LooksAlong { look, seen, behind, other, other_behind } => {
                let stale = |behind: bool| if behind { ", which was over when it began" } else { "" };
                write!(f, "read {look} ends and shows {} in version {}{}", place(seen.place), seen.version, stale(*behind))?;
                write!(f, "; who holds the address that the lend named is {}{}", place(other.place), stale(*other_behind))
            }
            Self::LookEnds { look, seen, behind, again } => {
                let stale = if *behind { ", which was over when it began" } else { "" };
                let twice = if *again { "; the message will come again" } else { "" };
                write!(f, "read {look} ends and shows {} in version {}{stale}{twice}", place(seen.place), seen.version)
            }
            Self::ReturnArrives(case, again) => write!(f, "the return of case {case} arrives at policy{}", more(*again)),
            Self::LendLost(case) => write!(f, "the lend of case {case} is lost"),
            Self::ReturnLost(case) => write!(f, "the return of case {case} is lost"),
            Self::NewsArrives(case, news, again) => write!(f, "news {news} of lease {case} arrives at recovery{}", more(*again)),
            Self::NewsLost(case, news) => write!(f, "news {news} of lease {case} is lost"),
            Self::Confirm(lease) => write!(f, "the broker confirms the opening of lease {lease}"),
            Self::Mark(leases, kind) => {
                let leases: Vec<String> = leases.iter().map(|lease| lease.to_string()).collect();
                write!(f, "a worker marks the {} of lease {} and writes to the provider", name(kind), leases.join(" and "))
            }
            Self::Answer(worker, reply) => write!(f, "the provider answers worker {worker}: {reply}"),
            Self::AnswerPart(worker, lease, reply) => {
                write!(f, "the provider answers worker {worker}: accepted, but of lease {lease}: {reply}")
            }
            Self::WorkerDies(worker, false) => write!(f, "worker {worker} dies before it writes to the provider"),
            Self::WorkerDies(worker, true) => write!(f, "worker {worker} dies after it wrote to the provider"),
            Self::PatrolLooks(account) => write!(f, "policy begins to read account {account}"),
            Self::CensusLooks(account) => write!(f, "the census begins to read account {account}"),
            Self::LeaseTick(lease) => write!(f, "policy does what is due about lease {lease}"),
            Self::CaseTick(case) => write!(f, "recovery does what is due about case {case}"),
            Self::Cancel(case) => write!(f, "the requester cancels case {case}"),
            Self::Enrol(case) => write!(f, "the user of case {case} sets up a new factor"),
            Self::Release(lease) => write!(f, "two persons release the account of lease {lease}"),
            Self::Hold(case, what) => {
                let about = match what {
                    What::Tick => "on what is due about it".to_owned(),
                    What::Cancelled => "on the requester's cancellation".to_owned(),
                    What::Enrolled => "on the user's new factor".to_owned(),
                    What::News(news) => format!("on the news that its lease is {}", news.stage.name()),
                };
                write!(f, "a second coordinator reads case {case} and decides {about}")
            }
            Self::Write => write!(f, "the second coordinator writes what it decided"),
            Self::CoordinatorDies => write!(f, "the second coordinator dies before it writes"),
        }
    }
}

fn place(place: Place) -> &'static str {
    match place {
        Place::Home => "home",
        Place::Recovery => "out",
        Place::Elsewhere => "elsewhere, protected",
        Place::Open => "elsewhere, not protected",
    }
}

fn more(again: bool) -> &'static str {
    if again { ", and will come again" } else { "" }
}
