//! Time limits and the budget of the task: a future that was refused for lack of budget
//! is not late, and a future that spends the budget cannot evade its limit.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use coreloop::scope::{self, scope};
use coreloop::sync::{Condvar, Mutex, mpsc};
use coreloop::task::{JoinSet, consume_budget, coop, yield_now};
use coreloop::time::{Instant, sleep, timeout, timeout_at};
use coreloop::{join, race, select, spawn};

/// More attempts than the budget of one poll allows.
const MANY: u32 = 1000;

/// The ways to set a limit that has passed when the future is first polled.
#[derive(Debug, Clone, Copy)]
enum Limit {
    Timeout,
    TimeoutAt,
    NestedTimeouts,
    InnerTimeout,
    Deadline,
    DeadlineAroundTimeout,
}

const LIMITS: [Limit; 6] = [
    Limit::Timeout,
    Limit::TimeoutAt,
    Limit::NestedTimeouts,
    Limit::InnerTimeout,
    Limit::Deadline,
    Limit::DeadlineAroundTimeout,
];

/// Returns the output of `future`, if it is ready within a limit that passes at once.
async fn at_once<F: Future>(limit: Limit, future: F) -> Option<F::Output> {
    let zero = Duration::ZERO;
    let long = Duration::from_secs(3600);
    match limit {
        Limit::Timeout => timeout(zero, future).await.ok(),
        Limit::TimeoutAt => timeout_at(Instant::now(), future).await.ok(),
        Limit::NestedTimeouts => timeout(zero, timeout(zero, future)).await.ok()?.ok(),
        Limit::InnerTimeout => timeout(long, timeout(zero, future)).await.ok()?.ok(),
        Limit::Deadline => scope::timeout_at(Instant::now(), future).await.ok(),
        Limit::DeadlineAroundTimeout => {
            let inner = timeout(zero, future);
            scope::timeout_at(Instant::now() + long, inner)
                .await
                .ok()?
                .ok()
        }
    }
}

/// Runs `test` as the root of a runtime, as a task, as the child of a scope and as a
/// future that is polled beside others, each with a running clock and with a paused one.
fn everywhere<F: Future<Output = ()> + 'static>(test: impl Fn() -> F) {
    for start_paused in [false, true] {
        let runtime = || {
            let builder = coreloop::runtime::Builder::new();
            builder.start_paused(start_paused).build().unwrap()
        };
        runtime().block_on(test());
        runtime().block_on(async { spawn(test()).await.unwrap() });
        runtime().block_on(scope(async |scope| {
            scope.spawn(test()).await;
        }));
        runtime().block_on(async { join!(test(), yield_now(), test()) });
        runtime().block_on(async {
            let mut tasks = JoinSet::new();
            tasks.spawn(test());
            tasks.join_all().await
        });
    }
}

/// Counts the attempts of a loop, which must not run for ever.
fn attempt(attempts: &Cell<u32>) {
    attempts.set(attempts.get() + 1);
    assert!(attempts.get() < 100 * MANY, "no other task runs");
}

#[test]
#[cfg_attr(miri, ignore = "thousands of units of budget, in safe code")]
fn repeated_attempts_to_receive_let_the_sender_run() {
    for limit in LIMITS {
        everywhere(move || async move {
            let (sender, mut receiver) = mpsc::channel(1);
            drop(spawn(async move { sender.send(1).await.unwrap() }));
            let attempts = Cell::new(0);
            while at_once(limit, receiver.recv()).await.is_none() {
                attempt(&attempts);
            }
        });
    }
}

#[test]
#[cfg_attr(miri, ignore = "thousands of units of budget, in safe code")]
fn repeated_attempts_let_a_timer_fire() {
    for limit in LIMITS {
        everywhere(move || async move {
            let mut timer = sleep(Duration::ZERO);
            // Some other operation that is never ready.
            let (_sender, mut receiver) = mpsc::channel::<()>(1);
            let attempts = Cell::new(0);
            loop {
                let none = at_once(limit, receiver.recv()).await;
                assert!(none.is_none());
                attempt(&attempts);
                if let Some(()) = at_once(limit, Pin::new(&mut timer)).await {
                    break;
                }
            }
        });
    }
}

#[test]
#[cfg_attr(miri, ignore = "thousands of units of budget, in safe code")]
fn a_ready_value_is_received_within_any_limit() {
    for limit in LIMITS {
        everywhere(move || async move {
            let (sender, mut receiver) = mpsc::unbounded_channel();
            for number in 0..MANY {
                sender.send(number).unwrap();
            }
            for number in 0..MANY {
                assert_eq!(at_once(limit, receiver.recv()).await, Some(Some(number)));
            }
        });
    }
}

