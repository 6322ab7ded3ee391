//! `Queue`: order, room, `task_done` and `join`, and shutting down.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::panic::{self, AssertUnwindSafe};
use std::rc::{Rc, Weak};
use std::task::Poll;

use coreloop::sync::queue::error::{TryGetError, TryPutError};
use coreloop::sync::{LifoQueue, PriorityQueue, Queue};
use coreloop::task::yield_now;
use coreloop_test_support::waiter::Waiter;
use coreloop_test_support::wakers::{panicking_waker, with_hook};

fn full<T>(items: impl IntoIterator<Item = T>) -> Queue<T> {
    let items: Vec<T> = items.into_iter().collect();
    let queue = Queue::new(items.len());
    for item in items {
        assert!(queue.try_put(item).is_ok());
    }
    queue
}

fn drain<T>(queue: &Queue<T>) -> Vec<T> {
    std::iter::from_fn(|| queue.try_get().ok()).collect()
}

#[test]
fn items_are_returned_in_the_order_of_the_queue() {
    let orders: [(&Queue<(u8, char)>, &str); 3] = [
        (&Queue::new(0), "abcdef"),
        (&LifoQueue::new(0), "fedcba"),
        (&PriorityQueue::new(0), "bdafce"),
    ];
    for (queue, order) in orders {
        for item in [(3, 'a'), (1, 'b'), (5, 'c'), (2, 'd'), (9, 'e'), (4, 'f')] {
            queue.try_put(item).unwrap();
        }
        let items: String = drain(queue).into_iter().map(|(_, item)| item).collect();
        assert_eq!(items, order);
    }
}

#[test]
fn equal_items_are_returned_in_the_order_of_put() {
    #[derive(Debug)]
    struct Job(u8, usize);
    impl Ord for Job {
        fn cmp(&self, other: &Self) -> Ordering {
            self.0.cmp(&other.0)
        }
    }
    impl PartialOrd for Job {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }
    impl PartialEq for Job {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other).is_eq()
        }
    }
    impl Eq for Job {}

    let queue = PriorityQueue::new(0);
    for number in 0..30 {
        queue.try_put(Job([2, 0, 1][number % 3], number)).unwrap();
    }
    let jobs = drain(&queue);
    let mut sorted: Vec<_> = jobs.iter().map(|job| (job.0, job.1)).collect();
    sorted.sort_unstable();
    assert!(jobs.iter().map(|job| (job.0, job.1)).eq(sorted));
}

#[test]
fn waiting_puts_are_served_in_order() {
    let queue = full([0]);
    assert!(queue.is_full());
    let mut first = Waiter::new(queue.put(1));
    let mut second = Waiter::new(queue.put(2));
    assert!(first.poll().is_pending());
    assert!(second.poll().is_pending());
    assert!(second.poll_afresh().is_pending());
    assert_eq!(second.wakers(), 1);
    assert_eq!(queue.try_get(), Ok(0));
    assert!(first.is_woken() && !second.is_woken());
    assert_eq!(
        queue.try_put(3),
        Err(TryPutError::Full(3)),
        "the item is promised to a waiter"
    );
    drop(first);
    assert!(second.is_woken());
    assert_eq!(second.poll(), Poll::Ready(Ok(())));
    assert_eq!(queue.try_get(), Ok(2));
    assert_eq!(queue.try_put(4), Ok(()));
}

#[test]
fn waiting_gets_are_served_in_order() {
    let queue = Queue::new(0);
    let mut first = Waiter::new(queue.get());
    let mut second = Waiter::new(queue.get());
    assert!(first.poll().is_pending());
    assert!(second.poll().is_pending());
    queue.try_put(1).unwrap();
    assert!(first.is_woken() && !second.is_woken());
    assert_eq!(
        queue.try_get(),
        Err(TryGetError::Empty),
        "the item is promised to a waiter"
    );
    assert_eq!(queue.len(), 1);
    first.cancel();
    assert!(second.is_woken());
    assert_eq!(second.poll(), Poll::Ready(Ok(1)));
    second.cancel();
    assert!(queue.is_empty());
}

#[test]
fn a_waiting_get_returns_the_first_item_when_it_is_polled() {
    let queue = PriorityQueue::new(0);
    let mut task = Waiter::new(queue.get());
    assert!(task.poll().is_pending());
    queue.try_put(5).unwrap();
    queue.try_put(3).unwrap();
    assert_eq!(task.poll(), Poll::Ready(Ok(3)));
    assert_eq!(queue.try_get(), Ok(5));
}

