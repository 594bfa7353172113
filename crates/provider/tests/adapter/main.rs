//! The Atlassian adapter against a provider whose every byte the test chooses.

mod keys_and_hosts;
mod moving;
mod reading;
mod spans;
mod stub;
