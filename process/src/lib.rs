//! Child processes, and supervised workers with one event loop per core.
//!
//! | what | where |
//! |---|---|
//! | a worker with its own loop for each core, and a master that keeps the workers running | [`Supervisor`] |
//! | a worker's slot, its sockets, and the signal to drain | [`Worker`], [`Listener`] |
//! | requests to a running master | [`Control`] |
//! | counters and gauges, summed over the workers | [`metrics`] |
//! | another program, with pipes on the loop | [`Command`], [`Child`] |
//! | writing its input, reading its output and waiting for its end, in one call | [`Child::communicate`] |
//! | a copy of this process | [`fork()`], an unsafe function |
//!
//! # Examples
//!
//! ```
//! use coreloop::process::Command;
//!
//! # fn main() -> std::io::Result<()> {
//! coreloop::block_on(async {
//!     let output = Command::new("echo").arg("hello").output().await?;
//!     assert!(output.status.success());
//!     assert_eq!(output.stdout, b"hello\n");
//!     Ok(())
//! })
//! # }
//! ```
//!
//! [`Supervisor`] has an example with workers.

mod account;
mod channel;
mod child;
mod environment;
mod exit;
mod fork;
pub mod metrics;
mod name_lock;
mod parent;
mod report;
mod sockets;
mod supervisor;
mod sys;
mod text;
mod worker;

pub use account::Account;
pub use sockets::SocketOptions;
#[doc(no_inline)]
pub use std::process::{ExitStatus, Output, Stdio};
pub use supervisor::control::Control;
pub use supervisor::{
    Event, Log, LogLine, LogStream, NewWorker, OpenFiles, Reload, Resource, Restarts, Supervisor,
    WorkerOutput, Workers,
};
pub use worker::{Incoming, Listener, Socket, Worker};

pub use child::{
    Child, ChildStderr, ChildStdin, ChildStdout, Command, Communicate, CommunicateError,
};
pub use fork::{Fork, Forked, fork};

/// For `coreloop-pool`, which starts and watches its workers as a supervisor does. Not a part
/// of the interface.
#[doc(hidden)]
pub mod __pool {
    pub use crate::channel::Channel;
    pub use crate::child::orphans::{adopt, collect};
    pub use crate::environment::{POOL_WORKER, identity};
    pub use crate::exit::Exit;
    pub use crate::parent::{end_with_master, prepare, take_channel};
    pub use crate::supervisor::policy::{Backoff, max_failed_starts};
    pub use crate::supervisor::program::{program_at, same_program};
    pub use crate::sys::resident;
    pub use crate::text::{beginning, shortened};
}
