//! In a process of its own, because a signal goes to all listeners of the process. Tests
//! which listeners see a signal, when, and how often. Each test has a signal of its own.
#![cfg(test)]
#![cfg(not(miri))]

use std::ffi::c_int;
use std::future::{pending, poll_fn};
use std::io::{self, Write};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use coreloop::io::Async;
use coreloop::signal::ctrl_c;
use coreloop::signal::unix::{Signal, SignalKind, signal};
use coreloop::task::yield_now;
use coreloop::time::sleep;
use coreloop::{Runtime, join, pin, select};
use signal_hook::consts::FORBIDDEN;

/// Sends a signal to this process. Its handlers have run when this returns.
fn raise(kind: SignalKind) {
    signal_hook::low_level::raise(kind.as_raw_value()).unwrap();
}

/// Returns whether a signal has come, after the loop has taken all events that were sent
/// before.
async fn has_come(signal: &mut Signal) -> bool {
    // When the loop gets the event of this byte, it has all earlier events.
    let (reader, mut writer) = io::pipe().unwrap();
    let reader = Async::new(reader).unwrap();
    writer.write_all(b"x").unwrap();
    reader.readable().await.unwrap();
    has_been_received(signal)
}

/// Returns whether a signal has come of which the loop already has the event.
fn has_been_received(signal: &mut Signal) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    match signal.poll_recv(&mut context) {
        Poll::Ready(received) => {
            received.unwrap();
            true
        }
        Poll::Pending => false,
    }
}

#[coreloop::test]
async fn a_signal_wakes_the_loop() {
    let kind = SignalKind::user_defined1();
    let mut signal = signal(kind).unwrap();
    for _ in 0..3 {
        // Delivered while the loop is parked, or about to park.
        let raiser = coreloop::spawn(async move { thread::spawn(move || raise(kind)) });
        assert_eq!(signal.recv().await, Some(()));
        raiser.await.unwrap().join().unwrap();
    }
}

#[coreloop::test]
async fn several_signals_before_a_wait_are_received_as_one() {
    let kind = SignalKind::user_defined2();
    let mut signal = signal(kind).unwrap();
    for count in [1, 2, 63, 64, 65, 1000] {
        for _ in 0..count {
            raise(kind);
        }
        assert_eq!(signal.recv().await, Some(()));
        assert!(
            !has_come(&mut signal).await,
            "{count} signals were received more than once"
        );
    }
}

#[coreloop::test]
async fn more_signals_than_fit_in_the_pipe_are_received_as_one() {
    let kind = SignalKind::window_change();
    let mut signal = signal(kind).unwrap();
    for _ in 0..100_000 {
        raise(kind);
    }
    assert_eq!(signal.recv().await, Some(()));
    assert!(!has_come(&mut signal).await);
    raise(kind);
    assert_eq!(signal.recv().await, Some(()));
}

#[coreloop::test]
async fn every_listener_sees_a_signal_but_later_ones_do_not() {
    let kind = SignalKind::hangup();
    let (mut first, mut second) = (signal(kind).unwrap(), signal(kind).unwrap());
    let dropped = signal(kind).unwrap();
    drop(dropped);
    raise(kind);
    let mut late = signal(kind).unwrap();
    assert_eq!(join!(first.recv(), second.recv()), (Some(()), Some(())));
    assert!(!has_come(&mut late).await);

    // Each listener keeps its own record of the signal.
    raise(kind);
    assert!(has_come(&mut first).await);
    raise(kind);
    assert!(has_come(&mut first).await && has_come(&mut second).await && has_come(&mut late).await);
    assert!(!has_come(&mut second).await);
}

#[coreloop::test]
async fn the_handler_stays_when_the_listeners_are_dropped() {
    let kind = SignalKind::terminate();
    drop(signal(kind).unwrap());
    // By default this ends the process.
    raise(kind);
    let mut again = signal(kind).unwrap();
    assert!(!has_come(&mut again).await);
    raise(kind);
    assert_eq!(again.recv().await, Some(()));
}

