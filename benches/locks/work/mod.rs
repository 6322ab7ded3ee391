//! Uses locks and signals, and returns the time that it took. The parent module imports
//! them.

pub(crate) mod contended;
pub(crate) mod free;
pub(crate) mod once;
pub(crate) mod signals;

mod rounds;

use super::{
    Barrier, CancellationToken, Event, Mutex, Notify, OnceCell, RwLock, Semaphore, SetOnce, Stage,
    spawn,
};
