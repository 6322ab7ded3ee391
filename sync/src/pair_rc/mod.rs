//! [`PairRc`]: an `Rc` with exactly two owners, in memory that its thread reuses.
//!
//! To allocate memory and free it takes more time than everything else that a channel for
//! one value does: with an `Rc`, making such a channel, sending and receiving takes 245
//! instructions, of which `malloc` and `free` are 140; with a `PairRc` it takes 98.
//!
//! # Invariants
//!
//! 1. `shared` of a [`PairRc`] points to a `Shared` that [`PairRc::new_pair`] wrote: at the
//!    start of a leaked `Box<Block>` if `Shared::FITS_BLOCK`, and otherwise in a leaked box
//!    of its own. The `Shared` is valid until the second owner is dropped, and until then
//!    it is only borrowed shared.
//! 2. `is_last` is false while there are two owners. The owner that is dropped first sets
//!    it and touches nothing else; the owner that is dropped second frees the memory.
//!    Neither leaves its thread.
//! 3. No user code runs while the thread's blocks are borrowed.
#![expect(
    unsafe_code,
    reason = "one allocation with two owners, in memory that is reused; see the invariants"
)]

use std::alloc::Layout;
use std::cell::Cell;
use std::fmt;
use std::mem::{self, MaybeUninit};
use std::ops::Deref;
use std::ptr::{self, NonNull};

use crate::on_drop::OnDrop;

/// The maximum number of unused blocks that a thread keeps.
const MAX_UNUSED: usize = 16;

thread_local! {
    /// Blocks that are not in use, for the next values of this thread.
    static UNUSED: UnusedBlocks = const { UnusedBlocks::new() };
}

/// A stack: the first `count` of `blocks` are there.
struct UnusedBlocks {
    blocks: [Cell<Option<Box<Block>>>; MAX_UNUSED],
    count: Cell<usize>,
}

/// One of the two owners of a value, which is dropped with the second owner.
pub(crate) struct PairRc<T> {
    shared: NonNull<Shared<T>>,
}

struct Shared<T> {
    /// Whether one of the two owners was dropped.
    is_last: Cell<bool>,
    value: T,
}

/// Memory for any `Shared` that fits. 128 bytes are enough for a oneshot channel whose value
/// has at most 56.
#[repr(align(16))]
struct Block {
    #[expect(dead_code, reason = "accessed through pointers of other types")]
    memory: [MaybeUninit<u8>; 128],
}

impl<T> Shared<T> {
    const FITS_BLOCK: bool = {
        let (own, block) = (Layout::new::<Self>(), Layout::new::<Block>());
        own.size() <= block.size() && own.align() <= block.align()
    };
}

impl<T> PairRc<T> {
    /// Makes the two owners of the value that `make` returns.
    ///
    /// The value is constructed in place by a closure, because to move it would take longer
    /// than an allocation: the processor waits before it reads in large pieces what was just
    /// written in small ones.
    #[inline]
    pub(crate) fn new_pair(make: impl FnOnce() -> T) -> (Self, Self) {
        let shared = if Shared::<T>::FITS_BLOCK {
            let block = Block::take_or_new();
            let shared = Shared::new(make());
            let memory = NonNull::from(Box::leak(block)).cast::<Shared<T>>();
            // SAFETY: the block is large and aligned enough, and nothing else uses it.
            unsafe { memory.write(shared) };
            memory
        } else {
            NonNull::from(Box::leak(Box::new(Shared::new(make()))))
        };
        (Self { shared }, Self { shared })
    }

    #[inline]
    fn shared(&self) -> &Shared<T> {
        // SAFETY: invariant 1; this owner was not dropped yet.
        unsafe { self.shared.as_ref() }
    }
}

impl<T> Deref for PairRc<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.shared().value
    }
}

impl<T> Drop for PairRc<T> {
    #[inline]
    fn drop(&mut self) {
        if self.shared().is_last.replace(true) {
            free(self.shared);
        }
    }
}

/// Drops the value and frees its memory. Called by the second owner only.
#[inline(never)]
fn free<T>(shared: NonNull<Shared<T>>) {
    // Runs even if the destructor of the value panics.
    let _free_memory = OnDrop(|| free_memory(shared));
    // SAFETY: invariant 2; there is no other owner, and this one borrows nothing.
    unsafe { ptr::drop_in_place(shared.as_ptr()) };
}

/// Frees the memory of a `Shared` that was dropped.
#[inline]
fn free_memory<T>(shared: NonNull<Shared<T>>) {
    if Shared::<T>::FITS_BLOCK {
        // SAFETY: invariant 1; `new_pair` leaked this block.
        Block::keep_or_free(unsafe { Box::from_raw(shared.cast::<Block>().as_ptr()) });
    } else {
        let memory = shared.cast::<MaybeUninit<Shared<T>>>();
        // SAFETY: invariant 1; `new_pair` leaked this box, whose content was dropped.
        drop(unsafe { Box::from_raw(memory.as_ptr()) });
    }
}

impl<T> Shared<T> {
    fn new(value: T) -> Self {
        Self {
            is_last: Cell::new(false),
            value,
        }
    }
}

impl Block {
    /// Takes an unused block of this thread, or allocates one.
    #[inline]
    fn take_or_new() -> Box<Self> {
        let unused = UNUSED.try_with(UnusedBlocks::pop);
        unused.ok().flatten().unwrap_or_else(Self::allocate)
    }

    #[cold]
    fn allocate() -> Box<Self> {
        Box::new(Self {
            memory: [const { MaybeUninit::uninit() }; 128],
        })
    }

    /// Keeps the block for the next value of this thread. Frees it if there are enough, or if
    /// the thread is ending.
    #[inline]
    fn keep_or_free(block: Box<Self>) {
        let _ = UNUSED.try_with(|unused| unused.push(block));
    }
}

impl UnusedBlocks {
    const fn new() -> Self {
        Self {
            blocks: [const { Cell::new(None) }; MAX_UNUSED],
            count: Cell::new(0),
        }
    }

    #[inline]
    fn pop(&self) -> Option<Box<Block>> {
        let last = self.count.get().checked_sub(1)?;
        self.count.set(last);
        self.blocks.get(last)?.take()
    }

    /// Frees the block if the stack is full.
    #[inline]
    fn push(&self, block: Box<Block>) {
        let count = self.count.get();
        if let Some(place) = self.blocks.get(count) {
            // The place is empty, so there is nothing to drop.
            mem::forget(place.replace(Some(block)));
            self.count.set(count + 1);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for PairRc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests;
