//! The atomic types of the few words that several threads access.
//!
//! Under `--cfg loom` they are loom's types, so that the model tests explore every
//! interleaving of the code that ships.

#[cfg(all(loom, test))]
pub(crate) use loom::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU32, Ordering};

#[cfg(not(all(loom, test)))]
pub(crate) use std::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU32, Ordering};
