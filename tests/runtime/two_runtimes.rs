//! Two runtimes on one thread, and a socket that belongs to one of them.

use std::future::{pending, poll_fn};
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use coreloop::cleanup::{defer, flush};
use coreloop::io::{Async, Interest};
use coreloop::net::{TcpListener, TcpStream};
use coreloop::runtime::{Builder, Runtime};
use coreloop::task::yield_now;

use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::panics::recorded;
use coreloop_test_support::reports::Reports;

fn runtimes() -> (Runtime, Runtime) {
    (Runtime::new().unwrap(), Runtime::new().unwrap())
}

/// Creates a pipe whose reader belongs to the loop of `runtime`.
fn reading(runtime: &Runtime) -> (Async<PipeReader>, PipeWriter) {
    let _guard = runtime.enter();
    let (reader, writer) = pipe().unwrap();
    (Async::new(reader).unwrap(), writer)
}

async fn read(reader: &Async<PipeReader>) -> io::Result<u8> {
    let mut byte = [0];
    let count = reader
        .read_with(|mut reader| reader.read(&mut byte))
        .await?;
    assert_eq!(count, 1);
    Ok(byte[0])
}

fn turn(runtime: &Runtime) {
    runtime.turn(Some(Duration::ZERO)).unwrap();
}

#[track_caller]
fn assert_wrong_runtime<T: std::fmt::Debug>(result: io::Result<T>) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert!(
        error.to_string().contains("another coreloop runtime"),
        "{error}"
    );
}

#[test]
fn a_wait_in_block_on_for_a_socket_of_another_runtime_is_an_error() {
    let (here, there) = runtimes();
    let (reader, mut writer) = reading(&here);
    for _ in 0..2 {
        // The second time the socket is registered with its own loop.
        there.block_on(async {
            assert_wrong_runtime(read(&reader).await);
            assert_wrong_runtime(reader.readable().await);
            assert_wrong_runtime(reader.ready(Interest::READABLE).await);
            let shared = |context: &mut Context<'_>| {
                reader.poll_read_shared(context, |mut reader| reader.read(&mut [0]))
            };
            assert_wrong_runtime(poll_fn(shared).await);
        });
        writer.write_all(b"x").unwrap();
        assert_eq!(here.block_on(read(&reader)).unwrap(), b'x');
        // A read that is left waiting in its own runtime.
        let mut left = pin!(read(&reader));
        let _guard = here.enter();
        let mut context = Context::from_waker(Waker::noop());
        assert!(left.as_mut().poll(&mut context).is_pending());
    }
}

/// The wait that failed had registered the socket as not ready, so the read was never
/// tried.
#[test]
fn a_read_after_a_short_one_completes_in_any_runtime() {
    let (here, there) = runtimes();
    let (reader, mut writer) = reading(&here);
    let read = |context: &mut Context<'_>| {
        reader.poll_read_stream(context, 8, |mut reader| reader.read(&mut [0; 8]))
    };
    for count in [3, 2, 1] {
        writer.write_all(&[0; 8][..count]).unwrap();
        assert_eq!(there.block_on(poll_fn(read)).unwrap(), count);
    }
    assert_wrong_runtime(there.block_on(poll_fn(read)));
    writer.write_all(b"x").unwrap();
    assert_eq!(there.block_on(poll_fn(read)).unwrap(), 1);
    assert_eq!(here.metrics().registered_fds(), 0);
}

/// Polling for readiness registered the socket before it failed, too.
#[test]
fn a_read_completes_in_any_runtime_after_a_wait_has_failed() {
    let (here, there) = runtimes();
    let (reader, mut writer) = reading(&here);
    there.block_on(async {
        assert_wrong_runtime(poll_fn(|context| reader.poll_readable(context)).await);
        assert_wrong_runtime(read(&reader).await);
        writer.write_all(b"x").unwrap();
        assert_eq!(read(&reader).await.unwrap(), b'x');
    });
}

