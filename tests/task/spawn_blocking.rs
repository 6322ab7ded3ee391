//! Blocking work: the pool and its limits, aborts, and the end of the runtime.

use std::cell::RefCell;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvError, Sender};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use coreloop::cleanup::defer;
use coreloop::runtime::{Builder, Handle, TryCurrentError};
use coreloop::task::{self, spawn_blocking, yield_now};
use coreloop::{Runtime, block_on, spawn};

use coreloop_test_support::gate::{Gate, gate};
use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::on_thread::wait_for;
use coreloop_test_support::reports::Reports;

/// Creates a runtime with one thread for blocking work, which is busy.
fn busy() -> (Runtime, Gate) {
    let runtime = Builder::new().max_blocking_threads(1).build().unwrap();
    let (gate, work) = gate();
    drop(runtime.spawn_blocking(work));
    gate.wait();
    (runtime, gate)
}

/// A closure that is called when the thread ends.
type AtEnd = OnDrop<Box<dyn FnOnce()>>;

thread_local! {
    static AT_END: RefCell<Option<AtEnd>> = const { RefCell::new(None) };
}

/// Sends the result of `Handle::try_current` when the calling thread ends.
fn send_at_end(sender: Sender<Result<Handle, TryCurrentError>>) {
    let send = move || sender.send(Handle::try_current()).unwrap();
    AT_END.set(Some(OnDrop::new(Box::new(send))));
}

#[test]
fn the_output_is_returned() {
    block_on(async {
        let home = thread::current().id();
        let task = spawn_blocking(move || {
            assert_ne!(thread::current().id(), home);
            "done".to_owned()
        });
        let id = task.id();
        assert_ne!(id, task::id());
        assert_eq!(task.await.unwrap(), "done");
        let remote = Handle::current().spawn_blocking(|| vec![1, 2]);
        assert_eq!(remote.await.unwrap(), [1, 2]);
    });
}

#[test]
fn the_loop_runs_tasks_meanwhile() {
    block_on(async {
        let (gate, work) = gate();
        let task = spawn_blocking(work);
        gate.wait();
        let other = spawn(async {
            yield_now().await;
            5
        });
        assert_eq!(other.await.unwrap(), 5);
        assert!(!task.is_finished());
        gate.open();
        task.await.unwrap();
    });
}

/// A job starts without a turn of the loop.
#[test]
fn work_starts_at_once() {
    let runtime = Runtime::new().unwrap();
    let (gates, work): (Vec<_>, Vec<_>) = (0..3).map(|_| gate()).unzip();
    let mut work = work.into_iter();
    let local = runtime.spawn_blocking(work.next().unwrap());
    let remote = runtime.handle().spawn_blocking(work.next().unwrap());
    let entered = {
        let _guard = runtime.enter();
        spawn_blocking(work.next().unwrap())
    };
    for gate in gates {
        gate.wait();
        gate.open();
    }
    wait_for(remote).unwrap();
    runtime.block_on(async {
        local.await.unwrap();
        entered.await.unwrap();
    });
}

#[test]
fn spawn_blocking_outside_a_runtime_panics() {
    let panic = catch_unwind(|| drop(spawn_blocking(|| ()))).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(
        message.starts_with("spawn_blocking called outside"),
        "{message}"
    );
    assert!(catch_unwind(|| Builder::new().max_blocking_threads(0)).is_err());
}

