//! An upgrade: the old master starts the program's file again, gives it the
//! sockets, and goes on until the new one says that it serves.
//!
//! ```text
//!   old master                          successor
//!   start: Sockets .., Complete ──────▶ (in the channel)
//!   spawn the file at the path          main runs, Supervisor::new: inherit
//!   serves on                           binds, starts its workers
//!                                 ◀──── Ready
//!   drains its workers, ends with 0     serves
//! ```
//!
//! Its workers accept from the same sockets as soon as they are ready. So a successor
//! that takes too long is told to stop; and that one as well as one that says that it
//! fails has the time to drain before it is killed.
//!
//! 1. The channel is the successor's standard input. The old end is closed when
//!    the attempt is over, the successor's when it has said `Ready`: neither
//!    lives or dies with the other.
//! 2. Who closes the channel without a word has died. An old master that has only
//!    given up says so; then a successor that lives on by mistake does not serve.
//! 3. Until `Ready` the old master changes nothing of its own. Whatever becomes
//!    of the successor before, it is ended and reaped; only then is there something
//!    to undo, if it had taken the names of the old one a moment before.
//! 4. Both have the same sockets, so no connection in a queue is lost: whoever is
//!    left serves it. A socket that the new program no longer binds is closed in it
//!    at once, and in the old one when that ends.
//! 5. The new program begins with as many workers as there are sockets for, however
//!    many it is to have. Once it serves it goes on from there as `scale` does: it
//!    steers, drains and closes the last, or binds more. Before that it would take
//!    connections from the old one, and lose them if it never served.

mod attempt;
mod inheritance;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use coreloop_runtime::time::timeout;

use self::attempt::Attempt;
pub(crate) use self::inheritance::{Inheritance, inherit};
use super::program::Program;
use crate::channel::Inherited;

/// Its value is the process id of the old master.
pub(crate) const VARIABLE: &str = "CORELOOP_UPGRADE";

/// The sockets of one `bind`, to be given away.
#[derive(Debug)]
pub(crate) struct Bequest<'a> {
    pub(crate) inherited: Inherited,
    /// In the order of their slots.
    pub(crate) sockets: Vec<BorrowedFd<'a>>,
}

/// The process that serves from now on.
#[derive(Debug)]
pub(crate) struct Successor {
    pub(crate) pid: u32,
}

/// How long a new program may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// To serve.
    pub(crate) startup: Duration,
    /// To end, when that took too long.
    pub(crate) drain: Duration,
}

/// Starts the program's file and gives it the sockets, before this returns; the
/// future waits until the new process serves, and borrows nothing meanwhile.
///
/// An error says why there is no successor. The process is gone then, also if the
/// future was dropped.
pub(crate) fn start(
    program: &Program,
    bequests: &[Bequest<'_>],
    bounds: Bounds,
) -> impl Future<Output = io::Result<Successor>> + use<> {
    let attempt = Attempt::launch(program, bequests);
    async move {
        let mut attempt = attempt?;
        let Bounds { startup, drain } = bounds;
        let why = match timeout(startup, poll_fn(|context| attempt.poll_ready(context))).await {
            Ok(Ok(())) => return Ok(attempt.succeed()),
            Ok(Err(error)) => error,
            Err(_) => {
                attempt.stop();
                let why = format!("the new program was not ready within {startup:?}");
                io::Error::new(ErrorKind::TimedOut, why)
            }
        };
        // Only its end is of interest: one that is ready now has begun to stop.
        let gone = poll_fn(|context| attempt.poll_gone(context));
        let _ = timeout(drain, gone).await;
        Err(why)
    }
}
