//! Items that fail or panic, and wakers and destructors that call the queue.

use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use coreloop::Runtime;
use coreloop::ipc::Queue;
use coreloop_test_support::codecs::Does;
use coreloop_test_support::meeting::soon;
use coreloop_test_support::panics::recorded;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

fn caught(call: impl FnOnce() -> bool) -> bool {
    let call = || catch_unwind(AssertUnwindSafe(call));
    recorded(call).0.unwrap_or(false)
}

/// Sends and receives each kind of item, and a good one after each.
fn exchange(queue: &Queue<(u8, Does)>) {
    for (number, does) in (0..).zip(Does::ALL) {
        for is_lease in [false, true] {
            let is_sent = caught(|| queue.blocking_send((number, does)).is_ok());
            let is_encoded = !matches!(does, Does::FailsToEncode | Does::PanicsToEncode);
            assert_eq!(is_sent, is_encoded, "{does:?}");
            if is_encoded {
                let came = match is_lease {
                    false => caught(|| queue.blocking_recv().is_ok()),
                    true => {
                        caught(|| queue.blocking_lease().unwrap().unwrap().ack() == (number, does))
                    }
                };
                assert_eq!(came, does == Does::Nothing, "{does:?}");
            }
            queue.blocking_send((99, Does::Nothing)).unwrap();
            let came = queue.blocking_recv().unwrap();
            assert_eq!(came, Some((99, Does::Nothing)));
        }
    }
    // None of them came back, or was kept.
    queue.blocking_join().unwrap();
    assert_eq!(queue.blocking_len().unwrap(), 0);
}

#[coreloop::test]
async fn items_that_fail_or_panic_concern_only_themselves() {
    let queue = Queue::new(10).unwrap();
    exchange(&queue);
    let there = queue.clone();
    let elsewhere = coreloop::task::spawn_blocking(move || exchange(&there));
    soon(elsewhere).await.unwrap();
}

/// An item whose encoding, decoding and destructor use the queue that it is in.
struct Recursive(u8);

thread_local! {
    static QUEUE: RefCell<Option<Queue<Recursive>>> = const { RefCell::new(None) };
}

fn use_queue() {
    // None while this runs.
    if let Some(queue) = QUEUE.take() {
        queue.blocking_len().unwrap();
        queue.blocking_try_send(Recursive(9)).unwrap();
        loop {
            let came = queue.blocking_try_recv().unwrap().unwrap();
            if came.0 == 9 {
                break;
            }
            // Another one was in front. It goes to the back.
            queue.blocking_try_send(came).unwrap();
        }
        QUEUE.set(Some(queue));
    }
}

impl Serialize for Recursive {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use_queue();
        serializer.serialize_u8(self.0)
    }
}

impl<'de> Deserialize<'de> for Recursive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        use_queue();
        Ok(Self(number))
    }
}

impl Drop for Recursive {
    fn drop(&mut self) {
        use_queue();
    }
}

fn recurse(queue: &Queue<Recursive>) {
    QUEUE.set(Some(queue.clone()));
    queue.blocking_send(Recursive(1)).unwrap();
    queue.blocking_lease().unwrap().unwrap().nack();
    let lease = queue.blocking_lease().unwrap().unwrap();
    assert_eq!(lease.0, 1);
    drop(lease);
    assert_eq!(queue.blocking_recv().unwrap().unwrap().0, 1);
    drop(QUEUE.take());
}

#[coreloop::test]
async fn the_code_of_an_item_may_use_its_queue() {
    let queue = Queue::new(10).unwrap();
    recurse(&queue);
    let there = queue.clone();
    soon(coreloop::task::spawn_blocking(move || recurse(&there)))
        .await
        .unwrap();
    queue.join().await.unwrap();
}

thread_local! {
    static NUMBERS: RefCell<Option<Queue<u64>>> = const { RefCell::new(None) };
}

/// A waker that uses the queue, and whose destructor does.
struct Busy(Waker);

fn use_numbers() {
    let queue = NUMBERS.with_borrow(Option::clone);
    if let Some(queue) = queue {
        // It may be full of such items.
        let _ = queue.blocking_try_send(1000);
        let _ = queue.blocking_try_lease().unwrap();
        queue.blocking_len().unwrap();
    }
}

impl Wake for Busy {
    fn wake(self: Arc<Self>) {
        use_numbers();
        self.0.wake_by_ref();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        use_numbers();
    }
}

/// Polls a future with a new busy waker each time.
async fn with_busy_wakers<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        let waker = Waker::from(Arc::new(Busy(cx.waker().clone())));
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => Poll::Ready(output),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn exchange_with_busy_wakers(queue: Queue<u64>) {
    NUMBERS.set(Some(queue.clone()));
    let received = Rc::new(RefCell::new(Vec::new()));
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let (queue, received) = (queue.clone(), Rc::clone(&received));
            coreloop::spawn(async move {
                loop {
                    let item = with_busy_wakers(queue.recv()).await.unwrap().unwrap();
                    match item {
                        u64::MAX => return,
                        1000 => {}
                        item => received.borrow_mut().push(item),
                    }
                }
            })
        })
        .collect();
    for item in 0..100 {
        with_busy_wakers(queue.send(item)).await.unwrap();
    }
    for _ in 0..3 {
        queue.send(u64::MAX).await.unwrap();
    }
    for task in tasks {
        task.await.unwrap();
    }
    drop(NUMBERS.take());
    let mut received = received.take();
    // An item that a waker has given back may have come after the last one.
    while let Ok(Some(item)) = queue.try_recv().await {
        received.extend((item < 1000).then_some(item));
    }
    received.sort_unstable();
    assert_eq!(received, (0..100).collect::<Vec<_>>());
}

#[coreloop::test]
async fn wakers_may_use_the_queue() {
    let queue = Queue::new(1000).unwrap();
    exchange_with_busy_wakers(queue.clone()).await;
    let there = queue.clone();
    let elsewhere = move || {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(exchange_with_busy_wakers(there));
    };
    soon(coreloop::task::spawn_blocking(elsewhere))
        .await
        .unwrap();
}
