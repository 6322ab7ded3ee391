//! The memory of a task that has finished while something keeps its waker: only a header,
//! however large its future was. A counting allocator measures it.

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::hint::black_box;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use coreloop::io::Async;
use coreloop::task::{AbortHandle, JoinHandle, yield_now};
use coreloop::time::{Interval, Sleep, interval, sleep};
use coreloop::{Runtime, spawn};
use coreloop_test_support::allocator::live_bytes;
use coreloop_test_support::panics::recorded;

/// The number of tasks that finish.
const TASKS: usize = if cfg!(miri) { 3 } else { 500 };
/// The bytes that may be left of each task: a header, and the memory of a small future.
const LEFT: usize = 700;

/// How a task finishes after it has waited.
#[derive(Clone, Copy, Debug)]
enum End {
    Returns,
    Aborted,
    Panics,
}

/// Polls `wait` once, in a future of more than `SIZE` bytes, and finishes.
async fn wait_once<const SIZE: usize>(wait: Rc<dyn Wait>, end: End) {
    let room = [0_u8; SIZE];
    let mut polled = false;
    poll_fn(|cx| {
        if polled {
            return Poll::Ready(());
        }
        polled = true;
        wait.poll(cx);
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    match end {
        End::Returns => {}
        End::Aborted => pending().await,
        End::Panics => panic!("on purpose"),
    }
    black_box(&room);
}

/// Something that keeps the waker that it was last polled with.
trait Wait {
    fn poll(&self, cx: &mut Context<'_>);
}

impl Wait for Async<UnixStream> {
    fn poll(&self, cx: &mut Context<'_>) {
        assert!(self.poll_readable(cx).is_pending());
    }
}

/// A socket that is polled as if several tasks shared it.
struct SharedSocket(Async<UnixStream>);

impl Wait for SharedSocket {
    fn poll(&self, cx: &mut Context<'_>) {
        let read = |_: &UnixStream| Err::<(), _>(ErrorKind::WouldBlock.into());
        assert!(self.0.poll_read_shared(cx, read).is_pending());
    }
}

impl Wait for RefCell<Sleep> {
    fn poll(&self, cx: &mut Context<'_>) {
        assert!(Pin::new(&mut *self.borrow_mut()).poll(cx).is_pending());
    }
}

impl Wait for RefCell<Interval> {
    fn poll(&self, cx: &mut Context<'_>) {
        let mut interval = self.borrow_mut();
        while interval.poll_tick(cx).is_ready() {}
    }
}

/// User code, which clones the waker.
impl Wait for RefCell<Option<Waker>> {
    fn poll(&self, cx: &mut Context<'_>) {
        *self.borrow_mut() = Some(cx.waker().clone());
    }
}

/// A name, one wait for each task, and the sockets that keep the waits pending.
type Waits = (&'static str, Vec<Rc<dyn Wait>>, Vec<UnixStream>);

fn waits() -> Vec<Waits> {
    let all = |name, make: &dyn Fn(&mut Vec<UnixStream>) -> Rc<dyn Wait>| {
        let mut peers = Vec::new();
        let waits = (0..TASKS).map(|_| make(&mut peers)).collect();
        (name, waits, peers)
    };
    let socket = |peers: &mut Vec<UnixStream>| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        peers.push(theirs);
        Async::new(ours).unwrap()
    };
    let hour = Duration::from_secs(3600);
    vec![
        all("sockets", &|peers| Rc::new(socket(peers))),
        all("shared sockets", &|peers| {
            Rc::new(SharedSocket(socket(peers)))
        }),
        all("sleeps", &|_| Rc::new(RefCell::new(sleep(hour)))),
        all("intervals", &|_| Rc::new(RefCell::new(interval(hour)))),
        all("wakers", &|_| Rc::new(RefCell::new(None::<Waker>))),
    ]
}

/// Returns by how many bytes memory has grown.
fn grown(before: usize) -> usize {
    let grown = live_bytes().wrapping_sub(before).cast_signed();
    usize::try_from(grown).unwrap_or(0)
}

/// Returns how many bytes are left of each task that polled one of `waits` and finished. It
/// allows for some growth of the loop and of the list of panics.
async fn left<const SIZE: usize>(waits: &[Rc<dyn Wait>], end: End) -> usize {
    // Allocates what each wait needs itself.
    let noop = &mut Context::from_waker(Waker::noop());
    waits.iter().for_each(|wait| wait.poll(noop));
    let before = live_bytes();
    for wait in waits {
        let task = spawn(wait_once::<SIZE>(Rc::clone(wait), end));
        yield_now().await;
        yield_now().await;
        if let End::Aborted = end {
            task.abort();
        }
        assert_eq!(task.await.is_ok(), matches!(end, End::Returns));
    }
    grown(before).saturating_sub(4 << 10) / waits.len()
}

#[test]
fn a_kept_waker_keeps_no_future() {
    let (all_left, panics) = recorded(|| {
        coreloop::block_on(async {
            coreloop::time::pause();
            // The first poll of the kernel allocates.
            sleep(Duration::from_millis(1)).await;
            let mut all_left = Vec::new();
            for (name, waits, _peers) in waits() {
                for end in [End::Returns, End::Aborted, End::Panics] {
                    let left = [
                        left::<{ 1 << 10 }>(&waits, end).await,
                        left::<{ 16 << 10 }>(&waits, end).await,
                        left::<{ 64 << 10 }>(&waits, end).await,
                    ];
                    all_left.push((name, end, left));
                }
            }
            all_left
        })
    });
    assert!(
        panics.iter().all(|panic| panic.contains("on purpose")),
        "{panics:?}"
    );
    let is_little = |(_, _, left): &(_, _, [usize; 3])| left.iter().all(|&left| left < LEFT);
    assert!(all_left.iter().all(is_little), "{all_left:?}");
}

/// The memory that is left of a task is freed at the next event.
#[test]
fn an_event_frees_what_is_left_of_a_finished_task() {
    let runtime = Runtime::new().unwrap();
    let turn = || runtime.turn(Some(Duration::ZERO)).unwrap();
    let _guard = runtime.enter();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let ours: Rc<dyn Wait> = Rc::new(Async::new(ours).unwrap());
    ours.poll(&mut Context::from_waker(Waker::noop()));
    turn();
    let before = live_bytes();
    drop(spawn(wait_once::<1>(Rc::clone(&ours), End::Returns)));
    turn();
    assert_eq!(Rc::strong_count(&ours), 1, "the task has finished");
    assert_ne!(live_bytes(), before, "the socket keeps memory of the task");
    rustix::io::write(&theirs, b"x").unwrap();
    turn();
    assert_eq!(live_bytes(), before);
}

/// Each task leaves its waker with the socket, and does not remove it when it has
/// finished.
#[test]
fn wakers_of_finished_tasks_do_not_accumulate_at_a_socket() {
    coreloop::block_on(async {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let ours: Rc<dyn Wait> = Rc::new(SharedSocket(Async::new(ours).unwrap()));
        let before = live_bytes();
        for _ in 0..20 * TASKS {
            let task = spawn(wait_once::<1>(Rc::clone(&ours), End::Returns));
            task.await.unwrap();
        }
        let left = grown(before);
        assert!(left < 32 * LEFT, "{left} bytes are left");
    });
}

/// A join handle keeps only the outcome, which is `()` here, and an abort handle keeps nothing.
#[test]
fn a_handle_keeps_no_future() {
    coreloop::block_on(async {
        let room = [0_u8; 64 << 10];
        let before = live_bytes();
        let handles: Vec<(JoinHandle<()>, AbortHandle)> = (0..TASKS)
            .map(|_| {
                let task = spawn(async move {
                    yield_now().await;
                    black_box(&room);
                });
                let abort = task.abort_handle();
                (task, abort)
            })
            .collect();
        while !handles.iter().all(|(task, _)| task.is_finished()) {
            yield_now().await;
        }
        let left = grown(before) / TASKS;
        assert!(left < LEFT, "{left} bytes are left of a task");
    });
}

#[test]
fn a_kept_waker_keeps_no_memory_of_an_output() {
    coreloop::block_on(async {
        let mut wakers = Vec::new();
        let before = live_bytes();
        for number in 0..TASKS {
            let waker = Rc::new(RefCell::new(None::<Waker>));
            let wait = Rc::clone(&waker);
            let task = spawn(async move {
                wait_once::<1>(wait, End::Returns).await;
                [number; 4 << 10]
            });
            assert_eq!(task.await.unwrap(), [number; 4 << 10]);
            wakers.push(waker);
        }
        let left = grown(before) / TASKS;
        assert!(left < LEFT, "{left} bytes are left of a task");
    });
}

/// The future of `block_on` borrows, and is dropped before `block_on` returns.
#[test]
fn a_kept_waker_keeps_no_future_of_block_on() {
    let runtime = Runtime::new().unwrap();
    let wakers: Vec<_> = (0..TASKS)
        .map(|_| Rc::new(RefCell::new(None::<Waker>)))
        .collect();
    // The first poll of the kernel allocates.
    runtime.turn(Some(Duration::ZERO)).unwrap();
    let before = live_bytes();
    for waker in &wakers {
        let root = wait_once::<{ 64 << 10 }>(Rc::clone(waker) as Rc<dyn Wait>, End::Returns);
        runtime.block_on(root);
    }
    let left = grown(before) / TASKS;
    assert!(
        left < LEFT,
        "{left} bytes are left of a future of `block_on`"
    );
}
