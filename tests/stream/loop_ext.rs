//! Adapters of streams that use the loop: time limits, throttles, batches, merges.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use coreloop::for_await;
use coreloop::stream::{IntervalStream, LoopStreamExt, stream};
use coreloop::sync::mpsc;
use coreloop::task::{consume_budget, yield_now};
use coreloop::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use futures_core::{FusedStream, Stream};
use futures_lite::StreamExt;

const SECOND: Duration = Duration::from_secs(1);

/// A stream of items at these seconds from now.
fn at(seconds: &[u64]) -> impl Stream<Item = u64> + '_ {
    let start = Instant::now();
    stream(async move |mut co| {
        for &second in seconds {
            sleep_until(start + SECOND * u32::try_from(second).expect("few")).await;
            co.yield_(second).await?;
        }
        Ok(())
    })
}

/// Collects the items, each with the second at which it came.
async fn timed<T>(items: impl Stream<Item = T>) -> Vec<(u64, T)> {
    let start = Instant::now();
    let mut seen = Vec::new();
    for_await!(item in items {
        seen.push((start.elapsed().as_secs(), item));
    });
    seen
}

#[coreloop::test(start_paused = true)]
async fn a_timeout_comes_once_for_each_item_that_is_late() {
    let items = at(&[1, 5, 6, 20]).timeout(2 * SECOND);
    let seen: Vec<_> = timed(items)
        .await
        .into_iter()
        .map(|(second, item)| (second, item.ok()))
        .collect();
    assert_eq!(
        seen,
        [
            (1, Some(1)),
            (3, None),
            (5, Some(5)),
            (6, Some(6)),
            (8, None),
            (20, Some(20))
        ]
    );
}

#[coreloop::test(start_paused = true)]
async fn a_timeout_counts_from_its_creation_and_may_be_endless() {
    let mut late = pin!(
        stream(async |mut co| {
            sleep(10 * SECOND).await;
            co.yield_(1).await
        })
        .timeout(SECOND)
    );
    sleep(SECOND).await;
    let start = Instant::now();
    assert!(late.next().await.expect("an item").is_err());
    assert_eq!(start.elapsed(), Duration::ZERO);

    let seen = timed(at(&[1, 1000]).timeout(Duration::MAX)).await;
    assert_eq!(seen, [(1, Ok(1)), (1000, Ok(1000))]);
}

#[coreloop::test(start_paused = true)]
#[cfg_attr(miri, ignore = "thousands of units of budget, in safe code")]
async fn a_stream_that_spends_the_budget_times_out() {
    let mut busy = pin!(
        stream(async |mut co| {
            if false {
                co.yield_(()).await?;
            }
            loop {
                consume_budget().await;
            }
        })
        .timeout(SECOND)
    );
    coreloop::spawn(async {
        for _ in 0..100 {
            yield_now().await;
        }
        coreloop::time::advance(2 * SECOND).await;
    });
    assert!(busy.next().await.expect("an item").is_err());
}

/// Creates a channel with `count` items, whose sender has been dropped.
fn sent(count: u32) -> mpsc::UnboundedReceiver<u32> {
    let (sender, receiver) = mpsc::unbounded_channel();
    for number in 0..count {
        sender.send(number).expect("a receiver");
    }
    receiver
}

/// A stream of `first` items, which then spends the budget of each poll without an item.
fn then_busy(first: u32) -> impl Stream<Item = u32> {
    stream(async move |mut co| {
        for number in 0..first {
            co.yield_(number).await?;
        }
        loop {
            consume_budget().await;
        }
    })
}

#[coreloop::test(start_paused = true)]
#[cfg_attr(miri, ignore = "a thousand items, in safe code")]
async fn an_item_that_is_ready_is_never_late() {
    let items = sent(1000).timeout(Duration::ZERO).collect::<Vec<_>>().await;
    assert!(items.into_iter().eq((0..1000).map(Ok)));
    // The items are also ready in polls that have spent the budget on other operations.
    let mut items = sent(1000).timeout(Duration::ZERO);
    for number in 0..1000 {
        assert_eq!(items.next().await, Some(Ok(number)));
        consume_budget().await;
    }
}

