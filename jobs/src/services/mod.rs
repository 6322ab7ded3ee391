//! The services of a manager: what a client may call. Typed services of the user and the
//! built-in ones have the same interface here, in bytes.
//!
//! # Invariants
//!
//! 1. A service sees a client as a session, which outlives its connections. The manager reports
//!    the end of a session once, when the client has left, or has not come back in time. No
//!    request of the session comes after that.
//! 2. An answer that is not there at once is a future, which runs as a task of its own. It is
//!    dropped if the client cancels the request, or its session ends.
//! 3. A panic of a service is an error for the request, and for nothing else.

mod access;
mod guarded;
mod registry;
mod typed;

pub(crate) use access::{Access, Options};
pub(crate) use guarded::Guarded;
pub(crate) use registry::Services;
pub use typed::Service;
pub(crate) use typed::{Typed, decode, encode};

use std::cell::Cell;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use crate::error::Error;

/// The names of built-in services begin with this, and the names of the user's services do not.
pub(crate) const RESERVED: &str = "coreloop.";

/// The identity of a client at a manager. It is random.
///
/// It is a secret: with it, another client that has the key could take the session over. What is
/// shown of it is its [`number`](Self::number).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionId(pub(crate) [u8; 16]);

impl SessionId {
    /// Returns a number of this session, from which the identity cannot be found.
    fn number(self) -> u128 {
        let hash = Sha256::new_with_prefix(b"coreloop peer").chain_update(self.0);
        let hash = hash.finalize();
        u128::from_be_bytes(std::array::from_fn(|at| hash[at]))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({:032x})", self.number())
    }
}

/// The client that a request came from.
///
/// A handler of a service gets it as its second argument.
#[derive(Debug, Clone)]
pub struct Peer {
    session: SessionId,
    address: Option<SocketAddr>,
    /// How long an answer may be, which the client sets when it connects.
    max_answer: Rc<Cell<usize>>,
}

impl Peer {
    pub(crate) fn new(session: SessionId, address: Option<SocketAddr>, max_answer: usize) -> Self {
        Self {
            session,
            address,
            max_answer: Rc::new(Cell::new(max_answer)),
        }
    }

    /// Returns the address from which the client has connected first; `None` if it has connected
    /// through a Unix socket, or is in the process of the manager.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Returns a number that no other client of this manager has. It is the same for the whole life
    /// of a client, however often it connects anew.
    ///
    /// It is no secret: it is a hash of what identifies the client to the manager.
    #[must_use]
    pub fn id(&self) -> u128 {
        self.session.number()
    }

    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    /// Returns how long an answer to this client may be, in bytes.
    pub(crate) fn max_answer(&self) -> usize {
        self.max_answer.get()
    }

    /// Sets how long an answer may be: the client has connected again.
    pub(crate) fn set_max_answer(&self, bytes: usize) {
        self.max_answer.set(bytes);
    }
}

/// The answer of a service.
pub(crate) enum Answer {
    /// It is there at once.
    Now(Result<Vec<u8>, Error>),
    /// The future completes with it.
    Later(Pin<Box<dyn Future<Output = Result<Vec<u8>, Error>>>>),
}

/// A service of a manager, by bytes.
pub(crate) trait Serve {
    /// Carries out a request of a client. `peer.session()` is the client.
    fn request(self: Rc<Self>, peer: &Peer, body: &[u8]) -> Answer;

    /// An answer could not be sent to the client, because it is too long for it.
    fn undelivered(&self, _session: SessionId, _answer: &[u8]) {}

    /// The client has left, or has not come back within the grace: what it held is free.
    fn gone(&self, _session: SessionId) {}
}

#[cfg(test)]
mod tests {
    use super::{Peer, SessionId};

    #[test]
    fn a_peer_does_not_show_the_secret_of_its_session() {
        let secret = [0xAB; 16];
        let peer = Peer::new(SessionId(secret), None, 10);
        assert_ne!(peer.id(), u128::from_be_bytes(secret));
        let text = format!("{peer:?}");
        assert!(text.contains(&format!("{:032x}", peer.id())), "{text}");
        assert!(!text.contains("abab") && !text.contains("171"), "{text}");
        // It depends on the session only.
        assert_eq!(Peer::new(SessionId(secret), None, 20).id(), peer.id());
        assert_ne!(Peer::new(SessionId([1; 16]), None, 10).id(), peer.id());
    }
}
