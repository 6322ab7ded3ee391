//! Channels with one value that changes, of which receivers see the latest.
//!
//! [`channel`] creates a channel that always holds one value. Senders replace or
//! change it; receivers [borrow it](Receiver::borrow) and [wait for a
//! change](Receiver::changed). A slow receiver sees fewer values, but always the
//! latest in the end.
//!
//! # A `Ref` does not block senders
//!
//! A [`Ref`] shows the value as it was when it was borrowed. While a `Ref` is held,
//! [`Sender::send`] works as usual: the old value is dropped with the last `Ref` to
//! it. Only methods that need mutable access to that value do not work then:
//! [`Sender::send_modify`], [`Sender::send_if_modified`] and
//! [`Sender::send_replace`] panic. To avoid these panics, drop each `Ref` before you
//! await, or clone what you need.
//!
//! # Closing
//!
//! When the last [`Sender`] is dropped, a receiver returns the value that it has not
//! seen yet, if there is one, and then [`RecvError`](error::RecvError). It can still
//! borrow the last value.
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
