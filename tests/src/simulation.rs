//! A seeded simulation of everything that moves an account, in virtual time with real units.
//!
//! What decides is production code: leases ([`decide`](homeward_policy::lease::decide), the way of an attempt, the circuit, what
//! an answer proves, the diagnosis before a lend), cases ([`plan`](homeward_saga::plan()) with production's saga, the slot counter,
//! both services' wire forms), directory's watch, patrol's judgement and copies, the provider port's bisection and rate budget.
//! What is modelled is what stands around them: transactions and outboxes, broker, provider, processes, persons, time.
//!
//! A seed decides all of a run, bit for bit: what it draws before it begins ([`draft`]) and each latency ([`chance`]). Faults are
//! a list that was drawn up front ([`fault`]), so a failing run is made shorter by leaving some out ([`shrink`]).
//!
//! - [`agenda`]: what happens when. [`world`]: all there is. [`process`]: crashes, pauses, clocks.
//! - [`broker`]: outboxes and queues. [`provider`], [`orders`], [`limiter`]: the identity provider.
//! - [`rows`], [`turn`], [`lends`], [`sender`], [`reader`]: policy. [`cases`], [`persons`]: recovery. [`others`]: the rest.
//! - [`law`]: what must hold. [`run`]: one run. [`many`]: many. [`outage`]: a day of silence with 10,000 accounts out.

pub mod agenda;
pub mod broker;
pub mod cases;
pub mod chance;
pub mod draft;
pub mod fault;
pub mod law;
pub mod lends;
pub mod limiter;
pub mod many;
pub mod orders;
pub mod others;
pub mod outage;
pub mod persons;
pub mod process;
pub mod provider;
pub mod reader;
pub mod rows;
pub mod run;
pub mod sender;
pub mod shrink;
pub mod turn;
pub mod world;
