//! Child processes: [`Command`] starts one, [`Child`] is one that runs, and its
//! pipes are streams on the loop.
//!
//! # Invariants
//!
//! 1. Whether a child has ended is asked of that child alone, by
//!    `std::process::Child::try_wait`. What waits meanwhile, a pidfd on the loop or a
//!    thread, collects no status. So nobody else's children lose theirs.
//! 2. A child that runs is in one place: a `Child`, a task of the loop that collects
//!    it ([`orphans`]), or the list of those that have no loop.
//! 3. No signal goes to a number whose process was collected, as it may be another's;
//!    to a group of that number only while no process has it (`Process::signal_group`).

mod command;
mod communicate;
mod handle;
pub(crate) mod orphans;
mod pipes;
#[cfg(feature = "tokio-io")]
mod tokio_io;

pub use command::Command;
pub use communicate::{Communicate, CommunicateError};
pub use handle::Child;
pub use pipes::{ChildStderr, ChildStdin, ChildStdout};
