//! [`Semaphore`]: a limited number of permits for processes.

use std::fmt;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::broker::error::{available, done, garbled};
use super::broker::link::{ask, ask_timeout, blocking_ask, blocking_call, call, deadline};
use super::broker::protocol::{Answer, Body, Operation};
use super::broker::{BrokerError, Handle, Held, Pending, server, state};
use super::mutex::time;

/// A limited number of permits, for which processes wait while none is available.
///
/// Permits are granted in the order of the requests. A request for many permits waits until all of
/// them are available, and the requests behind it wait too. So small requests never starve a large
/// one.
///
/// A permit is released when it is dropped, or when the process that holds it has ended, as the
/// kernel says. A process that has only closed its connection still holds it.
///
/// A `Semaphore` is a handle, as a [`Mutex`](super::Mutex) is: it can be cloned and encoded, and the
/// semaphore lives as long as the handle that [`new`](Semaphore::new) returned, or a clone of it in
/// the same process.
///
/// # Examples
///
/// ```
/// use coreloop::ipc::Semaphore;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # coreloop::block_on(async {
/// // At most two processes use the device. Jobs of a pool would be given a clone.
/// let permits = Semaphore::new(2)?;
/// let one = permits.acquire().await?;
/// let _other = permits.acquire().await?;
/// assert!(permits.try_acquire().await?.is_none());
/// drop(one);
/// assert_eq!(permits.available_permits().await?, 1);
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Semaphore(Handle);

impl Semaphore {
    /// The maximum number of permits.
    pub const MAX_PERMITS: u32 = u32::MAX;

    /// Creates a semaphore with this number of permits, on the current loop.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no current runtime, or if the system has no descriptor left
    /// for a socket.
    pub fn new(permits: u32) -> io::Result<Self> {
        server::create(Box::new(state::Semaphore::new(permits.into()))).map(Self)
    }

    /// Waits for a permit.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that is dropped gives its place up, and gives the permit back if it
    /// was granted meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if the semaphore is closed, or its process cannot be reached, also if
    /// that happens during the wait.
    pub async fn acquire(&self) -> Result<SemaphorePermit, BrokerError> {
        self.acquire_many(1).await
    }

    /// Waits for this number of permits. It gets all of them at once.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`acquire`](Semaphore::acquire).
    ///
    /// # Errors
    ///
    /// Returns an error if [`acquire`](Semaphore::acquire) would.
    pub async fn acquire_many(&self, permits: u32) -> Result<SemaphorePermit, BrokerError> {
        granted(
            ask(&self.0, Operation::ACQUIRE, &body(permits)).await?,
            permits,
        )
    }

    /// Waits for a permit, for `limit` at most.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`acquire`](Semaphore::acquire).
    ///
    /// # Errors
    ///
    /// Returns an error if [`acquire`](Semaphore::acquire) would, or
    /// [if the time has passed](BrokerError::is_timeout).
    pub async fn acquire_timeout(&self, limit: Duration) -> Result<SemaphorePermit, BrokerError> {
        self.acquire_many_timeout(1, limit).await
    }

    /// Waits for this number of permits, for `limit` at most.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`acquire`](Semaphore::acquire).
    ///
    /// # Errors
    ///
    /// Returns an error if [`acquire_timeout`](Semaphore::acquire_timeout) would.
    pub async fn acquire_many_timeout(
        &self,
        permits: u32,
        limit: Duration,
    ) -> Result<SemaphorePermit, BrokerError> {
        let answer = ask_timeout(&self.0, Operation::ACQUIRE, &body(permits), limit).await?;
        granted(answer, permits)
    }

    /// Takes a permit if one is available and none waits for it. In other processes this waits
    /// for the answer to this question.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`acquire`](Semaphore::acquire).
    ///
    /// # Errors
    ///
    /// Returns an error if [`acquire`](Semaphore::acquire) would.
    pub async fn try_acquire(&self) -> Result<Option<SemaphorePermit>, BrokerError> {
        self.try_acquire_many(1).await
    }

