//! How a runtime ends, and timers, sources and handles that outlive it.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io::{self, PipeReader, Read, Write, pipe};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use coreloop::cleanup::{defer, flush};
use coreloop::io::Async;
use coreloop::runtime::{Builder, Handle};
use coreloop::scope::cancel_scope;
use coreloop::task::{JoinHandle, yield_now};
use coreloop::time::{Instant, Sleep, sleep, timeout};
use coreloop::{Runtime, block_on, spawn};

use coreloop_test_support::deadline::end_if_it_hangs;
use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::panics::recorded;
use coreloop_test_support::rerun::is_rerun;
#[cfg(not(miri))]
use coreloop_test_support::rerun::rerun;
use coreloop_test_support::wakers::{Call, calling};

/// A pipe whose reader belongs to a loop.
type Pipe = (Async<PipeReader>, io::PipeWriter);

/// Creates a timer of `runtime`, and sets it.
fn set_timer(runtime: &Runtime) -> Sleep {
    let _guard = runtime.enter();
    let mut timer = sleep(Duration::from_secs(3600));
    let polled = Pin::new(&mut timer).poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
    timer
}

/// Creates a pipe that is registered with `runtime`, with a waker that waits for it.
fn waiting_pipe(runtime: &Runtime) -> Pipe {
    let _guard = runtime.enter();
    let (reader, writer) = pipe().expect("a pipe");
    let reader = Async::new(reader).expect("a pipe can be polled");
    let polled = reader.poll_readable(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
    (reader, writer)
}

#[test]
fn tasks_are_dropped_with_the_runtime() {
    let ends = Rc::new(Cell::new(0));
    let runtime = Runtime::new().unwrap();
    for polled in [true, false] {
        let count = Rc::clone(&ends);
        let guard = OnDrop::new(move || count.set(count.get() + 1));
        drop(runtime.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        }));
        if polled {
            runtime.block_on(async { yield_now().await });
        }
    }
    assert_eq!(ends.get(), 0);
    drop(runtime);
    assert_eq!(ends.get(), 2);
}

#[test]
fn a_timer_may_be_dropped_after_its_runtime() {
    let runtime = Runtime::new().unwrap();
    let (set, mut unset) = (set_timer(&runtime), {
        let _guard = runtime.enter();
        sleep(Duration::ZERO)
    });
    drop(runtime);
    assert!(!set.is_elapsed() && !unset.is_elapsed());
    block_on(async {
        (&mut unset).await;
        assert!(unset.is_elapsed());
        drop(set);
    });
}

#[test]
fn a_source_may_be_dropped_after_its_runtime() {
    let runtime = Runtime::new().unwrap();
    let pipes: Vec<_> = (0..3).map(|_| waiting_pipe(&runtime)).collect();
    let unregistered = {
        let _guard = runtime.enter();
        Async::new(pipe().unwrap().0).unwrap()
    };
    drop(runtime);
    drop(unregistered);
    drop(pipes);
}

#[test]
fn a_source_whose_runtime_has_ended_returns_errors_where_it_would_wait() {
    fn is_gone<R: std::fmt::Debug>(result: io::Result<R>) {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Other);
        assert!(
            error
                .to_string()
                .contains("runtime of this I/O source is gone")
        );
    }

    let runtime = Runtime::new().unwrap();
    let (reader, mut writer) = waiting_pipe(&runtime);
    let (new, _new_writer) = pipe().unwrap();
    let new = {
        let _guard = runtime.enter();
        Async::new(new).unwrap()
    };
    drop(runtime);
    let mut context = Context::from_waker(Waker::noop());
    let mut byte = [0];
    for source in [&reader, &new] {
        block_on(async {
            is_gone(source.readable().await);
            is_gone(source.writable().await);
            is_gone(
                source
                    .read_with(|_| Err::<(), _>(io::ErrorKind::WouldBlock.into()))
                    .await,
            );
        });
        assert!(matches!(
            source.poll_readable(&mut context),
            Poll::Ready(Err(_))
        ));
        let read = source.poll_read_stream(&mut context, 1, |mut reader| reader.read(&mut byte));
        match read {
            Poll::Ready(result) => is_gone(result),
            Poll::Pending => unreachable!("no loop would wake it"),
        }
        let read = source.try_read_with(|mut reader| reader.read(&mut byte));
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
    // An operation that need not wait completes.
    writer.write_all(b"x").unwrap();
    let read = block_on(reader.read_with(|mut reader: &PipeReader| reader.read(&mut byte)));
    assert_eq!(read.unwrap(), 1);
    let mut reader = reader.into_inner().unwrap();
    writer.write_all(b"y").unwrap();
    reader.read_exact(&mut byte).unwrap();
}

