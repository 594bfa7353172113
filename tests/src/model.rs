//! A model of everything that moves an account, for a checker that plays every interleaving.
//!
//! What decides is production code: [`decide`](homeward_policy::lease::decide) and
//! [`may_be_sent`](homeward_policy::lease::Attempt::may_be_sent) for leases, [`plan`](homeward_saga::plan()) with
//! [`RecoverySaga`](homeward_recovery::saga::RecoverySaga) for cases, [`diagnose`](homeward_types::diagnose) before a lend.
//! What is modelled is what stands around them: the transactions of both databases, broker, provider, workers, time.
//!
//! - [`scale`]: time in ticks, seen from now; and what production is configured with.
//! - [`place`]: the provider: where accounts are, writes under way, reads that lag.
//! - [`lease_book`], [`case_book`]: rows of the two databases, by number; each distinct decision is asked of production once.
//!   [`lease_row`]: the form in which a row is kept. [`lease_words`]: what goes into and comes out of it. [`shelf`]: what the
//!   actors need to know of rows, without a lock.
//! - [`state`], [`action`]: what a moment is, and what can happen next. [`tidy`]: what of it cannot matter.
//! - [`steps`], [`recovery_steps`]: which steps are possible. [`policy`], [`along`], [`recovery`]: the actors around the decisions.
//!   [`verdicts`]: what is asked before a lend, and seen before an end.
//! - [`fault`]: what goes wrong, counted by kind. [`trouble`]: when it may. [`mutation`]: what a programmer could get wrong.
//! - [`law`]: what must hold in every state. [`calm`]: from every state everyone comes home once faults end.
//! - [`machine`]: all of it as a [`stateright::Model`]. [`setup`]: how large. [`check`]: runs it. [`replay`]: one run of it,
//!   step by step.

pub mod action;
pub mod along;
pub mod calm;
pub mod case_book;
pub mod check;
pub mod fault;
pub mod few;
pub mod law;
pub mod lease_book;
pub mod lease_row;
pub mod lease_words;
pub mod machine;
pub mod memory;
pub mod mutation;
pub mod place;
pub mod policy;
pub mod recovery;
pub mod recovery_steps;
pub mod replay;
pub mod scale;
pub mod setup;
pub mod shelf;
pub mod state;
pub mod steps;
pub mod tidy;
pub mod trouble;
pub mod verdicts;
