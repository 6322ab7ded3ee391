//! Children at the other ends of pipes, which are this program again.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child as Process, Command, Stdio};

use coreloop::ipc::{self, Pipe};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first argument of a child. The second is the name of its case.
pub(crate) const WORD: &str = "own-child";

/// A child, and this end of its pipe. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Child<Tx, Rx> {
    pub(crate) pipe: Pipe<Tx, Rx>,
    process: Process,
}

impl<Tx: Serialize, Rx: DeserializeOwned> Child<Tx, Rx> {
    pub(crate) fn start(case: &str) -> io::Result<Self> {
        let (pipe, there) = ipc::pipe::<Tx, Rx>()?;
        let process = Command::new(std::env::current_exe()?)
            .args([WORD, case])
            .stdin(Stdio::from(there.into_fd()?))
            .spawn()?;
        Ok(Child { pipe, process })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl<Tx, Rx> Drop for Child<Tx, Rx> {
    fn drop(&mut self) {
        // These return errors if the process has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the other end, in the child.
pub(crate) fn end<Tx, Rx>() -> io::Result<Pipe<Tx, Rx>> {
    let socket: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    Ok(Pipe::from_fd(socket))
}
