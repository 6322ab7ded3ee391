//! Functions for the code of a job: its id, its attempt, requests to cancel it, its progress,
//! and the state of its worker.
//!
//! They read what the pool or executor has set on the thread that runs the job. On another
//! thread, which a job may have started, they return what they return outside a job. A
//! function that uses them can therefore also be called directly.
//!
//! # Examples
//!
//! ```
//! use std::path::PathBuf;
//!
//! use coreloop::pool::job;
//!
//! fn count_lines(files: Vec<PathBuf>) -> u64 {
//!     let mut lines = 0;
//!     for (done, file) in files.iter().enumerate() {
//!         if job::is_cancelled() {
//!             break;
//!         }
//!         lines += std::fs::read_to_string(file).map_or(0, |text| text.lines().count() as u64);
//!         // If the handle is gone, the progress has no reader.
//!         let _ = job::progress(&(done + 1));
//!     }
//!     lines
//! }
//! # assert_eq!(count_lines(vec!["Cargo.toml".into(), "no such file".into()]) > 10, true);
//! ```

pub(crate) mod call;
pub(crate) mod context;
pub(crate) mod encoded;
pub(crate) mod entry;
pub(crate) mod function;
pub(crate) mod initialize;
pub(crate) mod list;
#[cfg(feature = "portable")]
pub(crate) mod portable;
pub(crate) mod registry;
#[cfg(test)]
mod tests;
pub(crate) mod worker_state;

use std::any::type_name;
use std::io;
use std::rc::Rc;

use serde::Serialize;

use context::{Context, Progress, with_current};
use encoded::Encoded;

/// Returns the id of the job that this thread runs.
///
/// The id is the same for each attempt, and no other job of the pool has it. The items of a
/// chunk of a `map` are one job, and have one id; if the worker of a chunk dies, the items that
/// are left get another one. Returns `None` outside a job.
#[must_use]
pub fn id() -> Option<u64> {
    with_current(|job| job.id)
}

/// Returns the number of this attempt to run the job, which is 1 for the first one.
///
/// A job has a second attempt only if it was declared idempotent, and the worker of the first
/// attempt died. Returns `None` outside a job.
#[must_use]
pub fn attempt() -> Option<u32> {
    with_current(|job| job.attempt)
}

/// Returns whether the job that this thread runs was cancelled.
///
/// A long job should call it now and then, and return early. The call costs a few
/// nanoseconds and never waits: it is one relaxed load. Returns `false` outside a job.
///
/// A job whose worker is killed, by [`Pool::shutdown`](crate::Pool::shutdown) for instance, may
/// see that it was cancelled just before that.
#[inline]
#[must_use]
pub fn is_cancelled() -> bool {
    with_current(|job| job.cancel.is_requested()).unwrap_or(false)
}

/// Reports `value` as the progress of the job that this thread runs.
///
/// The [progress](crate::JobHandle::progress) of the job's handle returns the last value. In a
/// worker of a pool, the call blocks while the master does not read. Outside a job the function
/// does nothing.
///
/// # Errors
///
/// Returns an error of the kind `InvalidInput` if `value` cannot be encoded or is too long, or
/// another error if the master has ended.
///
/// # Panics
///
/// Panics if `value` does while it is encoded.
pub fn progress<T: Serialize + ?Sized>(value: &T) -> io::Result<()> {
    let Some(job) = with_current(Context::clone) else {
        return Ok(());
    };
    let mut encoded = Encoded::default();
    encoded
        .push(&value)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    match &job.progress {
        Progress::Ignored => Ok(()),
        Progress::Local(sink) => sink.send(&job, encoded),
        Progress::Shared(sink) => sink.send(&job, encoded),
    }
}

/// Returns the state of this worker: the value that its initializer has returned.
///
/// Each worker has a value of its own, which need not be `Send`: an open model, a connection,
/// a cache in a `RefCell`. It is dropped when the worker ends in an orderly way.
///
/// # Panics
///
/// Panics if the value is not a `T`, or if there is none, because the pool has no initializer
/// or the thread is not a worker.
#[must_use]
#[track_caller]
pub fn worker_state<T: 'static>() -> Rc<T> {
    match try_worker_state() {
        Some(value) => value,
        None => no_worker_state(type_name::<T>()),
    }
}

/// Returns the state of this worker, if it has one of the type `T`.
///
/// Unlike [`worker_state`], it returns `None` if there is no value, or one of another type.
#[must_use]
pub fn try_worker_state<T: 'static>() -> Option<Rc<T>> {
    worker_state::get()
}

#[cold]
#[track_caller]
fn no_worker_state(wanted: &str) -> ! {
    match worker_state::name_of_type() {
        Some(found) => panic!("the worker's state is a `{found}`, not a `{wanted}`"),
        None => panic!(
            "there is no worker state of the type `{wanted}`: the pool has no initializer, or \
             this thread is not a worker"
        ),
    }
}