#[test]
fn two_threads_run_two_jobs_at_a_time() {
    let runtime = Builder::new().max_blocking_threads(2).build().unwrap();
    let (working, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    // A job passes only if two jobs run at the same time.
    let pair = Arc::new(Barrier::new(2));
    let tasks: Vec<_> = (0..if cfg!(miri) { 6 } else { 100 })
        .map(|_| {
            let (working, most, pair) =
                (Arc::clone(&working), Arc::clone(&most), Arc::clone(&pair));
            runtime.spawn_blocking(move || {
                let now = working.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                pair.wait();
                working.fetch_sub(1, Ordering::SeqCst);
            })
        })
        .collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[test]
fn queued_jobs_run_in_order() {
    let (runtime, gate) = busy();
    let (send, receive) = mpsc::channel();
    for number in 0..10 {
        let send = send.clone();
        let work = move || send.send(number).unwrap();
        if number % 2 == 0 {
            drop(runtime.handle().spawn_blocking(work));
        } else {
            drop(runtime.spawn_blocking(work));
        }
    }
    let last = runtime.handle().spawn_blocking(|| ());
    assert!(receive.try_recv().is_err());
    gate.open();
    wait_for(last).unwrap();
    assert!(receive.try_iter().eq(0..10));
}

#[test]
fn a_thread_is_used_again() {
    let runtime = Builder::new().max_blocking_threads(1).build().unwrap();
    let ids = [(); 5].map(|()| {
        let id = runtime.spawn_blocking(|| thread::current().id());
        runtime.block_on(id).unwrap()
    });
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[test]
fn idle_threads_end() {
    let runtime = Builder::new()
        .max_blocking_threads(1)
        .thread_keep_alive(Duration::from_micros(1))
        .build()
        .unwrap();
    for _ in 0..3 {
        let (send, ended) = mpsc::channel();
        let task = runtime.spawn_blocking(move || send_at_end(send));
        runtime.block_on(task).unwrap();
        // The thread has a current runtime until the thread-local of that is destroyed,
        // too.
        if let Err(error) = ended.recv().unwrap() {
            assert!(error.is_thread_local_destroyed());
        }
    }
}

#[test]
fn threads_end_with_the_runtime() {
    let runtime = Builder::new()
        .thread_keep_alive(Duration::MAX)
        .build()
        .unwrap();
    let (send, ended) = mpsc::channel();
    let task = runtime.spawn_blocking(move || send_at_end(send));
    runtime.block_on(task).unwrap();
    drop(runtime);
    drop(ended.recv().unwrap());
}

#[test]
fn threads_have_names() {
    fn name_of_a_thread(builder: &Builder) -> String {
        let runtime = builder.build().unwrap();
        let name = runtime.spawn_blocking(|| thread::current().name().unwrap().to_owned());
        runtime.block_on(name).unwrap()
    }

    assert_eq!(name_of_a_thread(&Builder::new()), "coreloop-pool");
    assert_eq!(
        name_of_a_thread(&Builder::new().thread_name("mine")),
        "mine"
    );
    let count = AtomicUsize::new(7);
    let numbered = move || format!("mine\0-{}", count.fetch_add(1, Ordering::Relaxed));
    let builder = Builder::new().thread_name_fn(numbered);
    assert_eq!(name_of_a_thread(&builder), "mine-7");
    assert_eq!(
        name_of_a_thread(&builder),
        "mine-8",
        "the function is called for each thread"
    );
    let panicking = Builder::new().thread_name_fn(|| panic!("no name"));
    assert_eq!(name_of_a_thread(&panicking), "coreloop-pool");
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no stack that can overflow")]
fn threads_have_stacks_of_the_requested_size() {
    let bytes = 64 << 20;
    let runtime = Builder::new().thread_stack_size(bytes).build().unwrap();
    let task = runtime.spawn_blocking(|| std::hint::black_box([1_u8; 4 << 20])[5]);
    assert_eq!(runtime.block_on(task).unwrap(), 1);
}

#[test]
#[cfg_attr(miri, ignore = "Miri gives a thread any stack")]
#[cfg_attr(not(target_os = "linux"), ignore = "elsewhere std may refuse the size")]
fn a_thread_that_cannot_be_started_is_an_error() {
    // More bytes than there are addresses.
    let runtime = Builder::new().thread_stack_size(1 << 60).build().unwrap();
    let handle = runtime.handle();
    let (send, receive) = mpsc::channel::<()>();
    let local = runtime.spawn_blocking(move || send.send(()).unwrap());
    let remote = handle.spawn_blocking(|| ());
    for error in [
        runtime.block_on(local).unwrap_err(),
        runtime.block_on(remote).unwrap_err(),
    ] {
        assert!(error.is_panic());
        let text = error.to_string();
        assert!(
            text.contains("cannot start a thread for blocking work"),
            "{text}"
        );
    }
    assert_eq!(receive.recv(), Err(RecvError), "the work is dropped");
}

#[test]
fn a_panic_is_returned_by_the_handle() {
    let runtime = Runtime::new().unwrap();
    let local = runtime.spawn_blocking(|| panic!("lost"));
    let remote = runtime.handle().spawn_blocking(|| panic!("lost"));
    let ids = [local.id(), remote.id()];
    let errors: [task::JoinError; 2] = runtime.block_on(async {
        let local: Result<(), _> = local.await;
        let remote: Result<(), _> = remote.await;
        [local.unwrap_err(), remote.unwrap_err()]
    });
    for (error, id) in errors.into_iter().zip(ids) {
        assert!(error.is_panic());
        assert_eq!(error.id(), id);
        assert_eq!(*error.into_panic().downcast_ref::<&str>().unwrap(), "lost");
    }
}

#[test]
fn panics_that_are_not_joined_stop_neither_loop_nor_thread() {
    let reports = Reports::new();
    let builder = reports.builder().max_blocking_threads(1);
    let runtime = builder.build().unwrap();
    let unseen = [
        runtime.spawn_blocking(|| panic!("not joined")).id(),
        runtime
            .handle()
            .spawn_blocking(|| panic!("not joined"))
            .id(),
    ];
    drop(
        runtime
            .handle()
            .spawn_blocking(|| OnDrop::new(|| panic!("not joined"))),
    );
    let after = runtime.spawn_blocking(|| 1);
    assert_eq!(runtime.block_on(after).unwrap(), 1);
    let mut panics = reports.take();
    while panics.len() < unseen.len() {
        runtime.turn(None).unwrap();
        panics.extend(reports.take());
    }
    let ids: Vec<_> = panics.iter().map(|panic| panic.task().id()).collect();
    assert_eq!(ids, unseen);
    let mut messages = panics.iter().map(|panic| panic.message());
    assert!(messages.all(|message| message == Some("not joined")));
}

#[test]
fn an_abort_drops_a_queued_job() {
    let (runtime, gate) = busy();
    let (send, dropped) = mpsc::channel();
    let work = |name| {
        let send = send.clone();
        let guard = OnDrop::new(move || send.send(name).unwrap());
        move || {
            let _guard = guard;
            unreachable!("it was aborted");
        }
    };
    let local = runtime.spawn_blocking(work("local"));
    let polled = runtime.spawn_blocking(work("polled"));
    let remote = runtime.handle().spawn_blocking(work("remote"));
    remote.abort();
    assert_eq!(dropped.try_recv(), Ok("remote"), "at once");
    assert!(remote.is_finished());
    local.abort();
    runtime.block_on(async { yield_now().await });
    assert_eq!(dropped.try_recv(), Ok("local"));
    polled.abort_handle().abort();
    let errors: [Result<(), _>; 3] =
        runtime.block_on(async { [local.await, polled.await, remote.await] });
    for error in errors {
        assert!(error.unwrap_err().is_cancelled());
    }
    gate.open();
}

#[test]
fn an_abort_does_not_stop_a_running_job() {
    let runtime = Runtime::new().unwrap();
    for polled in [false, true] {
        let (gate_1, work_1) = gate();
        let (gate_2, work_2) = gate();
        let local = runtime.spawn_blocking(move || {
            work_1();
            1
        });
        let remote = runtime.handle().spawn_blocking(move || {
            work_2();
            2
        });
        gate_1.wait();
        gate_2.wait();
        if polled {
            runtime.block_on(async { yield_now().await });
        }
        local.abort();
        local.abort();
        remote.abort();
        runtime.block_on(async {
            for _ in 0..3 {
                yield_now().await;
            }
        });
        assert!(!local.is_finished() && !remote.is_finished());
        gate_1.open();
        gate_2.open();
        runtime.block_on(async {
            assert_eq!(local.await.unwrap(), 1);
            assert_eq!(remote.await.unwrap(), 2);
        });
    }
}

#[test]
fn a_panic_while_an_aborted_job_is_dropped_is_returned() {
    let (runtime, gate) = busy();
    let guard = OnDrop::new(|| panic!("in the destructor"));
    let task = runtime.spawn_blocking(move || drop(guard));
    task.abort();
    let error = runtime.block_on(task).unwrap_err();
    assert!(error.is_panic());
    gate.open();
}

/// The closure of an aborted job is dropped in the poll of the task that waits for the job.
#[test]
fn the_cleanups_of_an_aborted_job_run_before_its_handle_is_ready() {
    let (runtime, gate) = busy();
    let (send, cleaned_up) = mpsc::channel();
    let guard = defer(async move {
        yield_now().await;
        send.send(()).unwrap();
    });
    let task = runtime.spawn_blocking(move || drop(guard));
    task.abort();
    assert!(runtime.block_on(task).unwrap_err().is_cancelled());
    assert_eq!(cleaned_up.try_recv(), Ok(()));
    gate.open();
}

#[test]
fn dropping_the_handle_detaches() {
    let (runtime, gate) = busy();
    let (send, receive) = mpsc::channel();
    let theirs = send.clone();
    drop(runtime.spawn_blocking(move || theirs.send("local").unwrap()));
    drop(
        runtime
            .handle()
            .spawn_blocking(move || send.send("remote").unwrap()),
    );
    gate.open();
    assert!(receive.iter().eq(["local", "remote"]));
}

#[test]
fn a_running_job_is_left_behind() {
    let runtime = Runtime::new().unwrap();
    let (send, dropped) = mpsc::channel();
    let (gate_1, work_1) = gate();
    let (gate_2, work_2) = gate();
    let output = |name| {
        let send = send.clone();
        OnDrop::new(move || send.send(name).unwrap())
    };
    let (local, remote) = (output("local"), output("remote"));
    let task = runtime.spawn_blocking(move || {
        work_1();
        assert!(wait_for(Handle::current().spawn(|| async {})).is_err());
        local
    });
    drop(runtime.handle().spawn_blocking(move || {
        work_2();
        remote
    }));
    gate_1.wait();
    gate_2.wait();
    drop(runtime);
    assert!(task.is_finished());
    gate_1.open();
    assert_eq!(
        dropped.recv(),
        Ok("local"),
        "dropped on the thread of its job"
    );
    gate_2.open();
    assert_eq!(dropped.recv(), Ok("remote"));
}

/// The handle of a job outlives the runtime, and so may the job.
#[test]
fn a_job_that_was_left_behind_returns_its_output() {
    let runtime = Runtime::new().unwrap();
    let (gate, work) = gate();
    let remote = runtime.handle().spawn_blocking(move || {
        work();
        5
    });
    gate.wait();
    drop(runtime);
    assert!(!remote.is_finished());
    gate.open();
    assert_eq!(wait_for(remote).unwrap(), 5);
}

#[test]
fn queued_jobs_are_dropped_with_the_runtime() {
    let (runtime, gate) = busy();
    let (send, dropped) = mpsc::channel();
    let guard = |handle: Handle| {
        let send = send.clone();
        // A destructor may even spawn another job.
        OnDrop::new(move || send.send(handle.spawn_blocking(|| ())).unwrap())
    };
    let (first, second) = (guard(runtime.handle()), guard(runtime.handle()));
    let local = runtime.spawn_blocking(move || drop(first));
    let remote = runtime.handle().spawn_blocking(move || drop(second));
    drop(runtime);
    assert!(local.is_finished());
    assert!(wait_for(remote).unwrap_err().is_cancelled());
    for late in [dropped.try_recv().unwrap(), dropped.try_recv().unwrap()] {
        assert!(wait_for(late).unwrap_err().is_cancelled());
    }
    gate.open();
}

#[test]
fn work_may_spawn_work_and_tasks() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.spawn_blocking(|| {
        let outer = Handle::current().spawn_blocking(|| {
            let inner = Handle::current().spawn_blocking(|| thread::current().id());
            (wait_for(inner).unwrap(), thread::current().id())
        });
        let on_loop = Handle::current().spawn(|| async {
            yield_now().await;
            spawn_blocking(|| 3).await.unwrap()
        });
        (wait_for(outer).unwrap(), wait_for(on_loop).unwrap())
    });
    let ((inner, outer), on_loop) = runtime.block_on(task).unwrap();
    assert_ne!(inner, outer);
    assert_eq!(on_loop, 3);
}

/// A job may run a loop of its own, which is then the current one.
#[test]
fn work_may_run_a_runtime() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.spawn_blocking(|| block_on(async { spawn(async { 4 }).await.unwrap() }));
    assert_eq!(runtime.block_on(task).unwrap(), 4);
}

#[test]
#[cfg_attr(miri, ignore = "other tests send fewer jobs in the same way")]
fn thousands_of_jobs_return_their_outputs() {
    let count = if cfg!(miri) { 20 } else { 5000 };
    let runtime = Builder::new().max_blocking_threads(4).build().unwrap();
    let sum = runtime.block_on(async {
        let tasks: Vec<_> = (0..count)
            .map(|number| {
                let remote = Handle::current().spawn_blocking(move || number);
                (spawn_blocking(move || number), remote)
            })
            .collect();
        let mut sum = 0;
        for (local, remote) in tasks {
            sum += local.await.unwrap() + remote.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, count * (count - 1));
}

#[test]
fn aborted_jobs_either_run_or_are_cancelled() {
    let runtime = Builder::new().max_blocking_threads(2).build().unwrap();
    runtime.block_on(async {
        for round in 0..if cfg!(miri) { 4 } else { 300 } {
            let ran = Arc::new(AtomicUsize::new(0));
            let tasks: Vec<_> = (0..4)
                .map(|_| {
                    let ran = Arc::clone(&ran);
                    spawn_blocking(move || ran.fetch_add(1, Ordering::SeqCst))
                })
                .collect();
            if round % 2 == 0 {
                yield_now().await;
            }
            tasks.iter().for_each(task::JoinHandle::abort);
            let mut done = 0;
            for task in tasks {
                match task.await {
                    Ok(_) => done += 1,
                    Err(error) => assert!(error.is_cancelled()),
                }
            }
            assert_eq!(
                ran.load(Ordering::SeqCst),
                done,
                "a cancelled job has not run"
            );
        }
    });
}
