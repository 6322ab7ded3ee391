//! Prepares a process to be a worker: its channel, its tie to the master, its signals, its
//! name and its core.

use std::env;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::net::AddressFamily;
use rustix::process::{Pid, getppid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTTIN, SIGTTOU, SIGUSR2};

use super::reporter::Reporter;
use super::run::FAILED;
use crate::channel::{Channel, Start};
use crate::sys;

/// The maximum length of a thread's name in the kernel.
const MAX_NAME: usize = 15;

/// Signals that only the master obeys. A terminal sends some of them to its whole group, and
/// `pkill` sends any of them to workers too; the master then sends its workers messages.
const FOR_MASTER: [i32; 5] = [SIGINT, SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU];

/// The channel to the master, after [`attach`] has moved it off the standard input and
/// before [`take_channel`].
static CHANNEL: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// Ties this process to the master that has started it, and moves the channel to the master
/// off the standard input, which is `/dev/null` afterwards. Before that, code that reads the
/// standard input would take messages of the master, and a child that inherits it would
/// keep the channel open.
///
/// If the master has ended, this ends the process. Returns an error if the standard input
/// is not a channel to a master. A second call before [`take_channel`] does nothing.
pub(crate) fn attach() -> io::Result<()> {
    let mut channel = CHANNEL.lock().unwrap_or_else(PoisonError::into_inner);
    if channel.is_some() {
        return Ok(());
    }
    let stdin = io::stdin();
    let family = rustix::net::getsockname(&stdin).map(|address| address.address_family());
    if family != Ok(AddressFamily::UNIX) {
        return Err(io::Error::other(
            "CORELOOP_WORKER is set, but the standard input is no channel to a master; \
             unset it: only a master starts workers",
        ));
    }
    if sys::SOCKET_PAIR_NAMES_ITS_CREATOR {
        // Not with rustix: a master in another PID namespace has the id 0 here.
        let master = coreloop_net::unix::peer_cred(&stdin)?.pid();
        if let Err(error) = end_with_master(master) {
            let reporter = Reporter::standard_error();
            reporter.report(format_args!("this process cannot be a worker: {error}"));
            process::exit(FAILED);
        }
    }
    // At 3 or above, so that it is no standard stream, whichever of them are closed.
    let socket = rustix::io::fcntl_dupfd_cloexec(stdin.as_fd(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    *channel = Some(socket);
    Ok(())
}

/// Takes the channel to the master; a second call returns an error.
pub(super) fn take_channel() -> io::Result<Channel> {
    attach()?;
    let mut channel = CHANNEL.lock().unwrap_or_else(PoisonError::into_inner);
    let channel = channel.take();
    channel
        .map(Channel::from_socket)
        .ok_or_else(|| io::Error::other("its channel to the master is in use"))
}

/// Asks the kernel to kill this process when its master ends.
///
/// Linux does that when the thread ends that started this process. The master starts all
/// workers on the thread that called `Supervisor::run`, which returns when they have ended.
fn end_with_master(master: Option<i32>) -> io::Result<()> {
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

/// Prepares this process to be a worker: ties it to the master, installs handlers for the
/// master's signals, names the process and pins it to its core.
pub(super) fn prepare(start: &Start) -> io::Result<()> {
    // Again, because the kernel removes the tie if `main` changes the user of the process.
    end_with_master(i32::try_from(start.master).ok())?;
    // Handlers that do nothing, because children would inherit ignored signals.
    let ignored = Arc::new(AtomicBool::new(false));
    for number in FOR_MASTER {
        signal_hook::flag::register(number, Arc::clone(&ignored))?;
    }
    name(start.slot);
    if let Some(core) = start.core {
        sys::pin_thread(core);
    }
    Ok(())
}

/// Names this thread after the program and the slot. `ps` and `top` show the main thread's
/// name for the process. The master has set the title of the process.
fn name(slot: u32) {
    let title = env::args_os().next().unwrap_or_default();
    sys::name_thread(&short_name(&title.to_string_lossy(), slot));
}

/// Shortens a name to the length that the kernel keeps, with the slot at its end.
fn short_name(title: &str, slot: u32) -> String {
    let program = title.split(": ").next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default();
    let slot = format!(" {slot}");
    let mut name = String::new();
    for letter in program.chars() {
        if name.len() + letter.len_utf8() + slot.len() > MAX_NAME {
            break;
        }
        name.push(letter);
    }
    name + &slot
}

#[cfg(test)]
mod tests {
    use super::short_name;

    #[test]
    fn a_name_keeps_the_slot() {
        assert_eq!(short_name("echo: worker 3", 3), "echo 3");
        assert_eq!(short_name("/usr/bin/echo_server", 12), "echo_server 12");
        assert_eq!(short_name("a_long_program_name", 7), "a_long_progra 7");
        assert_eq!(
            short_name("\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}", 7).len(),
            14
        );
        assert_eq!(short_name("", 0), " 0");
    }
}