/// Tasks of another executor that wait for a source are woken when its runtime ends.
#[test]
fn the_end_of_a_runtime_wakes_tasks_of_other_executors() {
    let runtime = Runtime::new().unwrap();
    let (reader, _writer) = waiting_pipe(&runtime);
    let reader = Rc::new(reader);
    let other = Runtime::new().unwrap();
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let reader = Rc::clone(&reader);
            other.spawn(async move { reader.readable().await })
        })
        .collect();
    let polling = other.spawn({
        let reader = Rc::clone(&reader);
        poll_fn(move |context| reader.poll_readable(context))
    });
    other.block_on(async { yield_now().await });
    drop(runtime);
    other.block_on(async {
        for task in tasks {
            assert!(task.await.unwrap().is_err());
        }
        assert!(polling.await.unwrap().is_err());
    });
}

#[test]
fn a_waker_may_drop_sources_when_their_runtime_ends() {
    let runtime = Runtime::new().unwrap();
    let slot: Rc<RefCell<Vec<Pipe>>> = Rc::default();
    for _ in 0..3 {
        let pipe = waiting_pipe(&runtime);
        let own = Rc::clone(&slot);
        let waker = calling(move |call| {
            if call == Call::Wake {
                own.borrow_mut().clear();
            }
        });
        let polled = pipe.0.poll_readable(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        slot.borrow_mut().push(pipe);
    }
    drop(runtime);
    assert!(slot.borrow().is_empty());
}

/// A timer or a source may hold the last reference to a loop.
#[test]
fn a_loop_is_dropped_with_the_last_reference_to_it() {
    let runtime = Runtime::new().unwrap();
    let timer = set_timer(&runtime);
    let (reader, _writer) = waiting_pipe(&runtime);
    let dropped = Rc::new(Cell::new(false));
    let flag = Rc::clone(&dropped);
    let waker = calling(move |call| {
        if call == Call::Drop {
            flag.set(true);
        }
    });
    let mut last = {
        let _guard = runtime.enter();
        sleep(Duration::from_secs(3600))
    };
    assert!(
        Pin::new(&mut last)
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    dropped.set(false);
    drop(runtime);
    drop(reader);
    drop(timer);
    assert!(!dropped.get());
    drop(last);
    assert!(dropped.get());
}

/// A runtime, and objects that belong to it, are dropped in a task of another runtime.
#[test]
fn a_runtime_and_its_sources_may_end_inside_another() {
    block_on(async {
        let inner = Runtime::new().unwrap();
        let timer = set_timer(&inner);
        let (reader, writer) = waiting_pipe(&inner);
        let handle = inner.spawn(pending::<()>());
        drop(inner);
        let task = spawn(async move {
            drop((timer, reader, writer));
            assert!(handle.await.unwrap_err().is_cancelled());
        });
        task.await.unwrap();
        let limited = timeout(Duration::ZERO, pending::<()>()).await;
        assert!(limited.is_err());
    });
}

/// A task of one runtime owns a second runtime, one of whose tasks owns a third.
#[test]
fn tasks_of_a_runtime_may_own_another_runtime() {
    let ends = Rc::new(Cell::new(0));
    let mut innermost: Option<Runtime> = None;
    for _ in 0..3 {
        let runtime = Runtime::new().unwrap();
        let (held, count) = (innermost.take(), Rc::clone(&ends));
        drop(runtime.spawn(async move {
            let _held = held;
            let _guard = OnDrop::new(move || count.set(count.get() + 1));
            pending::<()>().await;
        }));
        runtime.block_on(async { yield_now().await });
        innermost = Some(runtime);
    }
    drop(innermost);
    assert_eq!(ends.get(), 3);
}

#[test]
fn instants_without_a_runtime_are_not_earlier_than_instants_inside_one() {
    let runtime = Runtime::new().unwrap();
    let inside = runtime.block_on(async { Instant::now() });
    drop(runtime);
    assert!(Instant::now() >= inside);
}

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// A thread-local holds a runtime, which uses other thread-locals while it is dropped.
#[test]
fn a_runtime_may_be_dropped_with_the_locals_of_its_thread() {
    let (send, receive) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.handle();
        let guard = OnDrop::new(move || {
            let name = coreloop::task::name();
            drop(spawn(async {}));
            drop(sleep(Duration::from_secs(1)));
            drop(coreloop::task::spawn_blocking(|| ()));
            drop(handle.spawn(|| async {}));
            let alive = coreloop::runtime::metrics().alive_tasks();
            send.send((name, alive)).unwrap();
        });
        let builder = coreloop::task::Builder::new().name("last");
        let task = {
            let _guard = runtime.enter();
            builder.spawn(async move {
                let _guard = guard;
                yield_now().await;
                pending::<()>().await;
            })
        };
        drop(task.unwrap());
        runtime.turn(Some(Duration::ZERO)).unwrap();
        RUNTIME.set(Some(runtime));
    });
    thread.join().unwrap();
    assert_eq!(receive.recv(), Ok((Some("last".into()), 1)));
}

