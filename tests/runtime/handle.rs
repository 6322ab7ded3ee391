//! `Handle`: tasks from other threads, and how they end when the runtime is dropped.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use coreloop::runtime::{Builder, Handle};
use coreloop::task::{self, RemoteAbortHandle, RemoteJoinHandle, yield_now};
use coreloop::time::{Instant, sleep};
use coreloop::{Runtime, block_on, spawn};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use coreloop_test_support::deadline::wait_until;
use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::on_thread::wait_for;
use coreloop_test_support::reports::Reports;
use coreloop_test_support::wakers::{Call, calling};

/// Calls `f` on a thread of its own, and returns its result.
fn elsewhere<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    thread::spawn(f)
        .join()
        .expect("a thread that does not panic")
}

/// Runs one turn, without waiting.
fn turn(runtime: &Runtime) {
    runtime.turn(Some(Duration::ZERO)).expect("a turn");
}

/// A flag that one task sets and another waits for.
#[derive(Default)]
struct Signal(Mutex<(bool, Option<Waker>)>);

impl Signal {
    fn set(&self) {
        let mut state = self.0.lock().expect("no panic");
        state.0 = true;
        let waker = state.1.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn wait(&self) {
        poll_fn(|context| {
            let mut state = self.0.lock().expect("no panic");
            if state.0 {
                return Poll::Ready(());
            }
            state.1 = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[test]
fn handles_are_send_and_sync() {
    fn is_send_and_sync<T: Send + Sync + Clone>() {}
    fn is_shared<T: Send + Sync>() {}

    is_send_and_sync::<Handle>();
    is_send_and_sync::<RemoteAbortHandle>();
    is_shared::<RemoteJoinHandle<Cell<u8>>>();
}

#[test]
fn a_future_that_is_not_send_runs_on_the_loop() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let (home, text) = (thread::current().id(), "sent".to_owned());
    let task = elsewhere(move || {
        handle.spawn(move || {
            let text = Rc::new(text);
            async move {
                yield_now().await;
                assert_eq!(thread::current().id(), home);
                text.len()
            }
        })
    });
    assert!(!task.is_finished(), "no turn has run yet");
    assert_eq!(runtime.block_on(task).unwrap(), 4);
}

#[test]
fn the_output_can_be_awaited_on_any_executor() {
    let (send, receive) = mpsc::channel();
    let end = Arc::new(Signal::default());
    let ended = Arc::clone(&end);
    let server = thread::spawn(move || {
        block_on(async {
            send.send(Handle::current()).unwrap();
            ended.wait().await;
        });
    });
    let handle = receive.recv().unwrap();
    assert_eq!(wait_for(handle.spawn(|| async { 1 })).unwrap(), 1);
    assert_eq!(block_on(handle.spawn(|| async { 2 })).unwrap(), 2);
    let other = Runtime::new().unwrap();
    let nested = other.spawn(async move { handle.spawn(|| async { 3 }).await.unwrap() });
    assert_eq!(other.block_on(nested).unwrap(), 3);
    end.set();
    server.join().unwrap();
}

#[test]
fn tasks_start_in_the_order_of_their_spawns() {
    let runtime = Runtime::new().unwrap();
    let count = if cfg!(miri) { 10 } else { 1000 };
    let (send, receive) = mpsc::channel();
    for round in 0..2 {
        let (handle, send) = (runtime.handle(), send.clone());
        let tasks = elsewhere(move || -> Vec<_> {
            let spawn = |number| {
                let send = send.clone();
                handle.spawn(move || async move { send.send((round, number)).unwrap() })
            };
            (0..count).map(spawn).collect()
        });
        runtime.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
    let order = (0..2).flat_map(|round| (0..count).map(move |number| (round, number)));
    assert!(receive.try_iter().eq(order));
}

#[test]
fn a_handle_may_spawn_on_its_own_loop() {
    block_on(async {
        let handle = Handle::current();
        let task = handle.spawn(|| async { Handle::current().spawn(|| async { 7 }).await });
        assert_eq!(task.await.unwrap().unwrap(), 7);
    });
}

#[test]
fn the_closure_is_called_by_its_task() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.handle().spawn(|| {
        let in_closure = task::id();
        async move { (in_closure, task::id()) }
    });
    let id = task.id();
    assert_eq!(task.abort_handle().id(), id);
    assert_eq!(runtime.block_on(task).unwrap(), (id, id));
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(runtime.spawn(async {}).id());
        others.push(runtime.handle().spawn(|| async {}).id());
    }
    others.push(id);
    others.sort_unstable();
    others.dedup();
    assert_eq!(others.len(), 7, "no id is used twice");
}

#[test]
fn a_handle_of_the_current_runtime_needs_a_runtime() {
    assert!(Handle::try_current().unwrap_err().is_missing_context());
    let runtime = Runtime::new().unwrap();
    assert!(Handle::try_current().is_err());
    let handle = {
        let _guard = runtime.enter();
        Handle::current()
    };
    let error = Handle::try_current().unwrap_err();
    assert!(!error.is_thread_local_destroyed());
    assert!(
        error
            .to_string()
            .starts_with("not inside a coreloop runtime")
    );
    assert!(elsewhere(Handle::try_current).is_err());
    assert_eq!(runtime.block_on(handle.spawn(|| async { 1 })).unwrap(), 1);
    let panic = catch_unwind(Handle::current).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("not inside a coreloop runtime"));
}

#[test]
fn tasks_spawned_between_two_block_ons_run_in_the_second() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    runtime.block_on(async {});
    let ran = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ran);
    let task =
        elsewhere(move || handle.spawn(move || async move { flag.store(true, Ordering::Relaxed) }));
    assert!(!ran.load(Ordering::Relaxed));
    runtime.block_on(async { yield_now().await });
    runtime.block_on(task).unwrap();
    assert!(ran.load(Ordering::Relaxed));
}

