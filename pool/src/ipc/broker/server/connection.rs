//! [`Connection`], the task that serves one client, and [`Peer`], what the broker keeps of it.
//!
//! # Invariants
//!
//! 1. What a process holds is released when the process has ended, never because its socket has.
//!    What it had sent before its end is handled first.
//! 2. A client that sends something else than its protocol loses its connection, which harms
//!    only its own process.
//! 3. The memory for a client is bounded: its requests are not handled while it does not read its
//!    answers, the number of its open requests is limited, and so is the number of connections of
//!    its process.
//! 4. An operation that has no answer is handled even if the client does not read its answers, as
//!    long as no request is in front of it. Other clients may wait for the lock that it releases,
//!    and the client may have sent it while it does something else than reading.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use coreloop_net::unix::peer_cred;
use coreloop_runtime::io::Async;
use coreloop_runtime::time::{Sleep, sleep};
use rustix::io::{Errno, ioctl_fionread};
use rustix::net::Shutdown;
use rustix::process::geteuid;

use super::Broker;
use crate::ipc::broker::PAUSE;
use crate::ipc::broker::protocol::{Answer, Body, CHALLENGE, MAX_BODY, Operation, Status, VERSION};
use crate::ipc::broker::state::{Call, Client, Key};
use crate::ipc::wire::{Incoming, Outgoing, is_short_of_memory};
use crate::sys::broker::Death;

/// How many bytes of answers may wait before no more requests are handled.
const UNREAD: usize = 256 << 10;

/// How many bytes of answers may wait before nothing more is handled. Notices have no answers, but a
/// client may ask for items by them.
const MAX_UNREAD: usize = 4 * MAX_BODY;

/// The maximum number of connections of one process: one for each of its threads that uses the
/// broker.
pub(super) const MAX_CONNECTIONS: usize = 1024;

/// What the broker keeps of a connection: the answers that wait to be written.
#[derive(Debug)]
pub(super) struct Peer {
    outgoing: RefCell<Outgoing>,
    /// The waker of the connection's task.
    waker: RefCell<Option<Waker>>,
    /// The task runs, and writes the answers itself before it waits.
    is_busy: Cell<bool>,
}

impl Peer {
    /// Adds an answer. Returns the waker of the task that writes it.
    #[must_use]
    pub(super) fn answer(&self, request: u64, answer: Answer) -> Option<Waker> {
        let mut outgoing = self.outgoing.borrow_mut();
        let Answer {
            status,
            body,
            descriptors,
        } = answer;
        let pushed = descriptors
            .map_err(io::Error::from)
            .and_then(|descriptors| {
                outgoing.push_with(status.0, |bytes| {
                    bytes.extend_from_slice(&request.to_le_bytes());
                    bytes.extend_from_slice(&body);
                    Ok(descriptors)
                })
            });
        if pushed.is_err() {
            // It is too large. This one is small, so it fits.
            let _ = outgoing.push(Status::OUT_OF_RANGE.0, &request.to_le_bytes(), Vec::new());
        }
        if self.is_busy.get() {
            return None;
        }
        self.take_waker()
    }

    /// Returns the waker of the connection's task.
    #[must_use]
    pub(super) fn take_waker(&self) -> Option<Waker> {
        self.waker.take()
    }

    /// How many bytes wait to be written.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.outgoing.borrow().length()
    }
}

/// A client, and the process that it belongs to.
pub(super) struct Connection {
    broker: Rc<Broker>,
    client: Client,
    peer: Rc<Peer>,
    death: Death,
    /// `None` when it has ended.
    socket: Option<Async<OwnedFd>>,
    incoming: Incoming,
    challenge: u64,
    /// The client has answered the challenge.
    is_known: bool,
    /// The process has ended.
    is_dead: bool,
    /// The system had no memory for a read or a write.
    pause: Option<Pin<Box<Sleep>>>,
    _count: Count,
}

/// Why a connection is not served.
pub(super) enum Refused {
    /// The system has no descriptor or memory for it now.
    ForNow(UnixStream),
    /// The peer is refused, or cannot be watched.
    ForEver,
}

impl From<io::Error> for Refused {
    fn from(_: io::Error) -> Self {
        Self::ForEver
    }
}

