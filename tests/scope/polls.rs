//! How often children are polled when many of them are ready at once, and that children
//! which spend the budget of the task do not starve the others.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use coreloop::cleanup::bracket;
use coreloop::scope::{as_completed, cancel_scope, scope};
use coreloop::sync::Notify;
use coreloop::task::{JoinHandle, consume_budget, yield_now};
use coreloop::time::sleep;
use coreloop::{join, select, spawn};

use coreloop_test_support::size::pick;
use coreloop_test_support::trace::{TICK, ticks};

/// The number of children. Regression: the more children there were, the more often each
/// one was polled.
fn many() -> usize {
    pick(4_000, 32_000)
}

/// Counts the polls of `future`.
async fn counted<F: Future>(polls: &Cell<usize>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        polls.set(polls.get() + 1);
        future.as_mut().poll(context)
    })
    .await
}

#[track_caller]
fn assert_few(polls: &Cell<usize>, count: usize) {
    let polls = polls.get();
    assert!(polls <= 4 * count, "{polls} polls of {count} children");
}

/// A task that is always ready, and counts its polls. The paused clock does not move
/// while it runs.
struct OtherTask {
    turns: Rc<Cell<usize>>,
    task: JoinHandle<()>,
}

impl OtherTask {
    fn spawn() -> OtherTask {
        let turns = Rc::new(Cell::new(0));
        let own = Rc::clone(&turns);
        let task = spawn(async move {
            loop {
                own.set(own.get() + 1);
                yield_now().await;
            }
        });
        OtherTask { turns, task }
    }

    #[track_caller]
    fn assert_turns(self, least: usize) {
        self.task.abort();
        let turns = self.turns.get();
        assert!(turns >= least, "{turns} polls of the other task");
    }
}

#[coreloop::test(start_paused = true)]
#[cfg_attr(miri, ignore = "counts polls, in safe code")]
async fn children_of_a_scope_that_are_woken_at_once_are_polled_few_times() {
    let count = many();
    let (polls, notify) = (Cell::new(0), Notify::new());
    let other = scope(async |scope| {
        for _ in 0..count {
            drop(scope.spawn(counted(&polls, notify.notified())));
        }
        ticks(1).await;
        notify.notify_waiters();
        // Other tasks run whenever a budget is spent.
        OtherTask::spawn()
    });
    other.await.assert_turns(count / 128);
    assert_few(&polls, count);
}

#[coreloop::test(start_paused = true)]
#[cfg_attr(miri, ignore = "counts polls, in safe code")]
async fn futures_that_complete_at_once_are_polled_few_times() {
    let count = many();
    let (polls, notify) = (Cell::new(0), Notify::new());
    let mut outputs = as_completed((0..count).map(|_| counted(&polls, notify.notified())));
    select! {
        biased;
        _ = outputs.next() => unreachable!(),
        () = ticks(1) => {}
    }
    notify.notify_waiters();
    let other = OtherTask::spawn();
    let mut completed = 0;
    while outputs.next().await.is_some() {
        completed += 1;
    }
    assert_eq!(completed, count);
    other.assert_turns(count / 128);
    assert_few(&polls, count);
}

#[coreloop::test(start_paused = true)]
#[cfg_attr(miri, ignore = "counts polls, in safe code")]
async fn children_that_sleep_until_the_same_time_are_polled_few_times() {
    let count = many();
    let polls = Cell::new(0);
    scope(async |scope| {
        let handles: Vec<_> = (0..count)
            .map(|_| scope.spawn(counted(&polls, sleep(TICK))))
            .collect();
        for handle in handles {
            handle.await;
        }
    })
    .await;
    assert_few(&polls, count);
}

/// Each child is woken several times, as connections are.
#[coreloop::test(start_paused = true)]
#[cfg_attr(miri, ignore = "counts polls, in safe code")]
async fn children_that_are_woken_at_once_again_and_again_are_polled_few_times() {
    const ROUNDS: usize = 8;

    let count = many() / ROUNDS;
    let (polls, notify) = (Cell::new(0), Notify::new());
    scope(async |scope| {
        for _ in 0..count {
            drop(scope.spawn(counted(&polls, async {
                for _ in 0..ROUNDS {
                    notify.notified().await;
                }
            })));
        }
        for _ in 0..ROUNDS {
            ticks(1).await;
            notify.notify_waiters();
        }
    })
    .await;
    assert_few(&polls, count * ROUNDS / 2);
}

