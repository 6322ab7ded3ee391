//! The broker, which carries the objects that processes share: it decides who has a lock, and
//! when a process that waits continues.
//!
//! A broker is a part of the loop on which the first such object was created. It listens on a Unix
//! socket. Handles of objects in other processes, and in other threads of the same process, are
//! plain data: the address of the socket and a number. A thread connects to a broker when it first
//! uses a handle of one of its objects, and uses this connection for all of them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`state`] | every decision, without I/O or a clock |
//! | [`protocol`] | what clients and brokers say to each other |
//! | [`server`] | the broker: its socket, its connections, the deaths of processes |
//! | [`client`] | the connection of a thread to a broker in another one |
//! | [`proof`] | the signatures by which clients and brokers of one family recognize each other |
//! | [`link`] | one interface to a broker, wherever it is: requests and what they hold |
//! | [`handle`] | handles, owners and addresses |

pub(crate) mod client;
pub(crate) mod error;
pub(crate) mod handle;
pub(crate) mod link;
pub(crate) mod proof;
pub(crate) mod protocol;
pub(crate) mod server;
pub(crate) mod state;
pub(crate) mod table;

use std::time::Duration;

/// How long a client or a broker pauses when the system has no descriptor or memory for it.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

pub use error::BrokerError;
pub(crate) use handle::Handle;
pub(crate) use link::{Held, Link, Pending};
