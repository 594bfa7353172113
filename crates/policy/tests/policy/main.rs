//! Policy as a whole: the real service on both databases, against the simulated provider over HTTP, with recovery played.

mod faults;
mod lends;
mod refusals;
mod replicas;
mod returns;
mod safe_direction;
mod stage;
