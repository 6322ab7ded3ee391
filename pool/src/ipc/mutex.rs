//! [`Mutex`]: a lock between processes.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::broker::error::{available, done, garbled, unproved};
use super::broker::link::{ask, ask_timeout, blocking_ask, blocking_call, call, deadline};
use super::broker::proof::{Purpose, Question};
use super::broker::protocol::{Answer, Body, Operation};
use super::broker::{BrokerError, Handle, Held, Pending, server, state};

/// A lock that one process at a time holds, and that is released when its holder is killed.
///
/// A process that is killed while it waits only loses its place in the line.
///
/// A `Mutex` is a handle, and protects no value of its own: it decides who may use a file, a device
/// or shared memory. The handle is plain data. Clone it, pass it to jobs, or encode it in any other
/// way; each copy refers to the same lock. The lock lives on the loop on which it was created, as
/// long as the handle that [`new`](Mutex::new) returned exists, or a clone of it in the same
/// process. When the last of these is dropped, the lock is closed. So pass a clone to a job, and
/// not the only handle. Other processes get answers only while that loop runs.
///
/// Only processes of the same user can use it.
///
/// # When a holder dies
///
/// The lock belongs to the process that has locked it. If this process ends while it holds the
/// lock, the next one gets the lock, and with it an error that is
/// [poisoned](LockError::is_poisoned): what the lock protects may be half changed. The lock is
/// poisoned too if a guard is dropped by a panic. It stays poisoned until
/// [`clear_poison`](Mutex::clear_poison).
///
/// A process has ended when the kernel says so. A process that has only closed its connection, or
/// that is stopped, still holds the lock, because it may still be writing. So give
/// [`lock_timeout`](Mutex::lock_timeout) a limit if a holder may hang; [`holder`](Mutex::holder)
/// says which process it is.
///
/// A process that sends what it did under the lock to another system, such as a database, should
/// send [`MutexGuard::fencing`] with it. Then that system can refuse what comes too late.
///
/// # Order
///
/// The lock is granted in the order of the requests.
///
/// # Cost
///
/// In the process that created it, on the same thread, a lock costs no system call. Elsewhere it
/// costs a message to that process and an answer. A counter that several processes add to should
/// be an atomic number in shared memory instead.
///
/// # Examples
///
/// ```
/// use coreloop::ipc::{LockError, Mutex};
///
/// #[coreloop::job]
/// async fn append(lock: Mutex, line: String) -> bool {
///     let _guard = match lock.lock().await {
///         Ok(guard) => guard,
///         // A process was killed in the middle: repair the file first.
///         Err(LockError::Poisoned(poisoned)) => poisoned.into_inner(),
///         Err(LockError::Failed(_)) => return false,
///     };
///     // No other process writes now.
///     !line.is_empty()
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # coreloop::block_on(async {
/// let lock = Mutex::new()?;
/// let guard = lock.lock().await?;
/// assert_eq!(guard.fencing(), 1);
/// assert!(lock.try_lock().await?.is_none());
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mutex {
    handle: Handle,
    /// The lock protects memory, so its grants have to be proved.
    #[serde(skip)]
    protects_memory: bool,
}

impl Mutex {
    /// Creates a lock on the current loop.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no current runtime, or if the system has no descriptor left
    /// for a socket.
    pub fn new() -> io::Result<Self> {
        server::create(Box::new(state::Mutex::new())).map(Self::plain)
    }

    /// Waits for the lock.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that is dropped gives its place up, and gives the lock back if it
    /// was granted meanwhile.
    ///
    /// # Errors
    ///
    /// Returns [`LockError::Poisoned`] with the guard if the last holder has died. Returns
    /// [`LockError::Failed`] if the lock is closed, or its process cannot be reached.
    pub async fn lock(&self) -> Result<MutexGuard, LockError> {
        let asked = self.asked();
        let (answer, pending) = ask(&self.handle, Operation::LOCK, asked.body()).await?;
        asked.granted(answer, pending)
    }

