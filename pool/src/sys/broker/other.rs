//! The contract of [`broker`](super) on systems other than Linux: macOS and FreeBSD, for which
//! the crate is type-checked.

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use coreloop_runtime::time::{Sleep, sleep};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// How often the broker checks whether a process still exists that has closed its socket and
/// holds something.
const CHECK: Duration = Duration::from_millis(100);

/// The longest path in the address of a socket on these systems.
const MAX_PATH: usize = 103;

/// The directory of a socket, which only this user can enter.
#[derive(Debug)]
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn remove(&self) {
        // A directory that stays is only clutter.
        let _ = fs::remove_file(self.0.join("socket"));
        let _ = fs::remove_dir(&self.0);
    }
}

pub(crate) fn listen() -> io::Result<(UnixListener, Vec<u8>, Place)> {
    let name = format!("coreloop-{}", super::random_name());
    let mut directory = env::temp_dir().join(&name);
    if directory.join("socket").as_os_str().len() > MAX_PATH {
        directory = PathBuf::from("/tmp").join(&name);
    }
    DirBuilder::new().mode(0o700).create(&directory)?;
    let path = directory.join("socket");
    let place = Place(directory);
    let socket = UnixListener::bind(&path).inspect_err(|_| place.remove())?;
    Ok((socket, path.as_os_str().as_bytes().to_vec(), place))
}

pub(crate) fn connect(address: &[u8]) -> io::Result<UnixStream> {
    UnixStream::connect(std::ffi::OsStr::from_bytes(address))
}

/// The process id. While the socket is open, the process exists, or a copy of it. After that
/// the broker asks again and again whether there is a process with this number. If another
/// process gets the number in between, what the old one held is released when that one ends.
#[derive(Debug)]
pub(crate) struct Death {
    pid: Option<u32>,
    check: Option<Pin<Box<Sleep>>>,
}

impl Death {
    #[expect(clippy::unnecessary_wraps, reason = "Linux can fail")]
    pub(crate) fn of(pid: Option<u32>) -> io::Result<Self> {
        Ok(Self { pid, check: None })
    }

    /// The process says which one it is. It is of the same user, so a lie harms only that user.
    pub(crate) fn claim(&mut self, pid: u32) {
        self.pid.get_or_insert(pid);
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.pid
    }

    pub(crate) fn poll_ended(&mut self, cx: &mut Context<'_>, has_socket: bool) -> Poll<()> {
        if has_socket {
            return Poll::Pending;
        }
        loop {
            if let Some(check) = &mut self.check
                && check.as_mut().poll(cx).is_pending()
            {
                return Poll::Pending;
            }
            let pid = self.pid.and_then(|pid| i32::try_from(pid).ok());
            match pid.and_then(Pid::from_raw).map(test_kill_process) {
                Some(Err(Errno::SRCH)) | None => return Poll::Ready(()),
                Some(_) => self.check = Some(Box::pin(sleep(CHECK))),
            }
        }
    }
}
