//! Descriptors that several loops wait for: which loop the kernel wakes, and which loop
//! takes a connection that the woken one leaves.
#![cfg(any(target_os = "linux", target_os = "android"))]

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::io::Read;
use std::mem::replace;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::task::Poll;
use std::thread;

use coreloop::block_on;
use coreloop::io::{Async, Interest};
use coreloop_test_support::deadline::wait_until;
use rustix::thread::Pid;

/// Reads a field of the kernel's status of a thread.
fn status(thread: Pid, field: &str) -> String {
    let status = format!("/proc/self/task/{}/status", thread.as_raw_nonzero());
    let status = std::fs::read_to_string(status).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.expect("a field of this name").trim().to_owned()
}

fn sleeps(thread: Pid) -> bool {
    status(thread, "State:").starts_with('S')
}

/// How often a thread has gone to sleep.
fn sleeps_so_far(thread: Pid) -> u64 {
    status(thread, "voluntary_ctxt_switches:").parse().unwrap()
}

/// Waits until the loops of these threads are parked in the kernel.
fn until_asleep(threads: &[Pid]) {
    wait_until(|| threads.iter().all(|&thread| sleeps(thread)));
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// How often the threads of a herd of loops were woken for a number of connections.
#[derive(Debug)]
struct Herd {
    connections: u64,
    /// How often one of their threads was woken.
    wakes: u64,
    /// How often a woken loop called `accept` and found no connection. Most threads that
    /// are too late do not get that far, because `epoll_wait` checks once more.
    empty: u64,
}

/// Has eight loops accept from one listener: one connection after another, each made
/// when all loops are asleep.
fn herd(put: fn(TcpListener) -> io::Result<Async<TcpListener>>) -> Herd {
    const LOOPS: usize = 8;
    const CONNECTIONS: u64 = 200;

    let empty = AtomicU64::new(0);
    let mut wakes = 0;
    let (listener, address) = listener();
    let (started, threads) = mpsc::channel();
    let (accepted, peers) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..LOOPS {
            let listener = listener.try_clone().unwrap();
            let (started, accepted, empty) = (started.clone(), accepted.clone(), &empty);
            scope.spawn(move || {
                block_on(async {
                    let listener = put(listener).unwrap();
                    // The first call does not follow a wake.
                    let found = Cell::new(true);
                    let mut started = Some(started);
                    loop {
                        let accept = |listener: &TcpListener| {
                            let result = listener.accept();
                            if !found.replace(result.is_ok()) && result.is_err() {
                                empty.fetch_add(1, Ordering::SeqCst);
                            }
                            if let Some(started) = started.take() {
                                started.send(rustix::thread::gettid()).unwrap();
                            }
                            result
                        };
                        let (_, peer) = listener.read_with(accept).await.unwrap();
                        if accepted.send(peer).is_err() {
                            break;
                        }
                    }
                });
            });
        }
        let threads: Vec<Pid> = threads.iter().take(LOOPS).collect();
        let sleeps = || {
            threads
                .iter()
                .map(|&thread| sleeps_so_far(thread))
                .sum::<u64>()
        };
        until_asleep(&threads);
        let before = sleeps();
        for _ in 0..CONNECTIONS {
            let client = TcpStream::connect(address).unwrap();
            assert_eq!(peers.recv().unwrap(), client.local_addr().unwrap());
            until_asleep(&threads);
        }
        wakes = sleeps() - before;
        // Each loop accepts one more connection, finds the channel closed, and ends.
        drop(peers);
        for _ in 0..LOOPS {
            drop(TcpStream::connect(address).unwrap());
        }
    });
    Herd {
        connections: CONNECTIONS,
        wakes,
        empty: empty.into_inner(),
    }
}

#[test]
#[cfg_attr(miri, ignore = "the kernel does not know the threads of Miri")]
fn a_connection_wakes_one_of_the_loops_that_share_a_listener() {
    let shared = herd(Async::from_owned_exclusive);
    println!("shared: {shared:?}");
    let for_nothing = shared.wakes.saturating_sub(shared.connections);
    assert!(for_nothing * 10 < shared.wakes, "{shared:?}");
    assert!(shared.empty * 10 < shared.wakes, "{shared:?}");
    // For comparison, a registration that is not exclusive.
    let plain = herd(Async::from_nonblocking);
    println!("plain: {plain:?}");
    assert!(plain.wakes > plain.connections * 2, "{plain:?}");
}

/// Starts a thread whose loop accepts `count` connections. Returns the id of the thread
/// and the peers of the connections.
fn acceptor<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    listener: &TcpListener,
    count: usize,
) -> (Pid, mpsc::Receiver<SocketAddr>) {
    let listener = listener.try_clone().unwrap();
    let (started, thread) = mpsc::channel();
    let (accepted, peers) = mpsc::channel();
    scope.spawn(move || {
        block_on(async {
            let listener = Async::from_owned_exclusive(listener).unwrap();
            for _ in 0..count {
                let accept = |listener: &TcpListener| {
                    let result = listener.accept();
                    let _ = started.send(rustix::thread::gettid());
                    result
                };
                let (_, peer) = listener.read_with(accept).await.unwrap();
                accepted.send(peer).unwrap();
            }
        });
    });
    (thread.recv().unwrap(), peers)
}

