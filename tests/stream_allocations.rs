//! A generator allocates once, and nothing for an item. An allocator counts.
#![cfg(feature = "macros")]
#![expect(unsafe_code, reason = "an allocator is an unsafe interface")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

use coreloop::stream::{generator, stream};
use coreloop::time::sleep;

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
async fn an_item_allocates_nothing() {
    // The loop's first look at the kernel allocates, and comes by the clock.
    sleep(Duration::from_micros(1)).await;
    let before = ALLOCATIONS.get();
    let mut rows = pin!(stream(async |mut co| {
        for number in 0..1000_u64 {
            co.yield_([number; 8]).await?;
        }
        Ok(())
    }));
    while let Some(row) = rows.next().await {
        assert_eq!(row[0], row[7]);
    }
    assert_eq!(ALLOCATIONS.get() - before, 1);

    let mut sums = pin!(generator(async |mut co| {
        let mut sum = 0_u64;
        loop {
            sum += co.yield_(sum).await?;
        }
    }));
    sums.resume().await;
    for number in 0..1000 {
        assert!(sums.send(number).await.is_some());
    }
    sums.close().await;
    assert_eq!(ALLOCATIONS.get() - before, 2);
}
