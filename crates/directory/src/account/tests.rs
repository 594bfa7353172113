use chrono::{TimeDelta, TimeZone, Utc};
use homeward_types::Factor;

use super::*;

fn at(second: i64) -> Timestamp {
    Utc.with_ymd_and_hms(2026, 11, 24, 8, 0, 0).unwrap() + TimeDelta::seconds(second)
}

/// What a search tells of an ordinary account.
fn seen(second: i64) -> AccountRecord {
    AccountRecord {
        account: "a-1".parse().unwrap(),
        email: Some("mia@northwind.example".parse().unwrap()),
        name: "Mia Berg".into(),
        claim: Some(Claim::Managed),
        status: Some(AccountStatus::Active),
        origin: Origin::Here,
        administrator: Some(false),
        factor: Factor::Enrolled,
        last_active: None,
        begun_at: at(second),
    }
}

/// What a page tells of it.
fn paged(second: i64) -> AccountRecord {
    AccountRecord { origin: Origin::Unknown, administrator: None, factor: Factor::Unknown, ..seen(second) }
}

fn known() -> Account {
    merge(None, &seen(0), Source::Search).account
}

#[test]
fn each_difference_is_named_and_the_version_grows_once() {
    type Alter = fn(&mut AccountRecord);
    let table: [(Alter, &[Change], bool); 9] = [
        (|_| {}, &[], false),
        (|r| r.name = "Mia Lund".into(), &[Change::Renamed], true),
        (|r| r.email = Some("mia.lund@northwind.example".parse().unwrap()), &[Change::Address], true),
        (|r| r.status = Some(AccountStatus::Suspended), &[Change::Status], true),
        (|r| r.claim = Some(Claim::NotClaimed), &[Change::Unclaimed], true),
        (|r| r.administrator = Some(true), &[], true),
        (|r| r.origin = Origin::SyncedFrom("Okta".into()), &[], true),
        (|r| r.last_active = Some(at(-5)), &[], true),
        (
            |r| {
                r.name = "M".into();
                r.status = Some(AccountStatus::Deactivated);
            },
            &[Change::Renamed, Change::Status],
            true,
        ),
    ];
    for (number, (alter, changes, differs)) in table.into_iter().enumerate() {
        let mut record = seen(60);
        alter(&mut record);
        let merged = merge(Some(&known()), &record, Source::Search);
        assert_eq!((&merged.changes[..], merged.differs), (changes, differs), "case {number}");
        assert_eq!(merged.account.version, 1 + i64::from(!changes.is_empty()), "case {number}");
        assert_eq!((merged.account.learned_at, merged.account.detailed_at), (at(60), Some(at(60))));
    }
}

#[test]
fn another_address_is_dated() {
    let record = AccountRecord { email: Some("new@northwind.example".parse().unwrap()), ..seen(60) };
    assert_eq!(merge(Some(&known()), &record, Source::Page).account.mail_changed_at, Some(at(60)));
    assert_eq!(known().mail_changed_at, None, "nobody saw it change");
}

#[test]
fn a_read_that_began_earlier_changes_nothing() {
    let before = merge(Some(&known()), &AccountRecord { name: "Newer".into(), ..seen(60) }, Source::Search).account;
    let merged = merge(Some(&before), &seen(59), Source::Search);
    assert_eq!(merged, Merged { account: before, changes: vec![], differs: false });
}

#[test]
fn a_page_that_overtakes_a_search_does_not_hide_what_only_the_search_tells() {
    type Alter = fn(&mut AccountRecord);
    let told: [Alter; 6] = [
        |_| {},
        |r| r.last_active = Some(at(50)),
        |r| r.administrator = Some(true),
        |r| r.status = Some(AccountStatus::Suspended),
        |r| r.status = Some(AccountStatus::Deactivated),
        |r| r.origin = Origin::SyncedFrom("Okta".into()),
    ];
    for (number, alter) in told.into_iter().enumerate() {
        for before in [None, Some(known())] {
            let mut search = seen(59);
            alter(&mut search);
            let (search, page) = ((&search, Source::Search), (&paged(60), Source::Page));
            let both = |reads: [(&AccountRecord, Source); 2]| {
                let merged =
                    reads.into_iter().fold(before.clone(), |known, (read, how)| Some(merge(known.as_ref(), read, how).account));
                Account { version: 0, ..merged.unwrap() }
            };
            assert_eq!(both([page, search]), both([search, page]), "case {number}, known before: {}", before.is_some());
        }
    }
    let paged = merge(None, &paged(60), Source::Page).account;
    let merged = merge(Some(&paged), &AccountRecord { status: Some(AccountStatus::Suspended), ..seen(59) }, Source::Search);
    assert_eq!((&merged.changes[..], merged.account.version, merged.differs), (&[Change::Status][..], 2, true));
    let again = merge(Some(&merged.account), &AccountRecord { administrator: Some(true), ..seen(58) }, Source::Search);
    assert_eq!(again, Merged { account: merged.account, changes: vec![], differs: false }, "a newer search has told");
}

#[test]
fn what_a_page_does_not_say_stays() {
    let special = AccountRecord {
        status: Some(AccountStatus::Suspended),
        origin: Origin::SyncedFrom("Okta".into()),
        administrator: Some(true),
        ..seen(1)
    };
    let before = merge(Some(&known()), &special, Source::Search).account;
    let merged = merge(Some(&before), &paged(60), Source::Page);
    assert!(merged.changes.is_empty() && !merged.differs);
    assert_eq!((merged.account.learned_at, merged.account.detailed_at), (at(60), Some(at(1))));
    let bare = AccountRecord { email: None, name: String::new(), claim: None, status: None, ..paged(61) };
    assert!(!merge(Some(&before), &bare, Source::Page).differs);
    assert_eq!(merge(Some(&before), &seen(62), Source::Search).changes, [Change::Status], "a search tells that it is active");
}

#[test]
fn a_new_account_is_taken_carefully() {
    let bare = AccountRecord { claim: None, status: None, ..paged(0) };
    let account = merge(None, &bare, Source::Page).account;
    assert_eq!((account.claim.clone(), account.status), (Claim::NotClaimed, AccountStatus::Suspended));
    assert_eq!((account.administrator, account.detailed_at), (None, None));
    assert!(account.known().unwrap().administrator, "until a search told otherwise");
}

#[test]
fn an_account_goes_once_and_may_come_back() {
    let gone = missed(&known(), at(60));
    assert_eq!((&gone.changes[..], gone.account.version), (&[Change::Gone][..], 2));
    assert_eq!((gone.account.status, gone.account.gone_at), (AccountStatus::Deleted, Some(at(60))));
    assert!(missed(&gone.account, at(90)).changes.is_empty());
    let back = merge(Some(&gone.account), &paged(120), Source::Page);
    assert_eq!(
        (&back.changes[..], back.account.status, back.account.gone_at),
        (&[Change::Appeared][..], AccountStatus::Active, None)
    );
    let fresher = merge(Some(&known()), &seen(70), Source::Search).account;
    assert!(missed(&fresher, at(60)).changes.is_empty(), "it was seen after the search began");
}
