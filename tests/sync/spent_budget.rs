//! The order of requests includes requests of tasks that have spent their budget: such a
//! request joins the queue, and only its grant is withheld until the task's next turn
//! (tokio #8365).

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use coreloop::cleanup::shield;
use coreloop::sync::{
    Barrier, Condvar, Mutex, Notify, OnceCell, PriorityQueue, Queue, ReentrantMutex, RwLock,
    Semaphore, mpsc,
};
use coreloop::task::coop::{has_budget_remaining, poll_proceed};
use coreloop::task::yield_now;

use coreloop_test_support::deadline::in_time;

/// Polls a future when no budget is left, and then ends the turn of the task.
async fn begin_without_budget(mut future: Pin<&mut (impl Future + ?Sized)>) {
    poll_fn(|cx| {
        while has_budget_remaining() {
            assert!(poll_proceed(cx).is_ready());
        }
        assert!(future.as_mut().poll(cx).is_pending(), "no budget is left");
        Poll::Ready(())
    })
    .await;
    yield_now().await;
}

/// Polls a future once. It must be pending.
async fn begin(mut future: Pin<&mut impl Future>) {
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// Two futures make a request one after the other, the first of them without budget. `free`
/// allows one request to succeed, and the other succeeds when the first result is dropped.
/// Returns the order in which they succeeded.
async fn order<G>(request: impl AsyncFn(u8) -> G, free: impl FnOnce()) -> Vec<u8> {
    let order = RefCell::new(Vec::new());
    let requesting = async |number| {
        let _got = request(number).await;
        order.borrow_mut().push(number);
        yield_now().await;
    };
    let mut first = pin!(requesting(1));
    begin_without_budget(first.as_mut()).await;
    let mut second = pin!(requesting(2));
    begin(second.as_mut()).await;
    free();
    coreloop::join!(biased; second, first);
    order.take()
}

/// Checks the order if the lock is free at the first request, and if it is held.
fn check<G>(request: impl AsyncFn(u8) -> G, held: impl FnOnce() -> G) {
    coreloop::block_on(async {
        assert_eq!(order(&request, || ()).await, [1, 2], "it was free");
        let held = held();
        assert_eq!(order(&request, || drop(held)).await, [1, 2], "it was held");
    });
}

#[test]
fn a_mutex_keeps_the_order() {
    in_time(|| {
        let mutex = Rc::new(Mutex::new(()));
        check(async |_| mutex.lock().await, || mutex.try_lock().unwrap());
        check(
            async |_| Rc::clone(&mutex).lock_owned().await,
            || Rc::clone(&mutex).try_lock_owned().unwrap(),
        );
    });
}

#[test]
fn a_reader_writer_lock_keeps_the_order() {
    in_time(|| {
        let lock = RwLock::new(());
        check(async |_| lock.write().await, || lock.try_write().unwrap());
        let one = RwLock::with_max_readers((), 1);
        check(async |_| one.read().await, || one.try_read().unwrap());
    });
}

#[test]
fn a_semaphore_keeps_the_order() {
    in_time(|| {
        let semaphore = Rc::new(Semaphore::new(2));
        check(
            async |_| semaphore.acquire_many(2).await.unwrap(),
            || semaphore.try_acquire_many(2).unwrap(),
        );
        check(
            async |_| Rc::clone(&semaphore).acquire_many_owned(2).await.unwrap(),
            || Rc::clone(&semaphore).try_acquire_many_owned(2).unwrap(),
        );
    });
}

#[test]
fn a_channel_keeps_the_order_of_requests_for_room() {
    in_time(|| {
        let (sender, _receiver) = mpsc::channel::<()>(2);
        let only = sender.try_reserve().unwrap();
        check(
            async |_| sender.reserve().await.unwrap(),
            || sender.try_reserve().unwrap(),
        );
        drop(only);
        check(
            async |_| sender.reserve_many(2).await.unwrap(),
            || sender.try_reserve_many(2).unwrap(),
        );
    });
}

#[test]
fn a_channel_keeps_the_order_of_values() {
    in_time(|| {
        coreloop::block_on(async {
            for is_full in [false, true] {
                let (sender, mut receiver) = mpsc::channel(1);
                if is_full {
                    sender.try_send(0).unwrap();
                }
                let receive = async {
                    let mut values = Vec::new();
                    for _ in 0..2 + usize::from(is_full) {
                        values.extend(receiver.recv().await);
                    }
                    values
                };
                let send = order(async |number| sender.send(number).await.unwrap(), || ());
                let (values, _) = coreloop::join!(receive, send);
                let expected: &[u8] = if is_full { &[0, 1, 2] } else { &[1, 2] };
                assert_eq!(values, expected);
            }
        });
    });
}

#[test]
fn a_queue_keeps_the_order() {
    in_time(|| {
        coreloop::block_on(async {
            let queue = Queue::new(1);
            queue.put(0).await.unwrap();
            let put = async |number| queue.put(number).await.unwrap();
            let get = async {
                let mut got = Vec::new();
                for _ in 0..3 {
                    got.push(queue.get().await.unwrap());
                }
                got
            };
            let (_, got) = coreloop::join!(order(put, || ()), get);
            assert_eq!(got, [0, 1, 2]);

            let got = RefCell::new(Vec::new());
            let get = async |number| {
                let item = queue.get().await.unwrap();
                got.borrow_mut().push((number, item));
            };
            let fill = || queue.try_put(1).unwrap();
            let put = async {
                for _ in 0..10 {
                    yield_now().await;
                }
                queue.put(2).await.unwrap();
            };
            coreloop::join!(order(get, fill), put);
            assert_eq!(*got.borrow(), [(1, 1), (2, 2)]);
        });
        coreloop::block_on(async {
            // An item that is there at the first request belongs to that request.
            let queue = PriorityQueue::new(0);
            queue.try_put(1).unwrap();
            let mut first = pin!(queue.get());
            begin_without_budget(first.as_mut()).await;
            assert!(queue.try_get().is_err());
            assert_eq!(first.await, Ok(1));
        });
    });
}

#[test]
fn notifications_keep_the_order() {
    in_time(|| {
        coreloop::block_on(async {
            let notify = Rc::new(Notify::new());
            // Either both futures are in the queue when `notify_one` is called, or a permit is
            // kept for the first.
            for kept in [false, true] {
                if kept {
                    notify.notify_one();
                }
                let first = RefCell::new(None);
                let request = async |number| {
                    notify.notified().await;
                    first.borrow_mut().get_or_insert(number);
                    notify.notify_one();
                };
                let free = || {
                    if !kept {
                        notify.notify_one();
                    }
                };
                order(request, free).await;
                assert_eq!(first.take(), Some(1));
                // Takes the permit that the second future has left.
                notify.notified().await;
            }
            for owned in [false, true] {
                let mut first: Pin<Box<dyn Future<Output = ()>>> = if owned {
                    Box::pin(Rc::clone(&notify).notified_owned())
                } else {
                    Box::pin(notify.notified())
                };
                begin_without_budget(first.as_mut()).await;
                let mut second = pin!(notify.notified());
                assert!(!second.as_mut().enable());
                notify.notify_one();
                assert!(
                    !second.as_mut().enable(),
                    "the notification is for the first future"
                );
                first.await;
                notify.notify_one();
                second.await;
            }
        });
    });
}

#[test]
fn a_withheld_grant_is_passed_on() {
    coreloop::block_on(async {
        let notify = Notify::new();
        notify.notify_one();
        {
            let mut first = pin!(notify.notified());
            begin_without_budget(first.as_mut()).await;
        }
        notify.notified().await;

        let mutex = Mutex::new(());
        {
            let mut first = pin!(mutex.lock());
            begin_without_budget(first.as_mut()).await;
            assert!(
                mutex.try_lock().is_err(),
                "the lock is granted to the first request"
            );
        }
        assert!(mutex.try_lock().is_ok());

        let (sender, mut receiver) = mpsc::channel::<u8>(3);
        {
            let mut first = pin!(sender.reserve());
            let mut many = pin!(sender.reserve_many(2));
            begin_without_budget(first.as_mut()).await;
            begin_without_budget(many.as_mut()).await;
            assert_eq!(sender.capacity(), 0);
        }
        assert_eq!(sender.capacity(), 3);
        {
            let mut first = pin!(sender.send(1));
            begin_without_budget(first.as_mut()).await;
            receiver.close();
        }
        assert_eq!(receiver.recv().await, None);
    });
}

#[test]
fn a_condition_variable_keeps_the_order() {
    in_time(|| {
        coreloop::block_on(async {
            let mutex = Mutex::new(());
            let condvar = Condvar::new();
            let order = RefCell::new(Vec::new());
            let wait = async |number| {
                let guard = mutex.lock().await;
                // The lock was acquired with budget; the wait begins without.
                let mut waiting = pin!(condvar.wait(guard));
                begin_without_budget(waiting.as_mut()).await;
                drop(waiting.await);
                order.borrow_mut().push(number);
            };
            let notify = async {
                for _ in 0..10 {
                    yield_now().await;
                }
                condvar.notify_one();
                for _ in 0..10 {
                    yield_now().await;
                }
                condvar.notify_one();
            };
            coreloop::join!(biased; wait(1), wait(2), notify);
            assert_eq!(*order.borrow(), [1, 2]);
        });
    });
}

#[test]
fn a_cell_is_filled_by_the_first_request() {
    in_time(|| {
        coreloop::block_on(async {
            let cell = OnceCell::new();
            let fill = async |number| *cell.get_or_init(async || number).await;
            assert_eq!(order(fill, || ()).await.len(), 2);
            assert_eq!(cell.get(), Some(&1));
        });
    });
}

#[test]
fn a_reentrant_mutex_keeps_the_order() {
    in_time(|| {
        coreloop::block_on(async {
            let mutex = Rc::new(ReentrantMutex::new(RefCell::new(Vec::new())));
            let held = mutex.lock().await;
            let lock = |number, spends| {
                let mutex = Rc::clone(&mutex);
                coreloop::spawn(async move {
                    let mut locking = pin!(mutex.lock());
                    if spends {
                        begin_without_budget(locking.as_mut()).await;
                    }
                    locking.await.borrow_mut().push(number);
                })
            };
            let tasks = [lock(1, true), lock(2, false)];
            yield_now().await;
            drop(held);
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(*mutex.lock().await.borrow(), [1, 2]);
        });
    });
}

#[test]
fn an_arrival_at_a_barrier_counts_without_budget() {
    in_time(|| {
        coreloop::block_on(async {
            let barrier = Barrier::new(2);
            let mut first = pin!(barrier.wait());
            begin_without_budget(first.as_mut()).await;
            assert!(barrier.wait().await.is_leader(), "the first has arrived");
            assert!(!first.await.is_leader());

            // The last task arrives without budget: the other continues, and the last returns
            // later.
            let mut other = pin!(barrier.wait());
            begin(other.as_mut()).await;
            let mut last = pin!(barrier.wait());
            begin_without_budget(last.as_mut()).await;
            assert!(!other.await.is_leader());
            assert!(last.await.is_leader());
        });
    });
}

/// The last `task_done` is not missed if it comes while the budget is spent.
#[test]
fn a_join_of_a_queue_sees_its_end_without_budget() {
    in_time(|| {
        coreloop::block_on(async {
            let queue = Queue::new(0);
            queue.try_put(1).unwrap();
            let mut joined = pin!(queue.join());
            begin_without_budget(joined.as_mut()).await;
            queue.task_done();
            queue.try_put(2).unwrap();
            joined.await;
        });
    });
}

#[test]
fn a_closed_semaphore_fails_requests_without_budget() {
    coreloop::block_on(async {
        let semaphore = Semaphore::new(1);
        let mut first = pin!(semaphore.acquire());
        begin_without_budget(first.as_mut()).await;
        semaphore.close();
        let mut second = pin!(semaphore.acquire());
        begin_without_budget(second.as_mut()).await;
        assert!(first.await.is_err());
        assert!(second.await.is_err());
    });
}

/// Waits for the flag without the runtime, and then for the future.
async fn after(flag: &Cell<bool>, future: impl Future<Output = ()>) {
    poll_fn(|_| match flag.get() {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
    future.await;
}

/// Frozen code is dropped when the cleanups within it have run. It must not be in a queue
/// before one of them, and must not be counted.
#[test]
fn frozen_code_does_not_join_a_queue() {
    in_time(|| {
        coreloop::block_on(async {
            let mutex = Rc::new(Mutex::new(Vec::new()));
            let (sender, mut receiver) = mpsc::channel(1);
            let notify = Rc::new(Notify::new());
            let barrier = Rc::new(Barrier::new(2));
            let begins = Rc::new(Cell::new(false));
            let task = coreloop::spawn({
                let (mutex, notify) = (Rc::clone(&mutex), Rc::clone(&notify));
                let (barrier, go) = (Rc::clone(&barrier), Rc::clone(&begins));
                async move {
                    let cleans_up = shield(async {
                        for _ in 0..3 {
                            yield_now().await;
                        }
                        mutex.lock().await.push("cleaned up");
                        sender.send("cleaned up").await.unwrap();
                        notify.notify_one();
                        notify.notified().await;
                    });
                    coreloop::join!(
                        biased;
                        cleans_up,
                        after(&go, async { mutex.lock().await.push("cancelled") }),
                        after(&go, async { sender.send("cancelled").await.unwrap() }),
                        after(&go, notify.notified()),
                        after(&go, async { assert!(!barrier.wait().await.is_leader()) }),
                    );
                }
            });
            yield_now().await;
            task.abort();
            begins.set(true);
            assert!(task.await.unwrap_err().is_cancelled());
            assert_eq!(*mutex.try_lock().unwrap(), ["cleaned up"]);
            assert_eq!(receiver.recv().await, Some("cleaned up"));
            assert_eq!(receiver.recv().await, None);
            let mut alone = pin!(barrier.wait());
            begin(alone.as_mut()).await;
        });
    });
}
