//! Wakes, from the loop's thread and from others: none is lost, whenever it comes, and a
//! waker may outlive its loop on any thread.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use coreloop::task::yield_now;
use coreloop::{Runtime, block_on, spawn};

use coreloop_test_support::on_drop::OnDrop;

const ROUNDS: usize = if cfg!(miri) { 10 } else { 2_000 };
const THREADS: usize = if cfg!(miri) { 3 } else { 4 };

/// Waits until `flag` is set by the thread that takes the waker from `slot`.
async fn wait_for(flag: &AtomicBool, slot: &Mutex<Option<Waker>>) {
    poll_fn(|context| {
        *slot.lock().expect("no thread panics") = Some(context.waker().clone());
        if flag.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

#[test]
fn a_task_that_wakes_itself_is_queued_last() {
    block_on(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let handles: Vec<_> = ['a', 'b', 'c']
            .into_iter()
            .map(|name| {
                let order = Rc::clone(&order);
                spawn(async move {
                    for _ in 0..2 {
                        order.borrow_mut().push(name);
                        yield_now().await;
                    }
                })
            })
            .collect();
        for handle in handles {
            handle.await.unwrap();
        }
        assert_eq!(*order.borrow(), ['a', 'b', 'c', 'a', 'b', 'c']);
    });
}

#[test]
fn wakes_before_a_poll_are_merged() {
    block_on(async {
        let polls = Rc::new(Cell::new(0));
        let count = Rc::clone(&polls);
        let slot: Rc<RefCell<Option<Waker>>> = Rc::default();
        let kept = Rc::clone(&slot);
        let handle = spawn(poll_fn(move |context| {
            *kept.borrow_mut() = Some(context.waker().clone());
            count.set(count.get() + 1);
            Poll::<()>::Pending
        }));
        yield_now().await;
        let waker = slot.borrow().clone().unwrap();
        for _ in 0..3 {
            waker.wake_by_ref();
        }
        // From another thread, too: a task in the queue is not scheduled again through
        // the inbox.
        thread::spawn({
            let waker = waker.clone();
            move || waker.wake()
        })
        .join()
        .unwrap();
        yield_now().await;
        assert_eq!(polls.get(), 2);
        handle.abort();
        assert!(handle.await.is_err());
    });
}

#[test]
fn the_wakers_of_a_task_are_interchangeable() {
    block_on(async {
        let (here, there) = poll_fn(|context| {
            let waker = context.waker();
            assert!(waker.will_wake(&waker.clone()));
            Poll::Ready((waker.clone(), waker.clone()))
        })
        .await;
        assert!(here.will_wake(&there));
        let other = spawn(poll_fn(|context| Poll::Ready(context.waker().clone())));
        assert!(!other.await.unwrap().will_wake(&here));
    });
}

/// The other thread has woken the task before the loop can park.
#[test]
fn a_wake_before_the_loop_parks() {
    block_on(async {
        for _ in 0..ROUNDS.min(50) {
            let mut first = true;
            poll_fn(|context| {
                if std::mem::take(&mut first) {
                    let waker = context.waker().clone();
                    thread::spawn(move || waker.wake()).join().unwrap();
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
        }
    });
}

/// The thread waits for the loop, and the loop for the thread, so that the wake comes
/// while the loop is about to park, is parked, or resumes.
#[test]
fn wakes_while_the_loop_parks_and_resumes() {
    let (flag, slot) = (AtomicBool::new(false), Mutex::new(None::<Waker>));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                let waker = slot.lock().expect("no thread panics").take();
                match waker {
                    Some(waker) => {
                        flag.store(true, Ordering::Release);
                        waker.wake();
                    }
                    None => thread::yield_now(),
                }
            }
        });
        block_on(async {
            for _ in 0..ROUNDS {
                wait_for(&flag, &slot).await;
                flag.store(false, Ordering::Release);
            }
        });
        over.store(true, Ordering::Release);
    });
}