impl Connection {
    /// # Errors
    ///
    /// Returns the stream if the connection can be served later.
    pub(super) fn new(broker: &Rc<Broker>, stream: UnixStream) -> Result<Self, Refused> {
        let credentials = peer_cred(&stream)?;
        if credentials.uid() != geteuid().as_raw() {
            return Err(Refused::ForEver);
        }
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
        let count = Count::of(broker, pid).ok_or(Refused::ForEver)?;
        // Before the challenge is sent.
        let death = match Death::of(pid) {
            Ok(death) => death,
            Err(error) if has_no_room(&error) => return Err(Refused::ForNow(stream)),
            Err(_) => return Err(Refused::ForEver),
        };
        // Neither reads nor writes wait, whatever the mode of the socket.
        let socket = Async::from_nonblocking(OwnedFd::from(stream))?;
        let challenge = fastrand::u64(..);
        let mut outgoing = Outgoing::new(MAX_BODY);
        let mut body = VERSION.to_le_bytes().to_vec();
        body.extend_from_slice(&challenge.to_le_bytes());
        let client = broker.last_client.get() + 1;
        body.extend_from_slice(&client.to_le_bytes());
        outgoing.push(CHALLENGE, &body, Vec::new())?;
        broker.last_client.set(client);
        Ok(Self {
            client,
            broker: Rc::clone(broker),
            peer: Rc::new(Peer {
                outgoing: RefCell::new(outgoing),
                waker: RefCell::new(None),
                is_busy: Cell::new(false),
            }),
            death,
            socket: Some(socket),
            incoming: Incoming::new(MAX_BODY),
            challenge,
            is_known: false,
            is_dead: false,
            pause: None,
            _count: count,
        })
    }

    /// Serves the client until its process has ended, or its socket has ended and it holds
    /// nothing.
    pub(super) async fn serve(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let old = self.peer.waker.replace(Some(cx.waker().clone()));
        drop(old);
        loop {
            // Not ready: the end of the task would remove the socket from the epoll instance that a
            // copy shares with its original. In the loop, because a waker may have called `fork`.
            if self.broker.is_copied() {
                return Poll::Pending;
            }
            let has_socket = self.socket.is_some();
            if self.death.poll_ended(cx, has_socket).is_ready() {
                self.bury();
                return Poll::Ready(());
            }
            if !has_socket {
                // Invariant 1.
                return match self.broker.state.borrow().has_open(self.client) {
                    true => Poll::Pending,
                    false => Poll::Ready(()),
                };
            }
            self.peer.is_busy.set(true);
            let exchanged = self.poll_exchange(cx);
            self.peer.is_busy.set(false);
            ready!(exchanged);
            self.socket_ended();
        }
    }