    /// Waits for the lock, for `limit` at most.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`lock`](Mutex::lock).
    ///
    /// # Errors
    ///
    /// Returns an error if [`lock`](Mutex::lock) would, or
    /// [if the time has passed](BrokerError::is_timeout).
    pub async fn lock_timeout(&self, limit: Duration) -> Result<MutexGuard, LockError> {
        let asked = self.asked();
        let (answer, pending) =
            ask_timeout(&self.handle, Operation::LOCK, asked.body(), limit).await?;
        asked.granted(answer, pending)
    }

    /// Takes the lock if it is free and no request waits for it. In another process, the future
    /// waits until the process of the lock has answered.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`lock`](Mutex::lock).
    ///
    /// # Errors
    ///
    /// Returns an error if [`lock`](Mutex::lock) would.
    pub async fn try_lock(&self) -> Result<Option<MutexGuard>, LockError> {
        let asked = self.asked();
        let (answer, pending) = ask(&self.handle, Operation::TRY_LOCK, asked.body()).await?;
        asked.granted_or_none(answer, pending)
    }

    /// Does the same as [`lock`](Mutex::lock), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`lock`](Mutex::lock) would. On the thread of the loop that carries
    /// the lock, [returns an error](BrokerError::is_deadlock) instead of waiting.
    pub fn blocking_lock(&self) -> Result<MutexGuard, LockError> {
        self.block(None)
    }

    /// Does the same as [`lock_timeout`](Mutex::lock_timeout), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`lock_timeout`](Mutex::lock_timeout) or
    /// [`blocking_lock`](Mutex::blocking_lock) would.
    pub fn blocking_lock_timeout(&self, limit: Duration) -> Result<MutexGuard, LockError> {
        self.block(deadline(limit))
    }

    /// Does the same as [`try_lock`](Mutex::try_lock), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`lock`](Mutex::lock) would.
    pub fn blocking_try_lock(&self) -> Result<Option<MutexGuard>, LockError> {
        let asked = self.asked();
        let (answer, pending) =
            blocking_ask(&self.handle, Operation::TRY_LOCK, asked.body(), None)?;
        asked.granted_or_none(answer, pending)
    }

    /// Returns whether the lock is poisoned.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if the lock is closed, or its process cannot be reached.
    pub async fn is_poisoned(&self) -> Result<bool, BrokerError> {
        flag(&done(
            call(&self.handle, Operation::IS_POISONED, &[]).await?,
        )?)
    }

    /// Makes the lock no longer poisoned. Any process may do this, when what the lock protects is
    /// repaired.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped, the lock may be poisoned or not.
    ///
    /// # Errors
    ///
    /// Returns an error if the lock is closed, or its process cannot be reached.
    pub async fn clear_poison(&self) -> Result<(), BrokerError> {
        done(call(&self.handle, Operation::CLEAR_POISON, &[]).await?).map(drop)
    }

    /// Does the same as [`is_poisoned`](Mutex::is_poisoned), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`is_poisoned`](Mutex::is_poisoned) would.
    pub fn blocking_is_poisoned(&self) -> Result<bool, BrokerError> {
        flag(&done(blocking_call(
            &self.handle,
            Operation::IS_POISONED,
            &[],
        )?)?)
    }

    /// Does the same as [`clear_poison`](Mutex::clear_poison), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`clear_poison`](Mutex::clear_poison) would.
    pub fn blocking_clear_poison(&self) -> Result<(), BrokerError> {
        done(blocking_call(&self.handle, Operation::CLEAR_POISON, &[])?).map(drop)
    }

    /// Returns which process holds the lock, and since when; `None` if none does.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if the lock is closed, or its process cannot be reached.
    pub async fn holder(&self) -> Result<Option<Holder>, BrokerError> {
        Holder::of(call(&self.handle, Operation::HOLDER, &[]).await?)
    }

    /// Does the same as [`holder`](Mutex::holder), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`holder`](Mutex::holder) would.
    pub fn blocking_holder(&self) -> Result<Option<Holder>, BrokerError> {
        Holder::of(blocking_call(&self.handle, Operation::HOLDER, &[])?)
    }

