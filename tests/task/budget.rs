//! The budget, and that no task starves the loop.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io::{self, PipeReader, Read, Write, pipe};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use coreloop::io::Async;
use coreloop::runtime::Builder;
use coreloop::task::{self, coop, yield_now};
use coreloop::time::{Instant, sleep};
use coreloop::{Runtime, block_on, spawn};

/// Returns how often `operation` is ready in one poll of a task of its own.
async fn ready_in_one_poll(
    mut operation: impl FnMut(&mut Context<'_>) -> Poll<()> + 'static,
) -> u32 {
    let task = spawn(async move {
        poll_fn(|context| {
            let mut count = 0;
            while operation(context).is_ready() {
                count += 1;
                assert!(count < 10_000, "no budget is spent");
            }
            Poll::Ready(count)
        })
        .await
    });
    task.await.expect("the task returns its count")
}

/// Spends the budget of the task that polls.
fn spend_all(context: &mut Context<'_>) {
    while coop::has_budget_remaining() {
        assert!(coop::poll_proceed(context).is_ready());
    }
}

#[test]
fn a_refused_operation_wakes_its_task_and_registers_nothing() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.spawn(pending::<()>());
    let polls = Cell::new(0);
    runtime.block_on(async {
        let (reader, _writer) = pipe().unwrap();
        let reader = Async::new(reader).unwrap();
        let mut timer = sleep(Duration::from_secs(3600));
        let mut task = task;
        poll_fn(|context| {
            polls.set(polls.get() + 1);
            spend_all(context);
            if polls.get() == 2 {
                return Poll::Ready(());
            }
            let read = reader.poll_read_with(context, |mut reader| reader.read(&mut [0]));
            assert!(read.is_pending());
            assert!(Pin::new(&mut timer).poll(context).is_pending());
            assert!(Pin::new(&mut task).poll(context).is_pending());
            Poll::Pending
        })
        .await;
        let metrics = coreloop::runtime::metrics();
        assert_eq!(metrics.registered_fds(), 0, "the pipe is not registered");
        assert_eq!(metrics.budget_forced_yields(), 3);
        // The timer has been created, but is not set.
        assert!(!timer.is_elapsed());
        assert_eq!(runtime.next_timer(), None);
    });
    assert_eq!(polls.get(), 2, "the refusals have woken the task");
}

#[test]
fn a_refused_operation_completes_when_it_is_polled_again() {
    block_on(async {
        let (reader, mut writer) = pipe().unwrap();
        let reader = Async::new(reader).unwrap();
        poll_fn(|context| {
            spend_all(context);
            let read = reader.poll_read_with(context, |mut reader| reader.read(&mut [0]));
            assert!(read.is_pending());
            Poll::Ready(())
        })
        .await;
        writer.write_all(b"x").unwrap();
        let read = reader.read_with(|mut reader| reader.read(&mut [0]));
        assert_eq!(read.await.unwrap(), 1);
    });
}

#[test]
#[cfg_attr(miri, ignore = "counts to 128 six times, in safe code")]
fn every_operation_spends_a_unit() {
    block_on(async {
        assert_eq!(ready_in_one_poll(coop::poll_proceed).await, 128);

        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(&[0; 1000]).unwrap();
        let reader = Rc::new(Async::new(reader).unwrap());
        let source = Rc::clone(&reader);
        let mut byte = [0];
        let reads = ready_in_one_poll(move |context| {
            source
                .poll_read_with(context, |mut reader: &PipeReader| reader.read(&mut byte))
                .map(|read| assert_eq!(read.unwrap(), 1))
        });
        assert_eq!(reads.await, 128);

        let source = Rc::clone(&reader);
        let reads = ready_in_one_poll(move |context| {
            source
                .poll_read_stream(context, 1, |mut reader| reader.read(&mut byte))
                .map(|read| assert_eq!(read.unwrap(), 1))
        });
        assert_eq!(reads.await, 128);

        // Failures spend a unit, too: a task that retries for ever must not stop others.
        let failures = ready_in_one_poll(move |context| {
            reader
                .poll_read_with(context, |_| Err::<(), _>(io::ErrorKind::NotFound.into()))
                .map(|read| assert_eq!(read.unwrap_err().kind(), io::ErrorKind::NotFound))
        });
        assert_eq!(failures.await, 128);

        let timers =
            ready_in_one_poll(|context| Pin::new(&mut sleep(Duration::ZERO)).poll(context));
        assert_eq!(timers.await, 128);

        let joins = ready_in_one_poll(move |context| {
            let mut aborted = spawn(async {});
            aborted.abort();
            // The handle is never ready in this poll, but each poll of it spends a unit.
            match Pin::new(&mut aborted).poll(context) {
                Poll::Ready(_) => unreachable!("the task has not run yet"),
                Poll::Pending if coop::has_budget_remaining() => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            }
        });
        assert_eq!(joins.await, 127);
    });
}

