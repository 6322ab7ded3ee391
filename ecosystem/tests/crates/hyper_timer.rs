//! The timers for hyper, which use the clock of the loop and may be dropped on any thread.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant as SystemInstant};

use coreloop::Runtime;
use coreloop::hyper::LoopTimer;
use coreloop::time::{self, Instant};
use coreloop_test_support::clock::paused;
use coreloop_test_support::deadline::yield_until;
use coreloop_test_support::panics::panic_of;
use hyper::rt::{Sleep, Timer};

const MINUTE: Duration = Duration::from_secs(60);

type BoxedSleep = Pin<Box<dyn Sleep>>;

#[coreloop::test(start_paused = true)]
async fn the_timer_uses_the_clock_of_the_loop() {
    let start = LoopTimer.now();
    LoopTimer.sleep(MINUTE).await;
    assert_eq!(LoopTimer.now() - start, MINUTE);
    LoopTimer.sleep_until(start + 3 * MINUTE).await;
    assert_eq!(LoopTimer.now() - start, 3 * MINUTE);
    // A deadline that has passed does not wait.
    LoopTimer.sleep_until(start).await;
    assert_eq!(LoopTimer.now() - start, 3 * MINUTE);
}

#[coreloop::test(start_paused = true)]
async fn a_sleep_beyond_the_range_of_the_clock_stays_pending() {
    let never = LoopTimer.sleep(Duration::MAX);
    assert!(time::timeout(1000 * MINUTE, never).await.is_err());
}

#[coreloop::test(start_paused = true)]
async fn a_reset_moves_a_sleep_that_is_awaited() {
    let start = Instant::now();
    let mut sleep = LoopTimer.sleep(MINUTE);
    assert!(poll_once(&mut sleep).await.is_pending());
    LoopTimer.reset(&mut sleep, (start + 5 * MINUTE).into_std());
    (&mut sleep).await;
    assert_eq!(start.elapsed(), 5 * MINUTE);

    // A sleep that has elapsed starts again.
    LoopTimer.reset(&mut sleep, (start + 6 * MINUTE).into_std());
    (&mut sleep).await;
    assert_eq!(start.elapsed(), 6 * MINUTE);
    (&mut sleep).await;
}

#[coreloop::test(start_paused = true)]
async fn a_reset_replaces_the_sleep_of_another_timer() {
    struct Foreign;
    impl Future for Foreign {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }
    impl Sleep for Foreign {}

    let start = Instant::now();
    let mut sleep: BoxedSleep = Box::pin(Foreign);
    LoopTimer.reset(&mut sleep, (start + MINUTE).into_std());
    sleep.await;
    assert_eq!(start.elapsed(), MINUTE);
}

#[test]
fn a_poll_on_another_thread_panics_and_leaves_the_sleep_as_it_is() {
    let runtime = paused();
    let sleep = waiting(&runtime, MINUTE);
    let away = thread::spawn(move || {
        let mut sleep = sleep;
        let panic = panic_of(|| poll_with(&mut sleep, Waker::noop()));
        assert!(panic.contains("outside its loop"), "{panic}");
        sleep
    });
    let sleep = away.join().unwrap();
    runtime.block_on(async {
        let start = Instant::now();
        sleep.await;
        assert_eq!(start.elapsed(), MINUTE);
    });
}

#[test]
fn a_reset_on_another_loop_replaces_the_sleep() {
    let (first, second) = (paused(), paused());
    let mut sleep = waiting(&first, MINUTE);
    second.block_on(async {
        let start = Instant::now();
        LoopTimer.reset(&mut sleep, (start + 2 * MINUTE).into_std());
        sleep.await;
        assert_eq!(start.elapsed(), 2 * MINUTE);
    });
    // The first loop removes its timer in one of its next turns.
    first.block_on(async { yield_until(|| first.next_timer().is_none()).await });
}

/// The guard of another runtime makes its loop the current one.
#[test]
fn a_task_that_entered_another_runtime_may_poll_a_sleep_of_its_own() {
    let (first, second) = (paused(), paused());
    first.block_on(async {
        let start = Instant::now();
        let sleep = LoopTimer.sleep(MINUTE);
        let guard = second.enter();
        sleep.await;
        drop(guard);
        assert_eq!(start.elapsed(), MINUTE);
    });
}

