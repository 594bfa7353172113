//! The store on both engines: what one SQL text must mean on each, transactions under contention, migrations, the audit log.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod migrations;
mod round_trips;
mod rows;
mod transactions;

use homeward_store::{Migration, Migrations};

/// A table with every type that the services use.
const TABLES: Migrations = Migrations {
    set: "test",
    steps: &[
        Migration {
            name: "0001_thing",
            postgres: "CREATE TABLE thing (id UUID PRIMARY KEY, at TIMESTAMPTZ NOT NULL, state TEXT NOT NULL CHECK (state IN ('open', 'closed')), \
                       data JSONB NOT NULL, bytes BYTEA, amount BIGINT NOT NULL, flag BOOLEAN NOT NULL);",
            sqlite: "CREATE TABLE thing (id BLOB PRIMARY KEY, at TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('open', 'closed')), \
                     data TEXT NOT NULL, bytes BLOB, amount INTEGER NOT NULL, flag INTEGER NOT NULL) STRICT;",
        },
        Migration {
            name: "0002_counter",
            postgres: "CREATE TABLE counter (name TEXT PRIMARY KEY, value BIGINT NOT NULL); INSERT INTO counter VALUES ('a', 0), ('b', 0);",
            sqlite: "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT; INSERT INTO counter VALUES ('a', 0), ('b', 0);",
        },
    ],
};