/// A worker may be killed between the kernel's wake and its `accept`. The kernel does not
/// wake a sleeping sibling then, but the next loop that accepts takes that connection too.
#[test]
#[cfg_attr(miri, ignore = "the kernel does not know the threads of Miri")]
fn a_connection_that_woke_a_dying_loop_goes_to_the_next_that_accepts() {
    for sibling in [false, true] {
        let (listener, address) = listener();
        thread::scope(|scope| {
            let (started, thread) = mpsc::channel();
            let dying = listener.try_clone().unwrap();
            let dies = scope.spawn(move || {
                block_on(async {
                    let dying = Async::from_owned_exclusive(dying).unwrap();
                    let mut woken = false;
                    let end = dying.read_with(|listener| {
                        if replace(&mut woken, true) {
                            return Err(io::Error::other("killed"));
                        }
                        let none = listener.accept();
                        started.send(rustix::thread::gettid()).unwrap();
                        none
                    });
                    assert_eq!(end.await.unwrap_err().kind(), io::ErrorKind::Other);
                });
            });
            until_asleep(&[thread.recv().unwrap()]);
            // The sibling comes after the dying loop in the kernel's list.
            let second = sibling.then(|| {
                let (thread, peers) = acceptor(scope, &listener, 2);
                until_asleep(&[thread]);
                peers
            });
            let first_client = TcpStream::connect(address).unwrap();
            dies.join().unwrap();
            let mut clients = vec![first_client];
            let peers = match second {
                None => acceptor(scope, &listener, 1).1,
                Some(peers) => {
                    clients.push(TcpStream::connect(address).unwrap());
                    peers
                }
            };
            for client in &clients {
                assert_eq!(peers.recv().unwrap(), client.local_addr().unwrap());
            }
        });
    }
}

/// Duplicates keep a closed descriptor in the kernel's list. A worker that had stopped
/// accepting, but still ran, used to take the wakes of the others.
#[test]
#[cfg_attr(miri, ignore = "the kernel does not know the threads of Miri")]
fn a_loop_that_has_stopped_accepting_leaves_the_wakes_to_others() {
    leaves_the_wakes_to_others(true);
}

/// A loop without free descriptors used to take all wakes, and could accept nothing.
#[test]
#[cfg_attr(miri, ignore = "the kernel does not know the threads of Miri")]
fn a_loop_that_cannot_accept_leaves_the_wakes_to_others() {
    leaves_the_wakes_to_others(false);
}

fn leaves_the_wakes_to_others(for_ever: bool) {
    let (listener, address) = listener();
    let (pipe, writer) = io::pipe().unwrap();
    let mut end = Some(writer);
    thread::scope(|scope| {
        let (started, thread) = mpsc::channel();
        let (accepted, late_peer) = mpsc::channel();
        let ours = listener.try_clone().unwrap();
        scope.spawn(move || {
            block_on(async {
                let ours = Async::from_owned_exclusive(ours).unwrap();
                let mut waiting = Box::pin(ours.readable());
                let polled = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await;
                assert!(polled.is_pending());
                drop(waiting);
                let ours = if for_ever {
                    drop(ours);
                    None
                } else {
                    ours.leave_to_others();
                    Some(ours)
                };
                let pipe = Async::new(pipe).unwrap();
                let read = pipe.read_with(|mut pipe| {
                    let result = pipe.read(&mut [0]);
                    // Sent by the first call, and by the last one at the end.
                    let _ = started.send(rustix::thread::gettid());
                    result
                });
                assert_eq!(read.await.unwrap(), 0);
                if let Some(ours) = ours {
                    let accept = |listener: &TcpListener| {
                        let result = listener.accept();
                        let _ = started.send(rustix::thread::gettid());
                        result
                    };
                    for _ in 0..2 {
                        let (_, peer) = ours.read_with(accept).await.unwrap();
                        accepted.send(peer).unwrap();
                    }
                }
            });
        });
        let thread = thread.recv().unwrap();
        until_asleep(&[thread]);
        let before = sleeps_so_far(thread);
        let (other, peers) = acceptor(scope, &listener, 1);
        until_asleep(&[other]);
        let client = TcpStream::connect(address).unwrap();
        assert_eq!(peers.recv().unwrap(), client.local_addr().unwrap());
        assert_eq!(sleeps_so_far(thread), before);
        end.take();
        if !for_ever {
            // The loop accepts again.
            for _ in 0..2 {
                until_asleep(&[thread]);
                let client = TcpStream::connect(address).unwrap();
                assert_eq!(late_peer.recv().unwrap(), client.local_addr().unwrap());
            }
        }
    });
}

#[test]
fn into_inner_returns_a_descriptor_that_is_left_to_others() {
    let (listener, address) = listener();
    block_on(async {
        let listener = Async::from_owned_exclusive(listener).unwrap();
        // Before the first wait there is no registration to remove.
        listener.leave_to_others();
        let mut waiting = Box::pin(listener.readable());
        let polled = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        drop(waiting);
        listener.leave_to_others();
        listener.leave_to_others();
        let listener = listener.into_inner().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let listener = Async::from_owned_exclusive(listener).unwrap();
        let (_, peer) = listener.read_with(TcpListener::accept).await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no exclusive registrations")]
fn waiting_to_write_is_refused() {
    block_on(async {
        for reads_before in [false, true] {
            let (listener, _) = listener();
            let listener = Async::from_owned_exclusive(listener).unwrap();
            if reads_before {
                let mut waiting = pin!(listener.readable());
                let polled = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await;
                assert!(polled.is_pending());
            }
            let error = listener.ready(Interest::WRITABLE).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    });
}
