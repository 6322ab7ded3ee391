//! Aborts a task at each of its polls: before the poll, inside it and after it.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{Read as _, Write as _};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use coreloop::io::Async;
use coreloop::runtime::Runtime;
use coreloop::spawn;
use coreloop::sync::Notify;
use coreloop::task::{AbortHandle, JoinHandle, yield_now};
use coreloop::time::{sleep, timeout};
use coreloop_test_support::clock::paused;

const SECOND: Duration = Duration::from_secs(1);

/// When the task is aborted, relative to one of its polls.
#[derive(Debug, Clone, Copy, PartialEq)]
enum When {
    /// Before the poll, while the task is in the queue.
    Before,
    /// During the poll, by the task itself.
    Inside,
    /// After the poll, while the task waits or is queued again.
    After,
    /// During the poll, by another thread.
    Elsewhere,
}

const ALL: [When; 4] = [When::Before, When::Inside, When::After, When::Elsewhere];

/// What one run of the task did and left behind.
#[derive(Debug, Default)]
struct Trace {
    polls: Cell<usize>,
    events: RefCell<Vec<&'static str>>,
    /// The number of guards that were created and not dropped.
    alive: Cell<isize>,
}

struct Guard(Rc<Trace>);

impl Guard {
    fn new(trace: &Rc<Trace>) -> Guard {
        trace.alive.set(trace.alive.get() + 1);
        Guard(Rc::clone(trace))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.alive.set(self.0.alive.get() - 1);
    }
}

/// A task that waits for one thing of each kind.
async fn errands(trace: Rc<Trace>, notify: Rc<Notify>) -> &'static str {
    let _whole = Guard::new(&trace);
    let note = |event| trace.events.borrow_mut().push(event);

    yield_now().await;
    note("yielded");

    sleep(SECOND).await;
    note("slept");

    let (reader, mut writer) = std::io::pipe().unwrap();
    let reader = Async::new(reader).unwrap();
    let child_trace = Rc::clone(&trace);
    let child = spawn(async move {
        let _child = Guard::new(&child_trace);
        yield_now().await;
        // The reader may have been aborted.
        let _ = writer.write_all(b"x");
    });
    let mut byte = [0];
    reader
        .read_with(|mut pipe| pipe.read(&mut byte))
        .await
        .unwrap();
    note("read");
    child.await.unwrap();
    note("joined");

    let notifier = Rc::clone(&notify);
    drop(spawn(async move {
        yield_now().await;
        notifier.notify_one();
    }));
    notify.notified().await;
    note("notified");

    let _inner = Guard::new(&trace);
    timeout(SECOND, std::future::pending::<()>())
        .await
        .unwrap_err();
    note("timed out");
    "done"
}

/// Spawns the errands, counts their polls, and aborts them at poll number `at`.
fn spawn_aborted(
    trace: &Rc<Trace>,
    notify: &Rc<Notify>,
    at: usize,
    when: When,
) -> JoinHandle<&'static str> {
    let own_handle: Rc<RefCell<Option<AbortHandle>>> = Rc::default();
    let (inside, trace) = (Rc::clone(&own_handle), Rc::clone(trace));
    let errands = errands(Rc::clone(&trace), Rc::clone(notify));
    let handle = spawn(async move {
        let mut errands = pin!(errands);
        poll_fn(|context| {
            trace.polls.set(trace.polls.get() + 1);
            let poll = errands.as_mut().poll(context);
            if when != When::Before && trace.polls.get() == at {
                let abort = inside.borrow().clone().unwrap();
                match when {
                    When::Inside => abort.abort(),
                    When::Elsewhere => std::thread::spawn(move || abort.abort()).join().unwrap(),
                    When::Before | When::After => drop(spawn(async move { abort.abort() })),
                }
            }
            if when == When::Before && trace.polls.get() + 1 == at && poll.is_pending() {
                // Aborted here, before the next poll, whatever wakes the task for it.
                let abort = inside.borrow().clone().unwrap();
                abort.abort();
                context.waker().wake_by_ref();
            }
            poll
        })
        .await
    });
    *own_handle.borrow_mut() = Some(handle.abort_handle());
    if when == When::Before && at == 1 {
        handle.abort();
    }
    handle
}

/// Returns how many polls the errands take when they are not aborted.
fn polls_undisturbed() -> usize {
    let trace = Rc::new(Trace::default());
    let notify = Rc::new(Notify::new());
    paused().block_on(async {
        let output = spawn_aborted(&trace, &notify, 0, When::After).await;
        assert_eq!(output.unwrap(), "done");
    });
    let events = [
        "yielded",
        "slept",
        "read",
        "joined",
        "notified",
        "timed out",
    ];
    assert_eq!(*trace.events.borrow(), events);
    trace.polls.get()
}

