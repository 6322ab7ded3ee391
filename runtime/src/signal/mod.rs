//! Listening for signals that the process receives.
//!
//! [`ctrl_c`] waits for one Ctrl-C; [`unix::signal`] listens for any signal.
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

/// Waits for a Ctrl-C, or for a `SIGINT` from any other source.
///
/// The first poll starts to listen. From then on `SIGINT` no longer ends the process,
/// even after the future was dropped; see [`Signal`](unix::Signal). So a Ctrl-C between
/// two calls, or after the last one, has no effect at all. To miss none, keep a
/// [`Signal`](unix::Signal) of [`SignalKind::interrupt`].
///
/// # Cancel safety
///
/// Cancel safe: but a signal that arrives before the next call is not seen by it.
///
/// # Errors
///
/// Returns an error if [`unix::signal`] does.
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
