//! TLS by rustls. `no_tls.rs` has the same interface, without any values.

use std::io;
use std::sync::Arc;

use coreloop_net::TcpStream;
use futures_rustls::pki_types::ServerName;
use futures_rustls::rustls::{ClientConfig, ConnectionCommon, ProtocolVersion, ServerConfig};
use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// A connection with TLS.
pub(crate) type Stream = TlsStream<TcpStream>;

/// The name under which RFC 9266 derives a channel binding from a TLS session.
const BINDING: &[u8] = b"EXPORTER-Channel-Binding";

/// The side of a manager.
pub(crate) struct Acceptor(TlsAcceptor);

impl Acceptor {
    pub(crate) fn new(config: Arc<ServerConfig>) -> Self {
        Self(config.into())
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<Stream> {
        self.0.accept(stream).await.map(Stream::from)
    }
}

/// The side of a client, which demands a certificate for a name.
pub(crate) struct Connector {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Connector {
    pub(crate) fn new(config: Arc<ClientConfig>, name: ServerName<'static>) -> Self {
        Self {
            connector: config.into(),
            name,
        }
    }

    pub(crate) async fn connect(&self, stream: TcpStream) -> io::Result<Stream> {
        let connecting = self.connector.connect(self.name.clone(), stream);
        connecting.await.map(Stream::from)
    }
}

/// Returns the bytes that name the TLS session.
pub(crate) fn binding(stream: &Stream) -> io::Result<Vec<u8>> {
    match stream {
        TlsStream::Client(stream) => binding_of(stream.get_ref().1),
        TlsStream::Server(stream) => binding_of(stream.get_ref().1),
    }
}

fn binding_of<Data>(session: &ConnectionCommon<Data>) -> io::Result<Vec<u8>> {
    // With TLS 1.2, two sessions can have the same bytes.
    if session.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        let text = "a manager needs TLS 1.3, and its peer offers only TLS 1.2";
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    let exported = session.export_keying_material(vec![0; 32], BINDING, None);
    exported.map_err(io::Error::other)
}
