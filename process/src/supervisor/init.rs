//! The duties of process 1, which a program has if it is the entry point of a container:
//! [`run`].
//!
//! The kernel ignores signals to process 1 that have no handler, and makes it the parent of
//! all orphans, which stay zombies until it reaps them. A master that reaped them itself
//! would take the statuses of children that other parts of the program wait for. So process
//! 1 starts the program again as its child, the master, and only does the following:
//!
//! 1. It forwards to the master the signals `TERM`, `INT`, `QUIT`, `HUP`, `USR1`, `USR2`,
//!    `TTIN`, `TTOU` and `WINCH`.
//! 2. It reaps every child, including adopted orphans.
//! 3. When the master ends, it ends with the same status, or with 128 plus the number of the
//!    signal that killed the master. The kernel then kills all processes of the container.
//! 4. After an upgrade there is another master. While the old master drains, it passes the
//!    signals on to the new one. When the old master has ended, the new one is an orphan, and so
//!    a child of this process, and its environment names the old master as its predecessor
//!    ([`SUCCESSOR`]). This process continues with the new master.
//!
//! Process 1 has no loop, no threads and no sockets.

use std::convert::Infallible;
use std::env;
use std::ffi::{OsString, c_int};
use std::fs;
use std::io::{self, ErrorKind, IsTerminal};
use std::os::unix::process::CommandExt;
use std::process::{Child, exit};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, getppid, kill_process};
use signal_hook::consts;
use signal_hook::iterator::Signals;

use super::program::Program;
use crate::environment::{STARTED_BY, SUCCESSOR};

const FORWARDED: [c_int; 9] = [
    consts::SIGTERM,
    consts::SIGINT,
    consts::SIGQUIT,
    consts::SIGHUP,
    consts::SIGUSR1,
    consts::SIGUSR2,
    consts::SIGTTIN,
    consts::SIGTTOU,
    consts::SIGWINCH,
];

/// Returns whether this process has the duties of process 1.
pub(super) fn is_needed() -> bool {
    getpid().is_init()
}

/// Runs the program as a child of this process, and ends with the same status.
pub(super) fn run(program: &Program) -> ! {
    let Err(error) = Init::start(program).and_then(Init::serve);
    eprintln!("process 1: {error}");
    exit(1)
}

/// Returns whether a process id in the environment, such as `LISTEN_PID`, means this
/// process: it is the id of this process, or of the init that has started it. `None` if
/// there is no id.
pub(super) fn of_this_or_its_init(pid: Option<OsString>) -> Option<bool> {
    let pid = pid?;
    let is = |process: Pid| pid.to_str() == Some(process.to_string().as_str());
    let init = env::var_os(STARTED_BY).is_some_and(|init| init == pid);
    Some(is(getpid()) || init && getppid().is_some_and(is))
}

/// Returns whether process 1 may have started this process as its master. A successor becomes
/// its child only when the old master has ended.
pub(super) fn may_be_parent() -> bool {
    env::var_os(STARTED_BY).is_some()
}

/// Returns whether process 1 has started this process as its master.
pub(super) fn is_parent() -> bool {
    of_this_or_its_init(env::var_os(STARTED_BY)) == Some(true)
}

/// Returns whether the terminal sends its signals to this process, and to all other processes of
/// its group.
pub(super) fn is_in_foreground() -> bool {
    stat("self").is_some_and(|fields| fields.group > 0 && fields.group == fields.foreground)
}

/// Returns the process id of a child that has not been reaped.
pub(super) fn pid_of(process: &Child) -> Pid {
    Pid::from_child(process)
}

struct Init {
    signals: Signals,
    master: Pid,
    /// The signal to stop that the master was sent.
    stop: Option<Signal>,
}

impl Init {
    fn start(program: &Program) -> io::Result<Self> {
        // First, because process 1 loses signals that have no handler.
        let signals = Signals::new(FORWARDED)?;
        signals.add_signal(consts::SIGCHLD)?;
        let child = program
            .same_command()
            .env(STARTED_BY, getpid().to_string())
            // So that Ctrl-C reaches the master once, and is not forwarded in addition.
            .process_group(0)
            .spawn()
            .map_err(|error| {
                let path = program.path().display();
                io::Error::new(error.kind(), format!("cannot start {path}: {error}"))
            })?;
        let master = pid_of(&child);
        give_terminal(master);
        Ok(Self {
            signals,
            master,
            stop: None,
        })
    }

    fn serve(mut self) -> io::Result<Infallible> {
        loop {
            let signals: Vec<_> = self.signals.wait().collect();
            for signal in signals {
                match signal {
                    consts::SIGCHLD => self.reap()?,
                    other => self.forward(other),
                }
            }
        }
    }

    fn forward(&mut self, number: c_int) {
        let Some(signal) = Signal::from_named_raw(number) else {
            return;
        };
        if matches!(signal, Signal::TERM | Signal::INT | Signal::QUIT) {
            self.stop = Some(signal);
        }
        // This fails if the master has just ended; it is reaped next.
        let _ = kill_process(self.master, signal);
    }

