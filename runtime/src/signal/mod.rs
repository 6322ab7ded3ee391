//! Signals of the process, on the loop.
//!
//! [`ctrl_c`] waits for one Ctrl-C, [`unix::signal`] listens for any signal.
//!
//! # Examples
//!
//! ```no_run
//! use coreloop::select;
//! use coreloop::signal::unix::{SignalKind, signal};
//!
//! # fn main() -> std::io::Result<()> {
//! # coreloop::block_on(async {
//! let mut interrupt = signal(SignalKind::interrupt())?;
//! let mut terminate = signal(SignalKind::terminate())?;
//! select! {
//!     _ = interrupt.recv() => println!("Ctrl-C"),
//!     _ = terminate.recv() => println!("asked to end"),
//! }
//! # Ok(())
//! # })
//! # }
//! ```

pub mod unix;

use std::io;

use unix::SignalKind;

/// Waits until somebody presses Ctrl-C, or sends `SIGINT` in another way.
///
/// It listens from its first poll on, which also turns off for good that
/// `SIGINT` ends the process; see [`Signal`](unix::Signal). So between two
/// calls, and after the last, a Ctrl-C does nothing at all. To miss none, keep a
/// [`Signal`](unix::Signal) of [`SignalKind::interrupt`].
///
/// # Cancel safety
///
/// Cancel safe: but a signal that comes after the future was dropped is not
/// seen by the next.
///
/// # Errors
///
/// As [`unix::signal`].
///
/// # Examples
///
/// ```no_run
/// use std::io;
/// use coreloop::{select, signal};
///
/// # async fn serve() -> io::Result<()> { Ok(()) }
/// # fn main() -> io::Result<()> {
/// coreloop::block_on(async {
///     select! {
///         result = serve() => result,
///         result = signal::ctrl_c() => result,
///     }
/// })
/// # }
/// ```
pub async fn ctrl_c() -> io::Result<()> {
    unix::signal(SignalKind::interrupt())?.recv().await;
    Ok(())
}
