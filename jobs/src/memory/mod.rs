//! The engine in memory.

pub(crate) mod state;