    /// Reaps all children that have ended: one `CHLD` may stand for several.
    fn reap(&mut self) -> io::Result<()> {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.master => self.follow(status),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                // No children are left, although the end of the master was not seen.
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Continues with the successor of the master, or ends with the master's status.
    fn follow(&mut self, status: WaitStatus) {
        let Some(successor) = successor_of(self.master) else {
            exit(code(status));
        };
        self.master = successor;
        // A master that has finished has passed the signal on. A second signal would end the
        // successor at once.
        if let Some(signal) = self.stop.filter(|_| status.exit_status() != Some(0)) {
            let _ = kill_process(successor, signal);
        }
    }
}

fn code(status: WaitStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (_, Some(signal)) => 128 + signal,
        _ => 1,
    }
}

/// Puts the master in the foreground of the terminal, if this process is there.
fn give_terminal(master: Pid) {
    // From the background, `tcsetpgrp` would stop this process, or be restarted for ever.
    // The foreground group may be one outside the container, whose id is 0 here; then this
    // process forwards Ctrl-C.
    let stdin = io::stdin();
    if is_in_foreground() && stdin.is_terminal() {
        let _ = rustix::termios::tcsetpgrp(&stdin, master);
    }
}

/// Some fields of `/proc/<pid>/stat`.
struct Stat {
    parent: i32,
    group: i32,
    /// The process group in the foreground of the terminal, if there is a terminal.
    foreground: i32,
}

fn stat(process: &str) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may contain anything; the state and the numbers follow it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(1);
    Some(Stat {
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
        foreground: fields.nth(2)?.parse().ok()?,
    })
}

/// Finds the child of this process that replaces `master`. Programs that the new master has
/// started may have the mark in their environment too. The new master has the same
/// arguments as this process, unless a script has started it.
fn successor_of(master: Pid) -> Option<Pid> {
    let processes = fs::read_dir("/proc").ok()?;
    let children = processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw)
        .filter(|&process| is_child(process));
    let mut marked = None;
    for child in children {
        let mark = is_marked(child, master);
        if mark != Some(false) && has_our_arguments(child) {
            return Some(child);
        }
        if mark == Some(true) {
            marked = marked.or(Some(child));
        }
    }
    marked
}

fn is_child(process: Pid) -> bool {
    let own = getpid().as_raw_nonzero().get();
    stat(&process.to_string()).is_some_and(|fields| fields.parent == own)
}

/// Returns whether the environment of `process` names `master` as its predecessor. `None` if
/// the environment may not be read, as that process has another user.
fn is_marked(process: Pid, master: Pid) -> Option<bool> {
    let environment = match fs::read(format!("/proc/{process}/environ")) {
        Ok(environment) => environment,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return None,
        Err(_) => return Some(false),
    };
    let mark = format!("{SUCCESSOR}={master}");
    let mut variables = environment.split(|&byte| byte == 0);
    Some(variables.any(|variable| variable == mark.as_bytes()))
}

/// Returns whether `process` has the arguments of this process. A worker has a title
/// instead.
fn has_our_arguments(process: Pid) -> bool {
    let theirs = fs::read(format!("/proc/{process}/cmdline"));
    let ours = fs::read("/proc/self/cmdline");
    theirs.is_ok_and(|theirs| ours.is_ok_and(|ours| theirs == ours))
}

#[cfg(test)]
mod tests {
    use super::*;
    use coreloop_test_support::deadline::wait_until;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_id_means_this_process_if_it_is_its_own() {
        let means = |text: &str| of_this_or_its_init(Some(text.into()));
        assert_eq!(of_this_or_its_init(None), None);
        assert_eq!(means(&getpid().to_string()), Some(true));
        let parent = getppid().unwrap().to_string();
        assert_eq!(means(&parent), Some(false));
        assert_eq!((means(""), means("many")), (Some(false), Some(false)));
    }

    #[test]
    fn a_successor_is_known_by_its_environment() {
        let master = Pid::from_raw(i32::MAX).unwrap();
        let another = Sleeper::start("12");
        let successor = Sleeper::start(&master.to_string());
        let pid = pid_of(&successor.0);
        // `spawn` returns before the kernel has put the environment in its place.
        wait_until(|| successor_of(master) == Some(pid));
        drop(successor);
        assert_eq!(successor_of(master), None);
        drop(another);
    }

    /// A child that is killed when it is dropped, so that a failing test leaves no process.
    struct Sleeper(Child);

    impl Sleeper {
        fn start(mark: &str) -> Self {
            let mut sleep = Command::new("sleep");
            let sleep = sleep.arg("1000").env(SUCCESSOR, mark).stdout(Stdio::null());
            Self(sleep.spawn().unwrap())
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn grandchildren_are_not_children() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 1000 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = shell.stdout.take().unwrap();
        io::BufRead::read_line(&mut io::BufReader::new(output), &mut line).unwrap();
        let grandchild = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
        assert!(is_child(pid_of(&shell)));
        assert!(!is_child(grandchild));
        kill_process(grandchild, Signal::KILL).unwrap();
        shell.wait().unwrap();
    }
}
