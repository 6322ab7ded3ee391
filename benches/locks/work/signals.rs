//! One task that repeatedly notifies others.

use std::rc::Rc;
use std::time::Duration;

use super::rounds::rounds;
use super::{Barrier, Event, Notify, Stage, spawn};
use crate::locking::ping_pong;
use crate::tasks::in_tasks;

/// The two tasks of a pair wake each other in turn.
pub(crate) async fn ping_pong_pairs(pairs: usize, pieces: u64) -> Duration {
    in_tasks(pairs, spawn, || ping_pong::<Notify, _>(pieces, spawn)).await
}

pub(crate) async fn notify_waiters(waiters: usize, pieces: u64) -> Duration {
    let notify = Rc::new(Notify::new());
    let notified = Rc::clone(&notify);
    rounds(
        waiters,
        pieces,
        async move |_| notified.notified().await,
        async move |_| notify.notify_waiters(),
    )
    .await
}

/// Uses two flags, each set in every other round, so that one can be cleared while all
/// tasks wait for the other.
pub(crate) async fn event(waiters: usize, pieces: u64) -> Duration {
    let events = Rc::new([Event::new(), Event::new()]);
    let awaited = Rc::clone(&events);
    rounds(
        waiters,
        pieces,
        async move |round| awaited[usize::from(round % 2 == 1)].wait().await,
        async move |round| {
            events[usize::from(round % 2 == 0)].clear();
            events[usize::from(round % 2 == 1)].set();
        },
    )
    .await
}

pub(crate) async fn condvar(waiters: usize, pieces: u64) -> Duration {
    let stage = Rc::new(Stage::default());
    let awaited = Rc::clone(&stage);
    rounds(
        waiters,
        pieces,
        async move |round| awaited.wait_beyond(round).await,
        async move |_| stage.advance().await,
    )
    .await
}

pub(crate) async fn barrier(tasks: usize, pieces: u64) -> Duration {
    let barrier = Rc::new(Barrier::new(tasks));
    in_tasks(tasks, spawn, || {
        let barrier = Rc::clone(&barrier);
        async move {
            for _ in 0..pieces {
                barrier.wait().await;
            }
        }
    })
    .await
}
