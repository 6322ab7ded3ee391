//! Channels with many senders and one receiver, which receives each value once.
//!
//! [`channel`] creates a channel that holds a limited number of values: a sender
//! that finds it full waits, and waiting senders are served in order.
//! [`unbounded_channel`] creates a channel that always has room, so that sending
//! never waits, and nothing slows a sender down that is too fast.
//!
//! # Closing
//!
//! When the last sender is dropped, [`Receiver::recv`] returns what is still in
//! the channel, and then `None`.
//!
//! When the receiver is dropped, or [closed](Receiver::close), sending fails
//! and returns the value. The values in the channel are dropped with the
//! receiver. After `close` they can still be received, and so can values that are
//! sent through a [`Permit`] that existed before: `recv` returns `None` only when
//! all permits are used or dropped.
//!
//! # Order
//!
//! Room is granted in the order of the requests, also to a task that has spent its
//! [budget](coreloop_runtime::task::coop). It stays with the future that it was granted to: if
//! the task no longer polls that future, and does not drop it, the other senders wait, even
//! if they are in the same task. See [Futures that a task leaves
//! behind](crate#futures-that-a-task-leaves-behind).
//!
//! # Losing no value
//!
//! The future of [`Sender::send`] owns the value while it waits, and drops the
//! value when it is dropped. In `select!`, or under a timeout, wait for room with
//! [`Sender::reserve`] instead, and make the value when there is room:
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
mod recv;
mod reserve;
mod sender;
mod unbounded_receiver;
mod unbounded_sender;
mod weak;

pub use permit::{OwnedPermit, Permit, PermitIterator};
pub use receiver::Receiver;
pub use sender::{Sender, channel};
pub use unbounded_receiver::UnboundedReceiver;
pub use unbounded_sender::{UnboundedSender, unbounded_channel};
pub use weak::{WeakSender, WeakUnboundedSender};
