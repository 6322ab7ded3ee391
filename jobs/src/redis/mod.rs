//! The engine on Redis Streams, for Redis 7.0 and later, and for servers that speak like it.
//!
//! The jobs of a queue are entries of a stream for each function and version, so that a worker
//! reads only jobs of functions that it has. A worker that reads an entry is its consumer, and
//! has the job. A second stream of the function has the jobs that were put back while many others
//! waited, and is read first. All keys of a queue are on one node of a cluster. `redis://` and
//! sockets (`redis+unix://`) are supported, with user, password and database; TLS is not.
//!
//! Every operation of several steps is a script, which the server runs as one.
//!
//! # Invariants
//!
//! 1. An entry is delivered once. When its lease has ended, when its attempt has failed, or when
//!    a worker gives it back, a script removes it and appends the job again, with the attempts
//!    counted. So the id of the entry names the lease, and a lease is valid while the entry is
//!    pending for a consumer of its worker. `XACK` and `XCLAIM` do not check the owner, so that
//!    only scripts use them, after a check.
//! 2. The length of a lease is in the name of the consumer, so that every worker ends the lease
//!    of another by the other's length, not by its own. (`XAUTOCLAIM` has one length for all,
//!    and delivers to the caller, who may have no room.)
//! 3. A worker reads no more than its callers have room for.
//! 4. The read that blocks has its own connection and is never dropped. After a new connection,
//!    and when a worker leases no more jobs, the entries that came in an answer that was lost are
//!    given back.
//! 5. No entry is removed but by its end: no stream has a maximum length, no read is without
//!    acknowledgment, and a consumer is deleted only if it has no entries.
//! 6. Times are the server's.
//! 7. A script changes nothing before it knows that the user has the right to each of its commands
//!    on each of its keys. (It does not write first and remove then: a server whose memory is full
//!    lets only a script write that has changed something before.)

mod blocking;
mod dead;
mod desk;
mod entry;
mod failure;
mod identity;
mod jobs;
mod keeper;
mod leaving;
mod link;
mod names;
mod outcomes;
mod reader;
mod reply;
mod script;
mod shared;
mod silence;
mod socket;
#[cfg(test)]
mod tests;
mod warnings;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::engine::{Counts, Dead, Engine, Failure, Fence, Function, JobId, Leased, NewJob};
use crate::engine::{Outcome, Pending};
use crate::error::{Error, Kind};
use outcomes::Outcomes;
use reader::Reader;
use shared::Shared;

/// A connection to a server of Redis for one queue.
///
/// When it is dropped, its tasks give the jobs back that no call has taken, if the loop still
/// runs.
#[derive(Debug)]
pub(crate) struct Redis {
    shared: Rc<Shared>,
    readers: RefCell<Vec<Rc<Reader>>>,
    outcomes: Rc<Outcomes>,
}

impl Redis {
    /// Connects to the server, and reads its settings. If `durable`, a server that confirms a job
    /// before it is on disk is warned of.
    ///
    /// # Errors
    ///
    /// Returns an error if the name of the queue is empty, if the URL is not one of Redis, if the
    /// server cannot be reached, or if it refuses the user.
    pub(crate) async fn connect(url: &str, queue: &str, durable: bool) -> Result<Rc<Self>, Error> {
        let shared = Shared::connect(url, queue, durable).await?;
        Ok(Rc::new(Self {
            shared: Rc::new(shared),
            readers: RefCell::default(),
            outcomes: Rc::default(),
        }))
    }

    /// Returns the reader for these functions and this lease.
    fn reader(&self, functions: &[Function], lease: Duration) -> Rc<Reader> {
        if let Some(reader) = self.find_reader(functions, lease) {
            return reader;
        }
        let mut readers = self.readers.borrow_mut();
        let number = readers.len() as u64;
        let reader = Reader::start(&self.shared, functions, lease, number);
        readers.push(Rc::clone(&reader));
        reader
    }

    /// Returns the reader for these functions and this lease, if there is one.
    fn find_reader(&self, functions: &[Function], lease: Duration) -> Option<Rc<Reader>> {
        let readers = self.readers.borrow();
        let mut readers = readers.iter();
        let found = readers.find(|one| one.lease == lease && one.functions == functions);
        found.map(Rc::clone)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        for reader in self.readers.get_mut() {
            reader.close();
        }
        self.outcomes.close();
    }
}

impl Engine for Redis {
    fn push(&self, jobs: Vec<NewJob>) -> Pending<'_, Vec<JobId>> {
        Box::pin(self.push_all(jobs))
    }

    fn lease<'a>(
        &'a self,
        functions: &'a [Function],
        max: usize,
        lease: Duration,
    ) -> Pending<'a, Vec<Leased>> {
        Box::pin(async move {
            if functions.is_empty() {
                let text = "a worker without functions gets no jobs";
                return Err(Error::new(Kind::Engine, text));
            }
            if max == 0 {
                return Ok(Vec::new());
            }
            let reader = self.reader(functions, lease);
            reader.lease(max).await
        })
    }

    fn leave<'a>(&'a self, functions: &'a [Function], lease: Duration) -> Pending<'a, ()> {
        let reader = self.find_reader(functions, lease);
        Box::pin(async move {
            match reader {
                Some(reader) => reader.leave().await,
                None => Ok(()),
            }
        })
    }

    fn renew<'a>(&'a self, jobs: Vec<&'a Leased>, lease: Duration) -> Pending<'a, Vec<Fence>> {
        Box::pin(self.renew_all(jobs, lease))
    }

    fn finish<'a>(&'a self, jobs: Vec<(&'a Leased, &'a [u8])>) -> Pending<'a, Vec<Fence>> {
        Box::pin(self.finish_all(jobs))
    }

    fn fail<'a>(&'a self, job: &'a Leased, failure: Failure) -> Pending<'a, Fence> {
        Box::pin(self.fail_one(job, failure))
    }

    fn outcome<'a>(&'a self, id: &'a JobId) -> Pending<'a, Outcome> {
        Box::pin(self.outcomes.wait(&self.shared, id))
    }

    fn dead(&self, max: usize) -> Pending<'_, Vec<Dead>> {
        Box::pin(self.letters(max))
    }

    fn requeue<'a>(&'a self, id: &'a JobId) -> Pending<'a, bool> {
        Box::pin(self.put_back(id))
    }

    fn discard<'a>(&'a self, id: &'a JobId) -> Pending<'a, bool> {
        Box::pin(self.remove_letter(id))
    }

    fn counts(&self) -> Pending<'_, Counts> {
        Box::pin(self.count())
    }

    fn warnings(&self) -> Vec<String> {
        self.shared.warnings.all()
    }
}