#[test]
fn a_sleeping_loop_is_woken() {
    for _ in 0..if cfg!(miri) { 3 } else { 300 } {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.handle();
        let signal = Arc::new(Signal::default());
        let theirs = Arc::clone(&signal);
        let thread = thread::spawn(move || handle.spawn(move || async move { theirs.set() }));
        // The loop has nothing else to wait for.
        runtime.block_on(signal.wait());
        runtime.block_on(thread.join().unwrap()).unwrap();
    }
}

/// Another event loop that embeds the runtime polls its descriptor.
#[test]
#[cfg_attr(miri, ignore = "Miri has no poll(2) of an epoll")]
fn a_spawn_makes_the_descriptor_readable() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    while runtime.turn(Some(Duration::ZERO)).unwrap() {}
    assert!(
        !is_readable(&runtime),
        "the handle alone gives the loop nothing to do"
    );
    for _ in 0..3 {
        let handle = handle.clone();
        let tasks = elsewhere(move || [handle.spawn(|| async {}), handle.spawn(|| async {})]);
        while !tasks.iter().all(RemoteJoinHandle::is_finished) {
            assert!(is_readable(&runtime));
            turn(&runtime);
        }
        assert!(!is_readable(&runtime));
    }
    let abort = handle.spawn(pending::<()>);
    turn(&runtime);
    elsewhere(move || abort.abort());
    assert!(is_readable(&runtime));
}

/// Returns whether the descriptor is readable now, as another event loop sees it.
fn is_readable(runtime: &Runtime) -> bool {
    let fd = runtime.as_fd();
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).expect("poll(2) of one descriptor") == 1
}

#[test]
fn dropping_the_handle_detaches() {
    let runtime = Runtime::new().unwrap();
    let (send, receive) = mpsc::channel();
    let dropped = send.clone();
    drop(runtime.handle().spawn(move || async move {
        yield_now().await;
        send.send("ran").unwrap();
        OnDrop::new(move || dropped.send("output dropped").unwrap())
    }));
    while runtime.turn(Some(Duration::ZERO)).unwrap() {}
    assert_eq!(
        receive.try_iter().collect::<Vec<_>>(),
        ["ran", "output dropped"]
    );
}

