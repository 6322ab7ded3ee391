//! Channels: [`channel`] creates one [`Receiver`] and a [`Sender`], which can be cloned and sent
//! to other processes.
//!
//! # Invariants
//!
//! 1. A message is one packet, which the kernel takes whole or not at all. So a sender that is
//!    killed leaves no part of a message, and senders need not know of each other.
//! 2. No packet is empty, because an empty one reads like the end.
//! 3. A receiver keeps no bytes between two calls: a packet is one message, and nothing is lost
//!    when an end travels.

mod packet;
mod receiver;
mod sender;

use std::io;

pub use receiver::Receiver;
pub use sender::Sender;

use crate::sys;

/// Creates a channel with one receiver and any number of senders, in any processes.
///
/// Senders are cloned, and travel inside the arguments and the results of jobs and the messages
/// of [`ipc`](super). The values of all senders come in the order in which they were sent.
///
/// A sender that is killed in the middle of a [`send`](Sender::send) leaves nothing in the
/// channel, or the whole value. For two processes that talk to each other, a [`pipe`](super::pipe)
/// costs less.
///
/// # Errors
///
/// Returns an error if the process has too many descriptors.
///
/// # Examples
///
/// ```no_run
/// use coreloop::ipc::{self, Sender};
/// use coreloop::pool::Pool;
///
/// #[coreloop::job]
/// async fn search(folder: String, found: Sender<String>) {
///     for name in ["one", "two"] {
///         if found.send(format!("{folder}/{name}")).await.is_err() {
///             // The receiver was dropped.
///             break;
///         }
///     }
/// }
///
/// #[coreloop::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let pool = Pool::builder().workers(2).build()?;
///     let (sender, mut receiver) = ipc::channel::<String>()?;
///     let mut jobs = Vec::new();
///     for folder in ["a", "b"] {
///         jobs.push(pool.submit(search, (folder.to_owned(), sender.clone())).await?);
///     }
///     // The receiver ends when all senders are dropped.
///     drop(sender);
///     while let Some(path) = receiver.recv().await? {
///         println!("{path}");
///     }
///     Ok(())
/// }
/// ```
pub fn channel<T>() -> io::Result<(Sender<T>, Receiver<T>)> {
    let (one, other) = sys::packet_pair()?;
    Ok((Sender::from_fd(one), Receiver::from_fd(other)))
}
