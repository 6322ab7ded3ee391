//! The timers for hyper, which use the clock of the loop and work on any thread.

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
fn another_thread_waits_for_the_clock_of_the_loop() {
    let runtime = paused();
    let sleep = sleep_of(&runtime, MINUTE);
    // The clock moves only after the other thread has polled the sleep.
    let (polled, other) = on_thread(sleep);
    let end = runtime.block_on(async move {
        let start = Instant::now();
        wait_for(polled).await;
        time::sleep(2 * MINUTE).await;
        start.elapsed()
    });
    assert_eq!(end, 2 * MINUTE);
    other.join().unwrap();
}

#[test]
fn a_sleep_moves_from_its_loop_to_a_thread_and_back() {
    let runtime = paused();
    let (sleep, start) = runtime.block_on(async {
        let mut sleep = LoopTimer.sleep(MINUTE);
        assert!(poll_once(&mut sleep).await.is_pending());
        (sleep, Instant::now())
    });
    let (woken, flag) = Flag::new();
    let moved = thread::spawn(move || {
        let mut sleep = sleep;
        let waker = Waker::from(flag);
        assert!(poll_with(&mut sleep, &waker).is_pending());
        sleep
    });
    let mut sleep = moved.join().unwrap();
    runtime.block_on(async {
        (&mut sleep).await;
        assert_eq!(start.elapsed(), MINUTE);
    });
    // The loop polled last, so the waker of the thread was not woken.
    assert!(woken.try_recv().is_err());
}

#[test]
fn a_reset_outside_the_loop_takes_effect_at_the_next_poll() {
    let runtime = paused();
    let (mut sleep, start) = runtime.block_on(async {
        let mut sleep = LoopTimer.sleep(MINUTE);
        assert!(poll_once(&mut sleep).await.is_pending());
        (sleep, Instant::now())
    });
    let later = (start + 10 * MINUTE).into_std();
    LoopTimer.reset(&mut sleep, later);
    runtime.block_on(async {
        sleep.await;
        assert_eq!(start.elapsed(), 10 * MINUTE);
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
        // The loop receives the drop through its courier, in one of the next turns.
        yield_until(|| Arc::strong_count(&flag) == 1).await;
    });
}

#[test]
fn a_sleep_that_another_thread_waits_for_can_be_dropped_there() {
    let runtime = paused();
    let sleep = sleep_of(&runtime, MINUTE);
    let (woken, flag) = Flag::new();
    let counted = Arc::clone(&flag);
    let other = thread::spawn(move || {
        let mut sleep = sleep;
        assert!(poll_with(&mut sleep, &Waker::from(flag)).is_pending());
    });
    other.join().unwrap();
    runtime.block_on(async { time::sleep(2 * MINUTE).await });
    assert!(woken.try_recv().is_err(), "woken after the drop");
    assert_eq!(Arc::strong_count(&counted), 1);
}

#[test]
fn a_sleep_may_outlive_its_runtime() {
    let runtime = Runtime::new().unwrap();
    let (mut set, mut unset, mut elapsed) = runtime.block_on(async {
        let mut set = LoopTimer.sleep(60 * MINUTE);
        assert!(poll_once(&mut set).await.is_pending());
        let unset = LoopTimer.sleep(60 * MINUTE);
        (set, unset, LoopTimer.sleep_until(SystemInstant::now()))
    });
    drop(runtime);
    let waker = Waker::noop();
    for _ in 0..2 {
        assert!(poll_with(&mut set, waker).is_pending());
        assert!(poll_with(&mut unset, waker).is_pending());
        assert!(poll_with(&mut elapsed, waker).is_ready());
    }
    LoopTimer.reset(&mut set, SystemInstant::now());
    assert!(poll_with(&mut set, waker).is_ready());
    drop((set, elapsed));
    thread::spawn(move || drop(unset)).join().unwrap();
}

#[test]
fn dropping_a_runtime_does_not_end_a_sleep_early() {
    let runtime = Runtime::new().unwrap();
    let mut sleep = sleep_of(&runtime, 60 * MINUTE);
    let (woken, flag) = Flag::new();
    let waker = Waker::from(flag);
    // Another loop on the same thread polls the sleep.
    coreloop::block_on(async {
        assert!(poll_with(&mut sleep, &waker).is_pending());
    });
    drop(runtime);
    woken.recv().expect("the dropped loop wakes the sleep");
    assert!(poll_with(&mut sleep, &waker).is_pending());
}

#[test]
fn a_drop_leaves_the_timers_of_another_loop_alone() {
    let first = paused();
    let second = paused();
    let mut of_first = sleep_of(&first, MINUTE);
    first.block_on(async { assert!(poll_once(&mut of_first).await.is_pending()) });
    second.block_on(async {
        // This timer has the same number in its loop. The drop must not remove it.
        let mut own = LoopTimer.sleep(2 * MINUTE);
        assert!(poll_once(&mut own).await.is_pending());
        assert!(poll_once(&mut of_first).await.is_pending());
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

async fn poll_once(sleep: &mut BoxedSleep) -> Poll<()> {
    poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx))).await
}

fn poll_with(sleep: &mut BoxedSleep, waker: &Waker) -> Poll<()> {
    sleep.as_mut().poll(&mut Context::from_waker(waker))
}

/// Waits for a sleep on a thread without a loop. The receiver gets a message after each
/// pending poll.
fn on_thread(mut sleep: BoxedSleep) -> (Receiver<()>, thread::JoinHandle<()>) {
    let (polled, first_poll) = channel();
    let thread = thread::spawn(move || {
        let (woken, flag) = Flag::new();
        let waker = Waker::from(flag);
        while poll_with(&mut sleep, &waker).is_pending() {
            let _ = polled.send(());
            woken.recv().unwrap();
        }
    });
    (first_poll, thread)
}

/// Waits for another thread. The paused clock does not move meanwhile.
async fn wait_for(receiver: Receiver<()>) {
    coreloop::task::spawn_blocking(move || receiver.recv().unwrap())
        .await
        .unwrap();
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