/// Runs a root on a runtime in a thread-local, which is dropped at the exit of the
/// process, while a task is running.
fn exit_inside(root: impl Future<Output = ()>) {
    thread_local! {
        static TURNING: Runtime = Runtime::new().unwrap();
    }
    end_if_it_hangs();
    TURNING.with(|runtime| runtime.block_on(root));
}

/// A value whose destructor ends the process with status 7.
fn exit_when_dropped() -> OnDrop<fn()> {
    OnDrop::new(|| std::process::exit(7))
}

#[test]
fn child_that_exits_in_a_task() {
    if is_rerun("child_that_exits_in_a_task") {
        exit_inside(async {
            // Tasks before and after the one that exits are dropped with the runtime.
            drop(spawn(pending::<()>()));
            drop(spawn(async { std::process::exit(7) }));
            drop(spawn(pending::<()>()));
            pending::<()>().await;
        });
    }
}

#[test]
fn child_that_exits_in_its_root() {
    if is_rerun("child_that_exits_in_its_root") {
        exit_inside(async {
            drop(spawn(pending::<()>()));
            yield_now().await;
            std::process::exit(7)
        });
    }
}

#[test]
fn child_that_exits_in_a_cleanup() {
    if is_rerun("child_that_exits_in_a_cleanup") {
        exit_inside(async {
            drop(spawn(async {
                let _guard = defer(async { std::process::exit(7) });
            }));
            pending::<()>().await;
        });
    }
}

#[test]
fn child_that_exits_in_a_destructor() {
    if is_rerun("child_that_exits_in_a_destructor") {
        exit_inside(async {
            drop(spawn(async { exit_when_dropped() }));
            pending::<()>().await;
        });
    }
}

#[test]
fn child_that_exits_while_a_task_is_aborted() {
    if is_rerun("child_that_exits_while_a_task_is_aborted") {
        exit_inside(async {
            let task = spawn(async {
                let _exit = exit_when_dropped();
                pending::<()>().await;
            });
            yield_now().await;
            task.abort();
            pending::<()>().await;
        });
    }
}

/// C's `exit` runs the destructors of the thread-locals with the turn still on the stack,
/// so the task that called it can neither continue nor be dropped.
#[cfg(not(miri))]
#[test]
fn a_runtime_in_a_threads_locals_does_not_keep_the_process_from_exiting() {
    for test in [
        "child_that_exits_in_a_task",
        "child_that_exits_in_its_root",
        "child_that_exits_in_a_cleanup",
        "child_that_exits_in_a_destructor",
        "child_that_exits_while_a_task_is_aborted",
    ] {
        let output = rerun(module_path!(), test);
        assert_eq!(output.status.code(), Some(7), "{test}: {output:?}");
    }
}

