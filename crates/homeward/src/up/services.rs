//! The services of the process, each on its own database, and what they need of one another.

use std::sync::Arc;

use anyhow::Context;
use homeward_chassis::rpc::{Server, sized};
use homeward_chassis::shutdown::Shutdown;
use homeward_directory::Directory;
use homeward_notification::Notification;
use homeward_patrol::Patrol;
use homeward_policy::Policy;
use homeward_provider::IdentityProvider;
use homeward_provider::atlassian::AtlassianProvider;
use homeward_recovery::Recovery;

use super::ground::Ground;
use crate::exit::Failure;
use crate::settings::{OrganisationSettings, Settings};

/// Everything that runs.
pub struct Services {
    directory: Directory,
    policy: Policy,
    recovery: Recovery,
    notification: Notification,
    patrol: Patrol,
}
