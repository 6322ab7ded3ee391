//! Generators in tasks of their own.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use coreloop::for_await;
use coreloop::stream::{stream, try_stream};
use coreloop::task::yield_now;
use coreloop::time::{Instant, sleep};
use coreloop_test_support::deadline::yield_until;
use futures_core::FusedStream;
use futures_lite::FutureExt;

struct OnDrop(Rc<Cell<bool>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[coreloop::test(start_paused = true)]
async fn the_body_works_on_the_next_item_while_this_one_is_consumed() {
    let start = Instant::now();
    let items = stream(async |mut co| {
        for number in 0..4 {
            sleep(Duration::from_secs(1)).await;
            co.yield_(number).await?;
        }
        Ok(())
    });
    let mut seen = Vec::new();
    for_await!(number in items.into_channel() {
        sleep(Duration::from_secs(1)).await;
        seen.push(number);
    });
    assert_eq!(seen, [0, 1, 2, 3]);
    // One after the other would take eight seconds.
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[coreloop::test]
async fn the_body_is_one_item_ahead_at_most() {
    let yielded = Rc::new(Cell::new(0));
    let counted = Rc::clone(&yielded);
    let mut items = stream(async move |mut co| {
        loop {
            counted.set(counted.get() + 1);
            co.yield_(counted.get()).await?;
        }
    })
    .into_channel();
    for number in 1..5 {
        assert_eq!(items.recv().await, Some(number));
        for _ in 0..10 {
            yield_now().await;
        }
        assert_eq!(yielded.get(), number + 1);
    }
}

#[coreloop::test]
async fn dropping_the_channel_drops_a_body_that_waits_for_ever() {
    let dropped = Rc::new(Cell::new(false));
    let local = OnDrop(Rc::clone(&dropped));
    let mut items = stream(async move |mut co| {
        let _local = local;
        co.yield_(1).await?;
        pending().await
    })
    .into_channel();
    assert_eq!(items.recv().await, Some(1));
    yield_now().await;
    drop(items);
    yield_until(|| dropped.get()).await;
}

#[coreloop::test]
async fn close_waits_for_what_the_body_still_awaits() {
    let trace = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&trace);
    let mut items = stream(async move |mut co| {
        for number in 0.. {
            if co.yield_(number).await.is_err() {
                break;
            }
        }
        yield_now().await;
        noted.borrow_mut().push("goodbye");
        Ok(())
    })
    .into_channel();
    assert_eq!(items.recv().await, Some(0));
    assert_eq!(items.close().await, Some(()));
    assert_eq!(trace.take(), ["goodbye"]);
}

#[coreloop::test]
async fn close_reaches_a_body_in_the_middle_of_a_wait() {
    let (sender, receiver) = futures_channel::oneshot::channel::<u8>();
    let mut items = try_stream(async move |mut co| {
        co.yield_(1).await.map_err(|_| 0)?;
        let number = receiver.await.unwrap();
        co.yield_(number).await.map_err(|_| number)
    })
    .into_channel();
    assert_eq!(items.recv().await, Some(Ok(1)));
    yield_now().await;
    let closing = coreloop::spawn(items.close());
    yield_now().await;
    assert!(!closing.is_finished());
    sender.send(7).unwrap();
    assert_eq!(closing.await.unwrap(), Some(Err(7)));
}

#[coreloop::test]
async fn a_panic_of_the_body_reaches_the_consumer() {
    let mut items = stream(async |mut co| {
        co.yield_(1).await?;
        panic!("the body");
    })
    .into_channel();
    assert_eq!(items.recv().await, Some(1));
    let caught = AssertUnwindSafe(items.recv()).catch_unwind().await;
    assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "the body");
    assert!(items.is_terminated());
    assert_eq!(items.recv().await, None);
    assert_eq!(items.close().await, None);
}

#[coreloop::test]
async fn items_that_are_left_are_received_before_the_end() {
    let mut items = try_stream(async |mut co| {
        co.yield_(1).await.map_err(|_| "closed")?;
        Err("broken")
    })
    .into_channel();
    for _ in 0..10 {
        yield_now().await;
    }
    assert_eq!(items.recv().await, Some(Ok(1)));
    for _ in 0..10 {
        yield_now().await;
    }
    assert!(!items.is_terminated());
    assert_eq!(items.recv().await, Some(Err("broken")));
    assert_eq!(items.recv().await, None);
    assert_eq!(items.recv().await, None);
}

#[test]
fn a_channel_may_outlive_its_runtime() {
    let dropped = Rc::new(Cell::new(false));
    let local = OnDrop(Rc::clone(&dropped));
    let mut items = coreloop::block_on(async move {
        let mut items = stream(async move |mut co| {
            let _local = local;
            loop {
                co.yield_(1).await?;
            }
        })
        .into_channel();
        assert_eq!(items.recv().await, Some(1));
        items
    });
    assert!(dropped.get());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut polled = || futures_core::Stream::poll_next(Pin::new(&mut items), &mut context);
    let first = polled();
    let last = if first == std::task::Poll::Ready(Some(1)) {
        polled()
    } else {
        first
    };
    assert_eq!(last, std::task::Poll::Ready(None));
}