#[test]
fn a_drop_on_another_thread_removes_the_timer() {
    let runtime = paused();
    let (_, flag) = Flag::new();
    let waker = Waker::from(Arc::clone(&flag));
    let mut sleep = sleep_of(&runtime, MINUTE);
    let polled = runtime.block_on(async { poll_with(&mut sleep, &waker) });
    assert!(polled.is_pending());
    drop(waker);
    assert_eq!(Arc::strong_count(&flag), 2, "the timer has no waker");

    thread::spawn(move || drop(sleep)).join().unwrap();
    runtime.block_on(async {
        // The loop receives the drop through its remote spawner, in one of the next turns.
        yield_until(|| Arc::strong_count(&flag) == 1).await;
    });
}

#[test]
fn a_sleep_is_pending_after_its_runtime_was_dropped() {
    let runtime = Runtime::new().unwrap();
    let (mut set, unset) = (waiting(&runtime, MINUTE), sleep_of(&runtime, MINUTE));
    drop(runtime);
    assert!(poll_with(&mut set, Waker::noop()).is_pending());
    drop(set);
    thread::spawn(move || drop(unset)).join().unwrap();
}

#[test]
fn a_drop_leaves_the_timers_of_another_loop_alone() {
    let first = paused();
    let second = paused();
    let of_first = waiting(&first, MINUTE);
    second.block_on(async {
        // This timer has the same number in its loop. The drop must not remove it.
        let mut own = LoopTimer.sleep(2 * MINUTE);
        assert!(poll_once(&mut own).await.is_pending());
        drop(of_first);
        let start = Instant::now();
        own.await;
        assert_eq!(start.elapsed(), 2 * MINUTE);
    });
    first.block_on(async { time::sleep(2 * MINUTE).await });
}

#[test]
fn a_sleep_polled_outside_a_turn_is_woken() {
    let runtime = paused();
    let guard = runtime.enter();
    let (woken, flag) = Flag::new();
    let mut sleep = LoopTimer.sleep(MINUTE);
    assert!(poll_with(&mut sleep, &Waker::from(flag)).is_pending());
    drop(guard);
    runtime.block_on(async { time::sleep(2 * MINUTE).await });
    woken.try_recv().expect("the sleep has elapsed");
}

#[test]
fn outside_a_runtime_the_timer_returns_the_time_of_the_system_and_panics_on_sleep() {
    let before = SystemInstant::now();
    assert!(LoopTimer.now() >= before);
    let panic = thread::spawn(|| drop(LoopTimer.sleep(MINUTE)))
        .join()
        .unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("outside a coreloop runtime"), "{message}");
}

#[test]
fn tasks_of_the_executor_need_not_be_send() {
    use coreloop::hyper::LocalExecutor;
    use hyper::rt::Executor;

    coreloop::block_on(async {
        let shared = Rc::new(std::cell::Cell::new(0));
        let other = Rc::clone(&shared);
        LocalExecutor.execute(async move { other.set(7) });
        coreloop::task::yield_now().await;
        assert_eq!(shared.get(), 7);
    });
}

fn sleep_of(runtime: &Runtime, duration: Duration) -> BoxedSleep {
    let _guard = runtime.enter();
    LoopTimer.sleep(duration)
}

/// Returns a sleep whose timer is set.
fn waiting(runtime: &Runtime, duration: Duration) -> BoxedSleep {
    let mut sleep = sleep_of(runtime, duration);
    runtime.block_on(async { assert!(poll_once(&mut sleep).await.is_pending()) });
    sleep
}

async fn poll_once(sleep: &mut BoxedSleep) -> Poll<()> {
    poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx))).await
}

fn poll_with(sleep: &mut BoxedSleep, waker: &Waker) -> Poll<()> {
    sleep.as_mut().poll(&mut Context::from_waker(waker))
}

/// A waker that sends a message for each wake.
struct Flag {
    woken: Sender<()>,
}

impl Flag {
    fn new() -> (Receiver<()>, Arc<Flag>) {
        let (woken, receiver) = channel();
        (receiver, Arc::new(Flag { woken }))
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        let _ = self.woken.send(());
    }
}
