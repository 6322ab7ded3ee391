//! [`Core`], what the tasks of a manager share, and how connections are accepted.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use coreloop_runtime::task::{AbortHandle, spawn, yield_now};
use coreloop_runtime::time::sleep;
use coreloop_sync::Notify;

use super::admission::Admission;
use super::connection::{authenticate, serve};
use super::session::Sessions;
use super::settings::Settings;
use crate::connection::{Listener, Socket, Source};
use crate::services::Services;

/// How long the manager waits after an error of its listener.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// What the tasks of a manager share.
pub(crate) struct Core {
    pub(super) settings: Settings,
    pub(crate) services: Rc<Services>,
    pub(super) sessions: Rc<Sessions>,
    admission: RefCell<Admission<AbortHandle>>,
    acceptor: RefCell<Option<AbortHandle>>,
    /// `None` before the start and after the end, so that the address is free at once.
    listener: RefCell<Option<Listener>>,
    is_closed: Cell<bool>,
    /// A client has left.
    pub(super) left: Rc<Notify>,
}

impl Core {
    pub(super) fn new(settings: Settings, services: Rc<Services>, max_waiting: usize) -> Self {
        let left = Rc::new(Notify::new());
        let sessions = Sessions::new(
            Rc::clone(&services),
            Rc::clone(&left),
            settings.grace,
            settings.max_clients,
        );
        Self {
            settings,
            services,
            sessions: Rc::new(sessions),
            admission: RefCell::new(Admission::new(max_waiting)),
            acceptor: RefCell::new(None),
            listener: RefCell::new(None),
            is_closed: Cell::new(false),
            left,
        }
    }

    /// Accepts connections from now on.
    pub(super) fn start(self: &Rc<Self>, listener: Listener) {
        *self.listener.borrow_mut() = Some(listener);
        let core = Rc::clone(self);
        let task = spawn(async move {
            loop {
                let accepted = poll_fn(|cx| match &*core.listener.borrow() {
                    Some(listener) => listener.poll_accept(cx).map(Some),
                    None => Poll::Ready(None),
                });
                let Some(accepted) = accepted.await else {
                    return;
                };
                match accepted {
                    Ok((socket, source, address)) => core.admit(socket, source, address),
                    Err(_) => sleep(AFTER_ERROR).await,
                }
                // However many connections come, all other tasks run between two of them, and
                // connections whose bytes have come get on.
                yield_now().await;
            }
        });
        *self.acceptor.borrow_mut() = Some(task.abort_handle());
    }

    /// Gives a new connection a place among those that have not proved that they have the key.
    fn admit(self: &Rc<Self>, socket: Socket, source: Source, address: Option<SocketAddr>) {
        let has_failed = Rc::new(Cell::new(false));
        let state = Rc::clone(&has_failed);
        let closed = self.admission.borrow_mut().admit(
            source,
            state,
            |below| fastrand::usize(..below),
            |ticket| {
                let place = Place {
                    core: Rc::clone(self),
                    ticket,
                };
                let task = spawn(async move {
                    let client = authenticate(&place.core, socket, &has_failed).await;
                    let core = Rc::clone(&place.core);
                    drop(place);
                    if let Some(client) = client {
                        serve(&core, client, address).await;
                    }
                });
                task.abort_handle()
            },
        );
        if let Some(closed) = closed {
            closed.abort();
        }
    }

    /// Returns how many connections have not proved that they have the key.
    pub(super) fn unauthenticated(&self) -> usize {
        self.admission.borrow().len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// Closes the listener and all connections, and ends all sessions and services.
    pub(super) fn close(&self) {
        if self.is_closed.replace(true) {
            return;
        }
        let acceptor = self.acceptor.borrow_mut().take();
        if let Some(acceptor) = acceptor {
            acceptor.abort();
        }
        let listener = self.listener.borrow_mut().take();
        drop(listener);
        let waiting = self.admission.borrow_mut().clear();
        for handle in waiting {
            handle.abort();
        }
        self.sessions.end_all();
        self.services.close();
    }
}

/// The place of a connection, which is freed when it is dropped.
struct Place {
    core: Rc<Core>,
    ticket: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.core.admission.borrow_mut().leave(self.ticket);
    }
}
