//! What the cross-service tests share: the sources as text, the model of everything that moves an account, and its simulation.

#[expect(
    clippy::wildcard_enum_match_arm,
    clippy::type_complexity,
    reason = "each part of the model acts on its own actions and leaves the others to the others"
)]
pub mod model;
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each part of the simulation acts on its own happenings and leaves the others to the others"
)]
pub mod simulation;
pub mod workspace;