    /// Closes the lock, for all processes: whatever waits for it gets an error, and so does each
    /// later operation. A guard that exists protects nothing any more.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped, the lock may be closed or not.
    ///
    /// # Errors
    ///
    /// Returns an error if the lock is closed already, or its process cannot be reached.
    pub async fn close(&self) -> Result<(), BrokerError> {
        done(call(&self.handle, Operation::CLOSE, &[]).await?).map(drop)
    }

    /// Does the same as [`close`](Mutex::close), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`close`](Mutex::close) would.
    pub fn blocking_close(&self) -> Result<(), BrokerError> {
        done(blocking_call(&self.handle, Operation::CLOSE, &[])?).map(drop)
    }

    fn plain(handle: Handle) -> Self {
        Self {
            handle,
            protects_memory: false,
        }
    }

    /// Creates a lock that protects the memory of a file, for the processes of the family.
    pub(super) fn with_memory(file: OwnedFd) -> io::Result<Self> {
        let object = |proofs| -> Box<dyn state::Object> {
            Box::new(state::Mutex::with_memory(file, proofs))
        };
        Ok(Self::plain(server::create_with(object)?).of_memory())
    }

    /// Returns the handle of a lock that protects memory, whose grants have to be proved.
    pub(super) fn of_memory(self) -> Self {
        Self {
            protects_memory: true,
            ..self
        }
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    fn asked(&self) -> Asked {
        let question = || Question::new(&self.handle, Purpose::Lock);
        Asked(self.protects_memory.then(question))
    }

    fn block(&self, deadline: Option<Instant>) -> Result<MutexGuard, LockError> {
        let asked = self.asked();
        let (answer, pending) =
            blocking_ask(&self.handle, Operation::LOCK, asked.body(), deadline)?;
        asked.granted(answer, pending)
    }
}

/// What was asked of the broker: for the lock, and with it for a proof if the lock protects memory.
struct Asked(Option<Question>);

impl Asked {
    fn body(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], Question::body)
    }

    fn granted(&self, answer: Answer, pending: Pending) -> Result<MutexGuard, LockError> {
        let answer = match done(answer) {
            Ok(answer) => answer,
            Err(error) => {
                pending.finish();
                return Err(error.into());
            }
        };
        let mut body = Body(&answer.body);
        let (Some(fencing), Some(poisoned)) = (body.u64(), body.u8()) else {
            return Err(garbled().into());
        };
        if let Some(question) = &self.0
            && !question.is_answered_by(&answer.body)
        {
            return Err(unproved().into());
        }
        let guard = MutexGuard {
            held: pending.hold(),
            fencing,
            is_proved: self.0.is_some(),
        };
        match poisoned {
            0 => Ok(guard),
            _ => Err(LockError::Poisoned(Poisoned(guard))),
        }
    }

    fn granted_or_none(
        &self,
        answer: Answer,
        pending: Pending,
    ) -> Result<Option<MutexGuard>, LockError> {
        match available(answer) {
            Ok(Some(answer)) => self.granted(answer, pending).map(Some),
            Ok(None) => {
                pending.finish();
                Ok(None)
            }
            Err(error) => {
                pending.finish();
                Err(error.into())
            }
        }
    }
}

/// Returns the only byte of an answer, as a flag.
pub(super) fn flag(answer: &Answer) -> Result<bool, BrokerError> {
    match *answer.body {
        [flag @ (0 | 1)] => Ok(flag == 1),
        _ => Err(garbled()),
    }
}

/// Holds a [`Mutex`] until it is dropped.
///
/// Dropping it sends a message to the process of the lock, and does not wait. What this thread
/// sends to the same process afterwards is handled after it. A guard that is leaked holds the lock
/// until this process ends.
#[must_use = "the lock is released when the guard is dropped"]
pub struct MutexGuard {
    held: Held,
    fencing: u64,
    /// A process of the family has granted it.
    is_proved: bool,
}

impl MutexGuard {
    /// Returns a number that is larger than the numbers of all earlier guards of this lock.
    #[must_use]
    pub fn fencing(&self) -> u64 {
        self.fencing
    }

