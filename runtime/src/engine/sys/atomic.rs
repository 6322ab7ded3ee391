//! The atomics of the few words that other threads touch.
//!
//! Under `--cfg loom` they are loom's, so that the model tests explore every
//! interleaving of the code that ships.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU32, Ordering};

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU32, Ordering};
