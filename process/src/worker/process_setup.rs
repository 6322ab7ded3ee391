//! Prepares a process to be a worker: its channel, its tie to the master, its signals, its
//! name and its core.

use std::env;
use std::io;
use std::process;
use std::sync::{Mutex, PoisonError};

use super::reporter::Reporter;
use super::run::FAILED;
use crate::channel::{Channel, Start};
use crate::environment::{WORKER, is_standard_input};
use crate::{parent, sys};

/// The maximum length of a thread's name in the kernel.
const MAX_NAME: usize = 15;

/// The channel to the master, after [`attach`] has moved it off the standard input and
/// before [`take_channel`].
static CHANNEL: Mutex<Option<Channel>> = Mutex::new(None);

/// Ties this process to the master that has started it, and moves the channel to the master
/// off the standard input, which is `/dev/null` afterwards.
///
/// If the master has ended, this ends the process. Returns an error if the standard input
/// is not a channel to a master. A second call before [`take_channel`] does nothing.
pub(crate) fn attach() -> io::Result<()> {
    let mut channel = CHANNEL.lock().unwrap_or_else(PoisonError::into_inner);
    if channel.is_some() {
        return Ok(());
    }
    if !has_channel() {
        return Err(io::Error::other(
            "CORELOOP_WORKER is set, but the standard input is no channel to the master; \
             `Supervisor::new` has to be called before the program replaces its standard input",
        ));
    }
    if let Err(error) = parent::end_with_master() {
        let reporter = Reporter::standard_error();
        reporter.report(format_args!("this process cannot be a worker: {error}"));
        process::exit(FAILED);
    }
    *channel = Some(parent::take_channel()?);
    Ok(())
}

/// Returns whether the standard input is the channel that the master has made for this process.
fn has_channel() -> bool {
    let mark = env::var(WORKER).unwrap_or_default();
    is_standard_input(mark.split_once(' ').map(|(_, identity)| identity))
}

/// Takes the channel to the master; a second call returns an error.
pub(super) fn take_channel() -> io::Result<Channel> {
    attach()?;
    let mut channel = CHANNEL.lock().unwrap_or_else(PoisonError::into_inner);
    channel
        .take()
        .ok_or_else(|| io::Error::other("its channel to the master is in use"))
}

/// Prepares this process to be a worker: ties it to the master, installs handlers for the
/// master's signals, names the process after the program and the slot, and pins it to its core.
pub(super) fn prepare(start: &Start) -> io::Result<()> {
    // The master has set the title of the process.
    let title = env::args_os().next().unwrap_or_default();
    let name = short_name(&title.to_string_lossy(), start.slot);
    parent::prepare(start.master, &name)?;
    if let Some(core) = start.core {
        sys::pin_thread(core);
    }
    Ok(())
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
