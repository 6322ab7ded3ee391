//! How a client is set up with TLS.

use std::sync::Arc;

use futures_rustls::pki_types::ServerName;
use futures_rustls::rustls::ClientConfig;

use super::ClientBuilder;
use crate::connection::Connector;

impl ClientBuilder {
    /// Encrypts the connection with TLS, by rustls 0.23, and demands a certificate for `name` of
    /// the manager. Addresses of a network are allowed then, and Unix sockets are not.
    pub fn tls(mut self, config: Arc<ClientConfig>, name: ServerName<'static>) -> Self {
        self.settings.tls = Some(Connector::new(config, name));
        self
    }
}
