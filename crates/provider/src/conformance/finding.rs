//! Checks of finding accounts, paging them, and reading their placements and factors.

use std::collections::HashSet;

use homeward_types::diagnosis::Claim;
use homeward_types::{AccountId, Email, Factor};

use super::{Change, Profile, World, place, presence};
use crate::account::{AccountRecord, Cursor, Holder, Search};
use crate::care::{Look, ManageCheck, ManageRefusal, Presence};
use crate::priority::Priority;

const NOBODY: &str = "000000:nobody-has-this-id";

fn nobody() -> AccountId {
    NOBODY.parse().expect("a well-formed id")
}

async fn find(world: &impl World, by: Search<'_>) -> Vec<AccountRecord> {
    world.provider().find_accounts(by, Priority::Evidence).await.expect("nothing is wrong")
}

/// By each of the three ways, and with what the directory says besides.
pub async fn accounts_are_found_by_address_by_id_and_by_name<W: World>() {
    let world = W::open(Profile::default()).await;
    let members = world.members(25);
    let (ids, emails): (Vec<AccountId>, Vec<Email>) = members.iter().cloned().unzip();
    let wanted: HashSet<&AccountId> = ids.iter().collect();
    for by in [Search::Emails(&emails), Search::Accounts(&ids)] {
        let found = find(&world, by).await;
        assert_eq!(found.iter().map(|record| &record.account).collect::<HashSet<_>>(), wanted);
        for record in found {
            let truth = world.truth(&record.account).expect("it exists");
            assert_eq!((record.email, record.factor, record.claim), (Some(truth.email), truth.factor, Some(Claim::Managed)));
            assert!(record.begun_at <= world.clock().now());
        }
    }
    let found = find(&world, Search::Term(emails[0].as_str())).await;
    assert!(found.iter().any(|record| record.account == ids[0]));
}

/// An id that nobody has gives no entry and no error.
pub async fn an_account_that_nobody_knows_is_missing_everywhere<W: World>() {
    let world = W::open(Profile::default()).await;
    let provider = world.provider();
    let address: Email = "nobody.at.all@northwind.example".parse().expect("an address");
    assert!(find(&world, Search::Accounts(&[nobody()])).await.is_empty());
    assert!(find(&world, Search::Emails(std::slice::from_ref(&address))).await.is_empty());
    assert_eq!(place(&world, &nobody()).await, None);
    let holder = Holder { account: nobody(), email: Some(address) };
    assert!(provider.read_factors(&[holder], Priority::Evidence).await.expect("nothing is wrong").is_empty());
    for look in [Look::Search, Look::Itself] {
        assert_eq!(presence(&world, &nobody(), look).await.ok(), Some(Presence::NotFound), "{look:?}");
    }
    assert_eq!(provider.may_manage(&nobody(), Priority::Evidence).await.ok(), Some(ManageCheck::NoSuchAccount));
}

/// An account that the organisation does not manage is found, and said to be so, by every call that can tell.
pub async fn an_account_that_is_not_ours_says_so<W: World>() {
    let world = W::open(Profile::default()).await;
    let provider = world.provider();
    let (account, email) = world.unmanaged();
    let found = find(&world, Search::Emails(&[email])).await;
    assert_eq!(found.len(), 1);
    assert!(matches!(found[0].claim, Some(Claim::DomainNotVerified | Claim::NotClaimed)), "{:?}", found[0].claim);
    assert_eq!(found[0].factor, Factor::Unknown);
    for look in [Look::Search, Look::Itself] {
        assert_eq!(presence(&world, &account, look).await.ok(), Some(Presence::NotManaged), "{look:?}");
    }
    let check = provider.may_manage(&account, Priority::Evidence).await.ok();
    assert_eq!(check, Some(ManageCheck::MayNot(ManageRefusal::NotManaged)));
}

/// The others of the same read are read, whatever the provider makes of the unknown one.
pub async fn one_unknown_id_spoils_nobody_elses_read<W: World>() {
    for unknown_id_spoils in [false, true] {
        let world = W::open(Profile { unknown_id_spoils, ..Profile::default() }).await;
        let mut ids: Vec<AccountId> = world.members(30).into_iter().map(|(account, _)| account).collect();
        ids.insert(11, nobody());
        let read = world.provider().read_placements(&ids, Priority::Evidence).await.expect("nothing is wrong");
        assert_eq!(read.len(), 30);
        assert!(read.iter().all(|placement| placement.policy == Some(world.home()) && placement.email.is_some()));
    }
}