#[coreloop::test(start_paused = true)]
#[cfg_attr(miri, ignore = "thousands of items, in safe code")]
async fn chunks_are_full_while_items_are_ready() {
    for size in [1, 50, 100, 128, 200, 1000] {
        let chunks = sent(3000).chunks_timeout(size, Duration::ZERO);
        let sizes: Vec<_> = chunks.map(|chunk| chunk.len()).collect().await;
        let rest = Some(3000 % size).filter(|rest| *rest > 0);
        let full = std::iter::repeat_n(size, 3000 / size);
        assert!(sizes.into_iter().eq(full.chain(rest)), "chunks of {size}");
    }
}

#[coreloop::test(start_paused = true)]
#[cfg_attr(miri, ignore = "thousands of units of budget, in safe code")]
async fn chunks_end_in_time_if_the_stream_spends_the_budget() {
    for count in [1, 100, 200] {
        let mut chunks = pin!(then_busy(count).chunks_timeout(1000, Duration::ZERO));
        let chunk = chunks.next().await.expect("a chunk");
        assert!(chunk.into_iter().eq(0..count));
    }
}

#[coreloop::test(start_paused = true)]
#[cfg_attr(miri, ignore = "thousands of items, in safe code")]
async fn a_debounce_does_not_take_a_refusal_for_silence() {
    let last: Vec<_> = sent(3000).debounce(Duration::ZERO).collect().await;
    assert_eq!(last, [2999]);
    // This also holds when other operations have spent the budget.
    let mut items = sent(1000).debounce(Duration::ZERO);
    for _ in 0..127 {
        consume_budget().await;
    }
    assert_eq!(items.next().await, Some(999));
}

#[coreloop::test(start_paused = true)]
#[cfg_attr(miri, ignore = "thousands of units of budget, in safe code")]
async fn a_debounce_ends_in_time_if_the_stream_spends_the_budget() {
    for count in [1, 100, 200] {
        let mut items = pin!(then_busy(count).debounce(Duration::ZERO));
        assert_eq!(items.next().await, Some(count - 1));
    }
}

#[coreloop::test(start_paused = true)]
async fn a_throttle_leaves_time_between_items_and_drops_none() {
    let seen = timed(at(&[1, 1, 1, 9, 10]).throttle(2 * SECOND)).await;
    assert_eq!(seen, [(1, 1), (3, 1), (5, 1), (9, 9), (11, 10)]);
    let seen = timed(at(&[1, 1]).throttle(Duration::ZERO)).await;
    assert_eq!(seen, [(1, 1), (1, 1)]);
}

#[coreloop::test(start_paused = true)]
async fn chunks_end_with_their_size_their_time_or_the_stream() {
    let seen = timed(at(&[1, 1, 1, 1, 5, 9, 20, 21]).chunks_timeout(3, 5 * SECOND)).await;
    assert_eq!(
        seen,
        [
            (1, vec![1, 1, 1]),
            (6, vec![1, 5]),
            (14, vec![9]),
            (21, vec![20, 21])
        ]
    );
    assert!(timed(at(&[]).chunks_timeout(3, SECOND)).await.is_empty());
}

#[coreloop::test(start_paused = true)]
async fn the_items_of_an_unfinished_chunk_can_be_taken() {
    let mut chunks = Box::pin(futures_lite::stream::iter([1, 2]).chunks_timeout(2, SECOND));
    assert_eq!(chunks.next().await, Some(vec![1, 2]));
    let (sender, receiver) = mpsc::channel(4);
    let mut chunks = receiver.chunks_timeout(4, SECOND);
    sender.send(3).await.expect("room");
    let half = coreloop::time::timeout(SECOND / 2, chunks.next()).await;
    assert!(half.is_err());
    assert_eq!(chunks.into_parts().1, [3]);
}

#[test]
#[should_panic(expected = "room for an item")]
fn chunks_of_size_zero_panic() {
    drop(futures_lite::stream::iter([1]).chunks_timeout(0, SECOND));
}