#[test]
fn the_output_is_dropped_with_the_handle_if_it_was_not_taken() {
    let runtime = Runtime::new().unwrap();
    let (send, receive) = mpsc::channel();
    let task = runtime
        .handle()
        .spawn(|| async move { OnDrop::new(move || send.send(thread::current().id()).unwrap()) });
    wait_until(|| {
        turn(&runtime);
        task.is_finished()
    });
    assert!(receive.try_recv().is_err());
    let there = elsewhere(move || {
        drop(task);
        thread::current().id()
    });
    assert_eq!(receive.recv().unwrap(), there);
}

#[test]
fn the_future_is_dropped_before_the_handle_is_ready() {
    let runtime = Runtime::new().unwrap();
    let dropped = Arc::new(AtomicBool::new(false));
    for aborted in [false, true] {
        let flag = Arc::clone(&dropped);
        let task = runtime.handle().spawn(move || {
            let guard = OnDrop::new(move || flag.store(true, Ordering::Relaxed));
            poll_fn(move |_| {
                let _guard = &guard;
                if aborted {
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            })
        });
        turn(&runtime);
        if aborted {
            assert!(!dropped.load(Ordering::Relaxed));
            task.abort();
        }
        assert_eq!(runtime.block_on(task).is_err(), aborted);
        assert!(dropped.swap(false, Ordering::Relaxed));
    }
}

/// Returns the text that a task panicked with.
fn message(result: Result<(), task::JoinError>) -> &'static str {
    let panic = result.expect_err("the task panicked").into_panic();
    panic.downcast_ref::<&'static str>().expect("a plain text")
}

#[test]
fn a_panic_of_the_closure_is_returned() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.handle().spawn(|| {
        if true {
            panic!("in the closure");
        }
        async {}
    });
    assert_eq!(message(runtime.block_on(task)), "in the closure");
}

#[test]
fn a_panic_of_the_future_is_returned() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.handle().spawn(|| async {
        yield_now().await;
        panic!("in the future");
    });
    let id = task.id();
    let error = runtime.block_on(task).unwrap_err();
    assert_eq!(error.id(), id);
    assert_eq!(message(Err(error)), "in the future");
}

#[test]
fn a_panic_of_the_destructor_of_an_aborted_future_is_returned() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.handle().spawn(|| async {
        let _guard = OnDrop::new(|| panic!("in the destructor"));
        pending::<()>().await;
    });
    turn(&runtime);
    task.abort();
    assert_eq!(message(runtime.block_on(task)), "in the destructor");
}

#[test]
fn a_panic_of_the_destructor_of_a_finished_future_is_returned() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.handle().spawn(|| {
        let guard = OnDrop::new(|| panic!("in the destructor"));
        poll_fn(move |_| {
            let _guard = &guard;
            Poll::Ready(())
        })
    });
    assert_eq!(message(runtime.block_on(task)), "in the destructor");
}

#[test]
fn panics_of_detached_tasks_do_not_stop_the_loop() {
    let reports = Reports::new();
    let runtime = reports.builder().build().unwrap();
    let unseen = runtime.handle().spawn(|| async { panic!("not joined") });
    let id = unseen.id();
    drop(unseen);
    drop(
        runtime
            .handle()
            .spawn(|| async { OnDrop::new(|| panic!("the destructor of the output")) }),
    );
    let after = runtime.handle().spawn(|| async { 1 });
    assert_eq!(runtime.block_on(after).unwrap(), 1);
    let panics = reports.take();
    assert_eq!(panics.len(), 1);
    assert_eq!(panics[0].task().id(), id);
    assert_eq!(panics[0].message(), Some("not joined"));
}

