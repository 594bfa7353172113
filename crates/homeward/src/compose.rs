//! How Homeward is put together: a [`Ground`] under each service, and one function that makes each. `up` makes all of them in
//! one process, `serve` one; nothing else differs.

pub mod access;
mod broker;
mod ground;
mod peers;
mod role;
mod services;

pub use broker::open as broker;
pub use ground::{Ground, database, persons, private_folder};
pub use peers::{HUB, Peers};
pub use role::Role;
pub use services::{Service, grant_key};
