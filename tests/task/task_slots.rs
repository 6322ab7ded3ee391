//! Task slots: tasks that wait for pipes and sockets, also of other loops and threads, and
//! that panic or are aborted meanwhile.
#![expect(unsafe_code, reason = "builds a waker with the data of another")]

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::future::{pending, poll_fn};
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::thread;
use std::time::Duration;

use coreloop::io::Async;
use coreloop::task::{self, yield_now};
use coreloop::{Runtime, block_on, spawn};

use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::wakers::{Call, calling};

type Reader = Async<PipeReader>;

/// Creates a pipe whose reader belongs to the current loop.
fn reading() -> (Reader, PipeWriter) {
    let (reader, writer) = pipe().expect("a pipe");
    (Async::new(reader).expect("a pipe can be polled"), writer)
}

/// Reads up to `length` bytes as from a stream, and returns their number.
fn poll_read(reader: &Reader, context: &mut Context<'_>, length: usize) -> Poll<usize> {
    let mut buffer = [0; 8];
    reader
        .poll_read_stream(context, length, |mut reader| {
            reader.read(&mut buffer[..length])
        })
        .map(|count| count.expect("a read"))
}

async fn read(reader: &Reader, length: usize) -> usize {
    poll_fn(|context| poll_read(reader, context, length)).await
}

fn turn(runtime: &Runtime) {
    runtime.turn(Some(Duration::ZERO)).expect("a turn");
}

/// A future that waits for its pipe, then panics, and panics again when it is dropped.
struct Doomed {
    reader: Reader,
    ended_as: Rc<Cell<Option<task::Id>>>,
}

impl Future for Doomed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match poll_read(&self.reader, context, 1) {
            Poll::Ready(_) => panic!("polled"),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        self.ended_as.set(task::try_id());
        // Registers a waiter again, while the task ends.
        assert!(poll_read(&self.reader, &mut Context::from_waker(Waker::noop()), 1).is_pending());
        panic!("dropped");
    }
}

/// One `catch_unwind` serves a whole slice: each panic must end the task that it came
/// from, and must not affect the tasks before and after it.
#[test]
fn panics_in_one_slice_end_their_own_tasks() {
    block_on(async {
        let mut writers = Vec::new();
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let (reader, mut writer) = reading();
            let ended_as = Rc::new(Cell::new(None));
            let ended = Rc::clone(&ended_as);
            tasks.push((spawn(Doomed { reader, ended_as }), ended));
            let (reader, other) = reading();
            let well = spawn(async move { (read(&reader, 8).await, task::id()) });
            yield_now().await;
            writer.write_all(b"x").unwrap();
            writers.push((writer, other, well));
        }
        for (_, other, _) in &mut writers {
            other.write_all(b"well").unwrap();
        }
        for (doomed, ended) in tasks {
            let id = doomed.id();
            let panic = doomed.await.unwrap_err().into_panic();
            assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "polled");
            assert_eq!(ended.get(), Some(id));
        }
        for (_, _, well) in writers {
            let id = well.id();
            assert_eq!(well.await.unwrap(), (4, id));
        }
    });
}

/// A panic of the root propagates to the caller, who may use again what the root
/// borrowed, so the root must have been dropped.
#[test]
fn a_root_that_panics_is_dropped_before_its_panic_propagates() {
    let runtime = Runtime::new().unwrap();
    for by_event in [false, true] {
        let mut log = Vec::new();
        let mut writer = None;
        let panic = catch_unwind(AssertUnwindSafe(|| {
            let (log, writer) = (&mut log, &mut writer);
            runtime.block_on(async move {
                let (reader, end) = reading();
                let _last = OnDrop::new(|| log.push("dropped"));
                let other = end.try_clone().unwrap();
                *writer = Some(other);
                let mut end = end;
                if by_event {
                    drop(spawn(async move { end.write_all(b"x").unwrap() }));
                    assert_eq!(read(&reader, 8).await, 1);
                } else {
                    let mut noop = Context::from_waker(Waker::noop());
                    assert!(poll_read(&reader, &mut noop, 8).is_pending());
                }
                panic!("the root");
            });
        }))
        .unwrap_err();
        assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "the root");
        assert_eq!(log, ["dropped"]);
        // The reader was dropped with the root.
        assert_eq!(
            writer.unwrap().write_all(b"y").unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
        turn(&runtime);
        assert_eq!(runtime.block_on(async { 5 }), 5);
    }
}

