//! The tables `slot_counter` and `slot`. The counter's row is locked first, so whoever takes or gives back takes turns.

use std::collections::{BTreeMap, BTreeSet};

use homeward_store::{Database, PushRows, StoreError, Tx, dialect, on, on_tx, row};
use homeward_types::{OrganisationId, Timestamp};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::Counter;

/// Rows in one statement; 3 values each.
const ROWS: usize = 1_000;

/// What the sagas of one transaction want.
#[derive(Debug, Default)]
pub struct Wishes {
    /// Recoveries that ask for a slot.
    pub asked: Vec<(Uuid, OrganisationId)>,
    /// Recoveries that give theirs back, or leave the line.
    pub given: Vec<(Uuid, OrganisationId)>,
}

impl Wishes {
    /// Whether nobody wants anything.
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.given.is_empty()
    }

    fn organisations(&self) -> BTreeSet<&str> {
        self.asked.iter().chain(&self.given).map(|(_, organisation)| organisation.as_str()).collect()
    }
}

/// Makes the counter of each organisation that has none yet, with a cap of one account.
pub async fn ensure(tx: &mut Tx, organisations: &[&OrganisationId]) -> Result<(), StoreError> {
    if organisations.is_empty() {
        return Ok(());
    }
    on_tx!(tx, c : D => {
        let mut query = QueryBuilder::<D>::new("INSERT INTO slot_counter (organisation, held, outside, cap) ");
        query.push_rows(organisations.iter().map(|organisation| row![organisation.as_str(), 0_i64, 0_i64, 1_i64]));
        query.push(" ON CONFLICT (organisation) DO NOTHING").build().execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Gives back, puts into the line, and lets the first of each line take what is free. Says who has a slot now: the newly
/// served, and those who asked although they had one.
pub async fn exchange(tx: &mut Tx, wishes: &Wishes, now: Timestamp) -> Result<Vec<Uuid>, StoreError> {
    let mut counters = lock(tx, &wishes.organisations()).await?;
    let before = counters.clone();
    for organisation in give_back(tx, &wishes.given).await? {
        if let Some(counter) = counters.get_mut(&organisation) {
            counter.held = (counter.held - 1).max(0);
        }
    }
    let mut served = Vec::new();
    let repeated = enqueue(tx, &wishes.asked, now).await?;
    if !repeated.is_empty() {
        served.extend(holders(tx, &repeated).await?);
    }
    for (organisation, counter) in &mut counters {
        served.extend(serve(tx, organisation, counter, now).await?);
    }
    if counters != before {
        write(tx, &counters).await?;
    }
    Ok(served)
}

/// Learns the cap and, where it was counted, what is out without a case; then serves the line. Says who has a slot now.
pub async fn learn(
    tx: &mut Tx,
    organisation: &OrganisationId,
    cap: i64,
    outside: Option<i64>,
    now: Timestamp,
) -> Result<Vec<Uuid>, StoreError> {
    let name = organisation.as_str();
    let counters = lock(tx, &BTreeSet::from([name])).await?;
    let Some(mut counter) = counters.get(name).copied() else { return Ok(Vec::new()) };
    (counter.cap, counter.outside) = (cap.max(1), outside.unwrap_or(counter.outside).max(0));
    let served = serve(tx, name, &mut counter, now).await?;
    on_tx!(tx, c => sqlx::query("UPDATE slot_counter SET held = $2, outside = $3, cap = $4, learned_at = $5 WHERE organisation = $1")
        .bind(name).bind(counter.held).bind(counter.outside).bind(counter.cap).bind(now).execute(c).await.map(drop))?;
    Ok(served)
}

/// Takes slots from cases that are over, and sets the counter to what is really held. Says by how much it was wrong.
pub async fn recount(tx: &mut Tx, organisation: &OrganisationId) -> Result<i64, StoreError> {
    let name = organisation.as_str();
    let counters = lock(tx, &BTreeSet::from([name])).await?;
    let Some(counter) = counters.get(name) else { return Ok(0) };
    on_tx!(tx, c => sqlx::query("DELETE FROM slot WHERE organisation = $1 AND EXISTS \
         (SELECT 1 FROM recovery r WHERE r.id = slot.recovery AND NOT r.is_open)").bind(name).execute(c).await.map(drop))?;
    let held: i64 = on_tx!(tx, c => sqlx::query_scalar("SELECT COUNT(*) FROM slot WHERE organisation = $1 AND taken_at IS NOT NULL")
        .bind(name).fetch_one(c).await)?;
    if held != counter.held {
        on_tx!(tx, c => sqlx::query("UPDATE slot_counter SET held = $2 WHERE organisation = $1").bind(name).bind(held)
            .execute(c).await.map(drop))?;
    }
    Ok(counter.held - held)
}

/// The counter of an organisation, for showing.
pub async fn counter(db: &Database, organisation: &OrganisationId) -> Result<Option<Counter>, StoreError> {
    let sql = "SELECT held, outside, cap FROM slot_counter WHERE organisation = $1";
    let row: Option<(i64, i64, i64)> =
        on!(db, pool => sqlx::query_as(sql).bind(organisation.as_str()).fetch_optional(pool).await)?;
    Ok(row.map(|(held, outside, cap)| Counter { held, outside, cap }))
}

#[derive(Debug, sqlx::FromRow)]
struct CounterRow {
    organisation: String,
    held: i64,
    outside: i64,
    cap: i64,
}

async fn lock(tx: &mut Tx, organisations: &BTreeSet<&str>) -> Result<BTreeMap<String, Counter>, StoreError> {
    let lock = dialect!(tx, pg: " ORDER BY organisation FOR UPDATE", lite: " ORDER BY organisation");
    let rows: Vec<CounterRow> = on_tx!(tx, c : D => {
        let mut query = QueryBuilder::<D>::new("SELECT organisation, held, outside, cap FROM slot_counter WHERE organisation ");
        query.push_one_of(organisations.iter().copied()).push(lock).build_query_as().fetch_all(c).await
    })?;
    Ok(rows.into_iter().map(|row| (row.organisation, Counter { held: row.held, outside: row.outside, cap: row.cap })).collect())
}

/// Takes these out of the line or from their slots. Answers the organisation of each slot that was held.
async fn give_back(tx: &mut Tx, given: &[(Uuid, OrganisationId)]) -> Result<Vec<String>, StoreError> {
    let mut freed = Vec::new();
    for chunk in given.chunks(ROWS) {
        let rows: Vec<(String, Option<Timestamp>)> = on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("DELETE FROM slot WHERE recovery ");
            query.push_one_of(chunk.iter().map(|(recovery, _)| *recovery)).push(" RETURNING organisation, taken_at").build_query_as().fetch_all(c).await
        })?;
        freed.extend(rows.into_iter().filter(|(_, taken)| taken.is_some()).map(|(organisation, _)| organisation));
    }
    Ok(freed)
}

/// Puts these into the line, and answers those that have a place in it or a slot already.
async fn enqueue(tx: &mut Tx, asked: &[(Uuid, OrganisationId)], now: Timestamp) -> Result<Vec<Uuid>, StoreError> {
    let mut repeated = Vec::new();
    for chunk in asked.chunks(ROWS) {
        let new: Vec<Uuid> = on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("INSERT INTO slot (recovery, organisation, asked_at) ");
            query.push_rows(chunk.iter().map(|(recovery, organisation)| row![*recovery, organisation.as_str(), now]));
            query.push(" ON CONFLICT (recovery) DO NOTHING RETURNING recovery").build_query_scalar().fetch_all(c).await
        })?;
        if new.len() < chunk.len() {
            let new: BTreeSet<Uuid> = new.into_iter().collect();
            repeated.extend(chunk.iter().map(|(recovery, _)| *recovery).filter(|recovery| !new.contains(recovery)));
        }
    }
    Ok(repeated)
}

