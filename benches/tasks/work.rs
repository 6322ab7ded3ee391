//! Uses tasks, and returns the time that it took. The parent module imports them.

use std::cell::Cell;
use std::future::{pending, poll_fn, ready};
use std::hint::black_box;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::{JoinSet, spawn, spawn_blocking, spawn_in, yield_now};
use crate::spawning::spawn_and_join;
use crate::tasks::in_tasks;
use crate::waking::{Wake, wake_through_queue};

pub(crate) async fn spawn_join(tasks: usize, pieces: u64) -> Duration {
    spawn_and_join(tasks, pieces, spawn).await
}

pub(crate) async fn join_set(tasks: usize, pieces: u64) -> Duration {
    let mut set = JoinSet::new();
    let start = Instant::now();
    for _ in 0..pieces {
        for number in 0..tasks {
            spawn_in(&mut set, ready(number));
        }
        while let Some(number) = set.join_next().await {
            black_box(number.expect("it does not panic"));
        }
    }
    start.elapsed()
}

/// Aborts tasks that wait, and joins them.
pub(crate) async fn abort(tasks: usize, pieces: u64) -> Duration {
    let mut handles = Vec::with_capacity(tasks);
    let start = Instant::now();
    for _ in 0..pieces {
        let waiting = Rc::new(Cell::new(0));
        for _ in 0..tasks {
            let waiting = Rc::clone(&waiting);
            handles.push(spawn(async move {
                waiting.set(waiting.get() + 1);
                pending::<()>().await;
            }));
        }
        while waiting.get() < tasks {
            yield_now().await;
        }
        for handle in &handles {
            handle.abort();
        }
        for handle in handles.drain(..) {
            assert!(handle.await.is_err_and(|error| error.is_cancelled()));
        }
    }
    start.elapsed()
}

/// Wakes by the borrowed waker, which is the cheapest way through the queue.
pub(crate) async fn self_wake(tasks: usize, pieces: u64) -> Duration {
    wake_through_queue(tasks, pieces, Wake::ByRef, spawn).await
}

/// Wakes by a clone that is then consumed, like a future that keeps its waker.
pub(crate) async fn self_wake_by_clone(tasks: usize, pieces: u64) -> Duration {
    wake_through_queue(tasks, pieces, Wake::ByClone, spawn).await
}

/// Yields with the library's own function, which polls the kernel in between.
pub(crate) async fn yields(tasks: usize, pieces: u64) -> Duration {
    in_tasks(tasks, spawn, || async move {
        for _ in 0..pieces {
            yield_now().await;
        }
    })
    .await
}

/// Each task waits for its turn and wakes the next.
pub(crate) async fn ring(tasks: usize, pieces: u64) -> Duration {
    let places: Rc<[Place]> = (0..tasks).map(|_| Place::default()).collect();
    let next = Cell::new(0);
    places[0].has_turn.set(true);
    in_tasks(tasks, spawn, || {
        let own = next.replace(next.get() + 1);
        let places = Rc::clone(&places);
        async move {
            for _ in 0..pieces {
                places[own].turn().await;
                places[(own + 1) % places.len()].give_turn();
            }
        }
    })
    .await
}

/// The place of a task in the ring.
#[derive(Default)]
struct Place {
    has_turn: Cell<bool>,
    waiting: Cell<Option<Waker>>,
}

impl Place {
    async fn turn(&self) {
        poll_fn(|context| {
            if self.has_turn.replace(false) {
                return Poll::Ready(());
            }
            self.waiting.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    fn give_turn(&self) {
        self.has_turn.set(true);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}

/// Each task is woken repeatedly by a thread.
pub(crate) async fn woken_by_a_thread(tasks: usize, pieces: u64) -> Duration {
    let (asking, asked) = mpsc::channel::<Waker>();
    let thread = thread::spawn(move || {
        for waker in asked {
            waker.wake();
        }
    });
    let elapsed = in_tasks(tasks, spawn, || {
        let asking = asking.clone();
        async move {
            for _ in 0..pieces {
                let mut asks = true;
                poll_fn(|context| {
                    if asks {
                        asks = false;
                        let waker = context.waker().clone();
                        asking.send(waker).expect("the thread is there");
                        return Poll::Pending;
                    }
                    Poll::Ready(())
                })
                .await;
            }
        }
    })
    .await;
    drop(asking);
    thread.join().expect("the thread does not panic");
    elapsed
}

/// The jobs of the blocking pool have almost nothing to do.
pub(crate) async fn blocking(jobs: usize, pieces: u64) -> Duration {
    let mut handles = Vec::with_capacity(jobs);
    let start = Instant::now();
    for _ in 0..pieces {
        for number in 0..jobs {
            handles.push(spawn_blocking(move || black_box(number)));
        }
        for handle in handles.drain(..) {
            black_box(handle.await.expect("it does not panic"));
        }
    }
    start.elapsed()
}
