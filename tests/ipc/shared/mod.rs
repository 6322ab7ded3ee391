//! Shared memory between real processes.
//!
//! | what is shared | tests |
//! |---|---|
//! | slices that none can change | [`slice`] |
//! | atomic numbers | [`atomics`] |
//! | arrays that processes change in turn | [`array`] |

mod array;
mod atomics;
mod slice;

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use coreloop::ipc::Pipe;
use coreloop::net::UnixListener;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::meeting::soon;
use rustix::process::{Pid, Signal, kill_process};

fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).unwrap();
}

/// A path at which processes connect to the test, and get a pipe to it.
struct Door {
    folder: Folder,
    listener: UnixListener,
}

impl Door {
    fn new() -> Self {
        let folder = Folder::new();
        let listener = UnixListener::bind(folder.path("door")).unwrap();
        Self { folder, listener }
    }

    fn path(&self) -> PathBuf {
        self.folder.path("door")
    }

    /// Returns the pipe to the next process.
    async fn open<A, B>(&self) -> Pipe<A, B> {
        let (stream, _) = soon(self.listener.accept()).await.unwrap();
        Pipe::from_fd(stream.into_std().unwrap())
    }
}

/// Connects to the test, in another process.
fn connect<A, B>(path: &Path) -> Pipe<A, B> {
    Pipe::from_fd(UnixStream::connect(path).unwrap())
}
