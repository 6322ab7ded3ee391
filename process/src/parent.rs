//! How a worker of a supervisor or of a pool is tied to the process that has started it, the
//! master. The channel between them is the worker's standard input at first.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Pid, getppid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2};

use crate::channel::Channel;
use crate::sys;

/// Signals that only the master obeys. A terminal sends some of them to its whole group, and
/// `pkill` sends any of them to workers too. The master passes on by messages what concerns its
/// workers; only `USR1` it sends to them, for those that listen to it.
const FOR_MASTER: [i32; 7] = [SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU];

/// Asks the kernel to kill this process when the process that has created the channel at the
/// standard input ends.
///
/// Does nothing on a system whose kernel does not know which process has created a socket.
///
/// # Errors
///
/// Returns an error if that process has ended, or is not the parent of this process.
pub fn end_with_master() -> io::Result<()> {
    if sys::SOCKET_PAIR_NAMES_ITS_CREATOR {
        // Not with rustix: a master in another PID namespace has the id 0 here.
        end_with(coreloop_net::unix::peer_cred(io::stdin())?.pid())
    } else {
        Ok(())
    }
}

/// Takes the channel off the standard input, which is `/dev/null` afterwards.
///
/// Otherwise code that reads the standard input would take messages of the master, and a child
/// that inherits it would keep the channel open.
///
/// # Errors
///
/// Returns an error if there are too many descriptors, or no `/dev/null`.
pub fn take_channel() -> io::Result<Channel> {
    let stdin = io::stdin();
    // At 3 or above, so that it is no standard stream even if some of them are closed.
    let socket = rustix::io::fcntl_dupfd_cloexec(stdin.as_fd(), 3)?;
    rustix::stdio::dup2_stdin(null()?)?;
    Ok(Channel::from_socket(socket))
}

/// Opens `/dev/null`, which takes the place of a channel at the standard input.
fn null() -> io::Result<File> {
    File::open("/dev/null")
        .map_err(|error| io::Error::new(error.kind(), format!("cannot open /dev/null: {error}")))
}

/// Ties this process to its master, unblocks signals, installs handlers for the master's signals,
/// and names this thread.
///
/// For a process, `ps` and `top` show the name of its main thread.
///
/// # Errors
///
/// Returns an error if the master has ended, or is not the parent of this process.
pub fn prepare(master: u32, name: &str) -> io::Result<()> {
    // Again, because the kernel removes the tie if `main` changes the user of the process.
    end_with(i32::try_from(master).ok())?;
    // The thread that has started this process may block signals.
    sys::unblock_signals()?;
    // Handlers that do nothing, because children would inherit ignored signals.
    let ignored = Arc::new(AtomicBool::new(false));
    for number in FOR_MASTER {
        signal_hook::flag::register(number, Arc::clone(&ignored))?;
    }
    sys::name_thread(name);
    Ok(())
}

/// Asks the kernel to kill this process when its master ends.
///
/// Linux does that when the thread that has started this process ends. A supervisor starts all
/// workers on the thread that called `Supervisor::run`, which returns when they have ended,
/// and a pool starts them on the thread of its loop.
fn end_with(master: Option<i32>) -> io::Result<()> {
    let master = master.and_then(Pid::from_raw).ok_or_else(|| {
        io::Error::other("the master has no process id in the PID namespace of this process")
    })?;
    sys::end_with_parent()?;
    // The kernel sends no signal for a parent that had ended before the call.
    if getppid() == Some(master) {
        Ok(())
    } else {
        Err(io::Error::other("the master is gone"))
    }
}