#[test]
fn operations_that_need_not_wait_complete_in_any_runtime() {
    let (here, there) = runtimes();
    let (reader, mut writer) = reading(&here);
    writer.write_all(b"ab").unwrap();
    assert_eq!(there.block_on(read(&reader)).unwrap(), b'a');
    let mut byte = [0];
    let read = reader.try_read_with(|mut reader| reader.read(&mut byte));
    assert_eq!((read.unwrap(), &byte), (1, b"b"));
    let error = there.block_on(async { reader.try_read_with(|mut reader| reader.read(&mut [0])) });
    assert_eq!(error.unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_spawned_task_gets_the_error_too() {
    let (here, there) = runtimes();
    let (reader, _writer) = reading(&here);
    let task = there.spawn(async move { read(&reader).await });
    assert_wrong_runtime(there.block_on(task).unwrap());
}

#[test]
fn a_shutdown_does_not_wait_for_a_socket_of_another_runtime() {
    let (here, there) = runtimes();
    let (reader, _writer) = reading(&here);
    let task = there.spawn(async move { assert_wrong_runtime(read(&reader).await) });
    assert!(there.shutdown(Duration::MAX).is_clean());
    drop(task);
}

#[test]
fn waits_for_sockets_of_another_runtime_are_errors() {
    let (here, there) = runtimes();
    let (listener, mut client, server) = here.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) = coreloop::join!(TcpStream::connect(address), listener.accept());
        (listener, client.unwrap(), server.unwrap().0)
    });
    there.block_on(async {
        assert_wrong_runtime(listener.accept().await);
        assert_wrong_runtime(client.read(&mut [0; 8]).await);
        assert_wrong_runtime(server.readable().await);
        // The socket's buffer has room, so the write need not wait.
        client.write_all(b"hello").await.unwrap();
        while server.try_read(&mut [0; 5]).is_err() {
            yield_now().await;
        }
    });
}

#[test]
fn turns_in_alternation_make_progress() {
    let (here, there) = runtimes();
    let (reader, mut writer) = reading(&here);
    let task = there.spawn(async move { read(&reader).await });
    turn(&there);
    writer.write_all(b"x").unwrap();
    turn(&here);
    turn(&there);
    assert!(task.is_finished());
    assert_eq!(there.block_on(task).unwrap().unwrap(), b'x');
}

#[test]
fn another_executor_polls_a_socket_between_turns() {
    let runtime = Runtime::new().unwrap();
    let (reader, mut writer) = reading(&runtime);
    let mut read = pin!(read(&reader));
    let mut context = Context::from_waker(Waker::noop());
    assert!(read.as_mut().poll(&mut context).is_pending());
    writer.write_all(b"x").unwrap();
    turn(&runtime);
    assert!(matches!(
        read.as_mut().poll(&mut context),
        Poll::Ready(Ok(b'x'))
    ));
}

#[test]
fn a_turn_after_block_on_may_wait_for_another_runtime() {
    let (here, there) = runtimes();
    let (reader, mut writer) = reading(&here);
    there.block_on(async {});
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        there.block_on(async { std::panic::resume_unwind(Box::new("the root")) });
    }));
    assert!(panicked.is_err());
    let task = there.spawn(async move { read(&reader).await });
    turn(&there);
    assert!(!task.is_finished());
    writer.write_all(b"x").unwrap();
    turn(&here);
    turn(&there);
    assert_eq!(there.block_on(task).unwrap().unwrap(), b'x');
}

/// A cleanup that enters and drops another runtime, whose hook owns a value that panics
/// when it is dropped.
async fn enter_another() {
    let fragile = OnDrop::new(|| panic!("a hook is dropped"));
    let builder = Builder::new().on_cleanup_failure(move |_| {
        let _ = &fragile;
    });
    let other = builder.build().unwrap();
    drop(builder);
    let entered = other.enter();
    yield_now().await;
    drop(entered);
    drop(other);
}

#[test]
fn a_cleanup_may_enter_another_runtime_and_drop_it() {
    let runtime = Runtime::new().unwrap();
    let (live, closing) = recorded(|| {
        let live = runtime.spawn(async {
            drop(defer(enter_another()));
            flush().await;
        });
        let closing = runtime.spawn(async { drop(defer(enter_another())) });
        runtime.block_on(async { (live.await, closing.await) })
    })
    .0;
    assert!(live.is_ok() && closing.is_ok());
}

/// The guard of another runtime makes that runtime the current one for all tasks of the
/// thread.
#[test]
fn a_shutdown_ends_in_time_though_a_task_has_entered_another_runtime() {
    let builder = Builder::new()
        .start_paused(true)
        .cleanup_budget(Duration::from_secs(1))
        .on_cleanup_failure(|failure| assert!(failure.is_timeout() || failure.is_abandoned()));
    let runtime = builder.build().unwrap();
    drop(runtime.spawn(async {
        drop(defer(async {
            let other = Runtime::new().unwrap();
            let _entered = other.enter();
            pending::<()>().await;
        }));
        pending::<()>().await;
    }));
    assert_eq!(runtime.shutdown(Duration::from_secs(1)).tasks().len(), 1);
}

#[test]
fn a_failed_cleanup_is_reported_to_the_runtime_of_its_task() {
    let reports = Reports::new();
    let runtime = reports.builder().build().unwrap();
    let task = runtime.spawn(async {
        let other = Runtime::new().unwrap();
        let _entered = other.enter();
        drop(defer(async { panic!("no goodbye") }));
        flush().await;
    });
    recorded(|| runtime.block_on(task).unwrap());
    let failures = reports.cleanups();
    assert!(matches!(&failures[..], [failure] if failure.is_panic()));
}
