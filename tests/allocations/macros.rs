//! `select!` and `join!` do not allocate. A counting allocator checks it.

use std::future::{pending, ready};
use std::time::Duration;

use coreloop::task::yield_now;
use coreloop::time::sleep;
use coreloop::{join, pin, select, try_join};
use coreloop_test_support::allocator::allocations;

#[coreloop::test]
async fn waiting_for_several_futures_allocates_nothing() {
    // The loop's first poll of the kernel allocates, so wait until it has happened.
    sleep(Duration::from_micros(1)).await;
    let before = allocations();
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
    assert_eq!(allocations() - before, 0);
    // The allocator does count.
    drop(Box::new(1));
    assert_eq!(allocations() - before, 1);
}
