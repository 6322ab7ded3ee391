//! [`SharedSlice`], which processes read and none can write.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::ops::{Deref, DerefMut};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytemuck::{AnyBitPattern, NoUninit};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::map::{Draft, Sealed, size_of_element};
use super::wire::{Attached, Bytes, refused, zeroed};
use crate::sys;

/// How many bytes of the values of an iterator are collected before they are written.
const CHUNK: usize = 64 << 10;

/// A slice that several processes read without a copy, and that no process can change.
///
/// The values are in memory that the kernel has sealed: from then on it refuses to change the
/// contents or the size, for every process, this one included. A process that receives the slice
/// checks the seals, so it need not trust the sender. The memory exists once, however many
/// processes have the slice, and is freed when the last of them has dropped it.
///
/// A slice is sent as an argument or a result of a job, or in a message of [`ipc`](crate::ipc).
/// Only its length and a descriptor are sent. With any other serializer it is an error to encode
/// a slice. A receiver maps the memory each time that it receives the slice, and so does each
/// job that has it as an argument: if many jobs read it, give it to the
/// [initializer](crate::Builder::initializer) of the workers.
///
/// Cloning is cheap: the clones share the mapping. Each slice, its clones included, has one
/// descriptor in each process. An empty slice has no memory and no descriptor.
///
/// # Which types
///
/// `T` implements [`AnyBitPattern`] and [`NoUninit`] of the crate `bytemuck`: its values have no
/// padding, no pointers, and any bytes are a valid value. Numbers and arrays of numbers are such
/// types. A struct of such types becomes one with `#[repr(C)]` and `#[derive(Clone, Copy,
/// bytemuck::Pod, bytemuck::Zeroable)]`. Neither `bool`, `char`, enums, references nor `String`
/// are: a sender could write invalid values. A position in the slice, which was read from a
/// slice of another process, has to be checked like any other input.
///
/// A type without bytes does not compile:
///
/// ```compile_fail
/// let _ = coreloop::ipc::SharedSlice::from_slice(&[(), ()]);
/// ```
///
/// # Memory
///
/// The memory counts for the process, or the control group, that has written it. No limit for
/// descriptors or processes bounds it, so limit the number of slices that exist at a time.
///
/// # Platforms
///
/// macOS cannot seal memory. There, the values are copied to each receiver, within the message.
///
/// # Examples
///
/// ```
/// use coreloop::ipc::SharedSlice;
///
/// let squares = SharedSlice::from_values((0..1_000_u64).map(|number| number * number))?;
/// assert_eq!(squares.len(), 1_000);
/// assert_eq!(squares[12], 144);
/// assert_eq!(squares.binary_search(&961), Ok(31));
/// # std::io::Result::Ok(())
/// ```
///
/// Sending the slice to a job:
///
/// ```no_run
/// use coreloop::ipc::SharedSlice;
/// use coreloop::pool::Pool;
///
/// #[coreloop::job]
/// fn count(words: SharedSlice<u64>, word: u64) -> usize {
///     words.iter().filter(|other| **other == word).count()
/// }
///
/// # async fn example() -> std::io::Result<()> {
/// let words = SharedSlice::from_slice(&[1, 2, 3, 2])?;
/// let pool = Pool::builder().workers(4).build()?;
/// let twos = pool.run(count, (words.clone(), 2)).await;
/// # drop(twos);
/// # Ok(())
/// # }
/// ```
pub struct SharedSlice<T> {
    contents: Arc<Contents<T>>,
}

enum Contents<T> {
    Mapped {
        slice: Sealed<T>,
        file: OwnedFd,
    },
    /// An empty slice, and on macOS every slice.
    Copied(Box<[T]>),
}