    /// Reads requests and writes answers. Ready when the socket has ended.
    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let handled = self.handle_frames();
            if self.broker.is_copied() {
                return Poll::Pending;
            }
            let Ok(all_handled) = handled else {
                return Poll::Ready(());
            };
            let Some(socket) = &self.socket else {
                return Poll::Ready(());
            };
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            let is_full = {
                let mut outgoing = self.peer.outgoing.borrow_mut();
                match outgoing.poll_write(cx, socket) {
                    Poll::Pending => outgoing.length() > UNREAD,
                    Poll::Ready(Ok(())) => false,
                    Poll::Ready(Err(error)) if is_short_of_memory(&error) => {
                        self.pause = Some(Box::pin(sleep(PAUSE)));
                        continue;
                    }
                    Poll::Ready(Err(_)) => {
                        // The peer does not read any more. What it has sent is handled.
                        *outgoing = Outgoing::new(MAX_BODY);
                        false
                    }
                }
            };
            if !all_handled {
                match is_full {
                    true => return Poll::Pending,
                    false => continue,
                }
            }
            match self.incoming.poll_fill(cx, socket) {
                Poll::Ready(Err(error)) if is_short_of_memory(&error) => {
                    self.pause = Some(Box::pin(sleep(PAUSE)));
                }
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Handles the frames that have come. Returns false if a frame is left that must wait until
    /// the client has read answers. Invariants 3 and 4.
    ///
    /// # Errors
    ///
    /// Returns an error if the client has violated the protocol. Invariant 2.
    fn handle_frames(&mut self) -> Result<bool, Mad> {
        loop {
            let unread = self.peer.outgoing.borrow().length();
            if unread > UNREAD
                && let Some(tag) = self.incoming.next_tag().map_err(|_| Mad)?
                && (!Operation(tag).is_unanswered() || unread > MAX_UNREAD)
            {
                return Ok(false);
            }
            let Some(frame) = self.incoming.next().map_err(|_| Mad)? else {
                return Ok(true);
            };
            let operation = Operation(frame.tag);
            let mut body = Body(frame.body);
            if !self.is_known {
                let hello = (operation, body.u32(), body.u64(), body.u32());
                let (Operation::HELLO, Some(VERSION), Some(challenge), Some(pid)) = hello else {
                    return Err(Mad);
                };
                if challenge != self.challenge {
                    return Err(Mad);
                }
                self.is_known = true;
                self.death.claim(pid);
                self.enter(self.death.pid().unwrap_or(pid));
                continue;
            }
            let (Some(object), Some(request)) = (body.u64(), body.u64()) else {
                return Err(Mad);
            };
            let key = Key {
                client: self.client,
                request,
            };
            let call = Call {
                operation,
                body,
                descriptors: frame.descriptors,
                pid: 0,
            };
            let broker = &self.broker;
            let handled = broker.change(|state, effects| {
                // Frames of the protocol itself have no place here.
                match operation {
                    Operation::HELLO => Err(Mad),
                    _ => state
                        .request(key, object, call, effects)
                        .map_err(|_violation| Mad),
                }
            });
            // A copy handles nothing more.
            handled.unwrap_or(Err(Mad))?;
        }
    }

    /// Makes the client known to the state.
    fn enter(&self, pid: u32) {
        let client = self.client;
        self.broker.change(|state, effects| {
            state.add_client(client, pid);
            if self.is_dead {
                state.socket_ended(client, effects);
            }
        });
        let peer = Rc::clone(&self.peer);
        self.broker.peers.borrow_mut().insert(client, peer);
    }

    /// Handles the end of the socket.
    fn socket_ended(&mut self) {
        if let Some(socket) = self.socket.take() {
            // A copy of the socket may be in another process.
            let _ = rustix::net::shutdown(socket.get_ref(), Shutdown::Both);
        }
        let client = self.client;
        self.broker
            .change(|state, effects| state.socket_ended(client, effects));
    }

    /// Handles the end of the process. Invariant 1.
    fn bury(&mut self) {
        self.is_dead = true;
        let client = self.client;
        // It waits for nothing more, and what it still asks for is not granted.
        self.broker
            .change(|state, effects| state.socket_ended(client, effects));
        if let Some(socket) = self.socket.take() {
            // Nothing reads the answers.
            *self.peer.outgoing.borrow_mut() = Outgoing::new(MAX_BODY);
            // A copy of the socket in another process may send more and more.
            let mut left = ioctl_fionread(socket.get_ref()).unwrap_or(u64::MAX);
            while self.handle_frames().is_ok()
                && left > 0
                && let Ok(count @ 1..) = self.incoming.try_fill(socket.get_ref())
            {
                left = left.saturating_sub(count as u64);
            }
        }
        self.broker
            .change(|state, effects| state.process_ended(client, effects));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let peer = self.broker.peers.borrow_mut().remove(&self.client);
        drop(peer);
        self.broker.state.borrow_mut().remove_client(self.client);
    }
}

/// A client that violates the protocol.
struct Mad;

fn has_no_room(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM)
    )
}

/// Counts the connections of a process.
struct Count {
    broker: Rc<Broker>,
    pid: Option<u32>,
}

impl Count {
    /// Counts one more connection of a process, if it may have one.
    fn of(broker: &Rc<Broker>, pid: Option<u32>) -> Option<Self> {
        if let Some(pid) = pid {
            let mut connections = broker.connections.borrow_mut();
            let count = connections.entry(pid).or_default();
            if *count >= MAX_CONNECTIONS {
                return None;
            }
            *count += 1;
        }
        Some(Self {
            broker: Rc::clone(broker),
            pid,
        })
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        if let Some(pid) = self.pid {
            let mut connections = self.broker.connections.borrow_mut();
            if let Some(count) = connections.get_mut(&pid) {
                *count -= 1;
                if *count == 0 {
                    connections.remove(&pid);
                }
            }
        }
    }
}