/// A loop ends inside a task of another loop. Its tasks wait for pipes of both loops, and
/// panic: each panic must end the task that it came from.
#[test]
fn a_loop_ends_inside_a_task_and_its_tasks_panic() {
    let outer = Runtime::new().unwrap();
    let inner = Runtime::new().unwrap();
    let (theirs, mut writer) = {
        let _guard = outer.enter();
        reading()
    };
    let theirs = Rc::new(theirs);
    let doomed: Vec<_> = (0..3)
        .map(|_| {
            let reader = Rc::clone(&theirs);
            inner.spawn(async move {
                let _guard = OnDrop::new(|| panic!("dropped"));
                let (own, _writer) = reading();
                let both = poll_fn(|context| {
                    assert!(poll_read(&own, context, 8).is_pending());
                    poll_read(&reader, context, 8)
                });
                both.await
            })
        })
        .collect();
    turn(&inner);
    let task = outer.spawn(async move {
        let id = task::id();
        writer.write_all(b"x").unwrap();
        drop(inner);
        assert_eq!(task::id(), id);
        // The last task to wait has ended; this one takes its place.
        assert_eq!(read(&theirs, 8).await, 1);
        panic!("the outer");
    });
    let panic = outer.block_on(task).unwrap_err().into_panic();
    assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "the outer");
    for mut doomed in doomed {
        let ended = pin!(&mut doomed).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Err(error)) = ended else {
            panic!("{ended:?}");
        };
        assert_eq!(
            *error.into_panic().downcast_ref::<&str>().unwrap(),
            "dropped"
        );
    }
}

#[test]
fn a_task_waits_for_a_socket_of_another_loop() {
    let (here, there) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (reader, mut writer) = {
        let _guard = here.enter();
        reading()
    };
    let task = there.spawn(async move { [read(&reader, 4).await, read(&reader, 4).await] });
    turn(&there);
    for bytes in [b"ab", b"cd"] {
        writer.write_all(bytes).unwrap();
        // The event is reported to one loop, which wakes a task of the other.
        turn(&there);
        assert!(!task.is_finished());
        turn(&here);
        turn(&there);
    }
    assert_eq!(there.block_on(task).unwrap(), [2, 2]);
}

/// A loop that ends wakes the tasks of other loops that wait for its descriptors, even if
/// it ends inside a turn of such a loop.
#[test]
fn the_end_of_a_loop_wakes_the_task_of_another() {
    let (here, there) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (reader, _writer) = {
        let _guard = here.enter();
        reading()
    };
    let waits = there.spawn(async move {
        poll_fn(|context| reader.poll_readable(context))
            .await
            .is_err()
    });
    turn(&there);
    assert!(there.block_on(async move {
        drop(here);
        waits.await.unwrap()
    }));
}

/// A task's waker is `Send`, so the task may wait for a pipe of another thread, and its
/// memory may be freed there.
#[test]
fn a_task_of_another_thread_waits_for_a_socket() {
    let (wakers, received) = mpsc::channel::<Waker>();
    let (ended, end) = mpsc::channel::<()>();
    let (woken, waken) = mpsc::channel::<()>();
    let other = thread::spawn(move || {
        let runtime = Runtime::new().unwrap();
        let _guard = runtime.enter();
        let (reader, mut writer) = reading();
        let waker = received.recv().unwrap();
        assert!(poll_read(&reader, &mut Context::from_waker(&waker), 8).is_pending());
        drop(waker);
        woken.send(()).unwrap();
        writer.write_all(b"x").unwrap();
        turn(&runtime);
        // The task has ended, but the source keeps its memory, and the next event wakes
        // it again.
        end.recv().unwrap();
        let mut noop = Context::from_waker(Waker::noop());
        assert_eq!(poll_read(&reader, &mut noop, 8), Poll::Ready(1));
        writer.write_all(b"y").unwrap();
        turn(&runtime);
        drop(reader);
    });
    let runtime = Runtime::new().unwrap();
    let mut sent = false;
    runtime.block_on(poll_fn(|context| {
        if sent {
            return Poll::Ready(());
        }
        sent = true;
        wakers.send(context.waker().clone()).unwrap();
        Poll::Pending
    }));
    waken.recv().unwrap();
    drop(runtime);
    ended.send(()).unwrap();
    other.join().unwrap();
}

