//! [`Client`], the connection of a thread to a broker in another process or thread.
//!
//! # Invariants
//!
//! 1. A thread has one connection to a broker, which tasks of all its loops and blocking calls
//!    share. Whichever of them reads the socket hands the answers to all.
//! 2. What is sent arrives in this order. So a lock is released before the next request of the
//!    same thread is handled.
//! 3. No user code runs while anything is borrowed.
//! 4. A copy of this process by `fork` uses neither the socket nor what it holds: both belong to
//!    the original.

mod blocking;
mod pump;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, ErrorKind};
use std::mem;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use coreloop_net::unix::peer_cred;
use rustix::net::Shutdown;
use rustix::process::geteuid;

use super::BrokerError;
use super::handle::Address;
use super::protocol::{Answer, Body, CHALLENGE, MAX_BODY, Operation, Status, VERSION};
use super::state::{MAX_OPEN, ObjectNumber};
use super::table::{Table, wake_all};
use crate::home::Home;
use crate::ipc::wire::{Incoming, Outgoing, is_short_of_memory};
use crate::sys::broker::connect;
use pump::Pump;

/// How long the end of a thread, of a loop or of a job waits until what it has released is written.
/// The limit is there because the thread of the broker may wait for this end.
const LAST_WRITE: Duration = Duration::from_secs(1);

thread_local! {
    static CLIENTS: RefCell<Vec<Rc<Client>>> = const { RefCell::new(Vec::new()) };
    /// Whether this thread has had a client. It has no destructor, so that asking it is cheap.
    static HAS_CLIENTS: Cell<bool> = const { Cell::new(false) };
}

pub(crate) struct Client {
    address: Address,
    home: Home,
    /// The number that this client has for the broker, once it is known.
    number: Cell<Option<u64>>,
    socket: Rc<OwnedFd>,
    incoming: RefCell<Incoming>,
    out: RefCell<Out>,
    table: Table,
    /// The system had no memory for a read or a write. A thread that blocks pauses before the next.
    must_pause: Cell<bool>,
    /// The wakers of the tasks that wait until everything is written.
    flushed: RefCell<Vec<Waker>>,
    /// What reads the socket on each loop that has waited for an answer.
    pumps: RefCell<Vec<Rc<Pump>>>,
}

/// What is written next.
struct Out {
    /// The answer to the broker's challenge. Nothing is written before it.
    greeting: Outgoing,
    requests: Outgoing,
    is_challenged: bool,
}

impl Out {
    /// Returns whether everything was written.
    fn is_empty(&self) -> bool {
        self.greeting.is_empty() && self.requests.is_empty()
    }

    /// Returns whether something can be written now.
    fn has_more(&self) -> bool {
        self.is_challenged && !self.is_empty()
    }
}

impl Client {
    /// Returns the connection of this thread to a broker.
    ///
    /// # Errors
    ///
    /// Returns an error if the process of the broker has ended, or is of another user.
    pub(super) fn of(address: &Address) -> Result<Rc<Self>, BrokerError> {
        let find = |clients: &RefCell<Vec<Rc<Self>>>| {
            let clients = clients.borrow();
            let mut clients = clients.iter();
            let found = clients.find(|client| client.address == *address && client.is_usable());
            found.cloned()
        };
        let ending = || BrokerError::disconnected("this thread is ending");
        if let Some(known) = CLIENTS.try_with(find).map_err(|_| ending())? {
            return Ok(known);
        }
        let new = Rc::new(Self::connect(address)?);
        HAS_CLIENTS.set(true);
        // Other brokers may have ended meanwhile, which shows only when their sockets are read.
        for other in CLIENTS.with_borrow(Clone::clone) {
            other.receive_now();
        }
        // The wakers of those that waited there may have connected too.
        let (client, unused) = CLIENTS.with_borrow_mut(|clients| {
            let (usable, mut unused): (Vec<_>, Vec<_>) = mem::take(clients)
                .into_iter()
                .partition(|client| client.is_usable());
            *clients = usable;
            match clients.iter().find(|client| client.address == *address) {
                Some(known) => {
                    unused.push(new);
                    (Rc::clone(known), unused)
                }
                None => {
                    clients.push(Rc::clone(&new));
                    (new, unused)
                }
            }
        });
        drop(unused);
        Ok(client)
    }

