//! Environment variables that are for one process, and must not reach the processes that it
//! starts.

use std::env;
use std::io;
use std::os::fd::AsFd;
use std::process::Command;

use rustix::fs::{FileType, fstat};
use rustix::process::{Pid, getppid};

/// The environment variable that makes a process a worker of a pool. A worker of a pool keeps
/// it, and a child of the worker must not get it.
pub const POOL_WORKER: &str = "CORELOOP_POOL_WORKER";

/// The environment variable that makes a process a worker of a supervisor: the process id of the
/// master and the identity of the worker's standard input, as [`mark`] writes them.
pub(crate) const WORKER: &str = "CORELOOP_WORKER";

/// The environment variable that makes a process a successor. It holds the process id of the old
/// master.
pub(crate) const SUCCESSOR: &str = "CORELOOP_UPGRADE";

/// The environment variable that holds the identity of a successor's standard input.
pub(crate) const SUCCESSOR_SOCKET: &str = "CORELOOP_UPGRADE_SOCKET";

/// The environment variable that holds the path at which the old master has found its successor.
pub(crate) const SUCCESSOR_PROGRAM: &str = "CORELOOP_UPGRADE_PROGRAM";

/// The environment variable that holds the slots of the old master: their number, and over how
/// many of them UDP peers are spread, as in "2/4".
pub(crate) const SUCCESSOR_SLOTS: &str = "CORELOOP_UPGRADE_SLOTS";

/// The environment variable that holds the process id of the init that has started this
/// process as its master: 1.
pub(crate) const STARTED_BY: &str = "CORELOOP_INIT";

/// The variables that give a process its role. A child that is started by a
/// [`Command`](crate::Command) gets none of them.
const ROLES: [&str; 7] = [
    POOL_WORKER,
    WORKER,
    SUCCESSOR,
    SUCCESSOR_SOCKET,
    SUCCESSOR_PROGRAM,
    SUCCESSOR_SLOTS,
    STARTED_BY,
];

/// The variables by which a service manager passes sockets to this process and is notified by it:
/// `sd_listen_fds(3)`, `sd_notify(3)` and `sd_watchdog_enabled(3)`.
const SERVICE_MANAGER: [&str; 7] = [
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// The variables of a master that its successor must not get. The successor keeps those that
/// connect the service to the service manager, whichever process serves.
const NOT_FOR_A_SUCCESSOR: [&str; 7] = [
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
    "WATCHDOG_PID",
    POOL_WORKER,
    WORKER,
];

/// Prepares the start of a worker: removes every variable that is for this process only.
/// Afterwards the caller sets the variable that makes the new process a worker.
pub(crate) fn prepare_worker(command: &mut Command) {
    for variable in ROLES.into_iter().chain(SERVICE_MANAGER) {
        command.env_remove(variable);
    }
}

/// Prepares the start of a successor.
pub(crate) fn prepare_successor(command: &mut Command) {
    for variable in NOT_FOR_A_SUCCESSOR {
        command.env_remove(variable);
    }
}

/// Prepares the start of a child, which has no role although this process may have one. A caller
/// that has set a variable itself keeps it.
pub(crate) fn prepare_child(command: &mut Command) {
    for variable in ROLES {
        // Only if it is set: a command that changes no variable is started without a copy of the
        // environment.
        if env::var_os(variable).is_some() && command.get_envs().all(|(set, _)| set != variable) {
            command.env_remove(variable);
        }
    }
}

/// Returns the value of [`WORKER`] for a process that `master` starts with this socket as its
/// standard input.
pub(crate) fn mark(master: u32, socket: impl AsFd) -> io::Result<String> {
    Ok(format!("{master} {}", identity(socket)?))
}

/// Returns whether this process is the one that a process with the id `master` has started with
/// the socket of this `identity` as its standard input.
///
/// A program that inherits the variables from that process has another standard input, and
/// another parent. A program that a script has started has another parent, but the standard
/// input; and one that has replaced its standard input too early has the parent.
pub(crate) fn is_marked(master: Option<&str>, identity: Option<&str>) -> bool {
    let has_parent = || {
        let master = master.and_then(|master| Pid::from_raw(master.parse().ok()?));
        master.is_some() && master == getppid()
    };
    is_standard_input(identity) || has_parent()
}

/// Returns whether the standard input is the socket of this `identity`.
pub(crate) fn is_standard_input(expected: Option<&str>) -> bool {
    expected.is_some_and(|expected| identity(io::stdin()).is_ok_and(|found| found == expected))
}

/// Returns what identifies a socket in this process and in one that has inherited it.
///
/// # Errors
///
/// Returns an error if the descriptor is not a socket.
pub fn identity(socket: impl AsFd) -> io::Result<String> {
    let stat = fstat(socket)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(format!("{}:{}", stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_worker_gets_the_variables_of_the_user() {
        let mut command = Command::new("true");
        prepare_worker(&mut command);
        let removed: Vec<_> = command.get_envs().map(|(name, _)| name).collect();
        for name in [
            POOL_WORKER,
            WORKER,
            "LISTEN_FDS",
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
        ] {
            assert!(removed.contains(&OsStr::new(name)), "{name}");
        }
        for name in [
            "PATH",
            "LISTEN_ADDR",
            "LISTEN_PORT",
            "CORELOOP_CONTROL",
            "WATCHDOG_URL",
        ] {
            assert!(!removed.contains(&OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn a_successor_is_no_worker_of_a_pool() {
        let mut command = Command::new("true");
        prepare_successor(&mut command);
        let removed: Vec<_> = command.get_envs().collect();
        assert!(removed.contains(&(OsStr::new(POOL_WORKER), None)));
        assert_eq!(removed.len(), NOT_FOR_A_SUCCESSOR.len());
    }

    #[test]
    fn a_mark_counts_for_one_process() {
        let parent = getppid().unwrap().to_string();
        assert!(is_marked(Some(&parent), Some("0:0")));
        assert!(!is_marked(Some("0"), Some("0:0")));
        assert!(!is_marked(Some("many"), None));
        assert!(!is_marked(None, None));
        let (one, other) = UnixStream::pair().unwrap();
        assert_ne!(identity(&one).unwrap(), identity(&other).unwrap());
        let mark = mark(12, &one).unwrap();
        assert_eq!(mark, format!("12 {}", identity(&one).unwrap()));
        assert!(identity(std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}