/// Those of `recoveries` that hold a slot.
async fn holders(tx: &mut Tx, recoveries: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    let mut found = Vec::new();
    for chunk in recoveries.chunks(ROWS) {
        let rows: Vec<Uuid> = on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("SELECT recovery FROM slot WHERE taken_at IS NOT NULL AND recovery ");
            query.push_one_of(chunk.iter().copied()).build_query_scalar().fetch_all(c).await
        })?;
        found.extend(rows);
    }
    Ok(found)
}

/// Lets the first in the line take what is free. One statement for an organisation; a batch most often has one.
async fn serve(tx: &mut Tx, organisation: &str, counter: &mut Counter, now: Timestamp) -> Result<Vec<Uuid>, StoreError> {
    if counter.free() == 0 {
        return Ok(Vec::new());
    }
    let served: Vec<Uuid> = on_tx!(tx, c => sqlx::query_scalar("WITH next AS MATERIALIZED \
         (SELECT recovery FROM slot WHERE organisation = $1 AND taken_at IS NULL ORDER BY asked_at, recovery LIMIT $3) \
         UPDATE slot SET taken_at = $2 FROM next WHERE slot.recovery = next.recovery RETURNING slot.recovery")
        .bind(organisation).bind(now).bind(counter.free()).fetch_all(c).await)?;
    counter.held += i64::try_from(served.len()).unwrap_or(i64::MAX);
    Ok(served)
}

async fn write(tx: &mut Tx, counters: &BTreeMap<String, Counter>) -> Result<(), StoreError> {
    let changed = on_tx!(tx, c : D => {
        let mut query = QueryBuilder::<D>::new("UPDATE slot_counter SET held = v.column2 FROM (");
        query.push_rows(counters.iter().map(|(organisation, counter)| row![organisation, counter.held]));
        query.push(") AS v WHERE slot_counter.organisation = v.column1");
        query.build().execute(c).await.map(|done| done.rows_affected())
    })?;
    if changed == counters.len() as u64 { Ok(()) } else { Err(StoreError::NotOneRow { what: "slot counter each", changed }) }
}