/// Whoever was there from the first page to the last is in one of them.
pub async fn every_account_is_paged_while_others_come_and_go<W: World>() {
    let world = W::open(Profile { accounts: 400, ..Profile::default() }).await;
    let provider = world.provider();
    let members = world.members(350);
    let (going, staying) = members.split_at(40);
    let (mut seen, mut cursor, mut pages): (HashSet<AccountId>, Option<Cursor>, usize) = (HashSet::new(), None, 0);
    loop {
        let page = provider.page_accounts(cursor.as_ref(), Priority::Sync).await.expect("nothing is wrong");
        assert!(page.items.iter().all(|record| record.claim == Some(Claim::Managed)));
        seen.extend(page.items.into_iter().map(|record| record.account));
        if let Some((account, _)) = going.get(pages) {
            world.change(account, Change::Delete);
        }
        pages += 1;
        assert!(pages < 400, "paging does not end");
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    let missed: Vec<_> = staying.iter().filter(|(account, _)| !seen.contains(account)).collect();
    assert!(missed.is_empty(), "{} of {} were never on a page", missed.len(), staying.len());
    assert!(pages > 1, "one page proves nothing");
}

/// Never a call for each account.
pub async fn placements_and_factors_are_read_in_bulk<W: World>() {
    let world = W::open(Profile { accounts: 400, ..Profile::default() }).await;
    let provider = world.provider();
    let members = world.members(300);
    let ids: Vec<AccountId> = members.iter().map(|(account, _)| account.clone()).collect();
    let can = provider.capabilities();
    let before = world.calls();
    assert_eq!(provider.read_placements(&ids, Priority::Sync).await.expect("nothing is wrong").len(), ids.len());
    let placements = world.calls();
    assert!(placements - before <= ids.len().div_ceil(can.placement_batch) as u64, "{} calls", placements - before);
    let holders: Vec<Holder> = members.into_iter().map(|(account, email)| Holder { account, email: Some(email) }).collect();
    let read = provider.read_factors(&holders, Priority::Sync).await.expect("nothing is wrong");
    assert_eq!(read.len(), ids.len());
    assert!(read.iter().all(|reading| Some(reading.factor) == world.truth(&reading.account).map(|truth| truth.factor)));
    let factors = world.calls() - placements;
    assert!(factors <= ids.len().div_ceil(can.factor_batch) as u64, "{factors} calls");
    assert_eq!(world.undocumented_calls(), 0);
}

/// Each read says what was there when it was made.
pub async fn a_flapping_factor_is_seen_as_it_is<W: World>() {
    let world = W::open(Profile::default()).await;
    let (account, email) = world.members(1).remove(0);
    let holder = [Holder { account: account.clone(), email: Some(email) }];
    let mut last = None;
    for enrolled in [true, false, true, false] {
        world.change(&account, Change::Factor(enrolled));
        let read = world.provider().read_factors(&holder, Priority::Evidence).await.expect("nothing is wrong");
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].factor, if enrolled { Factor::Enrolled } else { Factor::Absent });
        assert!(last.is_none_or(|last| last <= read[0].begun_at));
        last = Some(read[0].begun_at);
    }
}

/// The factor of an account is never taken from whoever holds its address now.
pub async fn an_address_that_changed_hands_does_not_mislead_a_factor_read<W: World>() {
    let world = W::open(Profile::default()).await;
    let members = world.members(2);
    let [(first, first_email), (second, second_email)] = &members[..] else { panic!("two members") };
    world.change(first, Change::Factor(true));
    world.change(second, Change::Factor(false));
    world.change(first, Change::SwapWith(second.clone()));
    let old = [(first, first_email), (second, second_email)]
        .map(|(account, email)| Holder { account: account.clone(), email: Some(email.clone()) });
    let read = world.provider().read_factors(&old[..1], Priority::Evidence).await.expect("nothing is wrong");
    assert_eq!(read.iter().map(|reading| (&reading.account, reading.factor)).collect::<Vec<_>>(), [(first, Factor::Enrolled)]);
    let both = world.provider().read_factors(&old, Priority::Evidence).await.expect("nothing is wrong");
    assert_eq!(both.len(), 2);
    for reading in both {
        let expected = if reading.account == *first { Factor::Enrolled } else { Factor::Absent };
        assert_eq!(reading.factor, expected);
    }
}
