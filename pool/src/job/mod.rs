//! Functions that run in other processes: what they are, their registry, and what a running
//! one can ask.

pub(crate) mod call;
pub(crate) mod entry;
pub(crate) mod function;
