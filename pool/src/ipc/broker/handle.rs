//! [`Handle`], which names an object wherever it is, and [`Owner`], which keeps it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::server;
use super::state::ObjectNumber;
use super::{BrokerError, Link};
use crate::home::Home;

/// The longest address: the length of a path in the address of a Unix socket on macOS.
const MAX_ADDRESS: usize = 103;

/// The address of a broker's socket: an abstract name on Linux, a path elsewhere.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address(Arc<[u8]>);

impl Address {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(Arc::from(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}

/// A handle of an object: the address of its broker, and its number.
///
/// It is encoded as these two, with any serializer. The handle that has created the object, and its
/// clones in the same process, keep the object; a decoded handle does not.
#[derive(Clone)]
pub(crate) struct Handle {
    address: Address,
    number: ObjectNumber,
    owner: Option<Arc<Owner>>,
}

impl Handle {
    pub(crate) fn owning(
        address: Address,
        number: ObjectNumber,
        inbox: Arc<Inbox>,
        home: Home,
    ) -> Self {
        let owner = Arc::new(Owner {
            address: address.clone(),
            number,
            inbox,
            home,
        });
        Self {
            address,
            number,
            owner: Some(owner),
        }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn number(&self) -> ObjectNumber {
        self.number
    }

    /// Returns the way to the broker from this thread, and connects to it if necessary.
    ///
    /// # Errors
    ///
    /// Returns an error if the process of the object has ended, or does not accept this one.
    pub(crate) fn link(&self) -> Result<Link, BrokerError> {
        Link::to(&self.address)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("broker", &self.address)
            .field("object", &self.number)
            .field("keeps_object", &self.owner.is_some())
            .finish()
    }
}

impl Serialize for Handle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.address.as_bytes(), self.number).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (address, number) = <(Vec<u8>, u64)>::deserialize(deserializer)?;
        if address.is_empty() || address.len() > MAX_ADDRESS {
            return Err(D::Error::custom("this is no address of a broker"));
        }
        Ok(Self {
            address: Address::new(&address),
            number,
            owner: None,
        })
    }
}

/// Keeps an object while a handle of the process that created it exists.
struct Owner {
    address: Address,
    number: ObjectNumber,
    inbox: Arc<Inbox>,
    /// A copy of this process by `fork` owns nothing.
    home: Home,
}

impl Drop for Owner {
    fn drop(&mut self) {
        if !self.home.is_here() {
            return;
        }
        match server::on_this_thread(&self.address) {
            Some(broker) => broker.remove_object(self.number),
            None => self.inbox.push(self.number),
        }
    }
}

/// The objects whose owners were dropped on other threads than the broker's.
#[derive(Debug, Default)]
pub(crate) struct Inbox(Mutex<Dropped>);

#[derive(Debug, Default)]
struct Dropped {
    objects: Vec<ObjectNumber>,
    /// The waker of the broker's task, until the task has ended.
    waker: Option<Waker>,
    has_ended: bool,
}

impl Inbox {
    fn push(&self, object: ObjectNumber) {
        let waker = {
            let mut dropped = self.lock();
            if dropped.has_ended {
                return;
            }
            dropped.objects.push(object);
            dropped.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes all objects, and remembers which task to wake for the next one.
    pub(crate) fn take(&self, waker: &Waker) -> Vec<ObjectNumber> {
        let waker = waker.clone();
        let (objects, old) = {
            let mut dropped = self.lock();
            let objects = std::mem::take(&mut dropped.objects);
            (objects, dropped.waker.replace(waker))
        };
        drop(old);
        objects
    }

    /// Keeps nothing more: the broker has ended.
    pub(crate) fn end(&self) {
        let old = {
            let mut dropped = self.lock();
            dropped.has_ended = true;
            dropped.objects = Vec::new();
            dropped.waker.take()
        };
        drop(old);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Dropped> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
