//! An echo server over TLS, with rustls.
//!
//! Run it with
//!
//! ```sh
//! cargo run --release -p coreloop-ecosystem --example tls_echo
//! ```
//!
//! and talk to it with `openssl s_client -connect 127.0.0.1:7780`. Without
//! `--cert` and `--key` it creates a self-signed certificate for `localhost`,
//! which clients rightly do not trust.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;
use coreloop::io::{AsyncWriteExt, copy, split};
use coreloop::net::{TcpListener, TcpStream};
use futures_rustls::TlsAcceptor;
use futures_rustls::pki_types::pem::{self, PemObject};
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::ServerConfig;

/// Sends back what it receives, encrypted.
#[derive(Parser)]
struct Options {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:7780")]
    addr: String,
    /// The certificate and its chain, in PEM
    #[arg(long, requires = "key")]
    cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, requires = "cert")]
    key: Option<PathBuf>,
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn main() -> io::Result<()> {
    let options = Options::parse();
    let (chain, key) = match (&options.cert, &options.key) {
        (Some(cert), Some(key)) => read(cert, key)?,
        _ => signed_by_itself().map_err(io::Error::other)?,
    };
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(io::Error::other)?;
    coreloop::block_on(serve(&options.addr, Arc::new(config).into()))
}

async fn serve(address: &str, acceptor: TlsAcceptor) -> io::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        let acceptor = acceptor.clone();
        coreloop::spawn(async move {
            if let Err(error) = echo(stream, acceptor).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

async fn echo(stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = split(acceptor.accept(stream).await?);
    copy(&mut reader, &mut writer).await?;
    // Sends the TLS close alert, which distinguishes an end from a cut connection.
    writer.close().await
}

fn read(cert: &Path, key: &Path) -> io::Result<Identity> {
    let failed =
        |path: &Path, error: pem::Error| io::Error::other(format!("{}: {error}", path.display()));
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|error| failed(cert, error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, error))?;
    Ok((chain, key))
}

fn signed_by_itself() -> Result<Identity, rcgen::Error> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    Ok((vec![made.cert.der().clone()], key))
}
