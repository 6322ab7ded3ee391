//! [`SharedArray`], which the processes of a family change in turn.

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytemuck::Pod;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::map::{Turn, Turns};
use super::protected::Protected;
use super::wire::refused;
use crate::family;
use crate::ipc::broker::BrokerError;
use crate::ipc::mutex::{LockError, Mutex, MutexGuard, Poisoned};

/// The result of locking a [`SharedArray`].
type Locked<T> = Result<SharedArrayGuard<T>, LockError<SharedArrayGuard<T>>>;

/// An array in shared memory that one process at a time reads and writes.
///
/// [`lock`](SharedArray::lock) waits for the turn of this process, and returns a guard that is a
/// `&mut [T]`. The values are changed in place: no process copies them, and none sends them.
///
/// An array is a handle. Clone it, or pass it to jobs; each copy refers to the same values and to
/// the same lock, which is a [`Mutex`]: it lives on the loop on which the array was created, as
/// long as the handle that the constructor returned exists, or a clone of it in the same process.
/// What the documentation of the `Mutex` says about order, cost and ends of processes is true for
/// arrays too. A process maps the memory when it first locks the array. That takes no descriptor,
/// except in the process that created the array.
///
/// # When a holder dies
///
/// If a process ends while it holds the array, or panics, the next one gets the array with an error
/// that is [poisoned](LockError::is_poisoned). The values may be half changed then, but each of
/// them is a valid `T`: any bytes are. Repair or overwrite them, and call
/// [`clear_poison`](SharedArray::clear_poison).
///
/// # One family
///
/// Unlike a [`SharedSlice`](super::SharedSlice), an array relies on the processes that have it: each
/// of them could write to the memory while another one has borrowed it. So an array stays within
/// one family: the process that has built a pool, the workers of the pool, and the workers of
/// pools that these have built, all of which run the same program. Another process that receives
/// a handle cannot decode it, and cannot get the memory from the process of the array.
///
/// Other processes of the same user are trusted not to open the file of an array, which the kernel
/// shows them as `/proc/PID/fd/N`, and not to trace a process of the family. A process that writes to
/// the memory in such a way breaks the memory safety of the family.
///
/// A process of the family uses the memory only while it holds the lock, unless code in it breaks
/// its memory safety. Do not share an array with workers that exist to contain such code, as a
/// decoder in C may be: send them a `SharedSlice`, and let them return values.
///
/// # Examples
///
/// ```
/// use coreloop::ipc::SharedArray;
///
/// /// Counts letters in an array that all workers have.
/// #[coreloop::job]
/// fn count(counts: SharedArray<u64>, text: String) -> Result<(), String> {
///     let mut counts = counts.blocking_lock().map_err(|error| error.to_string())?;
///     for byte in text.bytes() {
///         counts[usize::from(byte)] += 1;
///     }
///     Ok(())
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # coreloop::block_on(async {
/// let counts = SharedArray::with_len(256)?;
/// {
///     let mut counts = counts.lock().await?;
///     counts[7] = 1_u64;
/// }
/// assert_eq!(counts.lock().await?.iter().sum::<u64>(), 1);
/// # Ok(())
/// # })
/// # }
/// ```
pub struct SharedArray<T> {
    lock: Mutex,
    length: usize,
    /// Empty until this process needs the memory.
    memory: Arc<OnceLock<Arc<Turns<T>>>>,
}

