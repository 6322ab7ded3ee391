//! Coordination between tasks that share a thread.
//!
//! Use it through the facade, as `coreloop::sync`.
//!
//! Nothing here is `Send`, so nothing here needs an atomic or a lock: state
//! lives in cells, and one FIFO wait queue stands under every primitive. What
//! was waited for and granted is never lost: a waiter that is dropped between
//! the grant and its next poll passes the grant on.
//!
//! Waiting spends the task's budget, so that a task that always finds what it
//! waits for still lets others run. Under another executor there is no budget,
//! and everything else works the same.
//!
//! - [`Notify`]: one task tells another that something happened.
//!
//! Mutexes, semaphores, barriers and the channels come next.
//!
//! To reach a task from another thread, use a crate made for it, such as
//! `async-channel` or `event-listener`: their wakers work here.
#![forbid(unsafe_code)]

mod notify;
mod waiters;

pub use notify::{Notified, Notify};
