//! How a manager is set up with TLS.

use std::sync::Arc;

use futures_rustls::rustls::ServerConfig;

use super::ManagerBuilder;
use crate::connection::Acceptor;

impl ManagerBuilder {
    /// Encrypts all connections with TLS, by rustls 0.23. Clients need it too.
    ///
    /// Addresses of a network are allowed then, and Unix sockets are not. The manager needs TLS 1.3. The key proves, in
    /// addition, that no one is between the two ends of the TLS session.
    pub fn tls(mut self, config: Arc<ServerConfig>) -> Self {
        self.tls = Some(Acceptor::new(config));
        self
    }
}