impl<T: Pod> SharedArray<T> {
    /// Creates an array of `length` values, whose bytes are all zero, on the current loop.
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`InvalidInput`](io::ErrorKind::InvalidInput) if `length` is
    /// zero. Returns another error if there is too little memory, if there are too many
    /// descriptors, or if there is no current runtime.
    pub fn with_len(length: usize) -> io::Result<Self> {
        Self::create(length, &[])
    }

    /// Creates an array with a copy of these values, on the current loop.
    ///
    /// # Errors
    ///
    /// Returns an error if [`with_len`](SharedArray::with_len) would.
    pub fn from_slice(values: &[T]) -> io::Result<Self> {
        Self::create(values.len(), values)
    }

    fn create(length: usize, values: &[T]) -> io::Result<Self> {
        if length == 0 {
            let what = "a shared array has at least one value";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let memory = Turns::create(length, values)?;
        Ok(Self {
            lock: memory.lock().clone(),
            length,
            memory: Arc::new(OnceLock::from(Arc::new(memory))),
        })
    }

    /// Waits for the array.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that is dropped gives its place up, and gives the array back if it
    /// was granted meanwhile.
    ///
    /// # Errors
    ///
    /// Returns [`LockError::Poisoned`] with the guard if the last holder has died or has panicked.
    /// Returns [`LockError::Failed`] if the array is closed, or its process cannot be reached, or
    /// this process is not of its family.
    pub async fn lock(&self) -> Locked<T> {
        let memory = self.memory().await?;
        granted(memory, self.lock.lock().await)
    }

    /// Waits for the array, for `limit` at most.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`lock`](SharedArray::lock).
    ///
    /// # Errors
    ///
    /// Returns an error if [`lock`](SharedArray::lock) would, or
    /// [if the time has passed](BrokerError::is_timeout).
    pub async fn lock_timeout(&self, limit: Duration) -> Locked<T> {
        let memory = self.memory().await?;
        granted(memory, self.lock.lock_timeout(limit).await)
    }

    /// Takes the array if no other holds it and none waits for it. In other processes this waits
    /// for the answer to this question.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`lock`](SharedArray::lock).
    ///
    /// # Errors
    ///
    /// Returns an error if [`lock`](SharedArray::lock) would.
    pub async fn try_lock(
        &self,
    ) -> Result<Option<SharedArrayGuard<T>>, LockError<SharedArrayGuard<T>>> {
        let memory = self.memory().await?;
        granted_or_none(memory, self.lock.try_lock().await)
    }

    /// Does the same as [`lock`](SharedArray::lock), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`lock`](SharedArray::lock) would. On the thread of the loop that
    /// carries the array, [returns an error](BrokerError::is_deadlock) instead of waiting.
    pub fn blocking_lock(&self) -> Locked<T> {
        let memory = self.blocking_memory()?;
        granted(memory, self.lock.blocking_lock())
    }

    /// Does the same as [`lock_timeout`](SharedArray::lock_timeout), and blocks this thread
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`lock_timeout`](SharedArray::lock_timeout) or
    /// [`blocking_lock`](SharedArray::blocking_lock) would.
    pub fn blocking_lock_timeout(&self, limit: Duration) -> Locked<T> {
        let memory = self.blocking_memory()?;
        granted(memory, self.lock.blocking_lock_timeout(limit))
    }

    /// Does the same as [`try_lock`](SharedArray::try_lock), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`lock`](SharedArray::lock) would.
    pub fn blocking_try_lock(
        &self,
    ) -> Result<Option<SharedArrayGuard<T>>, LockError<SharedArrayGuard<T>>> {
        let memory = self.blocking_memory()?;
        granted_or_none(memory, self.lock.blocking_try_lock())
    }

    /// Returns the memory, and asks for it if this process does not have it yet.
    async fn memory(&self) -> Result<Arc<Turns<T>>, BrokerError> {
        match self.known()? {
            Some(memory) => Ok(memory),
            None => self.received(Protected::of(&self.lock).await?),
        }
    }

    fn blocking_memory(&self) -> Result<Arc<Turns<T>>, BrokerError> {
        match self.known()? {
            Some(memory) => Ok(memory),
            None => self.received(Protected::blocking_of(&self.lock)?),
        }
    }

    fn known(&self) -> Result<Option<Arc<Turns<T>>>, BrokerError> {
        match self.memory.get() {
            Some(memory) if memory.is_copied() => Err(BrokerError::invalid(
                "this process is a copy, made by `fork`, and the array belongs to its original; \
                 send the array to a worker of a pool instead",
            )),
            memory => Ok(memory.cloned()),
        }
    }

    fn received(&self, protected: Protected) -> Result<Arc<Turns<T>>, BrokerError> {
        let memory = Turns::open(protected, self.length as u64)
            .map_err(|error| BrokerError::failed("the array cannot be used", &error))?;
        // Another task may have been faster. All mappings have the same lock.
        Ok(Arc::clone(self.memory.get_or_init(|| Arc::new(memory))))
    }
}

impl<T> SharedArray<T> {
    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Returns whether there are no values, which is never so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Returns the lock of the array, for [`holder`](Mutex::holder) and [`close`](Mutex::close).
    ///
    /// A guard of the lock itself keeps other processes from the values, but gives no access to
    /// them.
    #[must_use]
    pub fn mutex(&self) -> &Mutex {
        &self.lock
    }

