//! What is done with locks and signals, so many times, and how long that took.
//! The parent says whose they are.

pub(crate) mod contended;
pub(crate) mod free;
pub(crate) mod once;
pub(crate) mod signals;

mod rounds;

use super::{
    Barrier, CancellationToken, Event, Mutex, Notify, OnceCell, RwLock, Semaphore, SetOnce, Stage,
    spawn,
};
