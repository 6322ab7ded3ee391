//! [`Access`], the way of a queue to its manager: through a client, or in the same process.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::{Peer, Services, SessionId};
use crate::client::{Client, within};
use crate::error::Error;
use crate::manager::Manager;
use crate::secure::random;

/// The way to the services of a manager: a [`Client`] of it, or the [`Manager`] itself, if it is
/// in the same process.
#[derive(Clone)]
pub(crate) struct Access(Route);

#[derive(Clone)]
enum Route {
    Local(Rc<Local>),
    Remote(Client),
}

/// How a request is made.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// How long the caller waits for the answer; without it, for ever.
    pub(crate) timeout: Option<Duration>,
    /// Whether the request may be made a second time, if the manager has lost the session before
    /// the answer came. Otherwise the caller gets an error.
    pub(crate) repeat: bool,
}

impl Access {
    /// Creates a session in the process of the manager.
    pub(crate) fn local(services: &Rc<Services>) -> Self {
        Self(Route::Local(Rc::new(Local::new(services))))
    }

    /// Makes a request, and waits for its answer.
    ///
    /// Dropping the future cancels the request, if it has not been answered.
    pub(crate) async fn request(
        &self,
        service: &Rc<str>,
        body: Vec<u8>,
        options: Options,
    ) -> Result<Vec<u8>, Error> {
        match &self.0 {
            Route::Remote(client) => client.request(service, body, options).await,
            Route::Local(local) => {
                let answer = local.services.request(service, &local.peer, &body);
                within(options.timeout, answer, String::new).await
            }
        }
    }

    /// Returns how long a request may be, in bytes. A client learns it when it connects.
    pub(crate) fn max_request(&self) -> usize {
        match &self.0 {
            Route::Remote(client) => client.max_request(),
            Route::Local(_) => usize::MAX,
        }
    }

    /// Makes a request whose answer is not of interest. It is made again until the manager has
    /// received it, or has lost the session.
    pub(crate) fn notify(&self, service: &Rc<str>, body: Vec<u8>) {
        match &self.0 {
            Route::Remote(client) => client.notify(service, body),
            Route::Local(local) => {
                drop(local.services.request(service, &local.peer, &body));
            }
        }
    }
}

impl From<&Client> for Access {
    fn from(client: &Client) -> Self {
        Self(Route::Remote(client.clone()))
    }
}

impl From<&Manager> for Access {
    fn from(manager: &Manager) -> Self {
        Self::local(manager.services())
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let route = match &self.0 {
            Route::Local(_) => "local",
            Route::Remote(_) => "remote",
        };
        f.debug_tuple("Access").field(&route).finish()
    }
}

/// A session in the process of the manager. It ends with its last clone.
struct Local {
    services: Rc<Services>,
    peer: Peer,
}

impl Local {
    fn new(services: &Rc<Services>) -> Self {
        // Without random bytes the number still differs from the numbers of other local sessions.
        let number = random().unwrap_or_else(|_| {
            let mut bytes = [0; 16];
            bytes[8..].copy_from_slice(&fastrand::u64(..).to_be_bytes());
            bytes
        });
        Self {
            services: Rc::clone(services),
            peer: Peer::new(SessionId(number), None, usize::MAX),
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.services.gone(self.peer.session());
    }
}
