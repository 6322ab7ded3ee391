//! [`Shared`] and [`SharedAtomics`], atomic numbers that several processes read and write.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};

use super::map::{Atomics, Cells};
use super::wire::{Attached, refused};

/// The atomic numbers that can be in shared memory: the atomic types of std with 8 to 64 bits.
///
/// `AtomicBool` is not one of them, because another process could write a byte that is no
/// `bool`. `AtomicUsize` is not, because its size is not the same in every process.
///
/// No other types can implement the trait.
pub trait Atomic: Atomics + fmt::Debug {
    /// Sets the number, before other processes have it.
    #[doc(hidden)]
    fn set(&self, value: Self);
}

macro_rules! atomic {
    ($($type:ty)*) => {$(
        impl Atomic for $type {
            fn set(&self, value: Self) {
                self.store(value.into_inner(), Ordering::Relaxed);
            }
        }
    )*};
}

atomic!(AtomicU8 AtomicU16 AtomicU32 AtomicU64 AtomicI8 AtomicI16 AtomicI32 AtomicI64);

/// Atomic numbers that several processes read and write: counters, flags, progress.
///
/// The numbers are sent as an argument or a result of a job, or in a message of
/// [`ipc`](crate::ipc). With any other serializer it is an error to encode them. Cloning is
/// cheap: the clones share the mapping. The memory is freed when the last process has dropped
/// it; numbers outlive the process that has created them.
///
/// The methods and orderings of atomic numbers work between processes as they do between
/// threads. No process waits for another, and one that is killed leaves no number half written.
///
/// **The values are untrusted input.** Every process that has the numbers can write any value at
/// any time. The size of the memory is sealed, so that no process can take it away, and a
/// receiver checks the seal; but an index, a length or a state that is read from it has to be
/// loaded once, and then checked.
///
/// Processes on the same cache line slow each other down: keep numbers that different processes
/// change often 64 bytes apart, eight of `AtomicU64`.
///
/// # Platforms
///
/// macOS cannot seal memory. There, the processes that have the numbers are trusted not to shrink
/// their memory, which would end the others by a signal.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// use coreloop::ipc::SharedAtomics;
///
/// // One counter for each worker.
/// let done = SharedAtomics::<AtomicU32>::with_len(4)?;
/// done[2].fetch_add(1, Ordering::Relaxed);
/// let total: u32 = done.iter().map(|count| count.load(Ordering::Relaxed)).sum();
/// assert_eq!(total, 1);
/// # std::io::Result::Ok(())
/// ```
pub struct SharedAtomics<A> {
    /// `None` if there are no numbers.
    memory: Option<Arc<Memory<A>>>,
}

struct Memory<A> {
    cells: Cells<A>,
    file: OwnedFd,
}

impl<A: Atomic> Memory<A> {
    /// Creates `length` numbers that are zero, at least one.
    fn create(length: usize) -> io::Result<Self> {
        let (cells, file) = Cells::create(length)?;
        Ok(Self { cells, file })
    }

    fn received(attached: Attached) -> io::Result<Self> {
        let (file, length) = attached.take().map_err(io::Error::other)?;
        let cells = Cells::open(&file, length)?;
        Ok(Self { cells, file })
    }

    fn attached(&self) -> Result<Attached, String> {
        Attached::new(&self.file, self.cells.as_slice().len() as u64)
    }
}

impl<A: Atomic> SharedAtomics<A> {
    /// Creates `length` numbers that are zero.
    ///
    /// # Errors
    ///
    /// Returns an error if there is too little memory, or there are too many descriptors.
    pub fn with_len(length: usize) -> io::Result<Self> {
        if length == 0 {
            return Ok(Self { memory: None });
        }
        Ok(Self {
            memory: Some(Arc::new(Memory::create(length)?)),
        })
    }

    /// Creates numbers with these values.
    ///
    /// # Errors
    ///
    /// Returns an error if there is too little memory, or there are too many descriptors.
    pub fn from_values(values: impl IntoIterator<Item = A>) -> io::Result<Self> {
        let values: Vec<A> = values.into_iter().collect();
        let numbers = Self::with_len(values.len())?;
        for (number, value) in numbers.iter().zip(values) {
            number.set(value);
        }
        Ok(numbers)
    }
}

impl<A: Atomic> Deref for SharedAtomics<A> {
    type Target = [A];

