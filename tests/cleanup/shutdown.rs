//! Cleanups that run while a runtime is shut down may do everything that tasks may.

use std::cell::Cell;
use std::fs::File;
use std::future::{Future, pending};
use std::io::Write as _;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use coreloop::cleanup::{bracket, defer};
use coreloop::io::{AsyncReadExt, copy_file};
use coreloop::net::{TcpListener, TcpStream, UnixStream, lookup_host};
use coreloop::process::Command;
use coreloop::runtime::{Builder, Handle, Report};
use coreloop::task::{spawn_blocking, yield_now};
use coreloop::time::{Instant, sleep, timeout};
use coreloop::{Runtime, spawn};
use coreloop_test_support::clock::paused;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::on_drop::OnDrop;

const SECOND: Duration = Duration::from_secs(1);

/// Enough time for a cleanup that has to complete, on a slow machine and under Miri.
const LONG: Duration = Duration::from_secs(60);

/// Shuts down a runtime with a task that waits for ever, and that has `cleanup` to run.
/// Returns whether the cleanup reached its end, and the report.
fn at_shutdown(
    runtime: Runtime,
    by_bracket: bool,
    cleanup: impl Future<Output = ()> + 'static,
) -> (bool, Report) {
    let done = Rc::new(Cell::new(false));
    let note = Rc::clone(&done);
    let noted = async move {
        cleanup.await;
        note.set(true);
    };
    drop(runtime.spawn(async move {
        if by_bracket {
            let body = async |_: &mut ()| pending::<()>().await;
            bracket(async || (), body, async move |()| noted.await).await;
        } else {
            let _guard = defer(noted);
            pending::<()>().await;
        }
    }));
    let report = runtime.shutdown(Duration::ZERO);
    (done.get(), report)
}

/// Asserts that the cleanup completes with either clock of the runtime, in a guard and in
/// a bracket.
#[track_caller]
fn works<F: Future<Output = ()> + 'static>(cleanup: impl Fn() -> F) {
    for start_paused in [false, true] {
        works_with(start_paused, &cleanup);
    }
}

#[track_caller]
fn works_with<F: Future<Output = ()> + 'static>(start_paused: bool, cleanup: impl Fn() -> F) {
    for by_bracket in [false, true] {
        let runtime = Builder::new()
            .start_paused(start_paused)
            .cleanup_budget(LONG)
            .build()
            .unwrap();
        let (done, report) = at_shutdown(runtime, by_bracket, cleanup());
        let at = format!("bracket: {by_bracket}, paused: {start_paused}: {report}");
        assert!(done, "{at}");
        assert_eq!(report.tasks().len(), 1, "{at}");
        assert!(report.blocking().is_empty(), "{at}");
        assert!(report.cleanups().is_empty(), "{at}");
    }
}

#[test]
fn cleanups_may_run_blocking_work() {
    works(|| async {
        assert_eq!(spawn_blocking(|| 5).await.unwrap(), 5);
        let handle = Handle::current();
        assert_eq!(handle.spawn_blocking(|| 6).await.unwrap(), 6);
        let nested = spawn_blocking(|| Handle::current().spawn(|| async { 7 }));
        assert_eq!(nested.await.unwrap().await.unwrap(), 7);
        let nested = spawn_blocking(|| Handle::current().spawn_blocking(|| 8));
        assert_eq!(nested.await.unwrap().await.unwrap(), 8);
    });
}