#[coreloop::test(start_paused = true)]
async fn a_debounce_returns_items_that_are_followed_by_silence() {
    let seen = timed(at(&[1, 2, 3, 7, 8, 12, 13]).debounce(2 * SECOND)).await;
    assert_eq!(seen, [(5, 3), (10, 8), (13, 13)]);
    assert!(timed(at(&[]).debounce(SECOND)).await.is_empty());
}

#[coreloop::test(start_paused = true)]
async fn a_merge_returns_the_items_of_both_streams_as_they_come() {
    let merged = at(&[1, 4, 6]).merge(at(&[2, 4, 9]));
    let seen = timed(merged).await;
    assert_eq!(seen, [(1, 1), (2, 2), (4, 4), (4, 4), (6, 6), (9, 9)]);
}

#[coreloop::test]
#[cfg_attr(miri, ignore = "counts a thousand items, in safe code")]
async fn a_merge_alternates_and_lets_other_tasks_run() {
    let others = Rc::new(Cell::new(0));
    let counted = Rc::clone(&others);
    let other = coreloop::spawn(async move {
        loop {
            counted.set(counted.get() + 1);
            yield_now().await;
        }
    });
    let mut merged = futures_lite::stream::repeat(0).merge(futures_lite::stream::repeat(1));
    let mut counts = [0; 2];
    for _ in 0..1280 {
        counts[merged.next().await.expect("no end")] += 1;
    }
    assert_eq!(counts, [640, 640]);
    assert!(others.get() >= 8, "{}", others.get());
    other.abort();
}

/// If the merge changed sides at each poll, the same side would be first in every poll
/// that finds an item, when every other poll does.
#[test]
fn a_merge_does_not_favour_a_side_over_pending_polls() {
    let round = Cell::new(0);
    let side = |side: usize| {
        futures_lite::stream::poll_fn(|_| match round.get() % 2 {
            0 => Poll::Pending,
            _ => Poll::Ready(Some(())),
        })
        .map(move |()| side)
    };
    let mut merged = pin!(side(0).merge(side(1)));
    let mut context = Context::from_waker(Waker::noop());
    let mut counts = [0; 2];
    for _ in 0..200 {
        round.set(round.get() + 1);
        if let Poll::Ready(Some(side)) = merged.as_mut().poll_next(&mut context) {
            counts[side] += 1;
        }
    }
    assert_eq!(counts, [50, 50]);
}

#[coreloop::test]
async fn a_merge_shares_the_budget_with_a_stream_that_spends_it() {
    let greedy = stream(async |mut co| {
        if false {
            co.yield_("greedy").await?;
        }
        loop {
            consume_budget().await;
        }
    });
    let (sender, receiver) = mpsc::channel(1);
    sender.send("modest").await.expect("room");
    let mut merged = pin!(greedy.merge(receiver));
    assert_eq!(merged.next().await, Some("modest"));
}

#[coreloop::test]
async fn a_merge_ends_with_the_second_of_its_streams() {
    let mut merged = futures_lite::stream::iter([1, 2, 3]).merge(futures_lite::stream::iter([4]));
    assert_eq!(merged.size_hint(), (4, Some(4)));
    let mut seen = Vec::new();
    while let Some(item) = merged.next().await {
        seen.push(item);
    }
    assert_eq!(seen, [1, 4, 2, 3]);
    assert!(merged.is_terminated());
    assert_eq!(merged.size_hint(), (0, Some(0)));
    assert_eq!(merged.next().await, None);
}

#[coreloop::test(start_paused = true)]
async fn an_interval_is_a_stream_of_its_ticks() {
    let start = Instant::now();
    let mut ticks = IntervalStream::from(interval(SECOND));
    ticks
        .as_mut()
        .set_missed_tick_behavior(MissedTickBehavior::Skip);
    for second in 0..3 {
        assert_eq!(ticks.next().await, Some(start + second * SECOND));
    }
    assert_eq!(start.elapsed(), 2 * SECOND);
    assert_eq!(ticks.as_ref().period(), SECOND);
    assert_eq!(ticks.into_inner().tick().await, start + 3 * SECOND);
}
