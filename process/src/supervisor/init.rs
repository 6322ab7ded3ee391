//! The duty of process 1, as which a program runs that is the entry of a
//! container: [`run`].
//!
//! The kernel ignores signals to it that have no handler, and gives it all orphans,
//! which stay zombies until it reaps them. A master that did that itself would
//! steal the statuses of children that other parts of the program wait for. So
//! process 1 starts the program once more, as its child, and does nothing but
//! this:
//!
//! 1. It sends on to the master what it gets of `TERM`, `INT`, `QUIT`, `HUP`,
//!    `USR1`, `USR2`, `TTIN`, `TTOU` and `WINCH`.
//! 2. It reaps every child, its own and those it was given.
//! 3. When the master ends, it ends with the same status, 128 and the number if that
//!    was a signal; and the kernel ends what is left in the container.
//! 4. After an upgrade there is another master: an orphan, therefore a child of
//!    this process, whose environment names the one that has ended as its
//!    predecessor ([`VARIABLE`]). This process goes on with that one.
//!
//! It has no loop, no threads and no sockets.

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
use super::upgrade::VARIABLE;

/// Its value is the process id of the one that has started this process as its
/// master: 1.
const STARTED_BY: &str = "CORELOOP_INIT";

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

/// Whether this process has to be init.
pub(crate) fn is_needed() -> bool {
    getpid().is_init()
}

/// Runs the program as a child of this process, and ends with its status.
pub(crate) fn run(program: &Program) -> ! {
    let Err(error) = Init::start(program).and_then(Init::serve);
    eprintln!("process 1: {error}");
    exit(1)
}

/// Whether a process id in the environment, such as that of `LISTEN_PID`, means
/// this process: it is its own, or that of the init which has started it in place
/// of itself. `None` if there is none.
pub(crate) fn of_this_or_its_init(pid: Option<OsString>) -> Option<bool> {
    let pid = pid?;
    let is = |process: Pid| pid.to_str() == Some(process.to_string().as_str());
    let init = env::var_os(STARTED_BY).is_some_and(|init| init == pid);
    Some(is(getpid()) || init && getppid().is_some_and(is))
}

/// The number of a process that has not been reaped.
pub(crate) fn pid_of(process: &Child) -> Pid {
    Pid::from_child(process)
}

struct Init {
    signals: Signals,
    master: Pid,
    /// The master was told to stop, and a successor of it is to be told, too.
    stop: Option<Signal>,
}

impl Init {
    fn start(program: &Program) -> io::Result<Init> {
        // First of all: a signal without a handler is lost on process 1.
        let signals = Signals::new(FORWARDED)?;
        signals.add_signal(consts::SIGCHLD)?;
        let child = program
            .same_command()
            .env(STARTED_BY, getpid().to_string())
            // Ctrl-C then comes to the master once, and not by way of here, too.
            .process_group(0)
            .spawn()
            .map_err(|error| {
                let path = program.path().display();
                io::Error::new(error.kind(), format!("cannot start {path}: {error}"))
            })?;
        let master = pid_of(&child);
        give_terminal(master);
        Ok(Init {
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
        // A master that has just ended is reaped next.
        let _ = kill_process(self.master, signal);
    }

    /// Reaps all that have ended: one `CHLD` may stand for several.
    fn reap(&mut self) -> io::Result<()> {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.master => self.follow(status),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                // No child at all, though the master was not seen to end.
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Goes on with the successor of the master, or ends as the master did.
    fn follow(&mut self, status: WaitStatus) {
        let Some(successor) = successor_of(self.master) else {
            exit(code(status));
        };
        self.master = successor;
        if let Some(signal) = self.stop {
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

/// Puts the master in the foreground, if this process has it.
fn give_terminal(master: Pid) {
    // From the background this would stop the process, or go on for ever. The group may
    // be one of outside, whose number is 0 here; then Ctrl-C comes by way of here.
    let foreground =
        stat("self").is_some_and(|fields| fields.group > 0 && fields.group == fields.foreground);
    let stdin = io::stdin();
    if foreground && stdin.is_terminal() {
        let _ = rustix::termios::tcsetpgrp(&stdin, master);
    }
}

/// Some of what `/proc` says of a process.
struct Stat {
    parent: i32,
    group: i32,
    /// The group that has the terminal, if there is one.
    foreground: i32,
}

fn stat(process: &str) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Behind the name, which may hold anything, come the state and numbers.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(1);
    Some(Stat {
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
        foreground: fields.nth(2)?.parse().ok()?,
    })
}

/// The child of this process that was to replace that master. A program of its own
/// that it has started may have the mark, too; the master has our arguments, unless
/// it came by way of a script.
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

/// Whether its environment names that master as its predecessor. `None` if it may not
/// be looked at, as that of another user.
fn is_marked(process: Pid, master: Pid) -> Option<bool> {
    let environment = match fs::read(format!("/proc/{process}/environ")) {
        Ok(environment) => environment,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return None,
        Err(_) => return Some(false),
    };
    let mark = format!("{VARIABLE}={master}");
    let mut variables = environment.split(|&byte| byte == 0);
    Some(variables.any(|variable| variable == mark.as_bytes()))
}

/// A worker has a title in their place.
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
    fn only_this_process_is_meant_by_its_own_number() {
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

    /// Killed when it is dropped, so that a test that fails leaves nothing behind.
    struct Sleeper(Child);

    impl Sleeper {
        fn start(mark: &str) -> Sleeper {
            let mut sleep = Command::new("sleep");
            let sleep = sleep.arg("1000").env(VARIABLE, mark).stdout(Stdio::null());
            Sleeper(sleep.spawn().unwrap())
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn children_of_others_are_none_of_ours() {
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
