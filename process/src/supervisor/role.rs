//! [`Role`], which the environment gives to this process.
//!
//! Variables reach every program that a process starts, but a role is for one process. So they
//! count only in the process that the master has started, which is known by its standard input or
//! by its parent.

use std::env;
use std::sync::OnceLock;

use crate::environment::{self, SUCCESSOR, SUCCESSOR_SOCKET, WORKER};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Master,
    /// A master that an old master has started to replace it.
    Successor,
    Worker,
}

impl Role {
    /// Returns the role of this process, which it keeps: a worker and a successor replace their
    /// standard input, by which they are known.
    pub(super) fn find() -> Self {
        static ROLE: OnceLock<Role> = OnceLock::new();
        *ROLE.get_or_init(Self::of_this_process)
    }

    fn of_this_process() -> Self {
        let variable = |name| env::var(name).ok();
        let worker = variable(WORKER);
        if let Some((master, identity)) = worker.as_deref().and_then(|mark| mark.split_once(' '))
            && environment::is_marked(Some(master), Some(identity))
        {
            return Self::Worker;
        }
        let (master, identity) = (variable(SUCCESSOR), variable(SUCCESSOR_SOCKET));
        if environment::is_marked(master.as_deref(), identity.as_deref()) {
            return Self::Successor;
        }
        Self::Master
    }
}
