//! Recovery as a whole on both databases, with the other services played. Needs the servers of `./test`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod bulk;
mod cap;
mod crash;
mod endings;
mod not_me;
mod people;
mod repair;
mod seeing;
mod story;
mod tables;
mod world;
