//! The loop: its turns, its end, and which loop the code on a thread belongs to.

pub(crate) mod context;
pub(crate) mod event_loop;
pub(crate) mod limit;
pub(crate) mod options;
mod shutdown;
pub(crate) mod sleep;
