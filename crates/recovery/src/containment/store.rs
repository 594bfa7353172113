//! The table `containment`.

use homeward_store::{Database, PushRows, StoreError, Tx, on, on_tx, row};
use homeward_types::{RecoveryId, Timestamp};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::Containment;

/// Rows in one statement; 6 values each.
const ROWS: usize = 500;

#[derive(Debug, sqlx::FromRow)]
struct Row {
    recovery: Uuid,
    organisation: String,
    account: String,
}

impl TryFrom<Row> for Containment {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let bad = |column, reason: String| StoreError::Inconsistent {
            table: "containment",
            column,
            row: row.recovery.to_string(),
            reason,
        };
        Ok(Self {
            recovery: RecoveryId::from_uuid(row.recovery),
            organisation: row.organisation.parse().map_err(|e: homeward_types::NameError| bad("organisation", e.to_string()))?,
            account: row.account.parse().map_err(|e: homeward_types::NameError| bad("account", e.to_string()))?,
        })
    }
}

/// Writes that these accounts are to be disabled, and answers those that were not known yet.
pub async fn begin(tx: &mut Tx, wanted: &[Containment], now: Timestamp) -> Result<Vec<RecoveryId>, StoreError> {
    let mut new = Vec::new();
    for chunk in wanted.chunks(ROWS) {
        let ids: Vec<Uuid> = on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new(
                "INSERT INTO containment (recovery, organisation, account, asked_at, asked_again, problem) ");
            query.push_rows(chunk.iter().map(|one| row![
                one.recovery.uuid(), one.organisation.as_str(), one.account.as_str(), now, 0_i64, "",
            ]));
            query.push(" ON CONFLICT (recovery) DO NOTHING RETURNING recovery").build_query_scalar().fetch_all(c).await
        })?;
        new.extend(ids.into_iter().map(RecoveryId::from_uuid));
    }
    Ok(new)
}

/// What was asked before `asked_before` and is not done yet, oldest first, at most `most`.
pub async fn unanswered(db: &Database, asked_before: Timestamp, most: i64) -> Result<Vec<Containment>, StoreError> {
    let sql = "SELECT recovery, organisation, account FROM containment WHERE contained_at IS NULL AND asked_at <= $1 ORDER BY asked_at LIMIT $2";
    let rows: Vec<Row> = on!(db, pool => sqlx::query_as(sql).bind(asked_before).bind(most).fetch_all(pool).await)?;
    rows.into_iter().map(Containment::try_from).collect()
}

/// Notes that these are asked again now.
pub async fn asked_again(tx: &mut Tx, recoveries: &[Uuid], now: Timestamp) -> Result<(), StoreError> {
    for chunk in recoveries.chunks(ROWS) {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("UPDATE containment SET asked_again = asked_again + 1, asked_at = ");
            query.push_bind(now).push(" WHERE contained_at IS NULL AND recovery ");
            query.push_one_of(chunk.iter().copied()).build().execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// Policy's answers: done (no problem), or why not. Answers the containments that were asked for here and are not done yet,
/// each with its problem; one that was done stays done.
pub async fn answered(tx: &mut Tx, answers: &[(Uuid, &str)], now: Timestamp) -> Result<Vec<(Containment, String)>, StoreError> {
    let mut news = Vec::new();
    for chunk in answers.chunks(ROWS) {
        let rows: Vec<Answered> = on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("UPDATE containment SET contained_at = v.column2, problem = v.column3 FROM (");
            query.push_rows(chunk.iter().map(|(recovery, problem)| row![*recovery, problem.is_empty().then_some(now), *problem]));
            query.push(") AS v WHERE containment.recovery = v.column1 AND containment.contained_at IS NULL \
                        RETURNING recovery, organisation, account, problem");
            query.build_query_as().fetch_all(c).await
        })?;
        for row in rows {
            let Answered { recovery, organisation, account, problem } = row;
            news.push((Row { recovery, organisation, account }.try_into()?, problem));
        }
    }
    Ok(news)
}

#[derive(Debug, sqlx::FromRow)]
struct Answered {
    recovery: Uuid,
    organisation: String,
    account: String,
    problem: String,
}
