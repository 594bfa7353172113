//! The simulator from outside, over real HTTP: what the adapter, the people and the tests of other crates rely on.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod api;
mod control;
mod errors;
mod events;
mod faults;
mod keys;
mod lateness;
mod limits;
mod manage;
mod moves;
mod people;
mod scale;
mod search;
mod storm;
mod story;
mod world;