#[test]
fn closures_are_dropped_with_the_runtime_though_one_panics() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let spawn_with = |guard: Option<OnDrop<fn()>>| handle.spawn(move || async move { drop(guard) });
    let first = spawn_with(None);
    let second = spawn_with(Some(OnDrop::new(|| panic!("in the destructor"))));
    let third = spawn_with(None);
    drop(runtime);
    for task in [first, second, third] {
        assert!(wait_for(task).unwrap_err().is_cancelled());
    }
}

#[test]
fn an_abort_before_the_start_drops_the_closure() {
    let runtime = Runtime::new().unwrap();
    let (send, receive) = mpsc::channel();
    let (by_handle, by_abort_handle) = (send.clone(), send);
    let first = runtime
        .handle()
        .spawn(move || async move { by_handle.send(()).unwrap() });
    let second = runtime
        .handle()
        .spawn(move || async move { by_abort_handle.send(()).unwrap() });
    first.abort();
    first.abort();
    let abort = second.abort_handle();
    elsewhere(move || abort.abort());
    assert!(!first.is_finished(), "only the loop ends the task");
    for task in [first, second] {
        assert!(runtime.block_on(task).unwrap_err().is_cancelled());
    }
    assert_eq!(receive.recv(), Err(mpsc::RecvError), "dropped, not called");
}

#[test]
fn an_abort_ends_a_task_that_has_started() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.handle().spawn(pending::<()>);
    turn(&runtime);
    let abort = task.abort_handle();
    assert!(!abort.is_finished());
    let other = abort.clone();
    elsewhere(move || other.abort());
    assert!(runtime.block_on(task).unwrap_err().is_cancelled());
    assert!(abort.is_finished());
    abort.abort();
}

#[test]
fn an_abort_of_a_finished_task_changes_nothing() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.handle().spawn(|| async { 1 });
    wait_until(|| {
        turn(&runtime);
        task.is_finished()
    });
    task.abort();
    assert_eq!(runtime.block_on(task).unwrap(), 1);
}

#[test]
fn a_task_may_abort_itself() {
    let runtime = Runtime::new().unwrap();
    let (send, receive) = mpsc::channel::<RemoteAbortHandle>();
    let task = runtime.handle().spawn(move || async move {
        receive.recv().unwrap().abort();
        yield_now().await;
        unreachable!("the task ends at its next await that is pending");
    });
    send.send(task.abort_handle()).unwrap();
    assert!(runtime.block_on(task).unwrap_err().is_cancelled());
}

#[test]
fn tasks_spawned_before_and_after_the_end_of_the_runtime_are_cancelled() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let running = handle.spawn(pending::<()>);
    turn(&runtime);
    let (send, receive) = mpsc::channel();
    let queued = {
        let send = send.clone();
        handle.spawn(move || async move { send.send(()).unwrap() })
    };
    drop(runtime);
    assert!(running.is_finished() && queued.is_finished());
    assert!(wait_for(running).unwrap_err().is_cancelled());
    assert!(wait_for(queued).unwrap_err().is_cancelled());
    let late = handle
        .clone()
        .spawn(move || async move { send.send(()).unwrap() });
    late.abort();
    assert!(wait_for(late).unwrap_err().is_cancelled());
    assert!(
        wait_for(handle.spawn_blocking(|| ()))
            .unwrap_err()
            .is_cancelled()
    );
    assert_eq!(receive.recv(), Err(mpsc::RecvError), "dropped, not called");
}

/// Destructors that run at the end of the runtime may use its handle.
#[test]
fn destructors_may_spawn_at_the_end_of_the_runtime() {
    let runtime = Runtime::new().unwrap();
    let (send, receive) = mpsc::channel();
    let spawning = |handle: Handle| {
        let send = send.clone();
        OnDrop::new(move || {
            send.send(handle.spawn(|| async {})).unwrap();
            send.send(Handle::current().spawn(|| async {})).unwrap();
        })
    };
    let (queued, running) = (spawning(runtime.handle()), spawning(runtime.handle()));
    drop(runtime.handle().spawn(move || async move {
        let _guard = running;
        pending::<()>().await;
    }));
    turn(&runtime);
    drop(runtime.handle().spawn(move || async move { drop(queued) }));
    drop(runtime);
    let tasks: Vec<_> = receive.try_iter().collect();
    assert_eq!(tasks.len(), 4);
    for task in tasks {
        assert!(wait_for(task).unwrap_err().is_cancelled());
    }
}

