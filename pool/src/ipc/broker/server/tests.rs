//! Clients that do not follow the protocol, written by hand.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::pin;

use coreloop_runtime::block_on;
use coreloop_runtime::task::yield_now;
use coreloop_test_support::deadline::yield_until;

use super::*;
use crate::ipc::broker::protocol::{MAX_BODY, Status, VERSION};
use crate::ipc::broker::state;
use crate::ipc::wire::{Incoming, Outgoing};
use crate::sys::broker::connect;

/// A client without any of the checks of a real one.
struct Raw {
    socket: OwnedFd,
    incoming: Incoming,
    challenge: u64,
}

impl Raw {
    /// Connects, and waits for the challenge.
    async fn new(broker: &Broker) -> Self {
        let socket = OwnedFd::from(connect(broker.address.as_bytes()).unwrap());
        let mut raw = Self {
            socket,
            incoming: Incoming::new(MAX_BODY),
            challenge: 0,
        };
        let (_, body) = raw.frame().await.unwrap();
        let mut body = Body(&body);
        assert_eq!(body.u32(), Some(VERSION));
        raw.challenge = body.u64().unwrap();
        raw
    }

    /// Connects, and answers the challenge.
    async fn known(broker: &Broker) -> Self {
        let raw = Self::new(broker).await;
        raw.hello(VERSION, raw.challenge);
        raw
    }

    fn hello(&self, version: u32, challenge: u64) {
        let mut body = version.to_le_bytes().to_vec();
        body.extend_from_slice(&challenge.to_le_bytes());
        body.extend_from_slice(&std::process::id().to_le_bytes());
        self.push(Operation::HELLO, &body);
    }

    fn request(&self, operation: Operation, object: ObjectNumber, request: u64) {
        let mut body = object.to_le_bytes().to_vec();
        body.extend_from_slice(&request.to_le_bytes());
        self.push(operation, &body);
    }

    fn push(&self, operation: Operation, body: &[u8]) {
        let mut outgoing = Outgoing::new(MAX_BODY);
        outgoing.push(operation.0, body, Vec::new()).unwrap();
        assert!(outgoing.write(self.socket.as_fd()).unwrap());
    }

    /// Returns the next frame; `None` at the end.
    async fn frame(&mut self) -> Option<(u16, Vec<u8>)> {
        loop {
            if let Some(frame) = self.incoming.next().unwrap() {
                return Some((frame.tag, frame.body.to_vec()));
            }
            let mut count = None;
            yield_until(|| {
                count = self.incoming.try_fill(self.socket.as_fd()).ok();
                count.is_some()
            })
            .await;
            if count == Some(0) {
                return None;
            }
        }
    }

    async fn assert_ended(&mut self) {
        assert_eq!(self.frame().await, None);
    }

    async fn status(&mut self, request: u64) -> Status {
        let (tag, body) = self.frame().await.unwrap();
        assert_eq!(Body(&body).u64(), Some(request));
        Status(tag)
    }
}

/// Runs a test on a broker that has an event.
fn with_broker(test: impl AsyncFnOnce(&Broker, ObjectNumber)) {
    block_on(async {
        let handle = create(Box::new(state::Event::new())).unwrap();
        let broker = Broker::of_current_loop().unwrap();
        test(&broker, handle.number()).await;
        // A client that works is still served, and the clients that were refused leave nothing.
        let mut good = Raw::known(&broker).await;
        good.request(Operation::SET, handle.number(), 1);
        assert_eq!(good.status(1).await, Status::DONE);
        drop(good);
        yield_until(|| broker.connections.borrow().is_empty()).await;
        assert!(broker.peers.borrow().is_empty());
        drop(handle);
    });
}

#[test]
fn a_frame_before_the_challenge_is_answered_ends_the_connection() {
    with_broker(async |broker, event| {
        let mut raw = Raw::new(broker).await;
        raw.request(Operation::SET, event, 1);
        raw.assert_ended().await;
    });
}

#[test]
fn a_wrong_answer_to_the_challenge_ends_the_connection() {
    with_broker(async |broker, _| {
        let mut raw = Raw::new(broker).await;
        raw.hello(VERSION, raw.challenge ^ 1);
        raw.assert_ended().await;
        let mut raw = Raw::new(broker).await;
        raw.hello(VERSION + 1, raw.challenge);
        raw.assert_ended().await;
        // And so does a second answer.
        let mut raw = Raw::known(broker).await;
        raw.hello(VERSION, raw.challenge);
        raw.assert_ended().await;
    });
}

#[test]
fn garbage_ends_the_connection() {
    with_broker(async |broker, event| {
        for garbage in [&[0xff; 64][..], &[0; 8][..], b"GET / HTTP/1.1\r\n\r\n"] {
            let mut raw = Raw::known(broker).await;
            let mut stream = UnixStream::from(raw.socket.try_clone().unwrap());
            stream.write_all(garbage).unwrap();
            raw.assert_ended().await;
        }
        // An end within a frame.
        let raw = Raw::known(broker).await;
        let mut stream = UnixStream::from(raw.socket.try_clone().unwrap());
        stream.write_all(&[100, 0, 0, 0, 1, 0, 0, 0, 1]).unwrap();
        drop((raw, stream));
        // A request whose numbers are cut.
        let mut raw = Raw::known(broker).await;
        raw.push(Operation::SET, &event.to_le_bytes());
        raw.assert_ended().await;
    });
}

