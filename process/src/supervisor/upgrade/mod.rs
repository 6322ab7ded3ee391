//! An upgrade: the old master starts the program's file as its successor, gives it the
//! sockets, and continues until the successor reports that it serves.
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
//! The successor's workers accept from the same sockets as soon as they are ready. So a
//! successor that takes too long is asked to stop; and such a successor, like one that has
//! reported a failure, has the time to drain before it is killed.
//!
//! # Invariants
//!
//! 1. The channel is the successor's standard input. The old master closes its end when the
//!    attempt has failed, or when it has handed everything over to a successor that serves. The
//!    successor keeps its end until then, or until the old master has died.
//! 2. A master that closes the channel without a message has died. An old master that has
//!    given the attempt up sends `GivenUp`; then a successor that still runs by mistake
//!    does not serve.
//! 3. Until `Ready` the old master does not change its own state. If the successor fails
//!    before, it is ended and reaped; only after that may there be something to undo, if the
//!    successor had just taken over the files of the old master.
//! 4. Both have the same sockets, so no queued connection is lost: the master that is left
//!    serves it. A socket that the new program does not bind any more is closed in the
//!    successor at once, and in the old master when that ends.
//! 5. The successor starts as many workers as the old master has slots, whatever its configured
//!    number. Once it serves, it steers connections to these slots, because the kernel keeps
//!    the steering of the old master, and scales to the configured number. Doing so before would
//!    take connections from the old master, and lose them if the successor never served.
//! 6. During the attempt, the old master neither scales nor reloads. It refuses such requests,
//!    and keeps signals for the master that is left. Scaling that was requested before adds no
//!    slot, and steers no more connections to the slots that it has added, until the attempt
//!    has failed.
//! 7. A successor starts no successor of its own before the old master has closed the channel.
//!    An old master that found its successor replaced and gone would take that for a failure,
//!    and serve on beside the newest one.

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
pub(super) use self::inheritance::{Inheritance, inherit};
use super::program::Program;
use crate::channel::Inherited;
use crate::sockets::InheritedSlots;

/// The sockets of one `bind` call, to be sent to a successor.
#[derive(Debug)]
pub(super) struct SocketTransfer<'a> {
    pub(super) inherited: Inherited,
    /// In the order of their slots.
    pub(super) sockets: Vec<BorrowedFd<'a>>,
}

/// The new master, which serves from now on.
#[derive(Debug)]
pub(super) struct Successor {
    pub(super) pid: u32,
    /// Closes the channel when this is dropped: then this process has handed everything over.
    _attempt: Attempt,
}

/// The time limits of an upgrade.
#[derive(Debug, Clone, Copy)]
pub(super) struct UpgradeTimeouts {
    /// How long the successor may take until it serves.
    pub(super) startup: Duration,
    /// How long it may take to end after it has failed.
    pub(super) drain: Duration,
}

/// Starts the program's file and sends it the sockets, before this returns. The returned
/// future waits until the new process serves, and borrows nothing.
///
/// An error says why there is no successor. The process has ended then, as it has if the
/// future was dropped.
pub(super) fn start(
    program: &Program,
    transfers: &[SocketTransfer<'_>],
    slots: InheritedSlots,
    timeouts: UpgradeTimeouts,
) -> impl Future<Output = io::Result<Successor>> + use<> {
    let attempt = Attempt::launch(program, transfers, slots);
    async move {
        let mut attempt = attempt?;
        let UpgradeTimeouts { startup, drain } = timeouts;
        let why = match timeout(startup, poll_fn(|cx| attempt.poll_ready(cx))).await {
            Ok(Ok(())) => return Ok(attempt.succeed()),
            Ok(Err(error)) => error,
            Err(_) => {
                attempt.stop();
                let why = format!("the new program was not ready within {startup:?}");
                io::Error::new(ErrorKind::TimedOut, why)
            }
        };
        // Waits for the end only: a successor that becomes ready now has begun to stop.
        let gone = poll_fn(|cx| attempt.poll_gone(cx));
        let _ = timeout(drain, gone).await;
        Err(why)
    }
}