#[coreloop::test]
async fn a_wait_that_is_dropped_loses_no_signal() {
    let kind = SignalKind::alarm();
    let mut signal = signal(kind).unwrap();
    for _ in 0..10 {
        select! {
            biased;
            _ = signal.recv() => unreachable!("the signal was not sent yet"),
            () = yield_now() => {}
        }
        raise(kind);
        select! {
            biased;
            () = yield_now(), if false => {}
            () = async {} => {}
            _ = signal.recv() => unreachable!("the other branch is ready first"),
        }
        assert_eq!(signal.recv().await, Some(()));
    }
}

#[test]
fn loops_on_several_threads_see_a_signal() {
    let kind = SignalKind::quit();
    let (listening, all_listen) = mpsc::channel();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let listening = listening.clone();
            thread::spawn(move || {
                coreloop::block_on(async {
                    let mut signal = signal(kind).unwrap();
                    listening.send(()).unwrap();
                    signal.recv().await
                })
            })
        })
        .collect();
    for _ in &threads {
        all_listen.recv().unwrap();
    }
    raise(kind);
    for thread in threads {
        assert_eq!(thread.join().unwrap(), Some(()));
    }
}

#[test]
fn two_loops_on_a_thread_see_a_signal() {
    let kind = SignalKind::io();
    let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let listen = |runtime: &Runtime| {
        let _entered = runtime.enter();
        signal(kind).unwrap()
    };
    let (mut one, mut two) = (listen(&first), listen(&second));
    raise(kind);
    assert_eq!(second.block_on(two.recv()), Some(()));
    assert_eq!(first.block_on(one.recv()), Some(()));
}

#[test]
fn a_listener_outlives_its_loop() {
    let kind = SignalKind::child();
    let runtime = Runtime::new().unwrap();
    let mut signal = runtime.block_on(async { signal(kind).unwrap() });
    // A poll that waits registers the listener with the loop.
    assert!(!has_been_received(&mut signal));
    raise(kind);
    drop(runtime);
    // The signal that has come is still received, but later ones cannot be.
    assert!(has_been_received(&mut signal));
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(signal.poll_recv(&mut context), Poll::Ready(None));
    drop(signal);
    raise(kind);
}

#[test]
fn a_signal_that_cannot_be_handled_is_an_error() {
    coreloop::block_on(async {
        for &number in FORBIDDEN.iter().chain(&[0, -1, c_int::MIN]) {
            let error = signal(SignalKind::from_raw(number)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Other, "{number}");
            assert!(error.to_string().contains(&number.to_string()), "{error}");
        }
        signal(SignalKind::from_raw(10_000)).unwrap_err();
    });
    let error = signal(SignalKind::pipe()).unwrap_err();
    assert!(error.to_string().contains("outside"), "{error}");
}

#[test]
fn kinds_are_the_numbers_of_the_system() {
    use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

    let kinds = [
        (SignalKind::alarm(), SIGALRM),
        (SignalKind::hangup(), SIGHUP),
        (SignalKind::interrupt(), SIGINT),
        (SignalKind::terminate(), SIGTERM),
        (SignalKind::user_defined1(), SIGUSR1),
        (SignalKind::user_defined2(), SIGUSR2),
    ];
    for (kind, number) in kinds {
        assert_eq!(kind.as_raw_value(), number);
        assert_eq!(SignalKind::from(number), kind);
        assert_eq!(c_int::from(kind), number);
    }
    assert_ne!(SignalKind::pipe(), SignalKind::quit());
}

#[coreloop::test]
async fn ctrl_c_listens_from_its_first_poll() {
    let interrupt = ctrl_c();
    pin!(interrupt);
    poll_fn(|context| {
        assert!(interrupt.as_mut().poll(context).is_pending());
        // The handler is installed, or this would end the process.
        raise(SignalKind::interrupt());
        Poll::Ready(())
    })
    .await;
    select! {
        biased;
        result = interrupt => result.unwrap(),
        () = sleep(Duration::from_secs(3600)) => unreachable!(),
        () = pending() => {}
    }
}