    /// Takes this number of permits if they are available and none waits for them. In other
    /// processes this waits for the answer to this question.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`acquire`](Semaphore::acquire).
    ///
    /// # Errors
    ///
    /// Returns an error if [`acquire`](Semaphore::acquire) would.
    pub async fn try_acquire_many(
        &self,
        permits: u32,
    ) -> Result<Option<SemaphorePermit>, BrokerError> {
        let answer = ask(&self.0, Operation::TRY_ACQUIRE, &body(permits)).await?;
        granted_or_none(answer, permits)
    }

    /// Does the same as [`acquire`](Semaphore::acquire), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`acquire`](Semaphore::acquire) would. On the thread of the loop that
    /// carries the semaphore, [returns an error](BrokerError::is_deadlock) instead of waiting.
    pub fn blocking_acquire(&self) -> Result<SemaphorePermit, BrokerError> {
        self.block(1, None)
    }

    /// Does the same as [`acquire_many`](Semaphore::acquire_many), and blocks this thread
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`blocking_acquire`](Semaphore::blocking_acquire) would.
    pub fn blocking_acquire_many(&self, permits: u32) -> Result<SemaphorePermit, BrokerError> {
        self.block(permits, None)
    }

    /// Does the same as [`acquire_timeout`](Semaphore::acquire_timeout), and blocks this thread
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`acquire_timeout`](Semaphore::acquire_timeout) or
    /// [`blocking_acquire`](Semaphore::blocking_acquire) would.
    pub fn blocking_acquire_timeout(
        &self,
        limit: Duration,
    ) -> Result<SemaphorePermit, BrokerError> {
        self.block(1, deadline(limit))
    }

    /// Does the same as [`acquire_many_timeout`](Semaphore::acquire_many_timeout), and blocks this
    /// thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`blocking_acquire_timeout`](Semaphore::blocking_acquire_timeout) would.
    pub fn blocking_acquire_many_timeout(
        &self,
        permits: u32,
        limit: Duration,
    ) -> Result<SemaphorePermit, BrokerError> {
        self.block(permits, deadline(limit))
    }

    /// Does the same as [`try_acquire`](Semaphore::try_acquire), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`acquire`](Semaphore::acquire) would.
    pub fn blocking_try_acquire(&self) -> Result<Option<SemaphorePermit>, BrokerError> {
        self.blocking_try_acquire_many(1)
    }

    /// Does the same as [`try_acquire_many`](Semaphore::try_acquire_many), and blocks this thread
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`acquire`](Semaphore::acquire) would.
    pub fn blocking_try_acquire_many(
        &self,
        permits: u32,
    ) -> Result<Option<SemaphorePermit>, BrokerError> {
        let answer = blocking_ask(&self.0, Operation::TRY_ACQUIRE, &body(permits), None)?;
        granted_or_none(answer, permits)
    }

    /// Adds permits.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped, the permits may be added or not.
    ///
    /// # Errors
    ///
    /// Returns an error if there would be more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS), if
    /// the semaphore is closed, or its process cannot be reached.
    pub async fn add_permits(&self, permits: u32) -> Result<(), BrokerError> {
        done(call(&self.0, Operation::ADD_PERMITS, &body(permits)).await?).map(drop)
    }

    /// Does the same as [`add_permits`](Semaphore::add_permits), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`add_permits`](Semaphore::add_permits) would.
    pub fn blocking_add_permits(&self, permits: u32) -> Result<(), BrokerError> {
        done(blocking_call(
            &self.0,
            Operation::ADD_PERMITS,
            &body(permits),
        )?)
        .map(drop)
    }

    /// Returns how many permits are available. They may be promised to a request that waits for
    /// more.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if the semaphore is closed, or its process cannot be reached.
    pub async fn available_permits(&self) -> Result<u32, BrokerError> {
        number(call(&self.0, Operation::AVAILABLE_PERMITS, &[]).await?)
    }

    /// Does the same as [`available_permits`](Semaphore::available_permits), and blocks this
    /// thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`available_permits`](Semaphore::available_permits) would.
    pub fn blocking_available_permits(&self) -> Result<u32, BrokerError> {
        number(blocking_call(&self.0, Operation::AVAILABLE_PERMITS, &[])?)
    }

    /// Returns which processes hold permits, and since when: one entry for each
    /// [`SemaphorePermit`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if the semaphore is closed, or its process cannot be reached.
    pub async fn holders(&self) -> Result<Vec<PermitHolder>, BrokerError> {
        holders(call(&self.0, Operation::HOLDERS, &[]).await?)
    }

    /// Does the same as [`holders`](Semaphore::holders), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`holders`](Semaphore::holders) would.
    pub fn blocking_holders(&self) -> Result<Vec<PermitHolder>, BrokerError> {
        holders(blocking_call(&self.0, Operation::HOLDERS, &[])?)
    }

    /// Closes the semaphore, for all processes: whatever waits for it gets an error, and so does
    /// each later operation.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped, the semaphore may be closed or not.
    ///
    /// # Errors
    ///
    /// Returns an error if the semaphore is closed already, or its process cannot be reached.
    pub async fn close(&self) -> Result<(), BrokerError> {
        done(call(&self.0, Operation::CLOSE, &[]).await?).map(drop)
    }

    /// Does the same as [`close`](Semaphore::close), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`close`](Semaphore::close) would.
    pub fn blocking_close(&self) -> Result<(), BrokerError> {
        done(blocking_call(&self.0, Operation::CLOSE, &[])?).map(drop)
    }

    fn block(
        &self,
        permits: u32,
        deadline: Option<Instant>,
    ) -> Result<SemaphorePermit, BrokerError> {
        let answer = blocking_ask(&self.0, Operation::ACQUIRE, &body(permits), deadline)?;
        granted(answer, permits)
    }
}

