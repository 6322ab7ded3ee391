//! [`Role`]: what this process is, which its environment says.

use std::env;

use super::upgrade;

/// In the environment of a worker: its slot.
pub(crate) const WORKER: &str = "CORELOOP_WORKER";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Master,
    /// A master that another one started in its place.
    Successor,
    Worker,
}

impl Role {
    pub(super) fn find() -> Role {
        if env::var_os(WORKER).is_some() {
            Role::Worker
        } else if env::var_os(upgrade::VARIABLE).is_some() {
            Role::Successor
        } else {
            Role::Master
        }
    }
}
