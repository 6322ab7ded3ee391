//! Many senders, many receivers, each value received by all.
//!
//! [`channel`] makes a channel that keeps the last so many values. A receiver
//! gets every value that is sent from the moment it exists, unless it falls
//! behind by more than the channel keeps: then it is told by
//! [`RecvError::Lagged`](error::RecvError::Lagged) how many it has missed, and
//! goes on with the oldest that is kept. So a slow receiver holds up nobody,
//! and sending never waits.
//!
//! The capacity is exact: it is not rounded up.
//!
//! A value is dropped when it was received by all who were there when it was
//! sent, or when it is the oldest and the room is needed. Every receiver gets a clone, the
//! last one too. If `clone` panics the value counts as received.
//!
//! When the last [`Sender`] is dropped, receivers get what is kept for them,
//! and then [`RecvError::Closed`](error::RecvError::Closed).
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
//! Falling behind:
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
