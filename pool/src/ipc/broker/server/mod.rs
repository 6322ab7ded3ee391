//! [`Broker`], which carries objects on a loop.
//!
//! # Invariants
//!
//! 1. No user code runs while the state, the list of peers or the table is borrowed. Wakers are
//!    woken last, and their panics are caught.
//! 2. A broker belongs to the loop that runs its task. When the loop drops the task, the broker
//!    has ended: its sockets are closed, and whatever waits in this thread gets an error.
//! 3. The process of a client is watched before the client proves that it is there, by the answer
//!    to a challenge. So the number of a process that has ended cannot be taken for another's.
//! 4. A copy of this process by `fork` is no broker, although it has the sockets and the state, and
//!    may drive the loop: it accepts, reads, writes, decides and signs nothing. Otherwise the copy
//!    and its original would grant a lock to one client each.

mod accept;
mod connection;
#[cfg(test)]
#[cfg(not(miri))] // Miri has no Unix sockets with names.
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Waker;
use std::time::SystemTime;

use coreloop_runtime::io::Async;

use super::BrokerError;
use super::handle::{Address, Handle, Inbox};
use super::proof::Proofs;
use super::protocol::{Body, Operation};
use super::state::{Call, Client, Effects, Key, LOCAL, NO_REQUEST, Object, ObjectNumber};
use super::state::{State, Violation};
use super::table::{Table, wake_all};
use crate::home::Home;
use crate::sys::broker::{Place, listen};
use connection::Peer;

thread_local! {
    /// The brokers of this thread: one for each loop on which objects were created.
    static BROKERS: RefCell<Vec<Weak<Broker>>> = const { RefCell::new(Vec::new()) };
}

pub(crate) struct Broker {
    address: Address,
    pid: u32,
    /// A copy of this process by `fork` has no broker.
    home: Home,
    state: RefCell<State>,
    peers: RefCell<HashMap<Client, Rc<Peer>>>,
    /// How many connections each process has.
    connections: RefCell<HashMap<u32, usize>>,
    /// The requests of the client [`LOCAL`].
    local: Table,
    last_client: Cell<Client>,
    inbox: Arc<Inbox>,
    /// `None` when the broker has ended.
    listener: RefCell<Option<Rc<Listener>>>,
}

#[derive(Debug)]
struct Listener {
    socket: Async<UnixListener>,
    _place: OwnPlace,
}

/// The place of the socket, which is removed with the value, but not by a copy of this process.
#[derive(Debug)]
struct OwnPlace {
    place: Place,
    home: Home,
}

impl Drop for OwnPlace {
    fn drop(&mut self) {
        if self.home.is_here() {
            self.place.remove();
        }
    }
}

/// Creates an object on the broker of the current loop, and the broker if there is none.
///
/// # Errors
///
/// Returns an error if there is no current runtime, or the system refuses a socket.
pub(crate) fn create(object: Box<dyn Object>) -> io::Result<Handle> {
    create_with(|_| object)
}

/// Like [`create`], for an object that signs its answers.
///
/// # Errors
///
/// Returns an error if [`create`] would.
pub(crate) fn create_with(object: impl FnOnce(Proofs) -> Box<dyn Object>) -> io::Result<Handle> {
    let broker = Broker::of_current_loop()?;
    let number = broker.state.borrow().next_object();
    let object = object(Proofs::new(broker.address.clone(), number));
    let number = broker.state.borrow_mut().add_object(object);
    let inbox = Arc::clone(&broker.inbox);
    Ok(Handle::owning(
        broker.address.clone(),
        number,
        inbox,
        broker.home,
    ))
}

/// Returns the broker with this address, if it belongs to this thread and has not ended.
pub(crate) fn on_this_thread(address: &Address) -> Option<Rc<Broker>> {
    let find = |brokers: &RefCell<Vec<Weak<Broker>>>| {
        let brokers = brokers.borrow();
        let mut brokers = brokers.iter().filter_map(Weak::upgrade);
        brokers.find(|broker| broker.address == *address && !broker.has_ended())
    };
    let broker = BROKERS.try_with(find).ok().flatten()?;
    (!broker.is_copied()).then_some(broker)
}

impl Broker {
    fn of_current_loop() -> io::Result<Rc<Self>> {
        let known = BROKERS.with_borrow(|brokers| {
            let mut brokers = brokers.iter().filter_map(Weak::upgrade);
            brokers.find(|broker| !broker.is_copied() && broker.is_on_current_loop())
        });
        match known {
            Some(broker) => Ok(broker),
            None => Self::start(),
        }
    }

