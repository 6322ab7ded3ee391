//! A runtime inside another event loop: its descriptor is readable when a turn has
//! something to do, and only then.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{PipeReader, Read, Write, pipe};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use coreloop::Runtime;
use coreloop::io::Async;
use coreloop::runtime::Builder;
use coreloop::task::yield_now;
use coreloop::time::{Instant, sleep};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

/// Returns whether the descriptor is readable now, as another event loop sees it.
fn is_readable(runtime: &Runtime) -> bool {
    poll_descriptor(runtime, Some(&Timespec::default()))
}

/// Waits until the descriptor is readable.
fn wait_readable(runtime: &Runtime) {
    assert!(poll_descriptor(runtime, None));
}

fn poll_descriptor(runtime: &Runtime, timeout: Option<&Timespec>) -> bool {
    let fd = runtime.as_fd();
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut fds, timeout).expect("poll(2) of one descriptor") == 1
}

/// Runs turns as another event loop would: whenever the descriptor is readable, until
/// `is_done`.
fn drive(runtime: &Runtime, mut is_done: impl FnMut() -> bool) {
    while !is_done() {
        wait_readable(runtime);
        runtime.turn(Some(Duration::ZERO)).expect("a turn");
    }
}

/// Runs turns until there is nothing to do.
fn settle(runtime: &Runtime) {
    while is_readable(runtime) {
        runtime.turn(Some(Duration::ZERO)).expect("a turn");
    }
}

#[test]
fn a_turn_runs_ready_tasks_and_returns_whether_some_are_left() {
    let runtime = Runtime::new().unwrap();
    assert!(!runtime.turn(Some(Duration::ZERO)).unwrap());
    let task = runtime.spawn(async { 1 });
    assert!(!runtime.turn(Some(Duration::ZERO)).unwrap());
    assert!(task.is_finished());
    let endless = runtime.spawn(async {
        loop {
            yield_now().await;
        }
    });
    assert!(
        runtime.turn(None).unwrap(),
        "a turn ends though a task is always ready"
    );
    assert!(runtime.turn(Some(Duration::from_secs(3600))).unwrap());
    endless.abort();
    while runtime.turn(Some(Duration::ZERO)).unwrap() {}
    assert!(endless.is_finished());
}

