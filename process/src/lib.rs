//! Child processes, and a supervised worker with a loop of its own per core.
//!
//! | what | where |
//! |---|---|
//! | a worker with a loop of its own for every core, and a master that keeps them running | [`Supervisor`] |
//! | what a worker has: its number, its sockets, when it is to drain | [`Worker`], [`Listener`] |
//! | a master asked from outside | [`Control`] |
//! | another program, with pipes on the loop | [`Command`], [`Child`] |
//! | its input, its output and its end in one call | [`Child::communicate`] |
//! | a copy of this process | [`fork()`], which is unsafe |
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
//! One with workers is at [`Supervisor`].

mod channel;
mod child;
mod exit;
mod fork;
mod name_lock;
mod sockets;
mod supervisor;
mod worker;

#[doc(no_inline)]
pub use std::process::{ExitStatus, Output, Stdio};
pub use supervisor::control::Control;
pub use supervisor::{Event, Restarts, Supervisor, WorkerOutput, Workers};
pub use worker::{Incoming, Listener, Socket, Worker};

pub use child::{
    Child, ChildStderr, ChildStdin, ChildStdout, Command, Communicate, CommunicateError,
};
pub use fork::{Fork, Forked, fork};