#[test]
fn cleanups_may_use_tasks_and_timers() {
    works(|| async {
        let task = spawn(async {
            sleep(Duration::from_millis(1)).await;
            1
        });
        assert_eq!(task.await.unwrap(), 1);
        let start = Instant::now();
        assert!(
            timeout(Duration::from_millis(1), pending::<()>())
                .await
                .is_err()
        );
        assert!(start.elapsed() >= Duration::from_millis(1));
        let remote = Handle::current().spawn(|| async { 2 });
        assert_eq!(remote.await.unwrap(), 2);
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no getaddrinfo")]
fn cleanups_may_look_up_names() {
    works(|| async {
        let mut addresses = lookup_host("localhost:80").await.unwrap();
        assert!(addresses.any(|address| address.ip().is_loopback()));
    });
    // A clock that is paused does not wait for the network.
    works_with(false, || async {
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = spawn(async move { listener.accept().await.unwrap() });
        let mut stream = TcpStream::connect(format!("localhost:{port}"))
            .await
            .unwrap();
        let (mut peer, _) = accepted.await.unwrap();
        peer.write_all(b"bye").await.unwrap();
        drop(peer);
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"bye");
    });
}

#[test]
#[cfg_attr(miri, ignore = "a file in a folder of its own")]
fn cleanups_may_copy_files() {
    let folder = Folder::new();
    let path = folder.path("file");
    File::create(&path).unwrap().write_all(b"content").unwrap();
    works(|| {
        let path = path.clone();
        async move {
            let (mut near, mut far) = UnixStream::pair().unwrap();
            let file = File::open(path).unwrap();
            assert_eq!(copy_file(&file, &mut (0..7), &mut near).await.unwrap(), 7);
            drop(near);
            let mut copied = Vec::new();
            far.read_to_end(&mut copied).await.unwrap();
            assert_eq!(copied, b"content");
        }
    });
}

#[test]
#[cfg_attr(miri, ignore = "starts another program")]
fn cleanups_may_run_programs() {
    // A clock that is paused does not wait for other processes.
    works_with(false, || async {
        let output = Command::new("echo").arg("bye").output().await.unwrap();
        assert_eq!(output.stdout, b"bye\n");
    });
}

/// The report names blocking work that hangs, whatever cleanups do meanwhile.
#[test]
fn work_that_hangs_is_left_behind_and_reported() {
    for start_paused in [false, true] {
        let runtime = Builder::new()
            .start_paused(start_paused)
            .cleanup_budget(LONG)
            .max_blocking_threads(2)
            .build()
            .unwrap();
        let (started, starts) = mpsc::channel();
        let (release, blocked) = mpsc::channel::<()>();
        drop(runtime.spawn_blocking(move || {
            started.send(()).unwrap();
            let _ = blocked.recv();
        }));
        starts.recv().unwrap();
        let line = line!() - 5;
        let cleanup = async { assert_eq!(spawn_blocking(|| 5).await.unwrap(), 5) };
        let (done, report) = at_shutdown(runtime, false, cleanup);
        drop(release);
        assert!(done, "{report}");
        assert_eq!(report.tasks().len(), 1, "{report}");
        let places = report
            .blocking()
            .iter()
            .map(|work| work.spawned_at().line());
        assert!(places.eq([line]), "{report}");
    }
}

/// A clock that is paused does not move while there is blocking work. That must not keep
/// a shutdown from ending.
#[test]
fn a_cleanup_that_waits_beside_work_that_hangs_ends_in_time() {
    let runtime = Builder::new()
        .start_paused(true)
        .cleanup_budget(Duration::from_millis(20))
        .build()
        .unwrap();
    let (started, starts) = mpsc::channel();
    let (release, blocked) = mpsc::channel::<()>();
    drop(runtime.spawn_blocking(move || {
        started.send(()).unwrap();
        let _ = blocked.recv();
    }));
    starts.recv().unwrap();
    let (done, report) = at_shutdown(runtime, false, async { sleep(SECOND).await });
    drop(release);
    assert!(!done);
    assert_eq!(report.cleanups().len(), 1, "{report}");
}

/// Jobs that are queued at the deadline are cancelled. The report also names a job that a
/// cleanup queues and does not wait for.
#[test]
fn queued_jobs_are_cancelled_and_reported() {
    let runtime = Builder::new().max_blocking_threads(1).build().unwrap();
    let (started, starts) = mpsc::channel();
    let (release, blocked) = mpsc::channel::<()>();
    drop(runtime.spawn_blocking(move || {
        started.send(()).unwrap();
        let _ = blocked.recv();
    }));
    starts.recv().unwrap();
    let queued = runtime.handle().spawn_blocking(|| ());
    let later = Rc::new(Cell::new(None));
    let note = Rc::clone(&later);
    let cleanup = async move { note.set(Some(spawn_blocking(|| ()))) };
    let (done, report) = at_shutdown(runtime, false, cleanup);
    drop(release);
    assert!(done);
    assert_eq!(report.blocking().len(), 3, "{report}");
    assert!(coreloop::block_on(queued).unwrap_err().is_cancelled());
    let later = later.take().unwrap();
    assert!(coreloop::block_on(later).unwrap_err().is_cancelled());
}

/// Destructors of tasks may wait for blocking work, too, while the runtime is dropped.
#[test]
fn a_destructor_may_wait_for_blocking_work() {
    let runtime = paused();
    let handle = runtime.handle();
    let said = Rc::new(Cell::new(None));
    let note = Rc::clone(&said);
    drop(runtime.spawn(async move {
        let _bye = OnDrop::new(move || {
            let (send, receive) = mpsc::channel();
            drop(handle.spawn_blocking(move || send.send("bye").unwrap()));
            note.set(receive.recv().ok());
        });
        pending::<()>().await;
    }));
    runtime.block_on(yield_now());
    drop(runtime);
    assert_eq!(said.get(), Some("bye"));
}
