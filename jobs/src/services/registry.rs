//! [`Services`], the services of one manager by their names.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

use super::{Answer, Guarded, Peer, Serve, SessionId};
use crate::error::{Error, Kind};

/// The services of one manager by their names.
#[derive(Default)]
pub(crate) struct Services {
    by_name: RefCell<HashMap<Rc<str>, Rc<dyn Serve>>>,
    is_closed: Cell<bool>,
}

impl Services {
    /// Adds a service. Returns an error if there is one of this name.
    pub(crate) fn add(&self, name: &str, service: Rc<dyn Serve>) -> Result<(), Error> {
        match self.by_name.borrow_mut().entry(Rc::from(name)) {
            Entry::Vacant(entry) => {
                entry.insert(service);
                Ok(())
            }
            Entry::Occupied(_) => {
                let text = format!("the manager has two services of the name {name:?}");
                Err(Error::new(Kind::Invalid, text))
            }
        }
    }

    /// Calls a service. A panic of it is an error.
    pub(crate) fn request(&self, name: &str, peer: &Peer, body: &[u8]) -> Guarded {
        Guarded::new(|| match self.find(name) {
            Ok(service) => service.request(peer, body),
            Err(error) => Answer::Now(Err(error)),
        })
    }

    /// Reports an answer that could not be sent to its service.
    pub(crate) fn undelivered(&self, name: &str, session: SessionId, answer: &[u8]) {
        if let Ok(service) = self.find(name) {
            service.undelivered(session, answer);
        }
    }

    /// Reports the end of a session to all services.
    pub(crate) fn gone(&self, session: SessionId) {
        let services: Vec<_> = self.by_name.borrow().values().cloned().collect();
        for service in services {
            service.gone(session);
        }
    }

    /// Ends all services: later requests are errors.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
        // The destructors of handlers are user code, and may come back here.
        let services = std::mem::take(&mut *self.by_name.borrow_mut());
        for (_, service) in services {
            coreloop_runtime::__panics::caught(|| drop(service));
        }
    }

    fn find(&self, name: &str) -> Result<Rc<dyn Serve>, Error> {
        if self.is_closed.get() {
            return Err(Error::new(Kind::Closed, "the manager was closed"));
        }
        let found = self.by_name.borrow().get(name).cloned();
        found.ok_or_else(|| {
            let text = match name.split_once(':') {
                Some(("coreloop.queue", queue)) => {
                    format!("the manager has no queue of the name {queue:?}")
                }
                _ => format!("the manager has no service of the name {name:?}"),
            };
            Error::new(Kind::Closed, text)
        })
    }
}
