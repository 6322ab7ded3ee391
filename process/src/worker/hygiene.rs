//! What a process has to put in order before it is a worker.

use std::env;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
#[cfg(any(target_os = "android", target_os = "linux"))]
use std::process;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::net::AddressFamily;
use rustix::process::{Pid, getppid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTTIN, SIGTTOU, SIGUSR2};

#[cfg(any(target_os = "android", target_os = "linux"))]
use super::reporter::Reporter;
#[cfg(any(target_os = "android", target_os = "linux"))]
use super::run::FAILED;
use crate::channel::{Channel, Start};

/// What the kernel keeps of a thread's name.
const LONGEST_NAME: usize = 15;

/// Signals that are the master's. A terminal sends some of them to its whole group,
/// and `pkill` all of them; the master then tells its workers what to do.
const FOR_MASTER: [i32; 5] = [SIGINT, SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU];

/// The channel to the master, once it is not the standard input any more, and before
/// [`take_channel`].
static CHANNEL: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// Ties this process to the master that has started it, and takes the channel to it
/// from the standard input, of which nothing is left: before that, whoever reads the
/// input gets what the master says, and a child that has it keeps the channel open.
///
/// As the master may have ended before, this may not return. It is an error if there
/// is no master; what is done stays done if it is called again.
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
    #[cfg(any(target_os = "android", target_os = "linux"))]
    {
        // Not by rustix: a master in another name space has the id 0 here.
        let master = coreloop_net::unix::peer_cred(&stdin)?.pid();
        if let Err(error) = end_with(master) {
            let reporter = Reporter::standard_error();
            reporter.report(format_args!("this process cannot be a worker: {error}"));
            process::exit(FAILED);
        }
    }
    // Above those of the standard streams, whichever of them are closed.
    let socket = rustix::io::fcntl_dupfd_cloexec(stdin.as_fd(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    *channel = Some(socket);
    Ok(())
}

/// The channel to the master, once.
pub(super) fn take_channel() -> io::Result<Channel> {
    attach()?;
    let mut channel = CHANNEL.lock().unwrap_or_else(PoisonError::into_inner);
    let channel = channel.take();
    channel
        .map(Channel::from_socket)
        .ok_or_else(|| io::Error::other("its channel to the master is in use"))
}

/// Has the kernel kill this process when its master ends.
fn end_with(master: Option<i32>) -> io::Result<()> {
    let master = master.and_then(Pid::from_raw).ok_or_else(|| {
        io::Error::other("the master has no number in the name space of this process")
    })?;
    #[cfg(any(target_os = "android", target_os = "freebsd", target_os = "linux"))]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // The signal is not sent for a parent that was gone before it was asked for.
    if getppid() == Some(master) {
        Ok(())
    } else {
        Err(io::Error::other("the master is gone"))
    }
}

/// Ends with the master, leaves its signals to it, and takes its place.
pub(super) fn settle(start: &Start) -> io::Result<()> {
    // Once more: it is forgotten when the process changes its user, in `main` say.
    end_with(i32::try_from(start.master).ok())?;
    // Handlers, because a child would inherit that signals are ignored.
    let ignored = Arc::new(AtomicBool::new(false));
    for number in FOR_MASTER {
        signal_hook::flag::register(number, Arc::clone(&ignored))?;
    }
    name(start.slot);
    pin(start.core);
    Ok(())
}

/// Names this thread, which is the process for `ps` and `top`, after the program and
/// the slot. The title of the process is from the master.
fn name(slot: u32) {
    let title = env::args_os().next().unwrap_or_default();
    let name = short_name(&title.to_string_lossy(), slot);
    #[cfg(any(target_os = "android", target_os = "linux"))]
    if let Ok(name) = std::ffi::CString::new(name) {
        // Only for who looks.
        let _ = rustix::thread::set_name(&name);
    }
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    drop(name);
}

/// What the kernel keeps of a name, with the slot as its end.
fn short_name(title: &str, slot: u32) -> String {
    let program = title.split(": ").next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default();
    let slot = format!(" {slot}");
    let mut name = String::new();
    for letter in program.chars() {
        if name.len() + letter.len_utf8() + slot.len() > LONGEST_NAME {
            break;
        }
        name.push(letter);
    }
    name + &slot
}

/// Keeps this thread on a core. Where that is not allowed, or not known, the
/// scheduler chooses as ever.
pub(super) fn pin(core: Option<u32>) {
    #[cfg(any(target_os = "android", target_os = "freebsd", target_os = "linux"))]
    {
        use rustix::thread::CpuSet;
        let core = core.and_then(|core| usize::try_from(core).ok());
        if let Some(core) = core.filter(|core| *core < CpuSet::MAX_CPU) {
            let mut cores = CpuSet::new();
            cores.set(core);
            let _ = rustix::thread::sched_setaffinity(None, &cores);
        }
    }
    #[cfg(not(any(target_os = "android", target_os = "freebsd", target_os = "linux")))]
    let _ = core;
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
