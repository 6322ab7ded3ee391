//! [`Session`], a client at the manager, and [`Sessions`], all of them.
//!
//! # Invariants
//!
//! 1. A session has at most one connection. A client that connects anew replaces the connection
//!    that it has, which may be one that has not noticed its end.
//! 2. A session without a connection ends after the grace. Each of its services is called
//!    once, and what it held is free. Until then it is kept as it was.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use coreloop_runtime::task::{AbortHandle, spawn, spawn_hidden};
use coreloop_runtime::time::sleep;
use coreloop_sync::Notify;

use super::book::Book;
use crate::error::Error;
use crate::services::{Guarded, Peer, Services, SessionId};
use crate::wire::{Malformed, Response};

/// A client at the manager.
pub(crate) struct Session {
    pub(crate) peer: Peer,
    /// A random number, by which the client recognizes this record of it.
    pub(crate) record: u64,
    pub(crate) book: RefCell<Book<AbortHandle>>,
    /// The number of its connection; 0 if it has none.
    connection: Cell<u64>,
    /// How many connections it has had.
    connections: Cell<u64>,
    /// The task of its connection.
    waker: RefCell<Option<Waker>>,
    has_ended: Cell<bool>,
}

impl Session {
    /// Calls a service for a request of this client.
    pub(crate) fn request(
        self: &Rc<Self>,
        services: &Rc<Services>,
        id: u64,
        is_notice: bool,
        service: &str,
        body: &[u8],
    ) -> Result<(), Malformed> {
        if !self.book.borrow_mut().begin(id, is_notice)? {
            return Ok(());
        }
        match services.request(service, &self.peer, body).now() {
            Ok(answer) if !is_notice => self.answer(services, id, service, answer),
            Ok(_) => {}
            Err(later) => self.run(services, id, is_notice, service, later),
        }
        Ok(())
    }

    /// Runs the rest of a request as a task.
    fn run(
        self: &Rc<Self>,
        services: &Rc<Services>,
        id: u64,
        is_notice: bool,
        service: &str,
        later: Guarded,
    ) {
        let session = Rc::downgrade(self);
        let services = Rc::downgrade(services);
        let service = service.to_owned();
        let task = spawn(async move {
            let answer = later.await;
            if let (Some(session), Some(services)) = (session.upgrade(), services.upgrade()) {
                session.answer(&services, id, &service, answer);
                session.wake();
            }
        });
        if !is_notice {
            let answered = self.book.borrow_mut().set_running(id, task.abort_handle());
            debug_assert!(answered.is_none(), "the task has not run yet");
        }
    }

    fn answer(&self, services: &Services, id: u64, service: &str, answer: Result<Vec<u8>, Error>) {
        let max = self.peer.max_answer();
        if let Ok(body) = &answer
            && body.len() > max
        {
            services.undelivered(service, self.peer.session(), body);
        }
        let response = Response::new(answer, max);
        self.book.borrow_mut().answer(id, response);
    }

    /// Cancels a request.
    pub(crate) fn cancel(&self, id: u64) {
        let handle = self.book.borrow_mut().cancel(id);
        if let Some(handle) = handle {
            handle.abort();
        }
    }

    /// Returns whether this is the connection of the session.
    pub(crate) fn is_on(&self, connection: u64) -> bool {
        self.connection.get() == connection
    }

    /// Keeps the waker of the task of the connection.
    pub(crate) fn keep_waker(&self, waker: &Waker) {
        let mut place = self.waker.borrow_mut();
        match &mut *place {
            Some(own) => own.clone_from(waker),
            None => *place = Some(waker.clone()),
        }
    }

    pub(crate) fn wake(&self) {
        let waker = self.waker.borrow().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Replaces the connection, and returns the number of the new one.
    fn connect(&self, unanswered: &[u64], max_answer: usize) -> u64 {
        let number = self.connections.get() + 1;
        self.connections.set(number);
        self.connection.set(number);
        self.peer.set_max_answer(max_answer);
        // The task of the previous connection ends.
        self.wake();
        let aborted = self.book.borrow_mut().resume(unanswered);
        for handle in aborted {
            handle.abort();
        }
        number
    }
}

/// All clients of a manager.
pub(crate) struct Sessions {
    by_id: RefCell<HashMap<SessionId, Rc<Session>>>,
    services: Rc<Services>,
    /// Notified when a session has ended.
    left: Rc<Notify>,
    grace: Duration,
    max: usize,
}

impl Sessions {
    pub(crate) fn new(
        services: Rc<Services>,
        left: Rc<Notify>,
        grace: Duration,
        max: usize,
    ) -> Self {
        Self {
            by_id: RefCell::default(),
            services,
            left,
            grace,
            max,
        }
    }

    /// Connects a client, and returns its session and the number of the connection; `None` if
    /// there are too many clients.
    pub(crate) fn connect(
        &self,
        peer: Peer,
        record: u64,
        unanswered: &[u64],
    ) -> Option<(Rc<Session>, u64)> {
        let max_answer = peer.max_answer();
        let mut by_id = self.by_id.borrow_mut();
        let count = by_id.len();
        let session = match by_id.entry(peer.session()) {
            Entry::Occupied(entry) => Rc::clone(entry.get()),
            Entry::Vacant(_) if count >= self.max => return None,
            Entry::Vacant(entry) => Rc::clone(entry.insert(Rc::new(Session {
                peer,
                record,
                book: RefCell::new(Book::new()),
                connection: Cell::new(0),
                connections: Cell::new(0),
                waker: RefCell::default(),
                has_ended: Cell::new(false),
            }))),
        };
        drop(by_id);
        let number = session.connect(unanswered, max_answer);
        Some((session, number))
    }

    /// A connection of a session has ended. The session ends after the grace, unless the client
    /// comes back.
    pub(crate) fn disconnect(self: &Rc<Self>, session: &Rc<Session>, connection: u64) {
        if !session.is_on(connection) {
            return;
        }
        session.connection.set(0);
        session.waker.borrow_mut().take();
        let (sessions, session) = (Rc::downgrade(self), Rc::downgrade(session));
        let grace = self.grace;
        spawn_hidden(async move {
            sleep(grace).await;
            if let (Some(sessions), Some(session)) = (sessions.upgrade(), session.upgrade())
                && session.is_on(0)
                && session.connections.get() == connection
            {
                sessions.end(&session);
            }
        });
    }

    /// Ends a session: its requests are aborted, and its services learn of it.
    pub(crate) fn end(&self, session: &Rc<Session>) {
        if session.has_ended.replace(true) {
            return;
        }
        session.connection.set(0);
        let id = session.peer.session();
        let removed = self.by_id.borrow_mut().remove(&id);
        drop(removed);
        let aborted = session.book.borrow_mut().end();
        for handle in aborted {
            handle.abort();
        }
        self.services.gone(id);
        session.wake();
        self.left.notify_waiters();
    }

    /// Ends all sessions.
    pub(crate) fn end_all(&self) {
        let sessions: Vec<_> = self.by_id.borrow().values().cloned().collect();
        for session in sessions {
            self.end(&session);
        }
    }

    /// Returns how many clients there are, and how many of them are connected.
    pub(crate) fn count(&self) -> (usize, usize) {
        let by_id = self.by_id.borrow();
        let connected = by_id.values().filter(|session| !session.is_on(0)).count();
        (by_id.len(), connected)
    }
}
