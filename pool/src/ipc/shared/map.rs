//! Memory that processes share: mappings of files in memory that have no name. This file
//! contains all unsafe code of the crate; what it offers is safe to use in any way.
//!
//! # Invariants
//!
//! 1. A [`Region`] owns a mapping that begins at `start`, the start of a page, and contains the
//!    next `bytes` bytes. They are at least one, because the kernel refuses an empty mapping, and at
//!    most `isize::MAX`, because `check::bytes_of` refuses more. In the process that has made the
//!    region, nothing but its drop unmaps it. A reference into it borrows the value that owns the
//!    region, so that there is none at the drop.
//! 2. The file has at least `bytes` bytes for as long as the mapping exists, so no access is behind
//!    its end. A file that was received is checked: first that its size can never change, then its
//!    size. A file that was created here has the size with which it was created, and this is sealed
//!    before others get its descriptor. Where a page of the file has no memory, an access allocates
//!    it; if the system has none left, the kernel ends the process by `SIGBUS`, so that the access
//!    is not made. This cannot happen to a [`Sealed`], whose file is checked for it, unless a large
//!    page across the end of the file hides a hole, nor to memory that was created here, unless
//!    another process makes holes in it.
//! 3. An element has at least one byte, and its alignment is at most 4096. No system has smaller
//!    pages, so the start of a mapping is aligned for it. The compiler checks both. The `length` of
//!    each type below is the number of its elements: at least one, and together they have exactly
//!    the `bytes` of its region.
//! 4. The contents of a [`Sealed`] mapping never change. The kernel has confirmed it: it refuses
//!    the seal as long as there is a writable mapping, and afterwards refuses writes, writable
//!    mappings and holes, for every process. `T: AnyBitPattern` is valid whatever the contents
//!    are, and has no interior mutability.
//! 5. Until a [`Draft`] is finished, it owns the only descriptor and the only mapping of its file.
//!    On Linux since 5.1 its seals keep other processes of the user, which could open the file by
//!    `/proc`, from writing; elsewhere this relies on them not to. So a mutable borrow of the draft
//!    is the only access to the contents. They are zero at first and initialized ever after, because
//!    `T: NoUninit` has no other bytes to write.
//! 6. The memory of [`Cells`] is only accessed as atomic numbers, by this process and by others
//!    that are honest. Every value is valid for a type that is [`Atomics`], so a process that is
//!    not honest can write nothing that makes an access undefined.
//! 7. The contents of [`Turns`] are accessed only through a [`Turn`], which exists as long as it
//!    holds the lock of this very memory, and only as the borrow of the `Turn` allows. A file is
//!    the memory of one lock from its creation on, and the broker of the lock gives it only to
//!    processes of the family, which do the same. A process that has only taken the address of the
//!    broker can do neither: the file and the grant are signed, each for one request. The broker
//!    grants the lock to one request at a time, and the lock of a process that has ended only when
//!    the kernel has reported the end, after which the process writes no more. If the broker has
//!    ended, or the lock is closed, it is granted to none. So there is one `Turn` in all processes,
//!    and its bytes are initialized and valid whatever they are, because `T: Pod`. This relies on
//!    the processes of the family: a process that breaks its own memory safety can write to what
//!    another one has borrowed. It relies on the other processes of the user not to open the file,
//!    and not to stand between a process and a living broker, where they could pass signed messages
//!    on and end in its place.
//! 8. A copy of this process, made by `fork`, has the mappings of `Sealed` and `Cells` too, and
//!    breaks none of the above with them. It has no mapping of `Draft` and `Turns` where the
//!    system can leave that out, and never unmaps one then: something else may be at that address.
//!    The region of these two has a [`Home`], by which a copy is recognized: it makes no reference
//!    to the contents, and gets no `Turn`. If it has a mapping of a draft nevertheless, the draft
//!    cannot be sealed. A reference that existed when the copy was made must not be used in it, as
//!    the conditions of `fork` say. Where the system keeps the mappings out of copies, and a copy
//!    could not be recognized with certainty, there are no `Draft` and no `Turns`.
//! 9. [`NUMBER`] is null, or the start of a mapping that contains the number and is never unmapped,
//!    in no process. The number is only accessed as an atomic one. In a copy, the kernel has set it
//!    to zero, which is valid. A mapping that has not become `NUMBER` is known to its region only.
#![expect(
    unsafe_code,
    reason = "memory that processes share is mapped and unmapped by hand"
)]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::ptr::{NonNull, null_mut};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicPtr, AtomicU8, AtomicU16, AtomicU32,
    AtomicU64, Ordering,
};