#[test]
fn join_waits_until_all_items_are_done() {
    let queue = Queue::new(0);
    assert!(
        Waiter::new(queue.join()).poll().is_ready(),
        "there are no items"
    );
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    let mut join = Waiter::new(queue.join());
    assert!(join.poll().is_pending());
    queue.try_get().unwrap();
    queue.task_done();
    queue.try_get().unwrap();
    assert!(!join.is_woken());
    queue.task_done();
    assert!(join.is_woken());
    queue.try_put(3).unwrap();
    assert!(join.poll().is_ready(), "it does not wait for later items");
    assert!(Waiter::new(queue.join()).poll().is_pending());
}

#[test]
#[should_panic(expected = "more often than items were put")]
fn task_done_panics_if_called_more_often_than_put() {
    let queue = full([1]);
    queue.task_done();
    queue.task_done();
}

#[test]
fn items_can_be_got_after_shutdown() {
    let queue = full([1, 2]);
    let mut put = Waiter::new(queue.put(3));
    let mut join = Waiter::new(queue.join());
    assert!(put.poll().is_pending());
    assert!(join.poll().is_pending());
    queue.shutdown(false);
    assert!(queue.is_shut_down());
    assert!(put.is_woken() && !join.is_woken());
    assert!(matches!(put.poll(), Poll::Ready(Err(error)) if error.0 == 3));
    assert_eq!(queue.try_put(4), Err(TryPutError::ShutDown(4)));
    assert_eq!(Waiter::new(queue.get()).poll(), Poll::Ready(Ok(1)));
    assert_eq!(queue.try_get(), Ok(2));
    assert_eq!(queue.try_get(), Err(TryGetError::ShutDown));
    assert!(matches!(
        Waiter::new(queue.get()).poll(),
        Poll::Ready(Err(error)) if error.to_string() == "queue shut down"
    ));
    queue.task_done();
    queue.task_done();
    assert!(join.is_woken());
}

#[test]
fn shutdown_fails_waiting_gets() {
    let queue = Queue::<u8>::new(0);
    let mut get = Waiter::new(queue.get());
    assert!(get.poll().is_pending());
    queue.shutdown(false);
    assert!(get.is_woken());
    assert!(matches!(get.poll(), Poll::Ready(Err(_))));
}

#[test]
fn immediate_shutdown_drops_the_items() {
    let item = Rc::new(());
    let queue = Queue::new(0);
    let mut promised = Waiter::new(queue.get());
    assert!(promised.poll().is_pending());
    for _ in 0..3 {
        queue.try_put(Rc::clone(&item)).unwrap();
    }
    assert!(promised.is_woken());
    let mut join = Waiter::new(queue.join());
    assert!(join.poll().is_pending());
    queue.shutdown(true);
    assert_eq!(Rc::strong_count(&item), 1);
    assert!(join.is_woken(), "dropped items count as done");
    assert!(matches!(promised.poll(), Poll::Ready(Err(_))));
    assert_eq!(queue.try_get(), Err(TryGetError::ShutDown));
    assert!(queue.is_empty());
    queue.shutdown(true);
    drop(promised);
}

#[test]
fn immediate_shutdown_may_follow_shutdown() {
    let queue = full([1, 2, 3]);
    queue.try_get().unwrap();
    queue.shutdown(false);
    let mut join = Waiter::new(queue.join());
    assert!(join.poll().is_pending());
    queue.shutdown(true);
    assert!(!join.is_woken(), "the item that was got is not done");
    queue.task_done();
    assert!(join.is_woken());
}