#[test]
fn an_abort_at_every_poll_leaves_nothing_behind() {
    let polls = polls_undisturbed();
    assert!(polls >= 6, "{polls} polls for six waits");
    for (manner, when) in ALL.into_iter().enumerate() {
        // Miri takes a second for each abort, so there each poll is aborted in one way
        // only.
        let is_its = |at: &usize| !cfg!(miri) || at % ALL.len() == manner;
        for at in (1..=polls).filter(is_its) {
            let trace = Rc::new(Trace::default());
            let notify = Rc::new(Notify::new());
            let runtime = paused();
            let result = runtime.block_on(async { spawn_aborted(&trace, &notify, at, when).await });
            let ran = trace.polls.get();
            let expected = match when {
                When::Before => at - 1..=at - 1,
                When::Inside => at..=at,
                // The abort comes through the inbox, which the loop empties after the
                // slice.
                When::Elsewhere => at..=polls,
                // A task that has woken itself is queued before the task that aborts it.
                When::After => at..=at + 1,
            };
            assert!(expected.contains(&ran), "{when:?} poll {at}: {ran} polls");
            if ran == polls {
                assert_eq!(result.unwrap(), "done", "{when:?} poll {at}");
            } else {
                assert!(result.unwrap_err().is_cancelled(), "{when:?} poll {at}");
            }
            // The child may have been detached, and then ends by itself.
            runtime.block_on(async { sleep(SECOND).await });
            assert_eq!(trace.alive.get(), 0, "{when:?} poll {at}: guards are left");
            assert_eq!(runtime.metrics().alive_tasks(), 0, "{when:?} poll {at}");
            assert_eq!(
                runtime.next_timer(),
                None,
                "{when:?} poll {at}: a timer is left"
            );
            let metrics = runtime.metrics();
            assert_eq!(metrics.registered_fds(), metrics.deregistered_fds());
            drop(runtime);
            assert_eq!(Rc::strong_count(&notify), 1, "{when:?} poll {at}");
        }
    }
}

#[test]
fn a_panic_while_an_aborted_future_is_dropped_ends_only_its_task() {
    struct Bomb(Rc<Trace>);

    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.events.borrow_mut().push("bomb");
            panic!("in the destructor");
        }
    }

    for at in 1..5 {
        let trace = Rc::new(Trace::default());
        let runtime = paused();
        let error = runtime.block_on(async {
            let (counted, guarded) = (Rc::clone(&trace), Rc::clone(&trace));
            let task = spawn(async move {
                let _after = Guard::new(&guarded);
                let _bomb = Bomb(Rc::clone(&guarded));
                let _before = Guard::new(&guarded);
                loop {
                    counted.polls.set(counted.polls.get() + 1);
                    yield_now().await;
                }
            });
            let bystander = spawn(async { sleep(SECOND).await });
            while trace.polls.get() < at {
                yield_now().await;
            }
            let error = task.abort_and_wait().await.unwrap_err();
            bystander.await.unwrap();
            error
        });
        assert!(error.is_panic(), "the destructor's panic is the task's");
        assert_eq!(*trace.events.borrow(), ["bomb"]);
        assert_eq!(trace.alive.get(), 0, "the other guards were dropped too");
    }
}

/// Counts its polls, and wakes itself in each.
async fn spin(count: Rc<Cell<u64>>) {
    loop {
        count.set(count.get() + 1);
        yield_now().await;
    }
}

#[test]
#[cfg_attr(miri, ignore = "thousands of polls of tasks that do nothing")]
fn a_hundred_tasks_that_wake_themselves_keep_no_socket_waiting() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let counts: Vec<_> = (0..100).map(|_| Rc::new(Cell::new(0))).collect();
        let spinners: Vec<_> = counts
            .iter()
            .map(|count| spawn(spin(Rc::clone(count))))
            .collect();
        let listener = coreloop::net::TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let client = spawn(async move {
            let mut stream = coreloop::net::TcpStream::connect(address).await.unwrap();
            let mut byte = [0];
            for _ in 0..if cfg!(miri) { 2 } else { 10 } {
                stream.write_all(b"x").await.unwrap();
                stream.read_exact(&mut byte).await.unwrap();
            }
        });
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut byte = [0];
        while stream.read(&mut byte).await.unwrap() == 1 {
            stream.write_all(&byte).await.unwrap();
        }
        client.await.unwrap();
        let counts: Vec<_> = counts.iter().map(|count| count.get()).collect();
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(
            most - least <= 1,
            "the spinners take turns: {least} to {most}"
        );
        drop(spinners);
    });
}
