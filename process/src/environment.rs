//! Environment variables that are for one process, and must not reach the processes that it
//! starts.

use std::env;
use std::ffi::OsStr;
use std::process::Command;

/// The environment variable that makes a process a worker of a pool. A worker of a pool keeps
/// it, and a child of the worker must not get it.
pub const POOL_WORKER: &str = "CORELOOP_POOL_WORKER";

/// The variables of a master that its successor must not get. The successor keeps those that
/// connect the service to the service manager, whichever process serves.
const NOT_FOR_A_SUCCESSOR: [&str; 6] = [
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
    "WATCHDOG_PID",
    POOL_WORKER,
];

/// Prepares the start of a worker: removes every variable that is for this process only.
/// Afterwards the caller sets the variable that makes the new process a worker.
pub(crate) fn prepare_worker(command: &mut Command) {
    for (variable, _) in env::vars_os() {
        if is_for_this_process(&variable) {
            command.env_remove(variable);
        }
    }
}

/// Prepares the start of a successor.
pub(crate) fn prepare_successor(command: &mut Command) {
    for variable in NOT_FOR_A_SUCCESSOR {
        command.env_remove(variable);
    }
}

/// Prepares the start of a child, which is no worker of a pool although this process may be
/// one. A caller that has set the variable itself keeps it.
pub(crate) fn prepare_child(command: &mut Command) {
    // Only if it is set: a command that changes no variable is started without a copy of the
    // environment.
    if env::var_os(POOL_WORKER).is_some() && command.get_envs().all(|(set, _)| set != POOL_WORKER) {
        command.env_remove(POOL_WORKER);
    }
}

/// Returns whether a variable gives this process its role, or belongs to its connection to the
/// service manager.
fn is_for_this_process(variable: &OsStr) -> bool {
    variable.to_str().is_some_and(|name| {
        name.starts_with("CORELOOP_") || name.starts_with("LISTEN_") || name == "NOTIFY_SOCKET"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_this_process_are_recognized() {
        for name in [
            POOL_WORKER,
            "CORELOOP_WORKER",
            "LISTEN_FDS",
            "NOTIFY_SOCKET",
        ] {
            assert!(is_for_this_process(OsStr::new(name)), "{name}");
        }
        for name in ["PATH", "CORELOOP", "NOTIFY_SOCKETS", "MY_LISTEN_FDS"] {
            assert!(!is_for_this_process(OsStr::new(name)), "{name}");
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
}
