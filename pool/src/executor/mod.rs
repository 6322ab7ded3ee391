//! Executors: one interface to threads, to processes and to the loop itself.

pub(crate) mod threads;
