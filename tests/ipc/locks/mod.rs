//! Mutexes, semaphores, events and barriers.

mod local;
mod remote;