/// The first handle is created while the runtime is dropped.
#[test]
fn a_handle_may_be_created_at_the_end_of_the_runtime() {
    let runtime = Runtime::new().unwrap();
    let late = Rc::new(RefCell::new(None));
    let slot = Rc::clone(&late);
    let guard = OnDrop::new(move || {
        *slot.borrow_mut() = Some(Handle::current().spawn(|| async {}));
    });
    drop(runtime.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    }));
    drop(runtime);
    let late = late.take().expect("the destructor ran");
    assert!(wait_for(late).unwrap_err().is_cancelled());
}

/// Wakers are user code, which may do anything with a handle.
#[test]
fn wakers_may_use_the_handle() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    for call in [Call::Clone, Call::Wake, Call::Drop] {
        let task = Rc::new(RefCell::new(Some(handle.spawn(|| async {
            yield_now().await;
        }))));
        let abort = task.borrow().as_ref().unwrap().abort_handle();
        let (calls, handle) = (Rc::new(Cell::new(0)), handle.clone());
        let count = Rc::clone(&calls);
        let waker = calling(move |what| {
            if what == call {
                count.set(count.get() + 1);
                assert!(!abort.is_finished() || call != Call::Clone);
                abort.abort();
                drop(handle.spawn(|| async {}));
            }
        });
        let mut polled = task.take().unwrap();
        assert!(
            Pin::new(&mut polled)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        let again = Pin::new(&mut polled).poll(&mut Context::from_waker(Waker::noop()));
        assert!(again.is_pending());
        assert!(
            Pin::new(&mut polled)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        drop(waker);
        wait_until(|| {
            turn(&runtime);
            polled.is_finished()
        });
        drop(polled);
        assert!(calls.get() > 0, "{call:?}");
    }
}

#[test]
fn a_waker_that_panics_does_not_stop_the_loop() {
    let runtime = Runtime::new().unwrap();
    let mut task = runtime.handle().spawn(|| async { 1 });
    let waker = calling(|call| assert_ne!(call, Call::Wake, "the waker panics"));
    let polled = Pin::new(&mut task).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    turn(&runtime);
    assert_eq!(runtime.block_on(task).unwrap(), 1);
}

#[test]
fn polling_again_after_the_output_panics() {
    let runtime = Runtime::new().unwrap();
    let mut task = runtime.handle().spawn(|| async {});
    runtime.block_on(&mut task).unwrap();
    let again = catch_unwind(AssertUnwindSafe(|| wait_for(task)));
    let message = *again.unwrap_err().downcast::<String>().unwrap();
    assert!(
        message.starts_with("RemoteJoinHandle polled after"),
        "{message}"
    );
}

#[test]
#[cfg_attr(miri, ignore = "three hundred tasks, to spend a budget")]
fn awaiting_handles_spends_the_budget_of_the_task() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let tasks: Vec<_> = (0..300).map(|_| handle.spawn(|| async {})).collect();
    wait_until(|| {
        turn(&runtime);
        tasks[299].is_finished()
    });
    runtime.block_on(async {
        let others = Rc::new(Cell::new(0));
        let flag = Rc::clone(&others);
        drop(spawn(async move { flag.set(1) }));
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(others.get(), 1, "after 128 handles another task runs");
    });
}

#[test]
fn timers_of_a_remote_task_follow_the_clock_of_its_loop() {
    let runtime = Builder::new().start_paused(true).build().unwrap();
    let handle = runtime.handle();
    let task = elsewhere(move || {
        handle.spawn(|| async {
            let start = Instant::now();
            sleep(Duration::from_secs(3600)).await;
            start.elapsed()
        })
    });
    assert_eq!(runtime.block_on(task).unwrap(), Duration::from_secs(3600));
}