/// Each thread wakes each task, again and again, and the tasks see what a thread wrote
/// before its wake.
#[test]
fn many_threads_wake_many_tasks() {
    let counts: Arc<Vec<AtomicUsize>> = Arc::new((0..8).map(|_| AtomicUsize::new(0)).collect());
    let (send, receive) = mpsc::channel::<Vec<Waker>>();
    let runtime = Runtime::new().unwrap();
    let wanted = THREADS * ROUNDS;
    let wakers: Rc<RefCell<Vec<Waker>>> = Rc::default();
    let handles: Vec<_> = (0..counts.len())
        .map(|n| {
            let (counts, wakers) = (Arc::clone(&counts), Rc::clone(&wakers));
            let mut first = true;
            runtime.spawn(poll_fn(move |context| {
                if std::mem::take(&mut first) {
                    wakers.borrow_mut().push(context.waker().clone());
                }
                // Relaxed, because the wake makes the addition before it visible.
                if counts[n].load(Ordering::Relaxed) == wanted {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }))
        })
        .collect();
    let threads = thread::spawn({
        let counts = Arc::clone(&counts);
        move || {
            let wakers = receive.recv().unwrap();
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        for _ in 0..ROUNDS {
                            for (count, waker) in counts.iter().zip(&wakers) {
                                count.fetch_add(1, Ordering::Relaxed);
                                waker.wake_by_ref();
                            }
                        }
                    });
                }
            });
        }
    });
    runtime.block_on(async {
        yield_now().await;
        send.send(wakers.take()).unwrap();
        for handle in handles {
            handle.await.unwrap();
        }
    });
    threads.join().unwrap();
}

/// Threads take wakers from a common queue, and clone, wake and drop them.
#[test]
fn wakers_are_cloned_and_dropped_on_other_threads() {
    let queue: Mutex<VecDeque<Waker>> = Mutex::default();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let waker = queue.lock().unwrap().pop_front();
                    if let Some(waker) = waker {
                        let kept = waker.clone();
                        waker.wake_by_ref();
                        drop(waker);
                        let again = kept.clone();
                        kept.wake();
                        again.wake();
                    } else {
                        thread::yield_now();
                    }
                }
            });
        }
        block_on(async {
            for _ in 0..ROUNDS {
                // A future that ends while other threads may still hold its wakers.
                let mut polls = 0;
                let short = poll_fn(|context| {
                    queue.lock().unwrap().push_back(context.waker().clone());
                    polls += 1;
                    if polls < 3 {
                        Poll::Pending
                    } else {
                        Poll::Ready(())
                    }
                });
                short.await;
            }
        });
        over.store(true, Ordering::Relaxed);
    });
}

/// The task's memory may be freed by another thread, but its future and its output are
/// dropped on their own.
#[test]
fn the_last_waker_may_be_dropped_on_another_thread() {
    for _ in 0..ROUNDS.min(200) {
        let (send, receive) = mpsc::channel();
        let thread = thread::spawn(move || {
            let waker: Waker = receive.recv().unwrap();
            waker.wake_by_ref();
            let again = waker.clone();
            drop(waker);
            again
        });
        block_on(async {
            let home = thread::current().id();
            let here = move || assert_eq!(thread::current().id(), home);
            let (future, output) = (OnDrop::new(here), OnDrop::new(here));
            let mut output = Some(output);
            drop(spawn(poll_fn(move |context| {
                let _ = &future;
                send.send(context.waker().clone()).unwrap();
                output.take().map_or(Poll::Pending, Poll::Ready)
            })));
            yield_now().await;
        });
        thread.join().unwrap().wake();
    }
}

/// The loop drops the last reference to the task and frees it. Only the count of
/// references orders this after the other thread's drop of its waker. Regression: the
/// loop overwrote the count, and so lost that order.
#[test]
fn a_task_is_freed_after_its_last_foreign_waker() {
    let runtime = Runtime::new().unwrap();
    let gone = Arc::new(AtomicBool::new(false));
    let thread: Rc<RefCell<Option<thread::JoinHandle<()>>>> = Rc::default();
    let task = runtime.spawn({
        let (gone, thread) = (Arc::clone(&gone), Rc::clone(&thread));
        poll_fn(move |context| {
            let waker = context.waker().clone();
            let flag = Arc::clone(&gone);
            *thread.borrow_mut() = Some(thread::spawn(move || {
                drop(waker);
                // Relaxed, so that the store does not order the drop of the waker.
                flag.store(true, Ordering::Relaxed);
            }));
            while !gone.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            Poll::Ready(())
        })
    });
    runtime.block_on(task).unwrap();
    thread.take().unwrap().join().unwrap();
}