#[coreloop::test(start_paused = true)]
#[cfg_attr(miri, ignore = "counts polls, in safe code")]
async fn children_of_a_cancelled_scope_are_polled_few_times() {
    let count = many();
    let polls = Cell::new(0);
    let closed = Rc::new(Cell::new(0));
    let result = cancel_scope(async |canceller| {
        scope(async |scope| {
            for _ in 0..count {
                let closed = Rc::clone(&closed);
                let close = async move |()| {
                    ticks(1).await;
                    closed.set(closed.get() + 1);
                };
                let used = bracket(async || (), async |()| ticks(9).await, close);
                drop(scope.spawn(counted(&polls, used)));
            }
            ticks(1).await;
            canceller.cancel();
        })
        .await;
    });
    assert!(result.await.is_err());
    assert_eq!(closed.get(), count);
    assert_few(&polls, count);
}

/// Returns pending once, and wakes during the poll, where `yield_now` wakes after it.
async fn wake_at_once() {
    let mut woken = false;
    poll_fn(|context| {
        if woken {
            return Poll::Ready(());
        }
        woken = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Children spend the budget in the order in which they were woken.
#[coreloop::test(start_paused = true)]
#[cfg_attr(miri, ignore = "a thousand children, in safe code")]
async fn children_run_in_the_order_of_their_wakes() {
    let count = 1000;
    let order = RefCell::new(Vec::new());
    scope(async |scope| {
        for number in 0..count {
            let order = &order;
            drop(scope.spawn(async move {
                for round in 0..3 {
                    consume_budget().await;
                    order.borrow_mut().push((round, number));
                    wake_at_once().await;
                }
            }));
        }
    })
    .await;
    let expected = (0..3).flat_map(|round| (0..count).map(move |number| (round, number)));
    assert!(order.take().into_iter().eq(expected));
}

/// Children that spend the budget in each of their polls, a body that spends it, and one
/// child that waits for a timer: all make progress.
#[coreloop::test]
#[cfg_attr(miri, ignore = "thousands of polls, in safe code")]
async fn no_child_starves_another() {
    for count in [1, 2, 3, 8, 9, 20, 300] {
        for body_is_busy in [false, true] {
            let turns: Vec<_> = (0..=count).map(|_| Cell::new(0)).collect();
            let busy = async |turns: &Cell<u32>| {
                loop {
                    consume_budget().await;
                    turns.set(turns.get() + 1);
                }
            };
            let result = cancel_scope(async |canceller| {
                scope(async |scope| {
                    for turns in &turns[..count] {
                        drop(scope.spawn(busy(turns)));
                    }
                    drop(scope.spawn(async {
                        sleep(Duration::from_millis(1)).await;
                        while turns[..count].iter().any(|turns| turns.get() == 0)
                            || body_is_busy && turns[count].get() < 300
                        {
                            yield_now().await;
                        }
                        canceller.cancel();
                    }));
                    if body_is_busy {
                        busy(&turns[count]).await;
                    }
                })
                .await;
            });
            assert!(result.await.is_err());
        }
    }
}

/// The scope is polled beside a future that leaves it no budget.
#[coreloop::test]
#[cfg_attr(miri, ignore = "thousands of polls, in safe code")]
async fn a_scope_makes_progress_beside_a_future_that_spends_the_budget() {
    let is_done = Cell::new(false);
    let polls = Cell::new(0);
    let spends = async {
        while !is_done.get() {
            consume_budget().await;
        }
    };
    let works = async {
        scope(async |scope| {
            for _ in 0..100 {
                drop(scope.spawn(counted(&polls, async {
                    for _ in 0..5 {
                        yield_now().await;
                    }
                })));
            }
        })
        .await;
        is_done.set(true);
    };
    join!(biased; spends, works);
    assert!(polls.get() <= 700, "{} polls", polls.get());
}
