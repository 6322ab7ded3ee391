//! A value that many show and many watch, of which only the latest counts.
//!
//! [`channel`] makes a channel that holds one value, and always has one.
//! Senders replace or change it; receivers [look at it](Receiver::borrow) and
//! [wait for a change](Receiver::changed). Who is slow sees fewer values, and
//! the latest in the end.
//!
//! # A `Ref` holds nothing up
//!
//! [`Ref`] shows the value as it was when it was borrowed. While one is held,
//! [`Sender::send`] works as ever: the old value lives on until the last `Ref`
//! to it is dropped. Only what has to reach into that very value cannot be done
//! then: [`Sender::send_modify`], [`Sender::send_if_modified`] and
//! [`Sender::send_replace`] panic, and say so. Drop a `Ref` before you await,
//! or clone what you need, and this never happens.
//!
//! # Closing
//!
//! When the last [`Sender`] is dropped, receivers see the value they have not
//! seen yet, and then [`RecvError`](error::RecvError). They can look at the
//! last value as long as they like.
//!
//! # Examples
//!
//! ```
//! use coreloop::sync::watch;
//!
//! coreloop::block_on(async {
//!     let (sender, mut receiver) = watch::channel("starting");
//!     let task = coreloop::spawn(async move {
//!         receiver.wait_for(|state| *state == "ready").await.is_ok()
//!     });
//!     sender.send("ready").unwrap();
//!     assert!(task.await.unwrap());
//! });
//! ```

pub mod error;

mod channel;
mod receiver;
mod reference;
mod sender;
mod value;

pub use receiver::Receiver;
pub use reference::Ref;
pub use sender::{Sender, channel};
