//! [`Room`], the places in a queue whose jobs leave it on other threads.
//!
//! Tasks of one loop wait for places, in order, at a semaphore. A thread that takes a job
//! returns the place of the job to [`Returned`]. The next task that wants a place collects the
//! returned places; while tasks wait, a task of their loop does. So a place that is returned
//! wakes the loop only if a task waits.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use coreloop_runtime::task::spawn_hidden;
use coreloop_sync::Semaphore;

/// The places of jobs that wait for a thread.
pub(super) struct Room {
    places: Semaphore,
    returned: Arc<Returned>,
    /// The number of tasks that wait for a place.
    waiting: Cell<usize>,
    /// Whether the task that collects places exists.
    is_collecting: Cell<bool>,
}

/// The place of one job. Dropping it returns the place, on any thread.
#[derive(Debug)]
pub(super) struct Place(Arc<Returned>);

/// The places that the loop has not collected yet.
#[derive(Default)]
struct Returned(Mutex<State>);

#[derive(Default)]
struct State {
    places: usize,
    /// The task that collects places, if it waits for one.
    collector: Option<Waker>,
}

impl Room {
    pub(super) fn new(places: usize) -> Rc<Self> {
        Rc::new(Self {
            places: Semaphore::new(places),
            returned: Arc::default(),
            waiting: Cell::new(0),
            is_collecting: Cell::new(false),
        })
    }

    /// Waits for a place. Returns `None` if the room was closed.
    ///
    /// Cancel safe: a future that is dropped leaves the queue.
    pub(super) async fn enter(self: &Rc<Self>) -> Option<Place> {
        self.collect();
        let permit = match self.places.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                let _waiting = Waiting::new(self);
                self.places.acquire().await.ok()?
            }
        };
        permit.forget();
        Some(Place(Arc::clone(&self.returned)))
    }

    /// Gives out no more places to tasks that wait.
    pub(super) fn close(&self) {
        self.places.close();
        let collector = self.returned.lock().collector.take();
        if let Some(collector) = collector {
            collector.wake();
        }
    }

    /// Takes the places that were returned.
    fn collect(&self) {
        let places = mem::take(&mut self.returned.lock().places);
        if places > 0 {
            // A panic of a waker would end the task that collects, or the call of another task.
            crate::panics::caught(|| self.places.add_permits(places));
        }
    }

    fn poll_collect(&self, cx: &Context<'_>) -> Poll<()> {
        loop {
            self.collect();
            if self.waiting.get() == 0 || self.places.is_closed() {
                return Poll::Ready(());
            }
            // Outside the lock, because cloning and dropping a waker may be user code.
            let collector = Some(cx.waker().clone());
            let mut returned = self.returned.lock();
            if returned.places == 0 {
                let before = mem::replace(&mut returned.collector, collector);
                drop(returned);
                drop(before);
                return Poll::Pending;
            }
            drop(returned);
        }
    }
}

impl Returned {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let collector = {
            let mut returned = self.0.lock();
            returned.places += 1;
            returned.collector.take()
        };
        if let Some(collector) = collector {
            collector.wake();
        }
    }
}

/// A task that waits for a place.
struct Waiting<'a>(&'a Room);

impl<'a> Waiting<'a> {
    fn new(room: &'a Rc<Room>) -> Self {
        room.waiting.set(room.waiting.get() + 1);
        if !room.is_collecting.replace(true) {
            let collector = Collector(Rc::clone(room));
            spawn_hidden(async move {
                poll_fn(|cx| collector.0.poll_collect(cx)).await;
            });
        }
        Self(room)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}

/// The task that collects places.
struct Collector(Rc<Room>);

impl Drop for Collector {
    fn drop(&mut self) {
        self.0.is_collecting.set(false);
    }
}

impl fmt::Debug for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Returned")
            .field("places", &self.lock().places)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use coreloop_runtime::block_on;
    use coreloop_runtime::task::{spawn, yield_now};
    use coreloop_test_support::meeting::soon;
    use coreloop_test_support::wakers::panicking_waker;

    use super::*;

    #[test]
    fn a_waker_that_panics_keeps_no_place_from_the_next_task() {
        block_on(async {
            let room = Room::new(2);
            let (one, two) = (room.enter().await, room.enter().await);
            let waker = panicking_waker();
            let mut cx = Context::from_waker(&waker);
            let mut first = pin!(room.enter());
            assert!(first.as_mut().poll(&mut cx).is_pending());
            let of_second = Rc::clone(&room);
            let second = spawn(async move { of_second.enter().await.is_some() });
            yield_now().await;
            // The task that collects places wakes the first one, and then still collects.
            drop(one);
            yield_now().await;
            yield_now().await;
            drop(two);
            assert!(soon(second).await.unwrap());
            assert!(first.await.is_some());
        });
    }
}