impl<T: AnyBitPattern + NoUninit> SharedSlice<T> {
    /// Creates a slice with a copy of these values.
    ///
    /// # Errors
    ///
    /// Returns an error if there is too little memory, or there are too many descriptors.
    pub fn from_slice(values: &[T]) -> io::Result<Self> {
        let _checked = size_of_element::<T>();
        if !sys::HAS_FIXED_CONTENTS || values.is_empty() {
            return Ok(Self::copied(values.into()));
        }
        let mut file = File::from(sys::blank_memory(0)?);
        file.write_all(bytemuck::cast_slice(values))?;
        Self::seal(file, values.len())
    }

    /// Creates a slice with the values of an iterator.
    ///
    /// The values need not all be in memory twice: they are written as they come.
    ///
    /// # Errors
    ///
    /// Returns an error if there is too little memory, or there are too many descriptors.
    pub fn from_values(values: impl IntoIterator<Item = T>) -> io::Result<Self> {
        let mut values = values.into_iter();
        if !sys::HAS_FIXED_CONTENTS {
            return Ok(Self::copied(values.collect()));
        }
        let most = (CHUNK / size_of_element::<T>()).max(1);
        let mut chunk: Vec<T> = values.by_ref().take(most).collect();
        if chunk.is_empty() {
            return Ok(Self::copied(Box::default()));
        }
        let mut file = File::from(sys::blank_memory(0)?);
        let mut length = 0;
        while !chunk.is_empty() {
            file.write_all(bytemuck::cast_slice(&chunk))?;
            length += chunk.len();
            chunk.clear();
            chunk.extend(values.by_ref().take(most));
        }
        Self::seal(file, length)
    }

    fn seal(file: File, length: usize) -> io::Result<Self> {
        let file = OwnedFd::from(file);
        sys::fix_contents(&file)?;
        Self::open(file, length as u64)
    }

    fn open(file: OwnedFd, length: u64) -> io::Result<Self> {
        let slice = Sealed::open(&file, length)?;
        Ok(Self {
            contents: Arc::new(Contents::Mapped { slice, file }),
        })
    }

    fn copied(values: Box<[T]>) -> Self {
        Self {
            contents: Arc::new(Contents::Copied(values)),
        }
    }
}

impl<T: AnyBitPattern> Deref for SharedSlice<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &*self.contents {
            Contents::Mapped { slice, .. } => slice.as_slice(),
            Contents::Copied(values) => values,
        }
    }
}

impl<T: AnyBitPattern> AsRef<[T]> for SharedSlice<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<'a, T: AnyBitPattern> IntoIterator for &'a SharedSlice<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> Clone for SharedSlice<T> {
    fn clone(&self) -> Self {
        Self {
            contents: Arc::clone(&self.contents),
        }
    }
}

/// Shows the length, because a shared slice usually has many values.
impl<T: AnyBitPattern> fmt::Debug for SharedSlice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSlice")
            .field("length", &self.len())
            .finish_non_exhaustive()
    }
}

/// How a slice is encoded.
#[derive(Serialize, Deserialize)]
#[serde(bound = "T: AnyBitPattern + NoUninit")]
enum Encoded<'a, T> {
    Attached(Attached),
    Copied(Bytes<'a, T>),
}

impl<T: AnyBitPattern + NoUninit> Serialize for SharedSlice<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let encoded = match &*self.contents {
            Contents::Mapped { slice, file } => {
                let length = slice.as_slice().len() as u64;
                Encoded::Attached(Attached::new(file, length).map_err(ser::Error::custom)?)
            }
            Contents::Copied(values) => Encoded::Copied(Bytes::of(values)),
        };
        encoded.serialize(serializer)
    }
}

impl<'de, T: AnyBitPattern + NoUninit> Deserialize<'de> for SharedSlice<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Encoded::deserialize(deserializer)? {
            Encoded::Attached(attached) => {
                let (file, length) = attached.take().map_err(de::Error::custom)?;
                Self::open(file, length).map_err(|error| refused(&error))
            }
            Encoded::Copied(bytes) => Ok(Self::copied(bytes.into_values())),
        }
    }
}

