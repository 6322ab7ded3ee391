//! `select!` and `join!` allocate nothing. An allocator counts.
#![cfg(feature = "macros")]
#![expect(unsafe_code, reason = "an allocator is an unsafe interface")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::{pending, ready};
use std::time::Duration;

use coreloop::task::yield_now;
use coreloop::time::sleep;
use coreloop::{join, pin, select, try_join};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: all is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise; it came from `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[coreloop::test]
async fn waiting_for_several_futures_allocates_nothing() {
    // The loop's first look at the kernel allocates, and comes by the clock.
    sleep(Duration::from_micros(1)).await;
    let before = ALLOCATIONS.get();
    for round in 0..100 {
        select! {
            () = ready(()) => {}
            () = pending() => {}
        }
        select! {
            biased;
            value = yield_now(), if round > 50 => value,
            Some(value) = ready(None) => value,
            else => {}
        }
        join!(yield_now(), ready(1));
        try_join!(ready(Ok::<_, ()>(1)), ready(Ok(2))).expect("no error");
        let yielded = yield_now();
        pin!(yielded);
        yielded.await;
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
    // It does count.
    drop(Box::new(1));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}
