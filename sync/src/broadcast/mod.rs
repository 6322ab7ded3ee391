//! Channels with many senders and many receivers, all of which receive each value.
//!
//! [`channel`] creates a channel that keeps a limited number of values. A receiver
//! gets every value that is sent while it exists, unless it falls behind by more
//! values than the channel keeps. Then
//! [`RecvError::Lagged`](error::RecvError::Lagged) reports how many values it has
//! missed, and it continues with the oldest value that is kept. So a slow receiver
//! delays no other task, and sending never waits.
//!
//! The capacity is exact: it is not rounded up.
//!
//! A value is dropped when all receivers that existed when it was sent have received
//! it, or when it is the oldest and its room is needed. Every receiver gets a clone,
//! the last receiver too. If `clone` panics, the value counts as received.
//!
//! When the last [`Sender`] is dropped, receivers get the values that are kept for
//! them, and then [`RecvError::Closed`](error::RecvError::Closed).
//!
//! # Examples
//!
//! ```
//! use coreloop::sync::broadcast;
//!
//! coreloop::block_on(async {
//!     let (sender, mut first) = broadcast::channel(16);
//!     let mut second = sender.subscribe();
//!     assert_eq!(sender.send("hello"), Ok(2));
//!     assert_eq!(first.recv().await, Ok("hello"));
//!     assert_eq!(second.recv().await, Ok("hello"));
//! });
//! ```
//!
//! A receiver that falls behind:
//!
//! ```
//! use coreloop::sync::broadcast::{self, error::RecvError};
//!
//! coreloop::block_on(async {
//!     let (sender, mut receiver) = broadcast::channel(3);
//!     for number in 1..=5 {
//!         sender.send(number).unwrap();
//!     }
//!     assert_eq!(receiver.recv().await, Err(RecvError::Lagged(2)));
//!     assert_eq!(receiver.recv().await, Ok(3));
//! });
//! ```

pub mod error;

mod channel;
mod receiver;
mod ring;
mod sender;

pub use receiver::Receiver;
pub use sender::{Sender, WeakSender, channel};
