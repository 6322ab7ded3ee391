//! Child processes: a [`Command`] starts one, a [`Child`] is the handle to one, and its
//! pipes are streams on the loop.
//!
//! # Invariants
//!
//! 1. `std::process::Child::try_wait` collects the status of one child, and nothing else
//!    collects one: the pidfd on the loop, or the thread, that waits for the end only
//!    reports it. So children that other code has started keep their statuses.
//! 2. A running child is in one place: in a `Child`, in a task of the loop that collects
//!    it ([`orphans`]), or in the list of children that have no loop.
//! 3. No signal is sent to the process id of a collected child, as the id may belong to
//!    another process; and to the group with that id only while no process has it
//!    (`ChildProcess::signal_group`).

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