    #[inline]
    fn deref(&self) -> &[A] {
        self.memory
            .as_ref()
            .map_or(&[], |memory| memory.cells.as_slice())
    }
}

impl<A: Atomic> AsRef<[A]> for SharedAtomics<A> {
    fn as_ref(&self) -> &[A] {
        self
    }
}

impl<'a, A: Atomic> IntoIterator for &'a SharedAtomics<A> {
    type Item = &'a A;
    type IntoIter = slice::Iter<'a, A>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<A> Clone for SharedAtomics<A> {
    fn clone(&self) -> Self {
        Self {
            memory: self.memory.clone(),
        }
    }
}

impl<A: Atomic> fmt::Debug for SharedAtomics<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedAtomics").field(&&**self).finish()
    }
}

impl<A: Atomic> Serialize for SharedAtomics<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let attached = self
            .memory
            .as_ref()
            .map(|memory| memory.attached())
            .transpose()
            .map_err(ser::Error::custom)?;
        attached.serialize(serializer)
    }
}

impl<'de, A: Atomic> Deserialize<'de> for SharedAtomics<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(attached) = Option::<Attached>::deserialize(deserializer)? else {
            return Ok(Self { memory: None });
        };
        let memory = Memory::received(attached).map_err(|error| refused(&error))?;
        Ok(Self {
            memory: Some(Arc::new(memory)),
        })
    }
}

/// An atomic number that several processes read and write.
///
/// It is one number of [`SharedAtomics`], whose documentation says how it is sent and what
/// other processes can do. Each `Shared` takes a page of memory, usually 4096 bytes, and a
/// descriptor: for many numbers use one `SharedAtomics`.
///
/// # Examples
///
/// ```no_run
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use coreloop::ipc::Shared;
/// use coreloop::pool::Pool;
///
/// #[coreloop::job]
/// fn visit(visited: Shared<AtomicU64>, pages: Vec<String>) {
///     for page in pages {
///         // …
///         # drop(page);
///         visited.fetch_add(1, Ordering::Relaxed);
///     }
/// }
///
/// # async fn example(pages: Vec<String>) -> std::io::Result<()> {
/// let visited = Shared::new(AtomicU64::new(0))?;
/// let pool = Pool::builder().workers(4).build()?;
/// let job = pool.submit(visit, (visited.clone(), pages)).await;
/// println!("{} pages so far", visited.load(Ordering::Relaxed));
/// # drop(job);
/// # Ok(())
/// # }
/// ```
pub struct Shared<A> {
    /// Has one number.
    memory: Arc<Memory<A>>,
}

impl<A: Atomic> Shared<A> {
    /// Creates a number with this value.
    ///
    /// # Errors
    ///
    /// Returns an error if there is too little memory, or there are too many descriptors.
    pub fn new(value: A) -> io::Result<Self> {
        let memory = Memory::<A>::create(1)?;
        memory.cells.first().set(value);
        Ok(Self {
            memory: Arc::new(memory),
        })
    }
}

impl<A: Atomic> Deref for Shared<A> {
    type Target = A;

    #[inline]
    fn deref(&self) -> &A {
        self.memory.cells.first()
    }
}

impl<A> Clone for Shared<A> {
    fn clone(&self) -> Self {
        Self {
            memory: Arc::clone(&self.memory),
        }
    }
}

impl<A: Atomic> fmt::Debug for Shared<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&**self).finish()
    }
}

impl<A: Atomic> Serialize for Shared<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let attached = self.memory.attached().map_err(ser::Error::custom)?;
        attached.serialize(serializer)
    }
}

impl<'de, A: Atomic> Deserialize<'de> for Shared<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let attached = Attached::deserialize(deserializer)?;
        let memory = Memory::<A>::received(attached).map_err(|error| refused(&error))?;
        match memory.cells.as_slice().len() {
            1 => Ok(Self {
                memory: Arc::new(memory),
            }),
            count => Err(refused(&format!(
                "{count} atomic numbers were sent in place of one"
            ))),
        }
    }
}

#[cfg(test)]
impl<A> SharedAtomics<A> {
    /// Returns the file of numbers of which there is at least one.
    pub(super) fn file(&self) -> &OwnedFd {
        match &self.memory {
            Some(memory) => &memory.file,
            None => panic!("the numbers have no file"),
        }
    }
}

#[cfg(test)]
impl<A> Shared<A> {
    pub(super) fn file(&self) -> &OwnedFd {
        &self.memory.file
    }
}