use bytemuck::{AnyBitPattern, NoUninit, Pod};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

use super::check;
use super::protected::Protected;
use crate::home::Home;
use crate::ipc::mutex::{Mutex, MutexGuard};
use crate::sys;

/// A mapping.
#[derive(Debug)]
struct Region {
    start: NonNull<c_void>,
    bytes: usize,
    /// The only process that may use the mapping, if copies of it may not.
    home: Option<Home>,
}

/// What a mapping is for.
#[derive(Debug, Clone, Copy)]
enum Access {
    /// Private to this process, because then the kernel does not mind that the file is sealed;
    /// since no process writes, the mapping has the memory of the file all the same.
    Read,
    /// Shared.
    Write,
}

impl Region {
    /// Maps the first bytes of a file that is as invariant 2 demands.
    fn map(file: &OwnedFd, bytes: usize, access: Access) -> io::Result<Self> {
        let (protection, flags) = match access {
            Access::Read => (ProtFlags::READ, MapFlags::PRIVATE),
            Access::Write => (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED),
        };
        // SAFETY: this begins invariant 1. The mapping is a new one, at an address of the
        // kernel's choice, so it takes the place of no memory that is in use.
        let start = unsafe { mmap(null_mut(), bytes, protection, flags, file, 0) }?;
        Self::at(start, bytes)
    }

    /// Maps memory of this process, whose bytes are zero.
    fn anonymous(bytes: usize) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: this begins invariant 1. The mapping is a new one, at an address of the
        // kernel's choice, so it takes the place of no memory that is in use.
        let start = unsafe { mmap_anonymous(null_mut(), bytes, protection, MapFlags::PRIVATE) }?;
        Self::at(start, bytes)
    }

    fn at(start: *mut c_void, bytes: usize) -> io::Result<Self> {
        let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            start,
            bytes,
            home: None,
        })
    }

    /// Returns whether this process is a copy of the one that has the mapping.
    #[inline]
    fn is_copied(&self) -> bool {
        self.home.is_some_and(|home| !home.is_here())
    }

    /// Lets only this process use the mapping, and keeps it out of copies where the system can.
    ///
    /// # Errors
    ///
    /// Returns an error if the system keeps mappings out of copies, but a copy cannot be
    /// recognized.
    fn keep_from_copies(&mut self) -> io::Result<()> {
        let Some(advice) = sys::NOT_IN_COPIES else {
            self.home = Some(Home::here()?);
            return Ok(());
        };
        let home = Home::of_mapping().map_err(|error| {
            let what = format!(
                "the system cannot mark a process as the original of its copies, which shared \
                 memory needs: {error}"
            );
            io::Error::new(error.kind(), what)
        })?;
        self.advise(advice)?;
        self.home = Some(home);
        Ok(())
    }

    /// Gives an advice about what copies of this process have.
    fn advise(&self, advice: Advice) -> io::Result<()> {
        // SAFETY: invariant 1: the mapping is this long and belongs to this value. The advice
        // changes no memory of this process; invariants 8 and 9 say what it changes in copies.
        Ok(unsafe { madvise(self.start.as_ptr(), self.bytes, advice) }?)
    }

    /// Returns where the contents begin.
    ///
    /// # Panics
    ///
    /// Panics in a copy of this process, if copies must not use the mapping. Invariant 8.
    #[inline]
    #[track_caller]
    fn start(&self) -> NonNull<c_void> {
        if self.is_copied() {
            used_in_copy();
        }
        self.start
    }
}

#[cold]
#[track_caller]
fn used_in_copy() -> ! {
    panic!("this process is a copy, made by `fork`, and the memory belongs to its original");
}