#[test]
#[cfg_attr(miri, ignore = "counts to 128, in safe code")]
fn readiness_spends_a_unit() {
    block_on(async {
        let (reader, mut writer) = pipe().unwrap();
        let reader = Async::new(reader).unwrap();
        writer.write_all(b"x").unwrap();
        reader.readable().await.unwrap();
        let count = ready_in_one_poll(move |context| {
            reader.poll_readable(context).map(|ready| ready.unwrap())
        });
        assert_eq!(count.await, 128);
    });
}

#[test]
#[cfg_attr(miri, ignore = "counts to 384, in safe code")]
fn a_task_that_never_waits_yields_to_others() {
    block_on(async {
        let spent = Rc::new(Cell::new(0));
        let counter = Rc::clone(&spent);
        let busy = spawn(async move {
            loop {
                task::consume_budget().await;
                counter.set(counter.get() + 1);
            }
        });
        for turn in 1..=3 {
            yield_now().await;
            assert_eq!(spent.get(), turn * 128);
        }
        busy.abort();
        assert!(busy.await.is_err());
    });
}

#[test]
#[cfg_attr(miri, ignore = "counts to a thousand, in safe code")]
fn an_unconstrained_future_never_yields() {
    block_on(async {
        let others = Rc::new(Cell::new(false));
        let ran = Rc::clone(&others);
        drop(spawn(async move { ran.set(true) }));
        task::unconstrained(async {
            for _ in 0..1000 {
                assert!(coop::has_budget_remaining());
                task::consume_budget().await;
            }
        })
        .await;
        assert!(!others.get());
    });
}

#[test]
fn the_budget_is_restored_after_unconstrained_even_if_it_panics() {
    block_on(async {
        let mut count = 0;
        poll_fn(|context| {
            for _ in 0..10 {
                assert!(coop::poll_proceed(context).is_ready());
            }
            let mut panics = task::unconstrained(poll_fn(|_| -> Poll<()> { panic!("inside") }));
            let polled = catch_unwind(AssertUnwindSafe(|| {
                let _ = Pin::new(&mut panics).poll(context);
            }));
            assert!(polled.is_err());
            while coop::poll_proceed(context).is_ready() {
                count += 1;
            }
            Poll::Ready(())
        })
        .await;
        assert_eq!(count, 118);
    });
}

#[test]
#[cfg_attr(miri, ignore = "counts to a thousand, in safe code")]
fn operations_outside_a_runtime_have_no_budget() {
    let waker = std::task::Waker::noop();
    let mut context = Context::from_waker(waker);
    for _ in 0..1000 {
        assert!(coop::has_budget_remaining());
        assert!(coop::poll_proceed(&mut context).is_ready());
    }
}

/// Tasks that wake themselves for ever do not keep the loop from checking timers and
/// descriptors, whatever the interval.
#[test]
#[cfg_attr(miri, ignore = "thousands of polls of tasks that do nothing")]
fn busy_tasks_do_not_starve_timers_and_descriptors() {
    for interval in [1, 61, 1000] {
        let runtime = Builder::new().event_interval(interval).build().unwrap();
        runtime.block_on(async {
            let busy: Vec<_> = (0..3)
                .map(|_| {
                    spawn(async {
                        loop {
                            yield_now().await;
                        }
                    })
                })
                .collect();
            sleep(Duration::from_micros(50)).await;

            let (reader, mut writer) = pipe().unwrap();
            let reader = Async::new(reader).unwrap();
            let read = spawn(async move {
                let mut byte = [0];
                reader
                    .read_with(|mut reader: &PipeReader| reader.read(&mut byte))
                    .await
            });
            yield_now().await;
            writer.write_all(b"x").unwrap();
            assert_eq!(read.await.unwrap().unwrap(), 1);
            for task in busy {
                task.abort();
            }
        });
    }
}

/// A paused clock does not move while a task is ready, so busy tasks must not make time
/// pass.
#[test]
#[cfg_attr(miri, ignore = "hundreds of polls of tasks that do nothing")]
fn a_paused_clock_waits_for_busy_tasks() {
    let runtime = Builder::new().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let start = Instant::now();
        let late = spawn(sleep(Duration::from_secs(1)));
        for _ in 0..500 {
            yield_now().await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(!late.is_finished());
    });
}

/// A root that is always ready lets other tasks run.
#[test]
fn the_root_has_a_budget_like_any_task() {
    let log = RefCell::new(Vec::new());
    block_on(async {
        let other = spawn(async { "ran" });
        for _ in 0..129 {
            task::consume_budget().await;
        }
        log.borrow_mut().push(other.is_finished());
        drop(spawn(pending::<()>()));
    });
    assert_eq!(*log.borrow(), [true]);
}
