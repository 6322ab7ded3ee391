//! The queue compared with a simple model, and with wakers that use it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::{Choice, Key, Waiters, Wakers};

#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll<G>(waiters: &Waiters<G>, key: &Key, waker: &Waker) -> bool {
    waiters
        .poll_granted(key, &Context::from_waker(waker))
        .is_ready()
}

#[test]
fn waiters_are_granted_in_the_order_of_enqueue_not_of_poll() {
    let waiters = Waiters::new();
    let (first, second) = (waiters.enqueue(), waiters.enqueue());
    assert!(!poll(&waiters, &second, Waker::noop()));
    assert_eq!(waiters.grant('a'), Ok(()));
    assert!(waiters.is_granted(&first) && !waiters.is_granted(&second));
    assert_eq!(waiters.grant('b'), Ok(()));
    assert_eq!(waiters.grant('c'), Err('c'));
    assert_eq!(waiters.remove(second), Some('b'));
    assert_eq!(waiters.remove(first), Some('a'));
}

#[test]
fn the_last_waker_is_woken_once() {
    let waiters = Waiters::new();
    let key = waiters.enqueue();
    let counts = [Arc::<Count>::default(), Arc::default()];
    for count in &counts {
        assert!(!poll(&waiters, &key, &Arc::clone(count).into()));
        assert!(!poll(&waiters, &key, &Arc::clone(count).into()));
    }
    assert_eq!(
        Arc::strong_count(&counts[0]),
        1,
        "a replaced waker was kept"
    );
    waiters.grant(()).unwrap();
    assert_eq!([counts[0].get(), counts[1].get()], [0, 1]);
    assert_eq!(Arc::strong_count(&counts[1]), 1, "a woken waker was kept");
    assert!(poll(&waiters, &key, Waker::noop()));
    assert_eq!(waiters.remove(key), Some(()));
}

#[test]
fn removing_drops_the_waker() {
    let waiters = Waiters::<()>::new();
    let key = waiters.enqueue();
    let count = Arc::<Count>::default();
    assert!(!poll(&waiters, &key, &Arc::clone(&count).into()));
    assert_eq!(waiters.remove(key), None);
    assert_eq!(Arc::strong_count(&count), 1);
    assert_eq!(waiters.grant(()), Err(()));
}

/// After each random operation, compares the queue with a very simple one.
#[test]
fn random_operations_agree_with_a_model() {
    const STEPS: usize = if cfg!(miri) { 500 } else { 100_000 };

    struct Waiter {
        key: Key,
        number: usize,
        grant: Option<usize>,
        polled: bool,
        count: Arc<Count>,
    }

    let waiters = Waiters::new();
    let mut live: Vec<Waiter> = Vec::new();
    let mut order: VecDeque<usize> = VecDeque::new();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);

    for step in 0..STEPS {
        let at = random.below(live.len().max(1));
        match random.below(16) {
            0..=4 if live.len() < 20 => {
                order.push_back(step);
                live.push(Waiter {
                    key: waiters.enqueue(),
                    number: step,
                    grant: None,
                    polled: false,
                    count: Arc::default(),
                });
            }
            5..=8 if !live.is_empty() => {
                let waiter = &mut live[at];
                let ready = poll(&waiters, &waiter.key, &Arc::clone(&waiter.count).into());
                assert_eq!(ready, waiter.grant.is_some());
                waiter.polled |= !ready;
            }
            9..=11 => {
                let expected = order.pop_front();
                assert_eq!(waiters.grant(step).is_ok(), expected.is_some());
                for waiter in live.iter_mut().filter(|it| Some(it.number) == expected) {
                    waiter.grant = Some(step);
                }
            }
            12 if random.below(20) == 0 => {
                waiters.grant_all(step);
                order.clear();
                for waiter in live.iter_mut().filter(|it| it.grant.is_none()) {
                    waiter.grant = Some(step);
                }
            }
            13..=15 if !live.is_empty() => {
                let waiter = live.swap_remove(at);
                order.retain(|&number| number != waiter.number);
                assert_eq!(waiters.remove(waiter.key), waiter.grant);
                assert_eq!(Arc::strong_count(&waiter.count), 1);
            }
            _ => {}
        }
        for waiter in &live {
            assert_eq!(waiters.is_granted(&waiter.key), waiter.grant.is_some());
            let woken = usize::from(waiter.polled && waiter.grant.is_some());
            assert_eq!(waiter.count.get(), woken);
        }
    }

    for waiter in live {
        assert_eq!(waiters.remove(waiter.key), waiter.grant);
    }
    assert_eq!(waiters.grant(0), Err(0));
    assert!(waiters.queue.take().is_none_or(|queue| queue.in_use() == 0));
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

