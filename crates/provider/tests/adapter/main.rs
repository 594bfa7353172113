//! The Atlassian adapter against a provider whose every byte the test chooses, and against the simulated organisation.

mod keys_and_hosts;
mod moving;
mod reading;
mod saboteur;
mod simulated;
mod spans;
mod stub;
mod tested;
mod tls;
