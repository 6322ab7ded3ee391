//! A generator allocates once, and not for each item. A counting allocator checks it.

use std::pin::pin;
use std::time::Duration;

use coreloop::stream::{generator, stream};
use coreloop::time::sleep;
use coreloop_test_support::allocator::allocations;

#[coreloop::test]
#[cfg_attr(miri, ignore = "counts the allocations of safe code")]
async fn an_item_allocates_nothing() {
    // The loop's first poll of the kernel allocates, so wait until it has happened.
    sleep(Duration::from_micros(1)).await;
    let before = allocations();
    let mut rows = pin!(stream(async |mut co| {
        for number in 0..1000_u64 {
            co.yield_([number; 8]).await?;
        }
        Ok(())
    }));
    while let Some(row) = rows.next().await {
        assert_eq!(row[0], row[7]);
    }
    assert_eq!(allocations() - before, 1);

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
    assert_eq!(allocations() - before, 2);
}
