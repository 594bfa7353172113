//! What the cross-service tests share: the sources as text, and the model of everything that moves an account.

pub mod model;
pub mod workspace;
