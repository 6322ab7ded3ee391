//! [`Buffer`]: a collection that keeps little memory when it is empty.
//!
//! It keeps enough that a small burst of items does not allocate, and little enough that a
//! program can have a hundred thousand idle channels, each of which had a large burst once.

use std::collections::{BinaryHeap, VecDeque};

/// The maximum number of bytes that an empty buffer keeps.
const KEPT_BYTES: usize = 4096;

/// The maximum number of items of this size for which an empty buffer keeps memory.
pub(crate) const fn kept_items(bytes: usize) -> usize {
    match KEPT_BYTES.checked_div(bytes) {
        Some(items) => items,
        None => usize::MAX,
    }
}

/// A collection that does not free its memory by itself when items are taken out.
pub(crate) trait Buffer {
    type Item;

    fn is_empty(&self) -> bool;
    fn capacity(&self) -> usize;
    fn shrink_to(&mut self, items: usize);

    /// Frees the memory that an empty buffer does not keep, if the buffer is empty. It is
    /// called wherever items are taken out.
    #[inline]
    fn trim(&mut self) {
        let kept = const { kept_items(size_of::<Self::Item>()) };
        if self.is_empty() && self.capacity() > kept {
            give_back(self, kept);
        }
    }
}

#[cold]
fn give_back(buffer: &mut (impl Buffer + ?Sized), kept: usize) {
    buffer.shrink_to(kept);
}

/// Each method calls the method of the collection with the same name.
macro_rules! buffers {
    ($($collection:ident),*) => {
        $(
            impl<T> Buffer for $collection<T> {
                type Item = T;

                #[inline]
                fn is_empty(&self) -> bool {
                    self.is_empty()
                }

                #[inline]
                fn capacity(&self) -> usize {
                    self.capacity()
                }

                fn shrink_to(&mut self, items: usize) {
                    self.shrink_to(items);
                }
            }
        )*
    };
}

buffers!(VecDeque, Vec, BinaryHeap);