impl Drop for Region {
    fn drop(&mut self) {
        // Invariant 8.
        if sys::NOT_IN_COPIES.is_some() && self.is_copied() {
            return;
        }
        // SAFETY: invariant 1: the mapping is this long, belongs to this value, and nothing
        // borrows from it any more. Invariant 8: if this is a copy, it has the mapping too.
        let unmapped = unsafe { munmap(self.start.as_ptr(), self.bytes) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

// SAFETY: invariant 1: a mapping belongs to the process and not to a thread, so the drop may be on
// any thread. What may be done with the contents is up to the types below, which contain the type
// of an element.
unsafe impl Send for Region {}

// SAFETY: invariant 1: a shared reference to a region unmaps nothing, and gives no access to the
// contents.
unsafe impl Sync for Region {}

/// Returns the size of an element of shared memory. A type that breaks invariant 3 does not
/// compile.
pub(super) const fn size_of_element<T>() -> usize {
    const {
        assert!(
            size_of::<T>() > 0 && align_of::<T>() <= 4096,
            "an element of shared memory has at least one byte, and an alignment of at most 4096"
        );
    }
    size_of::<T>()
}

/// The number that is zero in copies, once there is one.
static NUMBER: AtomicPtr<AtomicU64> = AtomicPtr::new(null_mut());

/// Returns a number that is zero at first, and that is zero again in a copy of this process, whatever
/// this process has stored in it. All calls return the same one.
///
/// No thread waits for another one here: a copy that is made meanwhile has no other threads.
///
/// # Errors
///
/// Returns an error if the system has no such numbers, or no memory now.
pub(crate) fn missing_in_copies() -> io::Result<&'static AtomicU64> {
    let mut number = NUMBER.load(Ordering::Acquire);
    if number.is_null() {
        let advice = sys::WIPED_IN_COPIES.ok_or(io::ErrorKind::Unsupported)?;
        let region = Region::anonymous(size_of::<AtomicU64>())?;
        region.advise(advice)?;
        let new: *mut AtomicU64 = region.start.as_ptr().cast();
        let order = (Ordering::AcqRel, Ordering::Acquire);
        match NUMBER.compare_exchange(null_mut(), new, order.0, order.1) {
            Ok(_) => {
                number = new;
                mem::forget(region);
            }
            // Another thread was faster. This mapping is unmapped.
            Err(other) => number = other,
        }
    }
    // SAFETY: invariants 1 and 9: the mapping is large enough, aligned, writable, initialized and
    // never unmapped.
    Ok(unsafe { &*number })
}

/// A slice that never changes, in this process and in others.
#[derive(Debug)]
pub(super) struct Sealed<T> {
    region: Region,
    length: usize,
    elements: PhantomData<[T]>,
}

impl<T: AnyBitPattern> Sealed<T> {
    /// Maps a file of any origin that is to contain `length` elements.
    ///
    /// # Errors
    ///
    /// Returns an error if the contents of the file can change or have another length, or if
    /// there is too little address space.
    pub(super) fn open(file: &OwnedFd, length: u64) -> io::Result<Self> {
        let found = sys::inspect(file)?;
        let length = check::contents(&found, length, size_of_element::<T>())?;
        let bytes = check::bytes_of(length, size_of::<T>())?;
        Ok(Self {
            region: Region::map(file, bytes, Access::Read)?,
            length,
            elements: PhantomData,
        })
    }

    pub(super) fn as_slice(&self) -> &[T] {
        let start = self.region.start.as_ptr().cast();
        // SAFETY: invariants 1 to 3: this many elements are mapped while `self` is borrowed, within
        // the file, and aligned. Invariant 4: they are valid and do not change. Invariant 8: this
        // is so in a copy too.
        unsafe { slice::from_raw_parts(start, self.length) }
    }
}

/// A slice that only this process has, and that is written before it is sealed.
#[derive(Debug)]
pub(super) struct Draft<T> {
    region: Region,
    file: OwnedFd,
    length: usize,
    elements: PhantomData<[T]>,
}

impl<T: AnyBitPattern + NoUninit> Draft<T> {
    /// Creates a slice of `length` elements, at least one, whose bytes are zero.
    ///
    /// # Errors
    ///
    /// Returns an error if there is too little memory, or there are too many descriptors.
    pub(super) fn create(length: usize) -> io::Result<Self> {
        let bytes = check::bytes_of(length, size_of_element::<T>())?;
        Self::map(sys::blank_memory(bytes as u64)?, length, bytes)
    }

    fn map(file: OwnedFd, length: usize, bytes: usize) -> io::Result<Self> {
        let mut region = Region::map(&file, bytes, Access::Write)?;
        region.keep_from_copies()?;
        sys::exclude_writers(&file)?;
        Ok(Self {
            region,
            file,
            length,
            elements: PhantomData,
        })
    }

    /// Returns the number of elements, without a reference to them.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    pub(super) fn as_slice(&self) -> &[T] {
        let start = self.region.start().as_ptr().cast();
        // SAFETY: invariants 1 to 3: this many elements are mapped while `self` is borrowed, within
        // the file, and aligned. Invariant 5: they are initialized, so that `AnyBitPattern` makes
        // them valid, and nothing changes them during the borrow. Invariant 8: this is no copy.
        unsafe { slice::from_raw_parts(start, self.length) }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        let start = self.region.start().as_ptr().cast();
        // SAFETY: invariants 1 to 3, 5 and 8, as in `as_slice`. Invariant 5: `self` is the only
        // access to the memory, and is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(start, self.length) }
    }

    /// Unmaps the slice, seals its contents and returns the file.
    ///
    /// # Errors
    ///
    /// Returns an error, `EBUSY`, if the file is mapped for writing elsewhere, as in a copy of
    /// this process.
    pub(super) fn finish(self) -> io::Result<OwnedFd> {
        let Self { region, file, .. } = self;
        drop(region);
        sys::fix_contents(&file)?;
        Ok(file)
    }
}

/// Types that consist of atomic numbers.
///
/// # Safety
///
/// The type is made of atomic numbers of std, which are valid whatever their bits are, and has
/// no other bytes. The trait cannot be implemented elsewhere, because its module is private and
/// the crate denies unsafe code.
pub unsafe trait Atomics: Send + Sync + 'static {}

// SAFETY: this is an atomic number of std.
unsafe impl Atomics for AtomicU8 {}
// SAFETY: this is an atomic number of std.
unsafe impl Atomics for AtomicU16 {}
// SAFETY: this is an atomic number of std.
unsafe impl Atomics for AtomicU32 {}
// SAFETY: this is an atomic number of std.
unsafe impl Atomics for AtomicU64 {}
// SAFETY: this is an atomic number of std.
unsafe impl Atomics for AtomicI8 {}
// SAFETY: this is an atomic number of std.
unsafe impl Atomics for AtomicI16 {}
// SAFETY: this is an atomic number of std.
unsafe impl Atomics for AtomicI32 {}
// SAFETY: this is an atomic number of std.
unsafe impl Atomics for AtomicI64 {}
// SAFETY: an array consists of its elements.
unsafe impl<A: Atomics, const N: usize> Atomics for [A; N] {}

/// Atomic numbers that several processes read and write.
#[derive(Debug)]
pub(crate) struct Cells<A> {
    region: Region,
    length: usize,
    cells: PhantomData<[A]>,
}

impl<A: Atomics> Cells<A> {
    /// Creates `length` elements, at least one, that are zero. The file is for other processes.
    ///
    /// # Errors
    ///
    /// Returns an error if there is too little memory, or there are too many descriptors.
    pub(crate) fn create(length: usize) -> io::Result<(Self, OwnedFd)> {
        let bytes = check::bytes_of(length, size_of_element::<A>())?;
        let file = sys::blank_memory(bytes as u64)?;
        sys::fix_size(&file)?;
        Ok((Self::map(&file, length, bytes)?, file))
    }

