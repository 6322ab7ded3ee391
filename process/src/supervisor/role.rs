//! [`Role`], which the environment gives to this process.

use std::env;

use super::upgrade;

/// The environment variable that holds the slot of a worker.
pub(super) const WORKER: &str = "CORELOOP_WORKER";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Master,
    /// A master that an old master has started to replace it.
    Successor,
    Worker,
}

impl Role {
    pub(super) fn find() -> Self {
        if env::var_os(WORKER).is_some() {
            Self::Worker
        } else if env::var_os(upgrade::VARIABLE).is_some() {
            Self::Successor
        } else {
            Self::Master
        }
    }
}
