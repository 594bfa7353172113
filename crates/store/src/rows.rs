//! Many rows in one statement, on each engine in the way that costs it least.
//!
//! PostgreSQL takes each column as one array, so that a statement's text does not depend on its number of rows: a connection
//! parses and plans it once, not once for every size of a batch. SQLite, which knows no arrays, takes `VALUES`.

use sqlx::encode::Encode;
use sqlx::postgres::PgHasArrayType;
use sqlx::query_builder::Separated;
use sqlx::{Postgres, QueryBuilder, Sqlite, Type};

/// The values of one row, for [`PushRows::push_rows`].
///
/// `row![a, b]` is `(a, (b, ()))`; `row![a, b; rest]` goes on with the values of another row.
#[macro_export]
macro_rules! row {
    () => { () };
    (; $rest:expr) => { $rest };
    ($value:expr $(, $more:expr)* $(,)? $(; $rest:expr)?) => { ($value, $crate::row!($($more),* $(; $rest)?)) };
}

/// Statements about many rows, for `QueryBuilder`.
pub trait PushRows<D: sqlx::Database> {
    /// Pushes `rows` as a table with the columns `column1`, `column2`, …: what `INSERT INTO … ` takes, or `FROM (…) AS v`, or
    /// `IN (…)`. There must be one at least.
    fn push_rows<'q, R: Row<'q, D>>(&mut self, rows: impl IntoIterator<Item = R>) -> &mut Self;

    /// Pushes a condition on what was pushed before: that it is one of `values`, of which there must be one at least.
    fn push_one_of<'q, V: Value<'q, D>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Self;
}

/// How an engine takes many rows.
pub trait Engine: sqlx::Database {
    /// Whether a statement's text is the same for any number of rows. Otherwise a connection should not keep it prepared:
    /// `.build().persistent(D::ONE_TEXT)`.
    const ONE_TEXT: bool;
}

/// A row that `D` takes as one of many. See [`row!`](crate::row!).
pub trait Row<'q, D: sqlx::Database>: Sized {
    /// Pushes a table.
    fn push_table(rows: Vec<Self>, query: &mut QueryBuilder<D>);
}

/// A value that `D` takes as one of many.
pub trait Value<'q, D: sqlx::Database>: Encode<'q, D> + Type<D> + Sized {
    /// Pushes a condition.
    fn push_one_of(values: Vec<Self>, query: &mut QueryBuilder<D>);
}

impl<D: sqlx::Database> PushRows<D> for QueryBuilder<D> {
    fn push_rows<'q, R: Row<'q, D>>(&mut self, rows: impl IntoIterator<Item = R>) -> &mut Self {
        R::push_table(rows.into_iter().collect(), self);
        self
    }

    fn push_one_of<'q, V: Value<'q, D>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Self {
        V::push_one_of(values.into_iter().collect(), self);
        self
    }
}

impl Engine for Postgres {
    const ONE_TEXT: bool = true;
}

impl Engine for Sqlite {
    const ONE_TEXT: bool = false;
}

/// The values of a row as columns of many.
pub trait Columns<'q>: Sized {
    /// How many.
    const COUNT: usize;

    /// Binds an array for each column.
    fn bind(rows: Vec<Self>, list: &mut Separated<'_, Postgres, &'static str>);
}

impl Columns<'_> for () {
    const COUNT: usize = 0;

    fn bind(_: Vec<Self>, _: &mut Separated<'_, Postgres, &'static str>) {}
}

impl<'q, First, Rest: Columns<'q>> Columns<'q> for (First, Rest)
where
    First: Value<'q, Postgres> + PgHasArrayType,
{
    const COUNT: usize = 1 + Rest::COUNT;

    fn bind(rows: Vec<Self>, list: &mut Separated<'_, Postgres, &'static str>) {
        let (first, rest): (Vec<First>, Vec<Rest>) = rows.into_iter().unzip();
        list.push_bind(first);
        Rest::bind(rest, list);
    }
}

impl<'q, R: Columns<'q>> Row<'q, Postgres> for R {
    fn push_table(rows: Vec<Self>, query: &mut QueryBuilder<Postgres>) {
        query.push("SELECT * FROM UNNEST(");
        R::bind(rows, &mut query.separated(", "));
        query.push(") AS rows (");
        let mut names = query.separated(", ");
        for at in 1..=R::COUNT {
            names.push(format_args!("column{at}"));
        }
        query.push(")");
    }
}

impl<'q, T: Encode<'q, Postgres> + Type<Postgres> + PgHasArrayType> Value<'q, Postgres> for T {
    fn push_one_of(values: Vec<Self>, query: &mut QueryBuilder<Postgres>) {
        query.push(" = ANY(").push_bind(values).push(")");
    }
}

/// The values of a row, one after the other.
pub trait Values<'q> {
    /// Binds each.
    fn bind(self, list: &mut Separated<'_, Sqlite, &'static str>);
}

impl Values<'_> for () {
    fn bind(self, _: &mut Separated<'_, Sqlite, &'static str>) {}
}

impl<'q, First: Value<'q, Sqlite>, Rest: Values<'q>> Values<'q> for (First, Rest) {
    fn bind(self, list: &mut Separated<'_, Sqlite, &'static str>) {
        list.push_bind(self.0);
        self.1.bind(list);
    }
}

impl<'q, R: Values<'q>> Row<'q, Sqlite> for R {
    fn push_table(rows: Vec<Self>, query: &mut QueryBuilder<Sqlite>) {
        query.push_values(rows, |mut list, row| row.bind(&mut list));
    }
}

impl<'q, T: Encode<'q, Sqlite> + Type<Sqlite>> Value<'q, Sqlite> for T {
    fn push_one_of(values: Vec<Self>, query: &mut QueryBuilder<Sqlite>) {
        query.push(" IN (");
        let mut list = query.separated(", ");
        for value in values {
            list.push_bind(value);
        }
        query.push(")");
    }
}