    fn start() -> io::Result<Rc<Self>> {
        let pid = std::process::id();
        let home = Home::here()?;
        let (socket, address, place) = listen()?;
        let place = OwnPlace { place, home };
        socket.set_nonblocking(true)?;
        let listener = Rc::new(Listener {
            socket: Async::from_nonblocking(socket)?,
            _place: place,
        });
        let broker = Rc::new(Self {
            address: Address::new(&address),
            pid,
            home,
            state: RefCell::new(State::new(pid)),
            peers: RefCell::default(),
            connections: RefCell::default(),
            local: Table::new(usize::MAX),
            last_client: Cell::new(LOCAL),
            inbox: Arc::default(),
            listener: RefCell::new(Some(Rc::clone(&listener))),
        });
        BROKERS.with_borrow_mut(|brokers| {
            brokers.retain(|broker| broker.strong_count() > 0);
            brokers.push(Rc::downgrade(&broker));
        });
        accept::serve(Rc::clone(&broker), listener);
        Ok(broker)
    }

    fn is_on_current_loop(&self) -> bool {
        let listener = self.listener.borrow();
        listener
            .as_ref()
            .is_some_and(|listener| listener.socket.is_on_current_loop())
    }

    fn has_ended(&self) -> bool {
        self.listener.borrow().is_none()
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The requests of this thread.
    pub(crate) fn local(&self) -> &Table {
        &self.local
    }

    /// Handles an operation of this thread. The request is [`NO_REQUEST`] if there is no answer.
    ///
    /// # Errors
    ///
    /// Returns an error if the broker has ended, or this process is a copy of its own.
    pub(crate) fn call(
        &self,
        request: u64,
        operation: Operation,
        object: ObjectNumber,
        body: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), BrokerError> {
        let key = Key {
            client: LOCAL,
            request,
        };
        let call = Call {
            operation,
            body: Body(body),
            descriptors: Ok(descriptors),
            pid: self.pid,
        };
        let called = self.change(|state, effects| state.request(key, object, call, effects));
        let called = called.ok_or_else(BrokerError::forked)?;
        called.map_err(|Violation(why)| BrokerError::invalid(why))
    }

    /// Returns why this thread cannot use the broker any more, if it cannot.
    pub(crate) fn failure(&self) -> Option<BrokerError> {
        match self.is_copied() {
            true => Some(BrokerError::forked()),
            false => self.local.failure(),
        }
    }

    /// Withdraws a request of this thread.
    pub(crate) fn withdraw(&self, request: u64, operation: Operation) {
        // This is no operation that can fail, and a copy of this process ignores it.
        let _ = self.call(request, operation, NO_REQUEST, &[], Vec::new());
    }

    pub(crate) fn remove_object(&self, number: ObjectNumber) {
        self.change(|state, effects| state.remove_object(number, effects));
    }

    pub(crate) fn home(&self) -> Home {
        self.home
    }

    /// Returns whether this process is a copy of the one that has the broker.
    pub(crate) fn is_copied(&self) -> bool {
        !self.home.is_here()
    }

    /// Calls `f` with the state, and delivers the answers. Invariant 1. Does nothing in a copy, and
    /// returns `None`. Invariant 4.
    fn change<R>(&self, f: impl FnOnce(&mut State, &mut Effects) -> R) -> Option<R> {
        if self.is_copied() {
            return None;
        }
        let mut effects = Effects::at(SystemTime::now());
        let result = f(&mut self.state.borrow_mut(), &mut effects);
        self.deliver(effects);
        Some(result)
    }

    fn deliver(&self, effects: Effects) {
        let mut wakers: Vec<Waker> = Vec::new();
        {
            let peers = self.peers.borrow();
            for client in effects.released {
                wakers.extend(peers.get(&client).and_then(|peer| peer.take_waker()));
            }
            for (key, answer) in effects.answers {
                if key.client == LOCAL {
                    wakers.extend(self.local.answered(key.request, answer));
                } else if let Some(peer) = peers.get(&key.client) {
                    wakers.extend(peer.answer(key.request, answer));
                }
            }
        }
        wake_all(wakers);
    }

    /// Ends the broker. Invariant 2.
    fn end(&self) {
        let listener = self.listener.take();
        drop(listener);
        self.inbox.end();
        let why = "the loop on which the object was created has ended";
        wake_all(self.local.fail(BrokerError::disconnected(why)));
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
