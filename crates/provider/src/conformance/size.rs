//! A check of size: a very large organisation is paged in little memory.

use std::time::Instant;

use super::{Profile, World};
use crate::account::Cursor;
use crate::priority::Priority;

/// Accounts of a very large organisation.
const MILLION: usize = 1_000_000;

/// What paging may add to the memory of the process, whatever the number of accounts. A list of a million accounts would take
/// some hundred megabytes.
const MOST_MEMORY: u64 = 48 << 20;

/// A million accounts, page by page.
pub async fn a_million_accounts_are_paged_in_bounded_memory<W: World>() {
    accounts_are_paged_in_bounded_memory::<W>(MILLION).await;
}

/// The same with another number of accounts.
pub async fn accounts_are_paged_in_bounded_memory<W: World>(accounts: usize) {
    let began = Instant::now();
    let world = W::open(Profile { accounts, ..Profile::default() }).await;
    let (provider, opened, began) = (world.provider(), began.elapsed(), Instant::now());
    let (mut seen, mut cursor): (usize, Option<Cursor>) = (0, None);
    memory::forget_the_peak();
    let before = memory::now();
    loop {
        let page = provider.page_accounts(cursor.as_ref(), Priority::Sync).await.expect("nothing is wrong");
        assert!(page.items.len() * 20 <= accounts, "{} accounts on one page", page.items.len());
        seen += page.items.len();
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    let grown = memory::peak().saturating_sub(before);
    println!(
        "{seen} accounts, made in {opened:.1?}, paged in {:.1?}, with {} MiB on top of {} MiB",
        began.elapsed(),
        grown >> 20,
        before >> 20
    );
    assert!((accounts..accounts + accounts / 10 + 100).contains(&seen), "{seen} accounts of {accounts}");
    assert!(grown <= MOST_MEMORY, "paging {seen} accounts took {} MiB", grown >> 20);
}

/// The memory of this process, as Linux counts it (proc(5)).
mod memory {
    /// The greatest use since the start or [`forget_the_peak`], in bytes.
    pub(super) fn peak() -> u64 {
        of("VmHWM:")
    }

    /// The use now, in bytes.
    pub(super) fn now() -> u64 {
        of("VmRSS:")
    }

    /// From here on the peak counts anew.
    pub(super) fn forget_the_peak() {
        std::fs::write("/proc/self/clear_refs", "5").expect("Linux lets a process forget its own peak");
    }

    fn of(line: &str) -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("this check reads memory where Linux tells it");
        let kilobytes = status.lines().find_map(|found| found.strip_prefix(line)?.trim().strip_suffix(" kB")?.parse().ok());
        kilobytes.map(|kilobytes: u64| kilobytes << 10).expect("a number of kilobytes")
    }
}