    /// Maps a file of any origin that is to have `length` elements.
    ///
    /// # Errors
    ///
    /// Returns an error if the file can shrink or has another size, or if there is too
    /// little address space.
    pub(crate) fn open(file: &OwnedFd, length: u64) -> io::Result<Self> {
        let found = sys::inspect(file)?;
        let length = check::size(&found, length, size_of_element::<A>())?;
        let bytes = check::bytes_of(length, size_of::<A>())?;
        Self::map(file, length, bytes)
    }

    fn map(file: &OwnedFd, length: usize, bytes: usize) -> io::Result<Self> {
        Ok(Self {
            region: Region::map(file, bytes, Access::Write)?,
            length,
            cells: PhantomData,
        })
    }

    /// Returns the first element. There is one, because a mapping is not empty.
    #[inline]
    pub(crate) fn first(&self) -> &A {
        let start = self.region.start.cast();
        // SAFETY: invariants 1 to 3, 6 and 8, as in `as_slice`. Invariant 3: there is at least one
        // element.
        unsafe { start.as_ref() }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[A] {
        let start = self.region.start.as_ptr().cast();
        // SAFETY: invariants 1 to 3: this many elements are mapped while `self` is borrowed, within
        // the file, and aligned. Invariant 6: they are valid, and shared references to atomic
        // numbers allow that others write to them. Invariant 8: this is so in a copy too.
        unsafe { slice::from_raw_parts(start, self.length) }
    }
}

/// A slice that processes of one family change in turn.
#[derive(Debug)]
pub(super) struct Turns<T> {
    region: Region,
    length: usize,
    lock: Mutex,
    elements: PhantomData<[T]>,
}

impl<T: Pod> Turns<T> {
    /// Creates a slice of `length` elements, at least one, that begins with these values and is
    /// zero behind them; and its lock, on the current loop.
    ///
    /// # Errors
    ///
    /// Returns an error if there is too little memory, or there are too many descriptors, or there
    /// is no current runtime.
    pub(super) fn create(length: usize, values: &[T]) -> io::Result<Self> {
        let bytes = check::bytes_of(length, size_of_element::<T>())?;
        let file = File::from(sys::blank_memory(bytes as u64)?);
        let values: &[u8] = bytemuck::cast_slice(values);
        file.write_all_at(&values[..bytes.min(values.len())], 0)?;
        let file = OwnedFd::from(file);
        sys::fix_size(&file)?;
        let mut region = Region::map(&file, bytes, Access::Write)?;
        region.keep_from_copies()?;
        let lock = Mutex::with_memory(file)?;
        Ok(Self {
            region,
            length,
            lock,
            elements: PhantomData,
        })
    }

