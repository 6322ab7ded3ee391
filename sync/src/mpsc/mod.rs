//! Many senders, one receiver, each value received once.
//!
//! [`channel`] makes a channel that holds so many values and no more: a sender
//! that finds it full waits, and those who wait are served in order.
//! [`unbounded_channel`] makes one that always has room, so that sending need
//! not wait, and nothing stops a sender that is too fast.
//!
//! # Closing
//!
//! When the last sender is dropped, [`Receiver::recv`] returns what is still in
//! the channel, and then `None`.
//!
//! When the receiver is dropped, or [closed](Receiver::close), sending fails
//! and returns the value. What a dropped receiver leaves in the channel is
//! dropped with it. After `close` it can still be received, and so can what is
//! sent by a [`Permit`] that was there before: `recv` returns `None` only when
//! all of them are used or dropped.
//!
//! # Order
//!
//! Room is granted in the order in which it was asked for, also to a task that has spent its
//! [budget](coreloop_runtime::task::coop). It stays with the future that it was granted to: if
//! the task no longer polls that future, and does not drop it, the other senders wait, also
//! if they are in the same task. See [Futures that a task leaves
//! behind](crate#futures-that-a-task-leaves-behind).
//!
//! # Losing nothing
//!
//! [`Sender::send`] owns the value while it waits, and drops it when it is
//! itself dropped. In `select!`, or under a timeout, wait for room with
//! [`Sender::reserve`] instead and make the value when there is some:
//!
//! ```
//! use coreloop::sync::mpsc;
//!
//! coreloop::block_on(async {
//!     let (sender, mut receiver) = mpsc::channel(1);
//!     let permit = sender.reserve().await.unwrap();
//!     permit.send("cannot be lost");
//!     assert_eq!(receiver.recv().await, Some("cannot be lost"));
//! });
//! ```
//!
//! # Examples
//!
//! ```
//! use coreloop::sync::mpsc;
//!
//! coreloop::block_on(async {
//!     let (sender, mut receiver) = mpsc::channel(2);
//!     coreloop::spawn(async move {
//!         for number in 1..=10 {
//!             sender.send(number).await.unwrap();
//!         }
//!     });
//!     let mut sum = 0;
//!     while let Some(number) = receiver.recv().await {
//!         sum += number;
//!     }
//!     assert_eq!(sum, 55);
//! });
//! ```

pub mod error;

mod channel;
mod halves;
mod permit;
mod receiver;
mod reserve;
mod sender;
mod unbounded;

pub use permit::{OwnedPermit, Permit, PermitIterator};
pub use receiver::Receiver;
pub use sender::{Sender, WeakSender, channel};
pub use unbounded::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel};
