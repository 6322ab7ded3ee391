//! The identity of the TLS servers: one certificate for all of them, so that all use the
//! same key.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use futures_rustls::rustls::crypto::ring::default_provider;
use futures_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

/// A certificate and its key, in files of a folder that is removed with this.
#[derive(Debug)]
pub(crate) struct Identity {
    folder: PathBuf,
}

impl Identity {
    pub(crate) fn new() -> io::Result<Identity> {
        let folder = std::env::temp_dir().join(format!("coreloop-peers.{}", process::id()));
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])
            .map_err(io::Error::other)?;
        fs::create_dir(&folder)?;
        let identity = Identity { folder };
        fs::write(certificate_in(&identity.folder), own.cert.der())?;
        fs::write(key_in(&identity.folder), own.signing_key.serialize_der())?;
        Ok(identity)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the configuration of a client that trusts the certificate.
    pub(crate) fn client(&self) -> io::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        let certificate = fs::read(certificate_in(&self.folder))?;
        roots
            .add(CertificateDer::from(certificate))
            .map_err(io::Error::other)?;
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        // If this fails, files are left in the folder for temporary files, which is harmless.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The name in the certificate.
pub(crate) fn server_name() -> io::Result<ServerName<'static>> {
    ServerName::try_from("localhost").map_err(io::Error::other)
}

/// Returns the configuration of a server with the certificate in `folder`.
pub(crate) fn server(folder: &Path) -> io::Result<Arc<ServerConfig>> {
    let certificate = CertificateDer::from(fs::read(certificate_in(folder))?);
    let key = PrivateKeyDer::try_from(fs::read(key_in(folder))?).map_err(io::Error::other)?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(io::Error::other)?;
    Ok(Arc::new(config))
}

fn certificate_in(folder: &Path) -> PathBuf {
    folder.join("certificate.der")
}

fn key_in(folder: &Path) -> PathBuf {
    folder.join("key.der")
}
