//! [`Counting`], an allocator that counts the allocations of each thread.
//!
//! A test binary that counts makes it its global allocator, for all of its tests:
//!
//! ```ignore (a second global allocator would be an error in the documentation)
//! #[global_allocator]
//! static ALLOCATOR: Counting = Counting;
//! ```
#![expect(unsafe_code, reason = "an allocator is an unsafe interface")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with counts for each thread.
pub struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LIVE_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Returns how many allocations this thread has made.
pub fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// Returns how many bytes this thread has allocated and not freed. The count wraps around if
/// the thread frees more than it has allocated.
pub fn live_bytes() -> usize {
    LIVE_BYTES.get()
}

// SAFETY: every call is passed on to the system's allocator, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        LIVE_BYTES.set(LIVE_BYTES.get().wrapping_add(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.set(LIVE_BYTES.get().wrapping_sub(layout.size()));
        // SAFETY: the caller's promise; the pointer came from `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
