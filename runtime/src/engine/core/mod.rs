//! The event loop: its turns, its shutdown, which loop is current on a thread, and sleeps.

pub(crate) mod context;
pub(crate) mod event_loop;
pub(crate) mod limit;
pub(crate) mod options;
mod shutdown;
pub(crate) mod sleep;