/// A branch that is not ready spends a unit, too, and may leave none for the branch that
/// is ready.
#[test]
#[cfg_attr(miri, ignore = "thousands of units of budget, in safe code")]
fn a_ready_branch_is_taken_within_any_limit() {
    for limit in LIMITS {
        everywhere(move || async move {
            let (_empty, mut nothing) = mpsc::unbounded_channel::<u32>();
            let (sender, mut receiver) = mpsc::unbounded_channel();
            for number in 0..3 * MANY {
                sender.send(number).unwrap();
            }
            for number in 0..MANY {
                let first = async {
                    select! {
                        none = nothing.recv() => none,
                        some = receiver.recv() => some,
                    }
                };
                let first = at_once(limit, first).await;
                assert_eq!(first, Some(Some(number)), "{limit:?}");
            }
            for number in MANY..2 * MANY {
                let first = async { race!(nothing.recv(), receiver.recv()) };
                let first = at_once(limit, first).await;
                assert_eq!(first, Some(Some(number)), "{limit:?}");
            }
            for number in 2 * MANY..3 * MANY {
                let both = async {
                    let some = receiver.recv().await;
                    // Two operations, of which the second may be refused.
                    consume_budget().await;
                    some
                };
                assert_eq!(at_once(limit, both).await, Some(Some(number)));
            }
        });
    }
}

#[test]
#[cfg_attr(miri, ignore = "thousands of units of budget, in safe code")]
fn a_future_that_spends_the_budget_cannot_evade_its_limit() {
    for limit in LIMITS {
        everywhere(move || async move {
            let spent = Cell::new(0_u32);
            let greedy = async {
                loop {
                    consume_budget().await;
                    attempt(&spent);
                }
            };
            assert!(at_once(limit, greedy).await.is_none());
            let polls = Cell::new(0_u32);
            let greedy = poll_fn(|context| {
                attempt(&polls);
                while coop::poll_proceed(context).is_ready() {}
                Poll::<()>::Pending
            });
            assert!(at_once(limit, greedy).await.is_none());
            assert!(polls.get() > 0);
        });
    }
}

/// The limit is checked in the same poll in which its future spent the whole budget.
#[coreloop::test(start_paused = true)]
async fn a_limit_is_checked_after_its_future_spent_a_whole_budget() {
    yield_now().await;
    let spent = Cell::new(0);
    let greedy = async {
        loop {
            consume_budget().await;
            spent.set(spent.get() + 1);
        }
    };
    assert!(timeout(Duration::ZERO, greedy).await.is_err());
    assert_eq!(spent.get(), 128);
}

/// A future whose limit has passed may get another poll, but cannot evade the budget by
/// it.
#[coreloop::test(start_paused = true)]
#[cfg_attr(miri, ignore = "hundreds of units of budget, in safe code")]
async fn late_futures_do_not_spend_more_than_two_budgets_in_a_poll() {
    let spent = Cell::new(0);
    let mut late = pin!(async {
        loop {
            // An odd number, so that the budget is spent in the middle of one of these
            // futures.
            let greedy = async {
                for _ in 0..3 {
                    consume_budget().await;
                    spent.set(spent.get() + 1);
                }
                pending::<()>().await;
            };
            assert!(timeout(Duration::ZERO, greedy).await.is_err());
        }
    });
    for _ in 0..10 {
        yield_now().await;
        poll_fn(|context| {
            assert!(late.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        assert!(spent.take() <= 2 * 128);
    }
}

/// The limit is polled when other futures of its task have spent the budget.
#[test]
#[cfg_attr(miri, ignore = "thousands of units of budget, in safe code")]
fn a_limit_that_is_first_polled_without_budget_is_not_late() {
    everywhere(|| async {
        for limit in LIMITS {
            let (sender, mut receiver) = mpsc::unbounded_channel();
            sender.send(5).unwrap();
            let is_finished = Cell::new(false);
            let busy = async {
                while !is_finished.get() {
                    consume_budget().await;
                }
            };
            let limited = async {
                // This is polled for the first time with no budget left.
                let output = at_once(limit, receiver.recv()).await;
                is_finished.set(true);
                output
            };
            let ((), output) = join!(busy, limited);
            assert_eq!(output, Some(Some(5)));
        }
    });
}

#[test]
#[cfg_attr(miri, ignore = "thousands of units of budget, in safe code")]
fn repeated_attempts_to_send_let_the_receiver_run() {
    everywhere(|| async {
        let (sender, mut receiver) = mpsc::channel(1);
        sender.send(0).await.unwrap();
        drop(spawn(
            async move { while receiver.recv().await.is_some() {} },
        ));
        let attempts = Cell::new(0);
        while sender.send_timeout(1, Duration::ZERO).await.is_err() {
            attempt(&attempts);
        }
    });
}

#[test]
#[cfg_attr(miri, ignore = "thousands of units of budget, in safe code")]
fn a_send_into_a_channel_with_room_is_within_any_limit() {
    everywhere(|| async {
        let (sender, mut receiver) = mpsc::channel(MANY as usize);
        for number in 0..MANY {
            let sent = sender.send_timeout(number, Duration::ZERO).await;
            assert_eq!(sent.ok(), Some(()));
        }
        assert_eq!(receiver.try_recv(), Ok(0));
    });
}

#[test]
#[cfg_attr(miri, ignore = "thousands of units of budget, in safe code")]
fn repeated_waits_for_a_condition_let_other_tasks_run() {
    everywhere(|| async {
        let pair = Rc::new((Mutex::new(false), Condvar::new()));
        let other = Rc::clone(&pair);
        drop(spawn(async move {
            *other.0.lock().await = true;
            other.1.notify_all();
        }));
        let attempts = Cell::new(0);
        let (mutex, condvar) = &*pair;
        let mut guard = mutex.lock().await;
        while !*guard {
            attempt(&attempts);
            guard = condvar.wait_timeout(guard, Duration::ZERO).await.0;
        }
    });
}