    fn connect(address: &Address) -> Result<Self, BrokerError> {
        let home = Home::here()
            .map_err(|error| BrokerError::failed("this process has no memory left", &error))?;
        let socket = connect(address.as_bytes()).map_err(|error| match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => BrokerError::disconnected(
                "it has ended, or the loop on which the object was created",
            ),
            _ => BrokerError::failed("the process of the object cannot be reached", &error),
        })?;
        let check = |error: io::Error| BrokerError::disconnected(error.to_string());
        // Once the name is free, another user may have taken it.
        if peer_cred(&socket).map_err(check)?.uid() != geteuid().as_raw() {
            return Err(BrokerError::disconnected("it belongs to another user"));
        }
        Ok(Self {
            address: address.clone(),
            home,
            number: Cell::new(None),
            socket: Rc::new(socket.into()),
            incoming: RefCell::new(Incoming::new(MAX_BODY)),
            out: RefCell::new(Out {
                greeting: Outgoing::new(MAX_BODY),
                requests: Outgoing::new(MAX_BODY),
                is_challenged: false,
            }),
            table: Table::new(MAX_OPEN),
            must_pause: Cell::new(false),
            flushed: RefCell::default(),
            pumps: RefCell::default(),
        })
    }

    pub(super) fn home(&self) -> Home {
        self.home
    }

    /// Returns whether this process is a copy of the one that has connected.
    pub(super) fn is_copied(&self) -> bool {
        !self.home.is_here()
    }

    fn is_usable(&self) -> bool {
        !self.is_copied() && self.table.failure().is_none()
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Returns why the connection cannot be used any more, if it cannot.
    pub(super) fn failure(&self) -> Option<BrokerError> {
        self.receive_now();
        match self.is_copied() {
            true => Some(BrokerError::forked()),
            false => self.table.failure(),
        }
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Sends an operation: writes it, or leaves it to the loop if the socket is full.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection has ended, or if the message is too large.
    pub(super) fn send(
        &self,
        request: u64,
        operation: Operation,
        object: ObjectNumber,
        body: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), BrokerError> {
        self.push(request, operation, object, body, descriptors)?;
        if !self.flush() {
            self.wake_pump();
        }
        Ok(())
    }

    /// Adds an operation to what is written next.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection has ended, or if the message is too large.
    pub(super) fn push(
        &self,
        request: u64,
        operation: Operation,
        object: ObjectNumber,
        body: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), BrokerError> {
        if let Some(error) = self.table.failure() {
            return Err(error);
        }
        let pushed = self
            .out
            .borrow_mut()
            .requests
            .push_with(operation.0, |bytes| {
                bytes.extend_from_slice(&object.to_le_bytes());
                bytes.extend_from_slice(&request.to_le_bytes());
                bytes.extend_from_slice(body);
                Ok(descriptors)
            });
        pushed.map_err(|error| BrokerError::failed("the message was not sent", &error))
    }

    /// Polls until everything that was added is written.
    pub(super) fn poll_flushed(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), BrokerError>> {
        if self.flush() {
            return Poll::Ready(self.table.failure().map_or(Ok(()), Err));
        }
        self.watch()?;
        // A clone is user code.
        let waker = cx.waker().clone();
        let mut flushed = self.flushed.borrow_mut();
        let is_known = flushed.iter().any(|other| other.will_wake(&waker));
        let unused = match is_known {
            true => Some(waker),
            false => {
                flushed.push(waker);
                None
            }
        };
        drop(flushed);
        drop(unused);
        self.wake_pump();
        Poll::Pending
    }

    /// Blocks this thread until everything that was added is written.
    pub(super) fn block_flushed(&self) -> Result<(), BrokerError> {
        self.block_to_write();
        self.table.failure().map_or(Ok(()), Err)
    }

    /// Wakes the tasks that wait until everything is written.
    fn wake_flushed(&self) {
        wake_all(self.flushed.take());
    }

    /// Withdraws a request. If the socket is full, this is left to the current loop; without one
    /// it blocks.
    pub(super) fn withdraw(&self, request: u64, operation: Operation) {
        // Invariant 4.
        if self.is_copied() {
            return;
        }
        if self.table.failure().is_none() {
            // It is not too large, and the connection has not ended.
            let _ = self.push(request, operation, 0, &[], Vec::new());
            self.write();
        }
        // The write may have found that the connection has ended. If the broker has the message
        // nevertheless, the second one changes nothing.
        if self.table.failure().is_some() {
            self.withdraw_otherwise(request, operation);
        }
    }

    /// Withdraws a request over another connection, because this one has failed. The broker would keep
    /// what the request holds until this process ends.
    #[cold]
    fn withdraw_otherwise(&self, request: u64, operation: Operation) {
        // Without a number there was no answer.
        let Some(number) = self.number.get() else {
            return;
        };
        // Without a connection, the broker has ended, or this thread is ending.
        let Ok(other) = Self::of(&self.address) else {
            return;
        };
        let mut body = number.to_le_bytes().to_vec();
        body.push(u8::from(operation == Operation::WITHDRAW_PANICKING));
        let _ = other.push(request, Operation::WITHDRAW_OF, 0, &body, Vec::new());
        // Something has to read the challenge of the broker: the current loop, or this thread.
        if other.watch().is_err() {
            other.block_to_write_until(Instant::now().checked_add(LAST_WRITE));
        }
    }

    /// Writes what was added. If the socket is full, this is left to the current loop; without one
    /// it blocks.
    pub(super) fn write(&self) {
        // Invariant 4.
        if !self.is_usable() {
            return;
        }
        if !self.flush() {
            self.wake_pump();
        }
        if self.out.borrow().has_more() && !self.has_pump() {
            self.block_to_write();
        }
    }

    /// Writes what the loop that ends here, or is not driven for now, has not written. A release that
    /// was not written would keep others waiting.
    fn write_last(&self) {
        // Invariant 4.
        if self.is_usable() && !self.flush() {
            self.block_to_write_until(Instant::now().checked_add(LAST_WRITE));
        }
    }

    /// Writes what the socket takes. Returns whether everything was written. Nothing is before the
    /// broker has sent its challenge.
    fn flush(&self) -> bool {
        let written = {
            let mut out = self.out.borrow_mut();
            if !out.has_more() {
                return out.is_empty();
            }
            let Out {
                greeting, requests, ..
            } = &mut *out;
            write_all(greeting, &self.socket).and_then(|()| write_all(requests, &self.socket))
        };
        match written {
            Ok(()) => {
                self.must_pause.set(false);
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) if is_short_of_memory(&error) => {
                self.must_pause.set(true);
                false
            }
            Err(error) => {
                self.broken(&error);
                true
            }
        }
    }

    /// Reads what has come, without waiting, and hands out the answers.
    pub(super) fn receive_now(&self) {
        // Invariant 4.
        while self.is_usable() {
            let filled = self.incoming.borrow_mut().try_fill(&*self.socket);
            match filled {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if is_short_of_memory(&error) => {
                    self.must_pause.set(true);
                    return;
                }
                filled => self.filled(filled),
            }
        }
    }

    /// Handles the result of a read.
    fn filled(&self, filled: io::Result<usize>) {
        match filled {
            Ok(0) => self.fail(BrokerError::disconnected(
                "it has ended, or has refused this process",
            )),
            Ok(_) => self.hand_out(),
            Err(error) => self.fail(BrokerError::disconnected(error.to_string())),
        }
    }

    /// Hands out the answers that have come.
    fn hand_out(&self) {
        let mut wakers = Vec::new();
        let handled = self.take_frames(&mut wakers);
        wake_all(wakers);
        match handled {
            // The challenge may have come.
            Ok(()) => match self.flush() {
                true => self.wake_flushed(),
                false => self.wake_pump(),
            },
            Err(error) => self.fail(error),
        }
    }

    fn take_frames(&self, wakers: &mut Vec<Waker>) -> Result<(), BrokerError> {
        let mut incoming = self.incoming.borrow_mut();
        let garbled = |error: io::Error| BrokerError::disconnected(error.to_string());
        while let Some(frame) = incoming.next().map_err(garbled)? {
            let mut body = Body(frame.body);
            if frame.tag == CHALLENGE {
                self.challenged(body)?;
                continue;
            }
            let request = body.u64().ok_or_else(super::error::garbled)?;
            let answer = Answer {
                status: Status(frame.tag),
                body: body.rest().to_vec(),
                descriptors: frame.descriptors,
            };
            wakers.extend(self.table.answered(request, answer));
        }
        Ok(())
    }

    /// Answers the challenge of the broker.
    fn challenged(&self, mut body: Body<'_>) -> Result<(), BrokerError> {
        let (Some(version), Some(challenge)) = (body.u32(), body.u64()) else {
            return Err(super::error::garbled());
        };
        if version != VERSION {
            return Err(BrokerError::disconnected(
                "its program was built with another version of coreloop",
            ));
        }
        let number = body.u64().ok_or_else(super::error::garbled)?;
        self.number.set(Some(number));
        let mut out = self.out.borrow_mut();
        if out.is_challenged {
            return Err(super::error::garbled());
        }
        out.is_challenged = true;
        let mut hello = VERSION.to_le_bytes().to_vec();
        hello.extend_from_slice(&challenge.to_le_bytes());
        hello.extend_from_slice(&std::process::id().to_le_bytes());
        let pushed = out.greeting.push(Operation::HELLO.0, &hello, Vec::new());
        pushed.map_err(|error| BrokerError::failed("the message was not sent", &error))
    }

    /// Handles an error of a write: the broker has closed its end. Answers may still be unread.
    fn broken(&self, error: &io::Error) {
        {
            let mut out = self.out.borrow_mut();
            out.greeting = Outgoing::new(MAX_BODY);
            out.requests = Outgoing::new(MAX_BODY);
        }
        self.receive_now();
        self.fail(BrokerError::disconnected(error.to_string()));
    }

    /// Ends the connection, and wakes all that wait.
    fn fail(&self, error: BrokerError) {
        let mut wakers = self.table.fail(error);
        wakers.append(&mut self.flushed.take());
        for pump in &*self.pumps.borrow() {
            wakers.extend(pump.take_waker());
        }
        wake_all(wakers);
    }
}

/// Shuts all sockets of this thread down.
pub(crate) fn disconnect_all() {
    let clients = CLIENTS.with(|clients| clients.borrow().clone());
    for client in clients {
        let _ = rustix::net::shutdown(&*client.socket, Shutdown::Both);
        client.receive_now();
    }
}

/// Writes what the clients of this thread have not written, because its loop is not driven for now.
#[inline]
pub(crate) fn write_all_clients() {
    // Most threads have none.
    if HAS_CLIENTS.get() {
        write_of_clients();
    }
}

#[cold]
fn write_of_clients() {
    let clients = CLIENTS.with(|clients| clients.borrow().clone());
    for client in clients {
        client.write_last();
    }
}

fn write_all(outgoing: &mut Outgoing, socket: &OwnedFd) -> io::Result<()> {
    while !outgoing.write(socket)? {}
    Ok(())
}

impl Drop for Client {
    fn drop(&mut self) {
        self.write_last();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("broker", &self.address)
            .finish_non_exhaustive()
    }
}
