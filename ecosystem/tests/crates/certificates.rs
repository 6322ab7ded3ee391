//! Certificates for a single test, and TLS configurations that use them.

use std::sync::Arc;

use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::server::WebPkiClientVerifier;
use futures_rustls::rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion, version,
};

/// A self-signed certificate, and its key.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    pub(crate) fn of(name: &str) -> Identity {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        Identity {
            certificate: made.cert.der().clone(),
            key: PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into()),
        }
    }

    fn chain(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (vec![self.certificate.clone()], self.key.clone_key())
    }

    fn as_root(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a root");
        roots
    }
}

/// The clients that a server accepts.
#[derive(Clone, Copy)]
pub(crate) enum Clients<'a> {
    All,
    /// Clients without a certificate, and the client with this one.
    AllBut(&'a Identity),
    Only(&'a Identity),
}

pub(crate) fn server(identity: &Identity, clients: Clients<'_>) -> Arc<ServerConfig> {
    let verifier = |identity: &Identity| WebPkiClientVerifier::builder(identity.as_root().into());
    let builder = ServerConfig::builder();
    let builder = match clients {
        Clients::All => builder.with_no_client_auth(),
        Clients::AllBut(identity) => builder.with_client_cert_verifier(
            verifier(identity)
                .allow_unauthenticated()
                .build()
                .expect("a verifier"),
        ),
        Clients::Only(identity) => {
            builder.with_client_cert_verifier(verifier(identity).build().expect("a verifier"))
        }
    };
    let (chain, key) = identity.chain();
    Arc::new(builder.with_single_cert(chain, key).expect("a server"))
}

pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

/// Returns the configuration of a client that trusts `server`, and that presents its own
/// certificate if the server requests one.
pub(crate) fn client(
    server: &Identity,
    itself: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_protocol_versions(versions)
        .with_root_certificates(server.as_root());
    Arc::new(match itself {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = identity.chain();
            builder.with_client_auth_cert(chain, key).expect("a client")
        }
    })
}