#[test]
fn a_waker_outlives_its_runtime() {
    let slot: Rc<RefCell<Option<Waker>>> = Rc::default();
    let kept = Rc::clone(&slot);
    let runtime = Runtime::new().unwrap();
    let handle = runtime.spawn(poll_fn(move |context| {
        *kept.borrow_mut() = Some(context.waker().clone());
        Poll::<()>::Pending
    }));
    runtime.block_on(async { yield_now().await });
    drop(handle);
    drop(runtime);

    let waker = slot.take().unwrap();
    waker.wake_by_ref();
    // The waker is not mistaken for one of a later loop on this thread.
    block_on(async {
        waker.wake_by_ref();
        let again = waker.clone();
        again.wake();
        yield_now().await;
    });
    thread::spawn(move || {
        waker.wake_by_ref();
        block_on(async move { waker.wake() });
    })
    .join()
    .unwrap();
}

/// Several threads wake tasks while the runtime is dropped; the futures are `!Send`.
#[test]
fn wakes_race_with_the_end_of_the_runtime() {
    for round in 0..ROUNDS.min(300) {
        let barrier = Arc::new(Barrier::new(THREADS + 1));
        let (send, receive) = mpsc::channel::<Waker>();
        let runtime = Runtime::new().unwrap();
        let dropped = Rc::new(Cell::new(0));
        for _ in 0..THREADS {
            let count = Rc::clone(&dropped);
            let send = send.clone();
            let _detached = runtime.spawn(async move {
                let _guard = OnDrop::new(move || count.set(count.get() + 1));
                poll_fn(|context| {
                    send.send(context.waker().clone()).unwrap();
                    Poll::Ready(())
                })
                .await;
                pending::<()>().await;
            });
        }
        runtime.block_on(async { yield_now().await });
        let threads: Vec<_> = receive
            .iter()
            .take(THREADS)
            .map(|waker| {
                let barrier = Arc::clone(&barrier);
                thread::spawn(move || {
                    barrier.wait();
                    waker.wake_by_ref();
                    let last = waker.clone();
                    waker.wake();
                    last.wake();
                })
            })
            .collect();
        barrier.wait();
        if round % 2 == 0 {
            runtime.turn(Some(Duration::ZERO)).unwrap();
        }
        drop(runtime);
        assert_eq!(dropped.get(), THREADS);
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

/// Two loops on one thread: a task of one is woken while the other runs.
#[test]
fn a_loop_wakes_the_task_of_another_on_its_thread() {
    let (here, there) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let slot: Rc<RefCell<Option<Waker>>> = Rc::default();
    let kept = Rc::clone(&slot);
    let mut polls = 0;
    let task = there.spawn(poll_fn(move |context| {
        polls += 1;
        *kept.borrow_mut() = Some(context.waker().clone());
        if polls < 3 {
            Poll::Pending
        } else {
            Poll::Ready(polls)
        }
    }));
    there.turn(Some(Duration::ZERO)).unwrap();
    here.block_on(async { slot.take().unwrap().wake() });
    there.turn(Some(Duration::ZERO)).unwrap();
    // The task may be woken outside both loops, too.
    slot.take().unwrap().wake();
    assert_eq!(there.block_on(task).unwrap(), 3);
}

/// A thread-local keeps the waker and its runtime until the thread ends.
#[test]
fn a_waker_may_be_dropped_with_the_locals_of_its_thread() {
    thread_local! {
        static KEPT: RefCell<Option<(Waker, Runtime)>> = const { RefCell::new(None) };
    }

    thread::spawn(|| {
        let runtime = Runtime::new().unwrap();
        let waker = runtime.block_on(poll_fn(|context| Poll::Ready(context.waker().clone())));
        let own = waker.clone();
        drop(runtime.spawn(async move {
            let _guard = OnDrop::new(move || own.wake());
            pending::<()>().await;
        }));
        runtime.block_on(async { yield_now().await });
        KEPT.set(Some((waker, runtime)));
    })
    .join()
    .unwrap();
}