    /// Makes the array no longer poisoned, even if another process holds it. Call this when the
    /// values are repaired.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped, the array may be poisoned or not.
    ///
    /// # Errors
    ///
    /// Returns an error if the array is closed, or its process cannot be reached.
    pub async fn clear_poison(&self) -> Result<(), BrokerError> {
        self.lock.clear_poison().await
    }

    /// Does the same as [`clear_poison`](SharedArray::clear_poison), and blocks this thread
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`clear_poison`](SharedArray::clear_poison) would.
    pub fn blocking_clear_poison(&self) -> Result<(), BrokerError> {
        self.lock.blocking_clear_poison()
    }
}

/// Turns the guard of the lock into one of the values.
fn granted<T: Pod>(memory: Arc<Turns<T>>, locked: Result<MutexGuard, LockError>) -> Locked<T> {
    match locked {
        Ok(guard) => Ok(SharedArrayGuard(memory.turn(guard))),
        Err(LockError::Poisoned(poisoned)) => {
            let turn = memory.turn(poisoned.into_inner());
            Err(LockError::Poisoned(Poisoned::new(SharedArrayGuard(turn))))
        }
        Err(LockError::Failed(error)) => Err(error.into()),
    }
}

fn granted_or_none<T: Pod>(
    memory: Arc<Turns<T>>,
    locked: Result<Option<MutexGuard>, LockError>,
) -> Result<Option<SharedArrayGuard<T>>, LockError<SharedArrayGuard<T>>> {
    match locked.transpose() {
        Some(locked) => granted(memory, locked).map(Some),
        None => Ok(None),
    }
}

impl<T> Clone for SharedArray<T> {
    fn clone(&self) -> Self {
        Self {
            lock: self.lock.clone(),
            length: self.length,
            memory: Arc::clone(&self.memory),
        }
    }
}

impl<T> fmt::Debug for SharedArray<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedArray")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// Returns the signature of a handle. With it, a process recognizes a handle that one of its
/// family has encoded, and so trusts what the broker at its address does.
fn signature(lock: &Mutex, length: u64) -> u64 {
    let handle = lock.handle();
    family::sign(&[
        b"handle of an array",
        handle.address().as_bytes(),
        &handle.number().to_le_bytes(),
        &length.to_le_bytes(),
    ])
}

impl<T: Pod> Serialize for SharedArray<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let length = self.length as u64;
        (&self.lock, length, signature(&self.lock, length)).serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for SharedArray<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (lock, length, signed) = <(Mutex, u64, u64)>::deserialize(deserializer)?;
        if !family::is_same(signed, signature(&lock, length)) {
            return Err(refused(
                &"the array belongs to the processes of another pool or program",
            ));
        }
        let length = usize::try_from(length).map_err(|error| refused(&error))?;
        Ok(Self {
            lock: lock.of_memory(),
            length,
            memory: Arc::default(),
        })
    }
}

/// Holds a [`SharedArray`] until it is dropped.
///
/// It is the slice of the values. Dropping it sends a message to the process of the array, and does
/// not wait. A guard that is leaked holds the array until this process ends.
///
/// A copy of this process that `fork` makes does not hold the array. Using the values there panics.
/// Each use of the guard checks this, which takes a nanosecond or two: a long loop had better borrow
/// the slice once.
#[must_use = "the array is released when the guard is dropped"]
pub struct SharedArrayGuard<T>(Turn<T>);

impl<T: Pod> SharedArrayGuard<T> {
    /// Returns a number that is larger than the numbers of all earlier guards of this array.
    #[must_use]
    pub fn fencing(&self) -> u64 {
        self.0.guard().fencing()
    }

    /// Returns whether the connection to the process of the array still stands.
    ///
    /// If not, that process has ended, or it has ended the connection. The values can still be
    /// used. If the process has ended, no other process can lock the array any more.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.0.guard().is_valid()
    }
}

impl<T: Pod> Deref for SharedArrayGuard<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.0.as_slice()
    }
}

impl<T: Pod> DerefMut for SharedArrayGuard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        self.0.as_mut_slice()
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for SharedArrayGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedArrayGuard").field(&&**self).finish()
    }
}
