//! Any number of tasks that poll one descriptor through a shared reference: they are idle
//! while nothing happens, an event wakes all of them, and tasks that gave up are forgotten.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use coreloop::io::Async;
use coreloop::{Runtime, block_on, spawn, time};
use coreloop_test_support::turns::turn_until_idle;
use futures_util::future::join_all;

const MANY: usize = if cfg!(miri) { 40 } else { 1000 };

fn pair() -> (Async<UnixStream>, Async<UnixStream>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Async::new(ours).unwrap(), Async::new(theirs).unwrap())
}

/// Writes by `write`, because Miri has no `send` on a socket pair, which std calls.
fn write(socket: &UnixStream) -> io::Result<usize> {
    Ok(rustix::io::write(socket, &[0; 512])?)
}

/// Fills the buffers of a socket, so that writes have to wait.
fn fill(socket: &Async<UnixStream>) {
    while socket.try_write_with(write).is_ok() {}
}

fn poll_read(socket: &Async<UnixStream>, context: &mut Context<'_>) -> Poll<usize> {
    let read = |socket: &UnixStream| Ok(rustix::io::read(socket, &mut [0; 1])?);
    socket.poll_read_shared(context, read).map(Result::unwrap)
}

fn poll_write(socket: &Async<UnixStream>, context: &mut Context<'_>) -> Poll<usize> {
    socket.poll_write_shared(context, write).map(Result::unwrap)
}

/// Counts the wakes of a foreign waker.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns whether the waker was woken since the last call.
    fn take(&self) -> bool {
        self.0.swap(0, Ordering::Relaxed) > 0
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn any_number_of_tasks_that_share_a_descriptor_are_idle() {
    for number in [MANY / 3, MANY] {
        for reads in [true, false] {
            let poll = if reads { poll_read } else { poll_write };
            let runtime = Runtime::new().unwrap();
            let _guard = runtime.enter();
            let (ours, theirs) = pair();
            fill(&ours);
            let ours = Rc::new(ours);
            let (polls, finished) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            for _ in 0..number {
                let ours = Rc::clone(&ours);
                let (polls, finished) = (Rc::clone(&polls), Rc::clone(&finished));
                drop(spawn(async move {
                    poll_fn(|context| {
                        polls.set(polls.get() + 1);
                        poll(&ours, context)
                    })
                    .await;
                    finished.set(finished.get() + 1);
                }));
            }
            turn_until_idle(&runtime);
            assert_eq!(polls.get(), number, "each was polled once");

            // An event wakes all of them, and most find nothing and wait again.
            if reads {
                assert_eq!(rustix::io::write(&theirs, &[0; 3]).unwrap(), 3);
            } else {
                while rustix::io::read(&theirs, &mut [0; 4096]).is_ok() {}
            }
            turn_until_idle(&runtime);
            assert!(finished.get() > 0);
            assert_eq!(polls.get(), 2 * number);
            turn_until_idle(&runtime);
            assert_eq!(polls.get(), 2 * number);
        }
    }
}

/// Each of the futures has a foreign waker of its own.
#[test]
fn any_number_of_futures_of_one_task_that_share_a_descriptor_are_idle() {
    let runtime = Runtime::new().unwrap();
    let _guard = runtime.enter();
    let (ours, theirs) = pair();
    let ours = Rc::new(ours);
    let polls = Rc::new(Cell::new(0));
    let reads = (0..MANY).map(|_| {
        let (ours, polls) = (Rc::clone(&ours), Rc::clone(&polls));
        poll_fn(move |context| {
            polls.set(polls.get() + 1);
            poll_read(&ours, context)
        })
    });
    let task = spawn(join_all(reads));
    turn_until_idle(&runtime);
    assert!(polls.get() <= 2 * MANY, "{} polls", polls.get());
    let before = polls.get();
    turn_until_idle(&runtime);
    assert_eq!(polls.get(), before);
    assert_eq!(rustix::io::write(&theirs, &[1; MANY]).unwrap(), MANY);
    turn_until_idle(&runtime);
    assert!(task.is_finished());
}

/// A future that gave up leaves its waker behind, which is dropped if the future does not
/// poll again after a wake.
#[test]
fn foreign_wakers_do_not_pile_up() {
    block_on(async {
        time::pause();
        let (ours, _theirs) = pair();
        let mut counts: Vec<Arc<Count>> = Vec::new();
        for _ in 0..20 {
            for _ in 0..MANY / 4 {
                let count = Arc::new(Count::default());
                let waker = Waker::from(Arc::clone(&count));
                assert!(poll_read(&ours, &mut Context::from_waker(&waker)).is_pending());
                counts.push(count);
            }
            time::advance(Duration::from_secs(2)).await;
        }
        let is_kept = |count: &&Arc<Count>| Arc::strong_count(count) > 1;
        let kept = counts.iter().filter(is_kept).count();
        assert!(kept <= 512, "{kept} are kept");
        for count in &counts {
            let is_kept = Arc::strong_count(count) > 1;
            assert!(
                is_kept || count.get() == 1,
                "a waker was forgotten and not woken"
            );
        }
    });
}

/// A future that still waits polls again, and is not woken for each future that joins it
/// later.
#[test]
fn futures_that_still_wait_are_rarely_woken() {
    block_on(async {
        time::pause();
        let (ours, _theirs) = pair();
        let counts: Vec<Arc<Count>> = (0..MANY).map(|_| Arc::default()).collect();
        let poll = |count: &Arc<Count>| {
            let waker = Waker::from(Arc::clone(count));
            assert!(poll_read(&ours, &mut Context::from_waker(&waker)).is_pending());
        };
        let mut woken = 0;
        for count in &counts {
            poll(count);
            for count in &counts {
                if count.take() {
                    woken += 1;
                    poll(count);
                }
            }
            time::advance(Duration::from_secs(2)).await;
        }
        assert!(woken <= 2 * MANY, "{woken} wakes of {MANY} that wait");
    });
}