#[test]
fn many_threads_spawn_at_once() {
    const THREADS: usize = 4;
    let count = if cfg!(miri) { 8 } else { 2000 };
    let runtime = Runtime::new().unwrap();
    let barrier = Arc::new(Barrier::new(THREADS));
    let all = Arc::new((AtomicUsize::new(THREADS * count), Signal::default()));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (handle, barrier, all) = (runtime.handle(), Arc::clone(&barrier), Arc::clone(&all));
            thread::spawn(move || {
                barrier.wait();
                let mut sum = 0;
                for number in 0..count {
                    let all = Arc::clone(&all);
                    let task = handle.spawn(move || async move {
                        if all.0.fetch_sub(1, Ordering::Relaxed) == 1 {
                            all.1.set();
                        }
                        number
                    });
                    // Some are sent while the loop is parked, others in quick succession.
                    sum += if number % 3 == 0 {
                        wait_for(task).unwrap()
                    } else {
                        number
                    };
                }
                sum
            })
        })
        .collect();
    runtime.block_on(all.1.wait());
    drop(runtime);
    for thread in threads {
        assert_eq!(thread.join().unwrap(), count * (count - 1) / 2);
    }
}

/// Whichever comes first, every handle becomes ready.
#[test]
fn spawning_while_the_runtime_is_dropped_completes_every_handle() {
    const THREADS: usize = 4;
    for round in 0..if cfg!(miri) { 3 } else { 300 } {
        let runtime = Runtime::new().unwrap();
        let barrier = Arc::new(Barrier::new(THREADS + 1));
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let (handle, barrier) = (runtime.handle(), Arc::clone(&barrier));
                thread::spawn(move || {
                    barrier.wait();
                    let (mut cancelled, mut ran) = (0, 0);
                    while cancelled < 5 {
                        let task = if number % 2 == 0 {
                            handle.spawn(|| async { yield_now().await })
                        } else {
                            handle.spawn_blocking(|| ())
                        };
                        if cancelled == 3 {
                            task.abort();
                        }
                        match wait_for(task) {
                            Ok(()) => ran += 1,
                            Err(error) => {
                                assert!(error.is_cancelled());
                                cancelled += 1;
                            }
                        }
                    }
                    ran
                })
            })
            .collect();
        runtime.block_on(async {
            barrier.wait();
            for _ in 0..round {
                yield_now().await;
            }
        });
        drop(runtime);
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

#[test]
fn a_panic_that_was_not_joined_ends_the_runtime() {
    use coreloop::runtime::UnhandledPanic;

    let reports = Reports::new();
    let strict = || {
        reports
            .builder()
            .unhandled_panic(UnhandledPanic::ShutdownRuntime)
            .build()
            .unwrap()
    };
    let ends_with = |runtime: &Runtime, text: &str| {
        let panic = catch_unwind(AssertUnwindSafe(|| runtime.block_on(pending::<()>())));
        let payload = panic.unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&text));
        assert_eq!(reports.messages(), [text]);
    };

    // The task panicked before its handle was dropped.
    let runtime = strict();
    let handle = runtime.handle().spawn(|| async { panic!("came first") });
    wait_until(|| {
        runtime.block_on(yield_now());
        handle.is_finished()
    });
    elsewhere(move || drop(handle));
    ends_with(&runtime, "came first");

    // The handle was dropped first; the same for blocking work.
    let runtime = strict();
    drop(runtime.handle().spawn(|| async { panic!("came last") }));
    ends_with(&runtime, "came last");
    let runtime = strict();
    drop(runtime.handle().spawn_blocking(|| panic!("blocking")));
    ends_with(&runtime, "blocking");
    let runtime = strict();
    drop(runtime.spawn_blocking(|| panic!("blocking, of the loop")));
    ends_with(&runtime, "blocking, of the loop");
}
