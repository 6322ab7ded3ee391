//! [`Barrier`]: processes that continue together.

use std::io;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::broker::error::done;
use super::broker::link::{ask, ask_timeout, blocking_ask, blocking_call, call, deadline};
use super::broker::protocol::{Answer, Operation};
use super::broker::{BrokerError, Handle, Pending, server, state};
use super::mutex::flag;

/// Lets processes, threads or tasks continue together, once enough of them wait.
///
/// It can be used again and again. A process that ends while it waits no longer counts.
///
/// A `Barrier` is a handle, as a [`Mutex`](super::Mutex) is: it can be cloned and encoded, and the
/// barrier lives as long as the handle that [`new`](Barrier::new) returned, or a clone of it in the
/// same process.
///
/// # Examples
///
/// ```
/// use coreloop::ipc::Barrier;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # coreloop::block_on(async {
/// let barrier = Barrier::new(2)?;
/// // As a job of a pool would do:
/// let other = barrier.clone();
/// let waiting = coreloop::spawn(async move { other.wait().await });
/// let mine = barrier.wait().await?;
/// let others = waiting.await??;
/// assert_ne!(mine.is_leader(), others.is_leader());
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Barrier(Handle);

impl Barrier {
    /// Creates a barrier for `size` waits, on the current loop. A size of zero counts as one.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no current runtime, or if the system has no descriptor left
    /// for a socket.
    pub fn new(size: usize) -> io::Result<Self> {
        server::create(Box::new(state::Barrier::new(size))).map(Self)
    }

    /// Waits until as many calls of this method wait as the barrier was created for, including this
    /// one. Then all of them return.
    ///
    /// [`BarrierWaitResult::is_leader`] is true for the call that came last.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that is dropped while it waits no longer counts. If the others have
    /// already continued, it has counted.
    ///
    /// # Errors
    ///
    /// Returns an error if the barrier is closed, or its process cannot be reached, also if that
    /// happens during the wait.
    pub async fn wait(&self) -> Result<BarrierWaitResult, BrokerError> {
        finished(ask(&self.0, Operation::ARRIVE, &[]).await?)
    }

    /// Waits like [`wait`](Barrier::wait), for `limit` at most. After that, this wait no longer
    /// counts.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`wait`](Barrier::wait).
    ///
    /// # Errors
    ///
    /// Returns an error if [`wait`](Barrier::wait) would, or
    /// [if the time has passed](BrokerError::is_timeout).
    pub async fn wait_timeout(&self, limit: Duration) -> Result<BarrierWaitResult, BrokerError> {
        finished(ask_timeout(&self.0, Operation::ARRIVE, &[], limit).await?)
    }

    /// Does the same as [`wait`](Barrier::wait), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`wait`](Barrier::wait) would. On the thread of the loop that carries
    /// the barrier, [returns an error](BrokerError::is_deadlock) instead of waiting.
    pub fn blocking_wait(&self) -> Result<BarrierWaitResult, BrokerError> {
        self.block(None)
    }

    /// Does the same as [`wait_timeout`](Barrier::wait_timeout), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`wait_timeout`](Barrier::wait_timeout) or
    /// [`blocking_wait`](Barrier::blocking_wait) would.
    pub fn blocking_wait_timeout(&self, limit: Duration) -> Result<BarrierWaitResult, BrokerError> {
        self.block(deadline(limit))
    }

    /// Closes the barrier, for all processes: whatever waits for it gets an error, and so does
    /// each later operation.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped, the barrier may be closed or not.
    ///
    /// # Errors
    ///
    /// Returns an error if the barrier is closed already, or its process cannot be reached.
    pub async fn close(&self) -> Result<(), BrokerError> {
        done(call(&self.0, Operation::CLOSE, &[]).await?).map(drop)
    }

    /// Does the same as [`close`](Barrier::close), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`close`](Barrier::close) would.
    pub fn blocking_close(&self) -> Result<(), BrokerError> {
        done(blocking_call(&self.0, Operation::CLOSE, &[])?).map(drop)
    }

    fn block(&self, deadline: Option<Instant>) -> Result<BarrierWaitResult, BrokerError> {
        finished(blocking_ask(&self.0, Operation::ARRIVE, &[], deadline)?)
    }
}

fn finished((answer, pending): (Answer, Pending)) -> Result<BarrierWaitResult, BrokerError> {
    pending.finish();
    let is_leader = flag(&done(answer)?)?;
    Ok(BarrierWaitResult { is_leader })
}

/// The result of [`Barrier::wait`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarrierWaitResult {
    is_leader: bool,
}

impl BarrierWaitResult {
    /// Returns whether this wait was the last one: true for exactly one of those that continue
    /// together.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.is_leader
    }
}