#[test]
fn numbers_that_do_not_exist_have_no_effect() {
    with_broker(async |broker, event| {
        let mut raw = Raw::known(broker).await;
        raw.request(Operation::SET, event + 1000, 1);
        assert_eq!(raw.status(1).await, Status::CLOSED);
        raw.request(Operation::LOCK, event, 2);
        assert_eq!(raw.status(2).await, Status::WRONG_KIND);
        // Releases what it does not hold.
        let mutex = create(Box::new(state::Mutex::new())).unwrap();
        let link = mutex.link().unwrap();
        let pending = link.request(Operation::LOCK, mutex.number(), &[], Vec::new());
        let held = pending.unwrap().hold();
        for request in 0..100 {
            raw.request(Operation::WITHDRAW, mutex.number(), request);
        }
        raw.request(Operation::TRY_LOCK, mutex.number(), 3);
        assert_eq!(raw.status(3).await, Status::UNAVAILABLE);
        drop(held);
        raw.request(Operation::TRY_LOCK, mutex.number(), 4);
        assert_eq!(raw.status(4).await, Status::DONE);
        // This process does not end with the connection, so it holds the lock still.
        raw.request(Operation::TRY_LOCK, mutex.number(), 4);
        raw.assert_ended().await;
        let pending = link.request(Operation::TRY_LOCK, mutex.number(), &[], Vec::new());
        let answer = pending.unwrap().block(None).unwrap();
        assert_eq!(answer.status, Status::UNAVAILABLE);
        drop(mutex);
    });
}

/// A client that asks and does not read: its requests are not read either.
#[test]
fn the_answers_that_wait_for_a_client_are_bounded() {
    with_broker(async |broker, event| {
        let mut raw = Raw::known(broker).await;
        let mut outgoing = Outgoing::new(MAX_BODY);
        let mut request = 0_u64;
        let mut refusals = 0;
        while refusals < 1000 {
            if outgoing.is_empty() {
                for _ in 0..100 {
                    request += 1;
                    let mut body = event.to_le_bytes().to_vec();
                    body.extend_from_slice(&request.to_le_bytes());
                    outgoing
                        .push(Operation::IS_SET.0, &body, Vec::new())
                        .unwrap();
                }
            }
            match outgoing.write(raw.socket.as_fd()) {
                Ok(_) => refusals = 0,
                Err(_) => refusals += 1,
            }
            yield_now().await;
        }
        let waiting = {
            let peers = broker.peers.borrow();
            peers.values().map(|peer| peer.waiting()).sum::<usize>()
        };
        assert!(waiting < 512 << 10, "{waiting} bytes");
        // Once it reads, all its requests are answered.
        let mut answered = 0;
        while answered < request {
            let _ = outgoing.write(raw.socket.as_fd());
            assert_eq!(raw.status(answered + 1).await, Status::DONE);
            answered += 1;
        }
    });
}

#[test]
fn a_client_with_too_many_open_requests_loses_its_connection() {
    with_broker(async |broker, event| {
        let mut raw = Raw::known(broker).await;
        for request in 1..=state::MAX_OPEN as u64 + 1 {
            let mut outgoing = Outgoing::new(MAX_BODY);
            let mut body = event.to_le_bytes().to_vec();
            body.extend_from_slice(&request.to_le_bytes());
            outgoing.push(Operation::WAIT.0, &body, Vec::new()).unwrap();
            yield_until(|| outgoing.write(raw.socket.as_fd()).unwrap_or(false)).await;
        }
        raw.assert_ended().await;
    });
}

#[test]
fn the_connections_of_a_process_are_limited() {
    with_broker(async |broker, _| {
        let mut refused = false;
        let mut streams = Vec::new();
        // The limit may also be the descriptors of this process.
        for _ in 0..connection::MAX_CONNECTIONS + 1 {
            let Ok(stream) = connect(broker.address.as_bytes()) else {
                break;
            };
            streams.push(stream);
            let mut stream = streams.last().unwrap();
            stream.set_nonblocking(true).unwrap();
            let mut count = None;
            let mut byte = [0];
            yield_until(|| {
                count = stream.read(&mut byte).ok();
                count.is_some()
            })
            .await;
            refused = count == Some(0);
        }
        assert!(refused);
        assert_eq!(streams.len(), connection::MAX_CONNECTIONS + 1);
    });
}

#[test]
fn an_object_of_a_loop_that_has_ended_is_disconnected() {
    let handle = block_on(async { create(Box::new(state::Event::new())).unwrap() });
    let error = handle.link().unwrap_err();
    assert!(error.is_disconnected(), "{error}");
}

#[test]
fn the_end_of_the_loop_ends_the_waits_of_this_thread() {
    let runtime = coreloop_runtime::Runtime::new().unwrap();
    let handle = runtime.block_on(async { create(Box::new(state::Event::new())).unwrap() });
    let link = handle.link().unwrap();
    let pending = link
        .request(Operation::WAIT, handle.number(), &[], Vec::new())
        .unwrap();
    drop(runtime);
    let answer = block_on(async {
        let mut answer = pin!(std::future::poll_fn(|cx| pending.poll_answer(cx)));
        answer.as_mut().await
    });
    assert!(answer.unwrap_err().is_disconnected());
}
