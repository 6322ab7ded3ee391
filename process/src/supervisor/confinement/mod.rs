//! [`Confinement`], what the processes of a supervisor may do: as which user they run, and how
//! much of each resource they get.
//!
//! # Invariants
//!
//! 1. The master prepares itself before it starts a thread, a worker or a loop, and before
//!    it creates a file. So every thread and worker is confined, and every file belongs to
//!    the user as which the master runs.
//! 2. All sockets that need the privileges of the first user are bound before the user
//!    changes. A successor inherits them.

mod children;
mod limits;
mod privileges;

use std::io;

use limits::Limits;
pub use limits::{OpenFiles, Resource};
use privileges::Privileges;

use crate::sockets::SocketGroup;

/// The options of this module.
#[derive(Debug, Clone, Default)]
pub(super) struct Confinement {
    privileges: Privileges,
    limits: Limits,
    kill_children: bool,
}

impl Confinement {
    /// Prepares the process of the master, which begins with `slots` slots and is configured
    /// to have `workers` workers. Binds the sockets of all slots.
    ///
    /// If this fails, the process may have changed, and can only end.
    pub(super) fn prepare_master(
        &self,
        groups: &mut [SocketGroup],
        slots: u32,
        workers: u32,
        has_processes: bool,
    ) -> io::Result<()> {
        // First, as sockets need descriptors, and root may raise more limits.
        self.limits.prepare_master(has_processes)?;
        for group in &mut *groups {
            group.grow(slots)?;
        }
        self.privileges.take_effect(groups, workers.max(slots))
    }

    /// Prepares the process of a worker.
    pub(super) fn prepare_worker(&self) -> io::Result<()> {
        self.limits.prepare_worker()
    }

    /// Returns whether each worker leads a process group, which is killed when it has ended.
    pub(super) fn kills_children(&self) -> bool {
        self.kill_children
    }

    /// Returns the highest number of workers that may be asked for, if there is a limit.
    pub(super) fn max_workers(&self) -> Option<u32> {
        self.privileges.max_workers()
    }
}
