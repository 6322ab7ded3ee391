//! The engine in memory: job queues of one process, which a manager also serves to other
//! processes.
//!
//! ```text
//!   Memory ──► Shared ──► State      the jobs of one queue; no clock, no I/O
//!                ▲
//!     Local ─────┘                   the engine of one client in this process
//!       ▲
//!   Served ◄── Request, Answer ──► Remote    the engine of a client in another process
//! ```

mod local;
pub(crate) mod remote;
pub(crate) mod served;
mod shared;
pub(crate) mod state;
#[cfg(test)]
mod tests;
mod waiters;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use crate::error::{Error, Kind};
pub(crate) use local::Local;
use shared::Shared;
use state::{Limits, Session};

/// Job queues in the memory of this process.
///
/// Each queue has a name, and all handles of a `Memory` and of its clones share its queues. A
/// queue is lost when the process ends, so this is for jobs that are pushed again after that, for
/// tests, and for a program that is one process.
///
/// Its queues belong to the runtime on which they were first opened.
///
/// # Examples
///
/// ```no_run
/// use coreloop::jobs::{Memory, Queue};
/// use coreloop::pool::Pool;
///
/// #[coreloop::job]
/// fn square(number: u64) -> u64 {
///     number * number
/// }
///
/// #[coreloop::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let memory = Memory::new();
///     let queue = Queue::memory(&memory).name("numbers").connect().await?;
///     let pool = Pool::builder().build()?;
///     coreloop::spawn(queue.worker().jobs_of(&pool).run());
///
///     let receipt = queue.push(square, 12).await?;
///     assert_eq!(queue.result(&receipt).await?, 144);
///     Ok(())
/// }
/// ```
#[derive(Clone, Default)]
pub struct Memory {
    queues: Rc<Queues>,
}

#[derive(Default)]
struct Queues {
    limits: Limits,
    by_name: RefCell<HashMap<String, Rc<Shared>>>,
    last_session: Cell<u64>,
}

impl Memory {
    /// Creates a `Memory` without queues.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many jobs a queue may hold, and how long their arguments together may be, in
    /// bytes. The dead letters count. The default is a million jobs and 1 GiB.
    ///
    /// A push into a full queue returns an error. Call this before a queue is opened: the returned
    /// `Memory` has no queues.
    #[must_use]
    pub fn max_jobs(self, jobs: usize, bytes: usize) -> Self {
        let limits = self.queues.limits;
        Self::with(Limits {
            jobs,
            bytes,
            ..limits
        })
    }

    /// Sets how many results a queue keeps, and how long they together may be, in bytes. The
    /// default is a million results and 256 MiB.
    ///
    /// A result is kept for a day, and the oldest ones are removed when there are too many. Call
    /// this before a queue is opened: the returned `Memory` has no queues.
    #[must_use]
    pub fn max_results(self, results: usize, bytes: usize) -> Self {
        let limits = self.queues.limits;
        Self::with(Limits {
            outcomes: results,
            outcome_bytes: bytes,
            ..limits
        })
    }

    fn with(limits: Limits) -> Self {
        Self {
            queues: Rc::new(Queues {
                limits,
                ..Queues::default()
            }),
        }
    }

    /// Returns the engine of a new client of a queue, which is created unless it exists. The
    /// leases of the client end when the engine is dropped.
    pub(crate) fn open(&self, name: &str) -> Result<Rc<Local>, Error> {
        check_name(name)?;
        let session = Session(self.queues.last_session.get() + 1);
        self.queues.last_session.set(session.0);
        let mut queues = self.queues.by_name.borrow_mut();
        let shared = match queues.get(name) {
            Some(shared) => Rc::clone(shared),
            None => {
                let shared = Shared::new(self.queues.limits)?;
                queues.insert(name.to_owned(), Rc::clone(&shared));
                shared
            }
        };
        Ok(Rc::new(Local::new(shared, session)))
    }
}

/// Checks the name of a queue.
///
/// # Errors
///
/// Returns an error if the name is empty.
fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::new(
            Kind::Engine,
            "the name of a queue is empty: set one by `.name(\"…\")`",
        ));
    }
    Ok(())
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queues = self.queues.by_name.borrow();
        f.debug_struct("Memory")
            .field("queues", &queues.keys())
            .finish_non_exhaustive()
    }
}
