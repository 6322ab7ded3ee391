//! How much memory a buffer keeps when it is empty: enough that small bursts allocate
//! nothing, and little enough that a hundred thousand idle channels may have had a large one.

use std::collections::{BinaryHeap, VecDeque};

/// How many bytes an empty buffer keeps at most.
const KEPT: usize = 4096;

/// How many items of `bytes` each that is room for.
pub(crate) const fn room_for_items_of(bytes: usize) -> usize {
    match KEPT.checked_div(bytes) {
        Some(items) => items,
        None => usize::MAX,
    }
}

/// A buffer that keeps its memory when items are taken out.
pub(crate) trait Buffer {
    type Item;

    fn is_empty(&self) -> bool;
    fn capacity(&self) -> usize;
    fn shrink_to(&mut self, items: usize);

    /// If the buffer is empty, gives back the memory that it does not keep. To be called
    /// wherever items are taken out.
    #[inline]
    fn trim(&mut self) {
        let kept = const { room_for_items_of(size_of::<Self::Item>()) };
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