// A waker must be `Send`, so wakers that use the queue find it in a thread-local.
thread_local! {
    static QUEUE: Waiters<u8> = const { Waiters::new() };
    static KEYS: RefCell<Vec<Key>> = const { RefCell::new(Vec::new()) };
    static DROPS: Cell<usize> = const { Cell::new(0) };
}

/// A waker that uses the queue when it is woken, and when it is dropped.
struct UsesQueue;

impl Wake for UsesQueue {
    fn wake(self: Arc<Self>) {
        QUEUE.with(|queue| {
            // Removes another waiter, and adds one.
            let next = KEYS.with_borrow_mut(Vec::pop);
            if let Some(next) = next {
                queue.remove(next);
            }
            let joined = queue.enqueue();
            KEYS.with_borrow_mut(|keys| keys.push(joined));
        });
    }
}

impl Drop for UsesQueue {
    fn drop(&mut self) {
        DROPS.set(DROPS.get() + 1);
        QUEUE.with(|queue| {
            let key = queue.enqueue();
            assert_eq!(queue.remove(key), None);
        });
    }
}

#[test]
fn wakers_may_use_the_queue() {
    QUEUE.with(|queue| {
        let keys: Vec<Key> = (0..3).map(|_| queue.enqueue()).collect();
        for key in &keys {
            // The second waker replaces, and so drops, the first.
            assert!(!poll(queue, key, &Arc::new(UsesQueue).into()));
            assert!(!poll(queue, key, &Arc::new(UsesQueue).into()));
        }
        assert_eq!(DROPS.get(), 3);
        KEYS.with_borrow_mut(|slot| *slot = keys);

        assert_eq!(queue.grant(1), Ok(()));
        // The first waiter was woken. Its waker removed the third and added one at the tail.
        assert_eq!(DROPS.get(), 5);
        queue.grant_all(2);
        // The second waiter was woken. Its waker removed the added waiter, which was granted
        // already, and added another, which is not granted.
        assert_eq!(DROPS.get(), 6);

        let mut keys = KEYS.take();
        let joined = keys.pop().unwrap();
        assert!(!queue.is_granted(&joined));
        assert_eq!(queue.remove(joined), None);
        let grants: Vec<_> = keys.into_iter().map(|key| queue.remove(key)).collect();
        assert_eq!(grants, [Some(1), Some(2)]);
    });
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

#[test]
fn the_other_waiters_are_woken_if_a_waker_panics() {
    let waiters = Waiters::new();
    let keys = [waiters.enqueue(), waiters.enqueue(), waiters.enqueue()];
    let count = Arc::<Count>::default();
    assert!(!poll(&waiters, &keys[0], &Arc::clone(&count).into()));
    assert!(!poll(&waiters, &keys[1], &Arc::new(Panics).into()));
    assert!(!poll(&waiters, &keys[2], &Arc::clone(&count).into()));
    panic::catch_unwind(AssertUnwindSafe(|| waiters.grant_all(()))).unwrap_err();
    assert_eq!(count.get(), 2);
    for key in keys {
        assert_eq!(waiters.remove(key), Some(()));
    }
}

#[test]
fn nodes_are_reused() {
    let waiters = Waiters::<()>::new();
    for _ in 0..100 {
        let keys = [waiters.enqueue(), waiters.enqueue()];
        waiters.grant(()).unwrap();
        for key in keys {
            waiters.remove(key);
        }
    }
    assert!(waiters.with(|queue| queue.capacity()) <= 4);
}

#[test]
fn the_memory_of_a_burst_is_freed() {
    let waiters = Waiters::<()>::new();
    let keys: Vec<Key> = (0..1000).map(|_| waiters.enqueue()).collect();
    waiters.grant_all(());
    for key in keys {
        assert_eq!(waiters.remove(key), Some(()));
    }
    assert!(waiters.queue.take().is_none());
}

#[test]
fn waiters_whose_grants_are_taken_over_are_first_again() {
    let waiters = Waiters::<char, u8>::new();
    let keys = [1, 2, 3, 4].map(|want| waiters.enqueue_for(want, None));
    let count = Arc::<Count>::default();
    let mut own = Some(waiters.enqueue_for(5, Some(Arc::clone(&count).into())));
    for grant in ['a', 'b', 'c'] {
        assert_eq!(waiters.grant(grant), Ok(()));
    }
    assert!(!waiters.is_first(own.as_ref().unwrap()));
    let taken = waiters.take_over(&mut own, |_, _| Choice::Take);
    assert_eq!(taken, [], "the search found no last grant");
    let taken = waiters.take_over(&mut own, |want, _| match want {
        1 => Choice::Skip,
        2 => Choice::Take,
        _ => Choice::TakeLast,
    });
    assert_eq!((taken, own.is_none()), (vec![(3, 'c'), (2, 'b')], true));
    let granted = keys.each_ref().map(|key| waiters.is_granted(key));
    assert_eq!(granted, [true, false, false, false]);

    assert_eq!(waiters.grant('d'), Ok(()));
    assert_eq!(
        count.get(),
        1,
        "the waker of the waiter that took over is woken"
    );
    assert_eq!(waiters.grant('e'), Ok(()));
    assert_eq!(
        keys.map(|key| waiters.remove(key)),
        [Some('a'), Some('d'), Some('e'), None]
    );
}

#[test]
fn a_waiter_whose_waker_was_taken_is_still_in_the_queue() {
    let waiters = Waiters::<(), u8>::new();
    let count = Arc::<Count>::default();
    let keys = [1, 2, 2, 2].map(|want| {
        let waker = Arc::clone(&count).into();
        waiters.enqueue_for(want, Some(waker))
    });
    let mut wakers = Wakers::new();
    waiters.take_wakers(&mut wakers, |want| want == 3);
    assert_eq!(Arc::strong_count(&count), 5);
    waiters.take_wakers(&mut wakers, |want| want == 2);
    wakers.wake();
    assert_eq!((count.get(), Arc::strong_count(&count)), (2, 3));
    // The wakers of the first and the third waiter are left.
    for (key, woken) in keys.into_iter().zip([3, 3, 4, 4]) {
        waiters.grant(()).unwrap();
        assert_eq!((waiters.remove(key), count.get()), (Some(()), woken));
    }
}

#[test]
fn grant_last_grants_the_tail() {
    let waiters = Waiters::new();
    let keys = [(); 3].map(|()| waiters.enqueue());
    assert_eq!(waiters.grant_last('a'), Ok(()));
    assert_eq!(waiters.grant('b'), Ok(()));
    assert_eq!(waiters.grant_last('c'), Ok(()));
    assert_eq!(waiters.grant_last('d'), Err('d'));
    assert_eq!(
        keys.map(|key| waiters.remove(key)),
        [Some('b'), Some('c'), Some('a')]
    );
}

#[test]
fn poll_is_ready_until_removed() {
    let waiters = Waiters::new();
    let key = waiters.enqueue();
    waiters.grant(()).unwrap();
    let cx = Context::from_waker(Waker::noop());
    assert_eq!(waiters.poll_granted(&key, &cx), Poll::Ready(()));
    assert_eq!(waiters.poll_granted(&key, &cx), Poll::Ready(()));
    assert_eq!(waiters.remove(key), Some(()));
}
