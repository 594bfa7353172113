//! What the cross-service tests share: the sources as text, real processes, and the people who act in them.

pub mod workspace;