/// A slice that is being written, which becomes a [`SharedSlice`].
///
/// Unlike [`SharedSlice::from_slice`], the builder needs no copy: the values are written in
/// place. A builder that is dropped frees its memory.
///
/// A copy of this process that `fork` makes does not have the memory. Reading or writing it there
/// panics.
///
/// # Examples
///
/// ```
/// use coreloop::ipc::{SharedSlice, SharedSliceBuilder};
///
/// let mut builder = SharedSliceBuilder::with_len(3)?;
/// assert_eq!(*builder, [0_u32, 0, 0]);
/// builder[1] = 7;
/// builder[2..].fill(9);
/// let slice: SharedSlice<u32> = builder.seal()?;
/// assert_eq!(*slice, [0, 7, 9]);
/// # std::io::Result::Ok(())
/// ```
pub struct SharedSliceBuilder<T>(Building<T>);

enum Building<T> {
    Mapped(Draft<T>),
    /// An empty slice, and on macOS every slice.
    Copied(Box<[T]>),
}

impl<T: AnyBitPattern + NoUninit> SharedSliceBuilder<T> {
    /// Creates a builder of `length` values, whose bytes are all zero.
    ///
    /// # Errors
    ///
    /// Returns an error if there is too little memory, or there are too many descriptors.
    pub fn with_len(length: usize) -> io::Result<Self> {
        if sys::HAS_FIXED_CONTENTS && length > 0 {
            return Ok(Self(Building::Mapped(Draft::create(length)?)));
        }
        Ok(Self(Building::Copied(zeroed(length)?)))
    }

    /// Ends the writing, and returns the slice.
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`ResourceBusy`](ErrorKind::ResourceBusy) if the memory
    /// is still mapped in a copy of this process, which was made by `fork` and could write to
    /// it. Returns another error if there is too little address space.
    pub fn seal(self) -> io::Result<SharedSlice<T>> {
        match self.0 {
            Building::Mapped(draft) => {
                let length = draft.length() as u64;
                let file = draft.finish().map_err(explained)?;
                SharedSlice::open(file, length)
            }
            Building::Copied(values) => Ok(SharedSlice::copied(values)),
        }
    }
}

fn explained(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::ResourceBusy {
        let what = "the slice cannot be sealed, because a copy of this process has its memory";
        return io::Error::new(ErrorKind::ResourceBusy, what);
    }
    error
}

impl<T: AnyBitPattern + NoUninit> Deref for SharedSliceBuilder<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &self.0 {
            Building::Mapped(draft) => draft.as_slice(),
            Building::Copied(values) => values,
        }
    }
}

impl<T: AnyBitPattern + NoUninit> DerefMut for SharedSliceBuilder<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.0 {
            Building::Mapped(draft) => draft.as_mut_slice(),
            Building::Copied(values) => values,
        }
    }
}

impl<T: AnyBitPattern + NoUninit> fmt::Debug for SharedSliceBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = match &self.0 {
            Building::Mapped(draft) => draft.length(),
            Building::Copied(values) => values.len(),
        };
        f.debug_struct("SharedSliceBuilder")
            .field("length", &length)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl<T> SharedSlice<T> {
    /// Returns the file of a slice that is not empty.
    pub(super) fn file(&self) -> &OwnedFd {
        match &*self.contents {
            Contents::Mapped { file, .. } => file,
            Contents::Copied(_) => panic!("the slice has no file"),
        }
    }
}

#[cfg(test)]
impl<T: AnyBitPattern + NoUninit> SharedSliceBuilder<T> {
    /// Makes a builder of a file to which only the caller has access otherwise, and never writes.
    pub(super) fn of(file: OwnedFd, length: usize) -> Self {
        Self(Building::Mapped(Draft::of(file, length).unwrap()))
    }
}

#[cfg(test)]
impl<T> SharedSliceBuilder<T> {
    /// Returns the file of a slice that is not empty.
    pub(super) fn file(&self) -> &OwnedFd {
        match &self.0 {
            Building::Mapped(draft) => draft.file(),
            Building::Copied(_) => panic!("the slice has no file"),
        }
    }
}
