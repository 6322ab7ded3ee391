//! [`SharedQueue`], a queue of a manager: Python's queue of a `BaseManager`.
//!
//! # Invariants
//!
//! 1. Each item has a number, which says its place in the queue for ever: an item that comes back
//!    is before all that were put after it.
//! 2. An item that a client gets is under a lease until the client confirms it. `get` confirms when
//!    it returns the item to its caller. A lease ends with the session of its client.
//! 3. The answer with an item is used, or the item is given back: by the caller's code, by the
//!    destructor of the request, or by the client, if the caller has gone.

mod handle;
mod leased;
mod ops;
mod service;
mod state;

pub use handle::SharedQueue;
pub use leased::LeasedItem;
pub(crate) use ops::give_back;
pub(crate) use service::{PREFIX, QueueService};