/// A finished task is still registered with a source whose loop has ended; then a task of
/// another loop takes its place.
#[test]
fn a_source_outlives_its_loop_with_a_task_registered() {
    let kept: Rc<RefCell<Option<Rc<Reader>>>> = Rc::default();
    let runtime = Runtime::new().unwrap();
    let keep = Rc::clone(&kept);
    drop(runtime.spawn(async move {
        let (reader, _writer) = reading();
        let reader = Rc::new(reader);
        *keep.borrow_mut() = Some(Rc::clone(&reader));
        read(&reader, 8).await;
    }));
    turn(&runtime);
    drop(runtime);
    let reader = kept.take().unwrap();
    block_on(async {
        let ready = poll_fn(|context| reader.poll_readable(context)).await;
        assert_eq!(ready.unwrap_err().kind(), ErrorKind::Other);
        // The writer was dropped with the task.
        assert_eq!(read(&reader, 8).await, 0);
    });
    drop(reader);
}

#[test]
fn an_event_comes_for_a_task_that_was_aborted_while_it_waited() {
    block_on(async {
        let (reader, mut writer) = reading();
        let reader = Rc::new(reader);
        let waits = spawn({
            let reader = Rc::clone(&reader);
            async move { read(&reader, 8).await }
        });
        yield_now().await;
        waits.abort();
        // Both the abort and the event may schedule the task.
        writer.write_all(b"x").unwrap();
        assert!(waits.await.unwrap_err().is_cancelled());
        writer.write_all(b"y").unwrap();
        yield_now().await;
        assert_eq!(read(&reader, 8).await, 2);
    });
}

thread_local! {
    static UNDER: Cell<Option<&'static RawWakerVTable>> = const { Cell::new(None) };
    static WAKES: Cell<usize> = const { Cell::new(0) };
}

/// Forwards every call to the waker whose data it has, and counts the wakes.
static PASSING: RawWakerVTable = RawWakerVTable::new(
    |data| {
        let waker = ManuallyDrop::new(under(data));
        let clone = ManuallyDrop::new(Waker::clone(&waker));
        RawWaker::new(clone.data(), &PASSING)
    },
    |data| {
        WAKES.set(WAKES.get() + 1);
        under(data).wake();
    },
    |data| {
        WAKES.set(WAKES.get() + 1);
        ManuallyDrop::new(under(data)).wake_by_ref();
    },
    |data| drop(under(data)),
);

fn under(data: *const ()) -> Waker {
    let vtable = UNDER.get().expect("a waker to forward to");
    // SAFETY: the data and the vtable are from one waker, which the caller owns or keeps.
    unsafe { Waker::new(data, vtable) }
}

/// A waker with the data of a task's waker but another vtable is a foreign waker.
#[test]
fn a_waker_with_the_data_of_a_tasks_waker_is_not_mistaken_for_it() {
    block_on(async {
        let (reader, mut writer) = reading();
        let waits = spawn(async move {
            poll_fn(|context| {
                let waker = ManuallyDrop::new(context.waker().clone());
                UNDER.set(Some(waker.vtable()));
                // SAFETY: the functions of `PASSING` take the data of a waker with the
                // vtable `UNDER`.
                let passing = unsafe { Waker::new(waker.data(), &PASSING) };
                poll_read(&reader, &mut Context::from_waker(&passing), 8)
            })
            .await
        });
        yield_now().await;
        writer.write_all(b"x").unwrap();
        assert_eq!(waits.await.unwrap(), 1);
        assert_eq!(WAKES.get(), 1);
    });
}

