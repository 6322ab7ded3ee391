//! Makes this process a worker: takes its socket, ties it to its master, handles signals.

use std::io::{self, Write};

use coreloop_process::__pool as process;

use super::hello::Hello;
use super::output::Sockets;
use crate::current;
use crate::family;
use crate::frame::garbled;
use crate::page::Page;
use crate::sys;

/// The name of the main thread, at most 15 bytes. The master has set the title of the process.
const THREAD: &str = "pool worker";

/// Moves the socket of the frames off the standard input, and receives the first message. Also returns the
/// bytes of frames that came with the message: on Linux there are none, because the kernel ends
/// a read after a message that carries descriptors.
pub(super) fn connect() -> io::Result<(Sockets, Vec<u8>, Hello, Page)> {
    if process::end_with_master().is_err() {
        // The master has ended.
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    let mut channel = process::take_channel()?;
    let received = channel.receive::<Hello>()?;
    let Some((hello, descriptors)) = received else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let mut descriptors = descriptors.into_iter();
    let page = descriptors
        .next()
        .ok_or_else(|| garbled("the first message has no page"))?;
    let side = descriptors
        .next()
        .ok_or_else(|| garbled("the first message has no socket for descriptors"))?;
    if let Some(stdout) = descriptors.next() {
        // What the test harness has written must not reach the standard output of the master.
        io::stdout().flush()?;
        rustix::stdio::dup2_stdout(stdout)?;
    }
    if process::prepare(hello.master, THREAD).is_err() {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    family::join(hello.family);
    current::set_worker(hello.name.clone());
    // If a job takes all memory, the kernel should kill this process and not the master.
    sys::raise_oom_score();
    let (frames, begun) = channel.into_parts();
    let sockets = Sockets { frames, side };
    Ok((sockets, begun, hello, Page::from_descriptor(page)?))
}