    /// Maps the memory of a lock, which is to have `length` elements.
    ///
    /// # Errors
    ///
    /// Returns an error if the file can shrink or has another size, or if there is too
    /// little address space.
    pub(super) fn open(memory: Protected, length: u64) -> io::Result<Self> {
        let (lock, file) = memory.into_parts();
        let found = sys::inspect(&file)?;
        let length = check::size(&found, length, size_of_element::<T>())?;
        let bytes = check::bytes_of(length, size_of::<T>())?;
        let mut region = Region::map(&file, bytes, Access::Write)?;
        region.keep_from_copies()?;
        Ok(Self {
            region,
            length,
            lock,
            elements: PhantomData,
        })
    }

    pub(super) fn lock(&self) -> &Mutex {
        &self.lock
    }

    /// Returns whether this process is a copy of the one that has the memory.
    pub(super) fn is_copied(&self) -> bool {
        self.region.is_copied()
    }

    /// Returns access to the contents, for as long as the lock is held.
    ///
    /// # Panics
    ///
    /// Panics if the guard is of another lock, if it was not proved that a process of the family
    /// has granted it, or if this process is a copy.
    pub(super) fn turn(self: Arc<Self>, guard: MutexGuard) -> Turn<T> {
        assert!(guard.is_of(&self.lock), "the guard is of another lock");
        assert!(guard.is_proved(), "the grant of the lock is not proved");
        assert!(!self.is_copied(), "a copy of a process has no turn");
        Turn {
            memory: self,
            guard,
        }
    }
}

/// The access to the contents of [`Turns`].
///
/// When it is dropped, its guard releases the lock; no borrow of the contents is left then.
#[derive(Debug)]
pub(super) struct Turn<T> {
    memory: Arc<Turns<T>>,
    guard: MutexGuard,
}

impl<T: Pod> Turn<T> {
    pub(super) fn guard(&self) -> &MutexGuard {
        &self.guard
    }

    pub(super) fn as_slice(&self) -> &[T] {
        let start = self.memory.region.start().as_ptr().cast();
        // SAFETY: invariants 1 to 3: this many elements are mapped while `self` is borrowed, which
        // owns the memory with others, within the file, and aligned. Invariant 7: they are valid,
        // and this turn is the only one, so nothing changes them during the borrow. Invariant 8:
        // this is no copy.
        unsafe { slice::from_raw_parts(start, self.memory.length) }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        let start = self.memory.region.start().as_ptr().cast();
        // SAFETY: invariants 1 to 3, 7 and 8, as in `as_slice`. Invariant 7: this turn is the only
        // access to the memory, and is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(start, self.memory.length) }
    }
}

/// A mapping that a test keeps, as code that leaks one would.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct Kept(#[expect(dead_code, reason = "it is only kept")] Region);

#[cfg(test)]
impl Kept {
    pub(super) fn readable(file: &OwnedFd, bytes: usize) -> io::Result<Self> {
        Region::map(file, bytes, Access::Read).map(Self)
    }

    pub(super) fn writable(file: &OwnedFd, bytes: usize) -> io::Result<Self> {
        Region::map(file, bytes, Access::Write).map(Self)
    }
}

#[cfg(test)]
impl<T: AnyBitPattern + NoUninit> Draft<T> {
    /// Makes a draft of a file to which only the caller has access otherwise, and never writes.
    pub(super) fn of(file: OwnedFd, length: usize) -> io::Result<Self> {
        Self::map(file, length, size_of::<T>() * length)
    }
}

#[cfg(test)]
impl<T> Draft<T> {
    /// Returns the descriptor, which breaks invariant 5 only if the caller writes.
    pub(super) fn file(&self) -> &OwnedFd {
        &self.file
    }
}