/// Creates a waker whose destructor panics once the flag is set.
fn fragile_waker() -> (Waker, Rc<Cell<bool>>) {
    let armed = Rc::new(Cell::new(false));
    let panics = Rc::clone(&armed);
    let waker = calling(move |call| assert!(call != Call::Drop || !panics.get()));
    (waker, armed)
}

#[test]
fn every_task_is_dropped_though_a_waker_panics_when_dropped() {
    let builder = Builder::new().on_cleanup_failure(|failure| assert!(failure.is_abandoned()));
    let runtime = builder.build().unwrap();
    let dropped = Rc::new(Cell::new(0));
    let spawn_plain = || {
        let count = Rc::clone(&dropped);
        runtime.spawn(async move {
            let _guard = OnDrop::new(move || count.set(count.get() + 1));
            pending::<()>().await;
        })
    };
    let (waker, armed) = fragile_waker();
    let guarded = |waker: Waker| {
        runtime.spawn(async move {
            drop(defer(pending()));
            let mut cleanups = pin!(flush());
            let mut scope = pin!(cancel_scope(async |_| pending::<()>().await));
            let mut timer = pin!(sleep(Duration::from_secs(3600)));
            let mut inner = pin!(spawn(pending::<()>()));
            poll_fn(|_| {
                let context = &mut Context::from_waker(&waker);
                assert!(cleanups.as_mut().poll(context).is_pending());
                assert!(scope.as_mut().poll(context).is_pending());
                assert!(timer.as_mut().poll(context).is_pending());
                assert!(inner.as_mut().poll(context).is_pending());
                Poll::<()>::Pending
            })
            .await;
        })
    };
    let mut handles = vec![spawn_plain(), guarded(waker.clone()), spawn_plain()];
    handles.extend([guarded(waker.clone()), spawn_plain()]);
    runtime.block_on(yield_now());
    drop(waker);
    armed.set(true);
    drop(runtime);
    assert_eq!(dropped.get(), 3);
    assert!(handles.iter().all(JoinHandle::is_finished));
    for handle in handles {
        assert!(block_on(handle).is_err());
    }
}

/// Two destructors that panic at the same time would abort the process.
#[test]
fn a_runtime_is_dropped_though_its_hooks_own_values_that_panic() {
    let fragile = || OnDrop::new(|| panic!("a hook is dropped"));
    let (_, panics) = recorded(|| {
        let hooks = (fragile(), fragile(), fragile(), fragile());
        let builder = Builder::new()
            .on_unhandled_panic(move |_| {
                let _ = &hooks.0;
            })
            .on_cleanup_failure(move |_| {
                let _ = &hooks.1;
            })
            .on_slow_poll(move |_| {
                let _ = &hooks.2;
            })
            .thread_name_fn(move || {
                let _ = &hooks.3;
                String::from("name")
            });
        let runtime = builder.build().unwrap();
        drop(builder);
        drop(runtime);
    });
    assert_eq!(panics.len(), 4);
}

/// A value whose destructor spawns a task that owns the next one.
struct Respawns(u32);

impl Drop for Respawns {
    fn drop(&mut self) {
        if let Some(left) = self.0.checked_sub(1) {
            let next = Respawns(left);
            drop(spawn(async move {
                let _next = next;
                pending::<()>().await;
            }));
        }
    }
}

/// Like [`Respawns`], but it spawns by a handle.
struct RespawnsByHandle(u32, Handle);

impl Drop for RespawnsByHandle {
    fn drop(&mut self) {
        if let Some(left) = self.0.checked_sub(1) {
            let next = RespawnsByHandle(left, self.1.clone());
            drop(self.1.spawn(move || async move {
                let _next = next;
                pending::<()>().await;
            }));
        }
    }
}

#[test]
fn destructors_that_spawn_are_not_nested_at_the_end_of_the_runtime() {
    let links = if cfg!(miri) { 50 } else { 20_000 };
    let runtime = Runtime::new().unwrap();
    let first = Respawns(links);
    drop(runtime.spawn(async move {
        let _first = first;
        pending::<()>().await;
    }));
    let first = RespawnsByHandle(links, runtime.handle());
    drop(runtime.spawn(async move {
        let _first = first;
        pending::<()>().await;
    }));
    runtime.turn(Some(Duration::ZERO)).unwrap();
    drop(runtime);
}
