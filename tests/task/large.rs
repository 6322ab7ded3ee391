//! Futures and outputs too large for the allocation of their task. Runs under Miri.

use std::cell::Cell;
use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use coreloop::task::{JoinSet, yield_now};
use coreloop::{Runtime, block_on, spawn};
use coreloop_test_support::panics::recorded;

const SIZE: usize = if cfg!(miri) { 1 << 10 } else { 4 << 10 };

/// A large value whose address must be a multiple of 256. It counts its drops, and may
/// panic when it is dropped.
#[repr(align(256))]
struct Large {
    bytes: [u8; SIZE],
    drops: Rc<Cell<usize>>,
    panics: bool,
}

impl Large {
    fn new(drops: &Rc<Cell<usize>>, panics: bool) -> Large {
        Large {
            bytes: [7; SIZE],
            drops: Rc::clone(drops),
            panics,
        }
    }

    fn check(&self) {
        assert!(std::ptr::from_ref(self).addr().is_multiple_of(256));
        assert!(self.bytes.iter().all(|&byte| byte == 7));
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        self.check();
        self.drops.set(self.drops.get() + 1);
        assert!(!self.panics, "on purpose");
    }
}

/// A future that is ready at the third poll, and checks that it is not moved until it is
/// dropped.
struct Pinned {
    large: Large,
    polls: usize,
    place: Option<usize>,
}

impl Pinned {
    fn new(large: Large) -> Pinned {
        Pinned {
            large,
            polls: 0,
            place: None,
        }
    }

    fn stays(&mut self) {
        let here = std::ptr::from_ref(self).addr();
        assert_eq!(*self.place.get_or_insert(here), here);
        self.large.check();
    }
}

impl Future for Pinned {
    type Output = usize;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<usize> {
        let this = self.get_mut();
        this.stays();
        this.polls += 1;
        if this.polls == 3 {
            return Poll::Ready(this.polls);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.stays();
    }
}

/// A future that is ready at once, and whose parts may panic when they are dropped.
struct Fragile {
    _future: Large,
    output: Option<Large>,
}

impl Future for Fragile {
    type Output = Large;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Large> {
        Poll::Ready(self.output.take().unwrap())
    }
}

#[test]
fn a_large_future_stays_in_its_place_and_is_dropped_once() {
    let drops = Rc::default();
    let new = || Pinned::new(Large::new(&drops, false));
    block_on(async {
        assert_eq!(spawn(new()).await.unwrap(), 3);
        assert_eq!(drops.get(), 1);
        // The future is dropped before the output is taken.
        let task = spawn(new());
        while !task.is_finished() {
            yield_now().await;
        }
        assert_eq!(drops.get(), 2);
        assert_eq!(task.await.unwrap(), 3);

        let pinned = new();
        let task = spawn(async move {
            let _pinned = pinned;
            pending::<()>().await;
        });
        yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(drops.get(), 3);
    });
}

#[test]
fn a_large_future_is_dropped_with_its_runtime() {
    let drops = Rc::default();
    let runtime = Runtime::new().unwrap();
    let task = runtime.spawn(Pinned::new(Large::new(&drops, false)));
    drop(runtime);
    assert_eq!(drops.get(), 1);
    drop(task);
}

/// The future of `block_on` borrows, and so may its output.
#[test]
fn a_large_root_may_borrow() {
    let drops = Rc::default();
    let large = Large::new(&drops, false);
    let bytes = block_on(async {
        let room = [1_u8; SIZE];
        yield_now().await;
        assert!(room.iter().all(|&byte| byte == 1));
        (&large.bytes, room)
    });
    assert_eq!(bytes.0, &[7; SIZE]);
    drop(large);
    assert_eq!(drops.get(), 1);
}

#[test]
fn every_kind_of_handle_returns_a_large_output() {
    let drops = Rc::default();
    let runtime = Runtime::new().unwrap();
    let output = || {
        let drops = Rc::clone(&drops);
        async move {
            yield_now().await;
            Large::new(&drops, false)
        }
    };
    runtime.block_on(output()).check();
    runtime.block_on(async {
        spawn(output()).await.unwrap().check();
        let mut set = JoinSet::new();
        set.spawn(output());
        set.join_next().await.unwrap().unwrap().check();
    });
    let remote = runtime.handle().spawn(async || [7_u8; SIZE]);
    assert_eq!(runtime.block_on(remote).unwrap(), [7; SIZE]);
    assert_eq!(drops.get(), 3);

    // An output that is not taken is dropped with the handle, or when a detached task
    // ends.
    let handle = runtime.spawn(output());
    drop(runtime.spawn(output()));
    runtime.block_on(async {
        while !handle.is_finished() {
            yield_now().await;
        }
    });
    assert_eq!(drops.get(), 4);
    drop(handle);
    assert_eq!(drops.get(), 5);
    drop(runtime.spawn(output()));
}

#[test]
fn large_futures_and_outputs_that_panic_when_dropped_do_not_stop_the_loop() {
    let drops = Rc::default();
    let ((), panics) = recorded(|| {
        block_on(async {
            let error = spawn(Pinned::new(Large::new(&drops, true)))
                .await
                .unwrap_err();
            assert!(error.is_panic());
            let task = spawn({
                let large = Large::new(&drops, true);
                async move {
                    let _large = large;
                    pending::<()>().await;
                }
            });
            yield_now().await;
            task.abort();
            assert!(task.await.unwrap_err().is_panic());
            // The output is dropped after a panic of the future's destructor.
            let fragile = Fragile {
                _future: Large::new(&drops, true),
                output: Some(Large::new(&drops, true)),
            };
            let panicked = spawn(fragile).await.is_err_and(|error| error.is_panic());
            assert!(panicked);
            // The output of a detached task is not taken.
            drop(spawn({
                let drops = Rc::clone(&drops);
                async move { Large::new(&drops, true) }
            }));
            yield_now().await;
            yield_now().await;
        });
    });
    assert_eq!(drops.get(), 5, "{panics:?}");
    assert!(
        panics.iter().all(|panic| panic.contains("on purpose")),
        "{panics:?}"
    );
}