fn body(permits: u32) -> [u8; 8] {
    u64::from(permits).to_le_bytes()
}

fn granted(
    (answer, pending): (Answer, Pending),
    permits: u32,
) -> Result<SemaphorePermit, BrokerError> {
    match granted_or_none((answer, pending), permits)? {
        Some(permit) => Ok(permit),
        None => Err(garbled()),
    }
}

fn granted_or_none(
    (answer, pending): (Answer, Pending),
    permits: u32,
) -> Result<Option<SemaphorePermit>, BrokerError> {
    match available(answer) {
        Ok(Some(_)) => Ok(Some(SemaphorePermit {
            held: pending.hold(),
            permits,
        })),
        other => {
            pending.finish();
            other.map(|_| None)
        }
    }
}

fn number(answer: Answer) -> Result<u32, BrokerError> {
    let number = Body(&done(answer)?.body).only_u64();
    let number = number.and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(garbled)
}

fn holders(answer: Answer) -> Result<Vec<PermitHolder>, BrokerError> {
    let answer = done(answer)?;
    let mut body = Body(&answer.body);
    let mut holders = Vec::new();
    while let (Some(pid), Some(since), Some(permits)) = (body.u32(), body.u64(), body.u64()) {
        holders.push(PermitHolder {
            pid,
            since: time(since),
            permits: u32::try_from(permits).map_err(|_| garbled())?,
        });
    }
    Ok(holders)
}

/// Holds permits of a [`Semaphore`] until it is dropped.
///
/// Dropping it sends a message to the process of the semaphore, and does not wait. What this
/// thread sends to the same process afterwards is handled after it.
#[must_use = "the permits are released when this is dropped"]
pub struct SemaphorePermit {
    held: Held,
    permits: u32,
}

impl SemaphorePermit {
    /// Returns how many permits this holds.
    #[must_use]
    pub fn permits(&self) -> u32 {
        self.permits
    }

    /// Returns whether the connection to the process of the semaphore still stands.
    ///
    /// If not, that process has ended and the semaphore with it, or it has ended the connection.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.held.is_valid()
    }
}

impl fmt::Debug for SemaphorePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphorePermit")
            .field("permits", &self.permits)
            .finish_non_exhaustive()
    }
}

/// A process that holds permits of a [`Semaphore`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PermitHolder {
    /// The process, as the process of the semaphore knows it.
    pub pid: u32,
    /// When it was granted the permits.
    pub since: SystemTime,
    /// How many permits it was granted.
    pub permits: u32,
}