/// A waker drops the source that wakes it, and with it a waker that panics when it is
/// dropped: the other events of that turn are not lost.
#[test]
fn a_waker_that_panics_when_dropped_loses_no_other_event() {
    block_on(async {
        // As files, because Miri has no `send` on a pair of sockets.
        let (ours, theirs) = UnixStream::pair().unwrap();
        let [ours, mut theirs] = [ours, theirs].map(|end| File::from(OwnedFd::from(end)));
        let ours = Async::new(ours).unwrap();
        while ours
            .try_write_with(|mut ours| ours.write(&[0; 4096]))
            .is_ok()
        {}
        let armed = Rc::new(Cell::new(false));
        let panicking = calling({
            let armed = Rc::clone(&armed);
            move |call| assert!(call != Call::Drop || !armed.replace(false), "dropped")
        });
        let mut context = Context::from_waker(&panicking);
        assert!(ours.poll_writable(&mut context).is_pending());

        let slot = Rc::new(RefCell::new(None));
        let dropping = calling({
            let slot = Rc::clone(&slot);
            let armed = Rc::clone(&armed);
            move |call| {
                if call == Call::Wake {
                    armed.set(true);
                    drop(slot.take());
                }
            }
        });
        let mut context = Context::from_waker(&dropping);
        assert!(ours.poll_readable(&mut context).is_pending());
        *slot.borrow_mut() = Some(ours);

        let mut pipes: Vec<_> = (0..3).map(|_| reading()).collect();
        let mut noop = Context::from_waker(Waker::noop());
        for (reader, _) in &pipes {
            assert!(poll_read(reader, &mut noop, 8).is_pending());
        }
        theirs.write_all(b"x").unwrap();
        for (_, writer) in &mut pipes {
            writer.write_all(b"x").unwrap();
        }
        for (reader, _writer) in &pipes {
            assert_eq!(read(reader, 8).await, 1);
        }
        assert!(slot.borrow().is_none());
        assert!(!armed.get(), "the waker was dropped, and panicked");
    });
}

#[test]
#[cfg_attr(miri, ignore = "leaks by design")]
fn a_source_may_be_forgotten_with_a_task_registered() {
    let runtime = Runtime::new().unwrap();
    let (reader, mut writer) = {
        let _guard = runtime.enter();
        reading()
    };
    let reader = ManuallyDrop::new(Rc::new(reader));
    let waits = runtime.spawn({
        let reader = ManuallyDrop::new(Rc::clone(&reader));
        async move { read(&reader, 8).await }
    });
    turn(&runtime);
    waits.abort();
    writer.write_all(b"x").unwrap();
    assert!(runtime.block_on(waits).unwrap_err().is_cancelled());
    let last = runtime.spawn(async move {
        let _reader = reader;
        pending::<()>().await;
    });
    turn(&runtime);
    drop(runtime);
    writer.write_all(b"y").unwrap();
    drop(last);
}

/// The end of the pipe is read before the loop has its event, and then read again.
#[test]
fn the_end_of_a_pipe_may_be_read_before_its_event() {
    block_on(async {
        let (reader, mut writer) = reading();
        let mut noop = Context::from_waker(Waker::noop());
        assert!(poll_read(&reader, &mut noop, 8).is_pending());
        writer.write_all(b"ab").unwrap();
        // The read filled its buffer, so the pipe may have more.
        assert_eq!(read(&reader, 2).await, 2);
        drop(writer);
        assert_eq!(poll_read(&reader, &mut noop, 8), Poll::Ready(0));
        for _ in 0..3 {
            assert_eq!(read(&reader, 8).await, 0);
        }
    });
}

/// A read into an empty buffer is not a short read, which would mean that the pipe is
/// drained.
#[test]
fn a_read_into_an_empty_buffer_does_not_count_as_short() {
    block_on(async {
        let (reader, mut writer) = reading();
        let mut noop = Context::from_waker(Waker::noop());
        assert_eq!(poll_read(&reader, &mut noop, 0), Poll::Ready(0));
        assert!(poll_read(&reader, &mut noop, 8).is_pending());
        writer.write_all(b"ab").unwrap();
        assert_eq!(read(&reader, 1).await, 1);
        for _ in 0..3 {
            assert_eq!(poll_read(&reader, &mut noop, 0), Poll::Ready(0));
        }
        assert_eq!(poll_read(&reader, &mut noop, 8), Poll::Ready(1));
    });
}