#[test]
fn a_turn_waits_for_another_thread() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.spawn({
        let mut first = true;
        poll_fn(move |context| {
            if std::mem::take(&mut first) {
                let waker = context.waker().clone();
                thread::spawn(move || waker.wake());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
    });
    while !task.is_finished() {
        runtime.turn(None).unwrap();
    }
}

#[test]
fn a_turn_ends_after_its_limit() {
    let runtime = Runtime::new().unwrap();
    let waiting = runtime.spawn(std::future::pending::<()>());
    let timer = runtime.spawn(async { sleep(Duration::from_secs(3600)).await });
    while runtime.turn(Some(Duration::ZERO)).unwrap() {}
    let (limit, start) = (Duration::from_micros(300), Instant::now());
    runtime.turn(Some(limit)).unwrap();
    assert!(
        start.elapsed() >= limit,
        "the turn waited for its whole limit"
    );
    assert!(!waiting.is_finished() && !timer.is_finished());
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no poll(2) of an epoll")]
fn the_descriptor_is_not_readable_when_there_is_nothing_to_do() {
    let runtime = Runtime::new().unwrap();
    assert!(!is_readable(&runtime));
    drop(runtime.spawn(std::future::pending::<()>()));
    settle(&runtime);
    runtime.block_on(async { yield_now().await });
    settle(&runtime);
    assert!(!is_readable(&runtime));
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no poll(2) of an epoll")]
fn a_spawn_outside_a_turn_makes_it_readable() {
    let runtime = Runtime::new().unwrap();
    for entered in [false, true, true] {
        let ran = Rc::new(Cell::new(false));
        let flag = Rc::clone(&ran);
        let task = async move { flag.set(true) };
        assert!(!is_readable(&runtime));
        if entered {
            let _guard = runtime.enter();
            drop(coreloop::spawn(task));
        } else {
            drop(runtime.spawn(task));
        }
        assert!(is_readable(&runtime));
        settle(&runtime);
        assert!(ran.get());
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no poll(2) of an epoll")]
fn ready_tasks_that_are_left_keep_it_readable() {
    let runtime = Runtime::new().unwrap();
    let endless = runtime.spawn(async {
        loop {
            yield_now().await;
        }
    });
    for _ in 0..10 {
        assert!(is_readable(&runtime));
        assert!(runtime.turn(Some(Duration::ZERO)).unwrap());
    }
    // It is readable after `block_on`, too, which returns with the task in its queue.
    runtime.block_on(async { yield_now().await });
    assert!(is_readable(&runtime));
    endless.abort();
    settle(&runtime);
    assert!(endless.is_finished());
}

/// Spawns a task that waits. Returns its waker and the number of its polls.
fn waiting_task(runtime: &Runtime) -> (Waker, Rc<Cell<u32>>) {
    let polls = Rc::new(Cell::new(0));
    let slot: Rc<RefCell<Option<Waker>>> = Rc::default();
    let (count, kept) = (Rc::clone(&polls), Rc::clone(&slot));
    drop(runtime.spawn(poll_fn(move |context| {
        count.set(count.get() + 1);
        *kept.borrow_mut() = Some(context.waker().clone());
        Poll::<()>::Pending
    })));
    settle(runtime);
    let waker = slot.take().expect("the task was polled");
    (waker, polls)
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no poll(2) of an epoll")]
fn a_wake_outside_a_turn_makes_it_readable() {
    let runtime = Runtime::new().unwrap();
    let (waker, polls) = waiting_task(&runtime);
    waker.wake_by_ref();
    assert!(is_readable(&runtime));
    settle(&runtime);
    let foreign = waker.clone();
    thread::spawn(move || foreign.wake()).join().unwrap();
    assert!(is_readable(&runtime));
    settle(&runtime);
    assert_eq!(polls.get(), 3);
    // Woken by a task of another runtime on this thread.
    Runtime::new().unwrap().block_on(async { waker.wake() });
    assert!(is_readable(&runtime));
    settle(&runtime);
    assert_eq!(polls.get(), 4);
}

/// The doorbell is a counter, to which each ring adds one.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "reads Linux's procfs")]
#[cfg_attr(miri, ignore = "Miri has no poll(2) of an epoll")]
fn a_thousand_wakes_ring_the_doorbell_once() {
    let runtime = Runtime::new().unwrap();
    let tasks: Vec<_> = (0..10).map(|_| waiting_task(&runtime)).collect();
    assert!(!is_readable(&runtime));
    let counter = Counter::of(&runtime);
    let before = counter.rings();
    let (first, _) = &tasks[0];
    first.wake_by_ref();
    assert!(is_readable(&runtime));
    assert_eq!(counter.rings(), before + 1);

    let wakers: Vec<_> = tasks.iter().map(|(waker, _)| waker.clone()).collect();
    thread::spawn(move || {
        for _ in 0..100 {
            for waker in &wakers {
                waker.wake_by_ref();
            }
        }
    })
    .join()
    .unwrap();
    assert_eq!(counter.rings(), before + 1);
    settle(&runtime);
    assert!(tasks.iter().all(|(_, polls)| polls.get() == 2));
}

/// Reads the count of the doorbell, an eventfd that no other code reads.
struct Counter {
    fdinfo: std::path::PathBuf,
}

impl Counter {
    /// Finds the doorbell among the eventfds of this process.
    fn of(runtime: &Runtime) -> Counter {
        let counters = || {
            std::fs::read_dir("/proc/self/fdinfo")
                .expect("procfs")
                .filter_map(|entry| {
                    let fdinfo = entry.ok()?.path();
                    let counter = Counter { fdinfo };
                    Some((counter.count()?, counter))
                })
                .collect::<Vec<_>>()
        };
        let epoll = std::os::fd::AsRawFd::as_raw_fd(runtime);
        let watched = std::fs::read_to_string(format!("/proc/self/fdinfo/{epoll}"))
            .expect("the epoll's own entry");
        // The doorbell is the eventfd that this epoll watches.
        counters()
            .into_iter()
            .map(|(_, counter)| counter)
            .find(|counter| {
                let number = counter.fdinfo.file_name().and_then(|name| name.to_str());
                watched.lines().any(|line| {
                    let mut words = line.split_whitespace();
                    words.next() == Some("tfd:") && words.next() == number
                })
            })
            .expect("the doorbell")
    }

    fn count(&self) -> Option<u64> {
        let info = std::fs::read_to_string(&self.fdinfo).ok()?;
        let count = info
            .lines()
            .find_map(|line| line.strip_prefix("eventfd-count:"))?;
        u64::from_str_radix(count.trim(), 16).ok()
    }

    fn rings(&self) -> u64 {
        self.count().expect("the doorbell is open")
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no poll(2) of an epoll")]
fn an_io_event_makes_it_readable() {
    let runtime = Runtime::new().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    let reader = {
        let _guard = runtime.enter();
        Async::new(reader).unwrap()
    };
    let task = runtime.spawn(async move {
        let mut bytes = Vec::new();
        while bytes.len() < 3 {
            let mut byte = [0];
            let count = reader
                .read_with(|mut reader: &PipeReader| reader.read(&mut byte))
                .await
                .unwrap();
            bytes.extend_from_slice(&byte[..count]);
        }
        bytes
    });
    settle(&runtime);
    for byte in b"abc" {
        assert!(!is_readable(&runtime));
        writer.write_all(&[*byte]).unwrap();
        drive(&runtime, || !is_readable(&runtime));
    }
    assert!(task.is_finished());
    assert_eq!(runtime.block_on(task).unwrap(), b"abc");
}

#[test]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    ignore = "no timerfd"
)]
#[cfg_attr(miri, ignore = "Miri has no timerfd")]
fn a_timer_makes_it_readable() {
    let runtime = Runtime::new().unwrap();
    let done = Rc::new(Cell::new(0));
    for (n, millis) in [3, 1, 2].into_iter().enumerate() {
        let count = Rc::clone(&done);
        drop(runtime.spawn(async move {
            sleep(Duration::from_millis(millis)).await;
            count.set(count.get() + 1);
        }));
        if n == 0 {
            // The alarm is set for the first timer; the next one is due before it.
            settle(&runtime);
        }
    }
    assert!(runtime.next_timer().is_none_or(|at| at > Instant::now()) || is_readable(&runtime));
    drive(&runtime, || done.get() == 3);
    settle(&runtime);
    assert!(runtime.next_timer().is_none());
    assert!(!is_readable(&runtime));
}

/// The timer is polled by another executor, outside any turn.
#[test]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    ignore = "no timerfd"
)]
#[cfg_attr(miri, ignore = "Miri has no timerfd")]
fn a_timer_set_outside_a_turn_makes_it_readable() {
    let runtime = Runtime::new().unwrap();
    settle(&runtime);
    let mut timer = {
        let _guard = runtime.enter();
        sleep(Duration::from_micros(100))
    };
    let mut context = Context::from_waker(Waker::noop());
    if Pin::new(&mut timer).poll(&mut context).is_pending() {
        drive(&runtime, || {
            Pin::new(&mut timer).poll(&mut context).is_ready()
        });
    }
}

/// Regression: a timer that was set and came due within one turn got no alarm, so that a
/// loop that waited for the descriptor waited for ever.
#[test]
#[cfg_attr(miri, ignore = "Miri has no poll(2) of an epoll")]
fn a_timer_that_comes_due_within_its_turn_makes_it_readable() {
    let runtime = Runtime::new().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    let reader = {
        let _guard = runtime.enter();
        Async::new(reader).unwrap()
    };
    let done = Rc::new(Cell::new(false));
    let flag = Rc::clone(&done);
    drop(runtime.spawn(async move {
        reader.readable().await.unwrap();
        // The kernel has been polled in this turn, and is not polled again.
        let mut timer = sleep(Duration::from_millis(10));
        let mut was_set = false;
        poll_fn(|context| {
            let mut polled = Pin::new(&mut timer).poll(context);
            // On a busy machine the timer may be due before it is polled, and then it is
            // not set.
            while polled.is_ready() && !was_set {
                Pin::new(&mut timer).reset(Instant::now() + Duration::from_millis(10));
                polled = Pin::new(&mut timer).poll(context);
            }
            was_set = true;
            while Instant::now() < timer.deadline() + Duration::from_micros(10) {}
            polled
        })
        .await;
        flag.set(true);
    }));
    settle(&runtime);
    writer.write_all(b"x").unwrap();
    runtime.turn(Some(Duration::ZERO)).unwrap();
    assert!(!done.get());
    assert!(is_readable(&runtime), "a timer is due");
    drive(&runtime, || done.get());
}

/// A thread wakes a task at any time, while another event loop drives the runtime by its
/// descriptor alone.
#[test]
#[cfg_attr(miri, ignore = "Miri has no poll(2) of an epoll")]
fn no_wake_is_lost_between_turns() {
    const ROUNDS: usize = 5_000;

    let runtime = Runtime::new().unwrap();
    let (waker, _) = waiting_task(&runtime);
    let rounds = Arc::new(AtomicUsize::new(0));
    let seen = Rc::new(Cell::new(0));
    let slot: Rc<RefCell<Option<Waker>>> = Rc::default();
    let (kept, last, done) = (Rc::clone(&slot), Rc::clone(&seen), Arc::clone(&rounds));
    drop(runtime.spawn(poll_fn(move |context| {
        *kept.borrow_mut() = Some(context.waker().clone());
        last.set(done.load(Ordering::Relaxed));
        Poll::<()>::Pending
    })));
    settle(&runtime);
    drop(waker);
    let waker = slot.take().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let thread = thread::spawn({
        let (rounds, over) = (Arc::clone(&rounds), Arc::clone(&over));
        move || {
            for _ in 0..ROUNDS {
                rounds.fetch_add(1, Ordering::Relaxed);
                waker.wake_by_ref();
                thread::yield_now();
            }
            over.store(true, Ordering::Relaxed);
        }
    });
    drive(&runtime, || seen.get() == ROUNDS);
    thread.join().unwrap();
    assert!(over.load(Ordering::Relaxed));
}

#[test]
fn next_timer_returns_the_next_deadline() {
    let runtime = Builder::new().start_paused(true).build().unwrap();
    assert_eq!(runtime.next_timer(), None);
    let start = {
        let _guard = runtime.enter();
        Instant::now()
    };
    let task = runtime.spawn(async { sleep(Duration::from_secs(1)).await });
    runtime.turn(Some(Duration::ZERO)).unwrap();
    let next = runtime.next_timer().unwrap();
    // Exact to two microseconds.
    assert!(next >= start + Duration::from_secs(1));
    assert!(next <= start + Duration::from_secs(1) + Duration::from_micros(2));
    while !task.is_finished() {
        runtime.turn(None).unwrap();
    }
    assert_eq!(runtime.next_timer(), None);
}