#[test]
fn a_destructor_may_use_the_queue() {
    struct Puts(Rc<Queue<Option<Puts>>>, Rc<RefCell<Vec<&'static str>>>);
    impl Drop for Puts {
        fn drop(&mut self) {
            let said = match self.0.try_put(None) {
                Ok(()) => "put",
                Err(TryPutError::Full(_)) => "full",
                Err(TryPutError::ShutDown(_)) => "shut down",
            };
            self.1.borrow_mut().push(said);
        }
    }
    let log = Rc::default();
    let queue = Rc::new(Queue::new(2));
    for _ in 0..2 {
        let item = Puts(Rc::clone(&queue), Rc::clone(&log));
        assert!(queue.try_put(Some(item)).is_ok());
    }
    drop(queue.try_get());
    queue.shutdown(true);
    assert_eq!(*log.borrow(), ["put", "shut down"]);
}

#[test]
fn an_ord_that_panics_loses_no_room_and_keeps_the_item() {
    thread_local!(static PANICS: Cell<bool> = const { Cell::new(false) });
    #[derive(Debug, PartialEq, Eq)]
    struct Item(u8);
    impl Ord for Item {
        fn cmp(&self, other: &Self) -> Ordering {
            assert!(!PANICS.get(), "an `Ord` that panics");
            self.0.cmp(&other.0)
        }
    }
    impl PartialOrd for Item {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    let queue = PriorityQueue::new(3);
    for number in [1, 2] {
        queue.try_put(Item(number)).unwrap();
    }
    PANICS.set(true);
    panic::catch_unwind(AssertUnwindSafe(|| queue.try_put(Item(0)))).unwrap_err();
    PANICS.set(false);
    assert_eq!(queue.len(), 3);
    assert_eq!(drain(&queue).len(), 3);
    for number in [1, 2, 3] {
        queue.try_put(Item(number)).unwrap();
    }
    assert!(queue.is_full());
}

#[test]
fn the_ord_of_an_item_may_not_use_its_queue() {
    struct ItemQueue(PriorityQueue<Item>);
    struct Item(Weak<ItemQueue>);
    impl Ord for Item {
        fn cmp(&self, _: &Self) -> Ordering {
            if let Some(queue) = self.0.upgrade() {
                assert!(queue.0.len() < 9);
            }
            Ordering::Equal
        }
    }
    impl PartialOrd for Item {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }
    impl PartialEq for Item {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other).is_eq()
        }
    }
    impl Eq for Item {}

    let queue = Rc::new(ItemQueue(PriorityQueue::new(0)));
    assert!(queue.0.try_put(Item(Rc::downgrade(&queue))).is_ok());
    let panicked = panic::catch_unwind(AssertUnwindSafe(|| {
        queue.0.try_put(Item(Rc::downgrade(&queue))).is_ok()
    }))
    .unwrap_err();
    let message = panicked.downcast_ref::<&str>().unwrap();
    assert!(
        message.contains("by the `Ord` of its own items"),
        "{message}"
    );
    assert_eq!(queue.0.len(), 2);
}

#[test]
fn wakers_may_use_the_queue() {
    let queue = Rc::new(Queue::new(2));
    let hook = {
        let queue = Rc::clone(&queue);
        move || {
            let _ = queue.try_put(7);
            let _ = queue.is_full();
        }
    };
    with_hook(hook, |waker| {
        let mut task = Waiter::new(queue.get());
        assert!(task.poll_with(&waker()).is_pending());
        // The replaced waker is dropped, and its destructor puts an item.
        assert!(task.poll().is_pending() && task.is_woken());
        assert_eq!(task.poll(), Poll::Ready(Ok(7)));
        drop(task);
        let mut task = Waiter::new(queue.get());
        assert!(task.poll_with(&waker()).is_pending());
        queue.try_put(1).unwrap();
        assert_eq!(task.poll(), Poll::Ready(Ok(1)));
        drop(task);
        assert_eq!(drain(&queue), [7]);
    });
}

#[test]
fn the_other_waiters_are_woken_if_a_waker_panics() {
    let queue = full([0]);
    let mut panics = Waiter::new(queue.put(1));
    let mut put = Waiter::new(queue.put(2));
    let mut join = Waiter::new(queue.join());
    assert!(panics.poll_with(&panicking_waker()).is_pending());
    assert!(put.poll().is_pending());
    assert!(join.poll().is_pending());
    panic::catch_unwind(AssertUnwindSafe(|| queue.shutdown(true))).unwrap_err();
    assert!(put.is_woken() && join.is_woken());
    assert!(matches!(panics.poll(), Poll::Ready(Err(_))));
}

#[coreloop::test]
async fn workers_share_the_work() {
    let queue = Rc::new(Queue::new(3));
    let done = Rc::new(RefCell::new(Vec::new()));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (queue, done) = (Rc::clone(&queue), Rc::clone(&done));
            coreloop::spawn(async move {
                while let Ok(item) = queue.get().await {
                    yield_now().await;
                    done.borrow_mut().push(item);
                    queue.task_done();
                }
            })
        })
        .collect();
    for item in 0..100 {
        queue.put(item).await.unwrap();
        assert!(queue.len() <= queue.maxsize());
    }
    queue.join().await;
    queue.shutdown(false);
    for worker in workers {
        worker.await.unwrap();
    }
    done.borrow_mut().sort_unstable();
    assert!(done.borrow().iter().copied().eq(0..100));
}

#[coreloop::test]
async fn a_task_that_always_finds_an_item_still_lets_others_run() {
    let other = coreloop::spawn(async {});
    let queue = Queue::new(1);
    let mut rounds = 0;
    while !other.is_finished() {
        queue.put(rounds).await.unwrap();
        assert_eq!(queue.get().await, Ok(rounds));
        queue.task_done();
        queue.join().await;
        rounds += 1;
        assert!(rounds < 100_000, "the other task never ran");
    }
}
