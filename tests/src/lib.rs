//! What the cross-service tests share: the sources as text, and the model of everything that moves an account.

#[expect(
    clippy::wildcard_enum_match_arm,
    clippy::type_complexity,
    reason = "each part of the model acts on its own actions and leaves the others to the others"
)]
pub mod model;
pub mod workspace;
