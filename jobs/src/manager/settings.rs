//! [`Settings`], how a manager was set up.

use std::time::Duration;

use crate::connection::Acceptor;
use crate::secure::Key;

/// How a manager was set up.
pub(crate) struct Settings {
    pub(crate) key: Key,
    pub(crate) max_message: usize,
    pub(crate) grace: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) max_clients: usize,
    pub(crate) tls: Option<Acceptor>,
}
