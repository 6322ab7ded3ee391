//! [`Settings`], how a manager was set up.

use std::time::Duration;

use crate::secure::Key;

/// How a manager was set up.
pub(crate) struct Settings {
    pub(crate) key: Key,
    pub(crate) max_message: usize,
    pub(crate) grace: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) max_clients: usize,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<futures_rustls::TlsAcceptor>,
}