    /// Returns whether this is a guard of this lock.
    pub(super) fn is_of(&self, lock: &Mutex) -> bool {
        self.held.is_of(&lock.handle)
    }

    /// Returns whether a process of the family has granted the lock, for this very guard.
    pub(super) fn is_proved(&self) -> bool {
        self.is_proved
    }

    /// Returns whether the connection to the process of the lock still stands.
    ///
    /// If not, that process has ended and the lock with it, or the connection has failed. In the first
    /// case nothing keeps others from what the lock protects. In the second case this process keeps
    /// the lock until the guard is dropped, which releases the lock over a new connection.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.held.is_valid()
    }
}

impl fmt::Debug for MutexGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MutexGuard")
            .field("fencing", &self.fencing)
            .finish_non_exhaustive()
    }
}

/// A process that holds a [`Mutex`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The id of the process, in the PID namespace of the process that has created the lock.
    pub pid: u32,
    /// When it was granted the lock.
    pub since: SystemTime,
    /// The number of its guard; see [`MutexGuard::fencing`].
    pub fencing: u64,
}

impl Holder {
    fn of(answer: Answer) -> Result<Option<Self>, BrokerError> {
        let Some(answer) = available(answer)? else {
            return Ok(None);
        };
        let mut body = Body(&answer.body);
        let (Some(pid), Some(since), Some(fencing)) = (body.u32(), body.u64(), body.u64()) else {
            return Err(garbled());
        };
        Ok(Some(Self {
            pid,
            since: time(since),
            fencing,
        }))
    }
}

/// Returns the time that is this number of microseconds after 1970.
pub(super) fn time(micros: u64) -> SystemTime {
    let since = Duration::from_micros(micros);
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

/// The error of locking a [`Mutex`], or something else that has a guard `G`.
pub enum LockError<G = MutexGuard> {
    /// The lock was granted, but the last holder has died, or has panicked.
    Poisoned(Poisoned<G>),
    /// The lock was not granted.
    Failed(BrokerError),
}

impl<G> LockError<G> {
    /// Returns whether the lock was granted, and is poisoned.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        matches!(self, Self::Poisoned(_))
    }

    /// Returns the guard if the lock was granted.
    ///
    /// # Errors
    ///
    /// Returns an error if the lock was not granted.
    pub fn into_guard(self) -> Result<G, BrokerError> {
        match self {
            Self::Poisoned(poisoned) => Ok(poisoned.into_inner()),
            Self::Failed(error) => Err(error),
        }
    }
}

impl<G> From<BrokerError> for LockError<G> {
    fn from(error: BrokerError) -> Self {
        Self::Failed(error)
    }
}

impl<G> From<LockError<G>> for io::Error {
    fn from(error: LockError<G>) -> Self {
        match error {
            // The guard is dropped.
            LockError::Poisoned(poisoned) => Self::other(poisoned.to_string()),
            LockError::Failed(error) => error.into(),
        }
    }
}

impl<G> fmt::Debug for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poisoned(poisoned) => poisoned.fmt(f),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

impl<G> fmt::Display for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poisoned(poisoned) => poisoned.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<G> Error for LockError<G> {}

/// A guard of a lock whose last holder has died, or has panicked.
#[must_use = "the lock is released when the guard is dropped"]
pub struct Poisoned<G>(G);

impl<G> Poisoned<G> {
    pub(super) fn new(guard: G) -> Self {
        Self(guard)
    }

    /// Returns the guard.
    pub fn into_inner(self) -> G {
        self.0
    }

    /// Returns a reference to the guard.
    pub fn get_ref(&self) -> &G {
        &self.0
    }

    /// Returns a mutable reference to the guard.
    pub fn get_mut(&mut self) -> &mut G {
        &mut self.0
    }
}

impl<G> fmt::Debug for Poisoned<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Poisoned(..)")
    }
}

impl<G> fmt::Display for Poisoned<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the last process that held the lock has died, or has panicked")
    }
}

impl<G> Error for Poisoned<G> {}
