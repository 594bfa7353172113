//! `homeward setup atlassian`, `check provider` and `crosscheck` as real processes against the simulated organisation, answered
//! by a script.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod check;
mod documented;
mod export;
mod stage;
mod walk;
