//! One server for each service and runtime, in its own process. A service is written the
//! same way on all runtimes.

mod bare;
mod coreloop;
mod tokio;

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};

use crate::child::value_name;
use crate::serving::{ANY_PORT, announce, begin, closed};

/// The service for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Service {
    /// hyper answers "Hello, World!", with no timer.
    Http,
    /// The same, and hyper sets a timer for the headers of each request.
    HttpTimed,
    /// Reads once, writes the bytes back, and closes.
    Answer,
    /// Reads 16 KiB at a time and writes them back.
    Echo,
    /// Passes all bytes to another server, and its bytes back.
    Proxy,
    /// Writes back the bytes of each read, through rustls.
    Tls,
    /// Reads messages of 64 KiB and writes them back, through rustls.
    TlsMessages,
}

/// The runtime of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    /// An edge-triggered epoll loop and nothing else.
    Bare,
    Coreloop,
    /// coreloop, through tokio's traits.
    CoreloopTokioIo,
    /// tokio's `current_thread` runtime.
    Tokio,
}

impl Runtime {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Runtime::Bare => "bare epoll",
            Runtime::Coreloop => "coreloop",
            Runtime::CoreloopTokioIo => "coreloop, tokio-io",
            Runtime::Tokio => "tokio",
        }
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The service.
    #[arg(value_enum)]
    pub(crate) service: Service,
    /// The runtime.
    #[arg(value_enum)]
    pub(crate) runtime: Runtime,
    /// Exits when this number of connections has closed.
    #[arg(long, default_value_t = u64::MAX)]
    pub(crate) connections: u64,
    /// The port to which a proxy connects.
    #[arg(long, default_value_t = 0)]
    pub(crate) upstream: u16,
    /// The folder with the certificate for TLS.
    #[arg(long)]
    pub(crate) identity: Option<PathBuf>,
    /// Keeps to this core.
    #[arg(long)]
    pub(crate) core: Option<usize>,
    /// Gives up after this number of seconds.
    #[arg(long, default_value_t = 900)]
    pub(crate) limit: u32,
}

impl Options {
    /// Returns options with defaults for the settings that most measurements do not change.
    pub(crate) fn new(service: Service, runtime: Runtime) -> Options {
        Options {
            service,
            runtime,
            connections: u64::MAX,
            upstream: 0,
            identity: None,
            core: None,
            limit: 900,
        }
    }

    /// Returns the options as words of a command line.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec![
            value_name(&self.service).into(),
            value_name(&self.runtime).into(),
            "--connections".into(),
            self.connections.to_string().into(),
            "--upstream".into(),
            self.upstream.to_string().into(),
            "--limit".into(),
            self.limit.to_string().into(),
        ];
        if let Some(folder) = &self.identity {
            words.extend(["--identity".into(), folder.into()]);
        }
        if let Some(core) = self.core {
            words.extend(["--core".into(), core.to_string().into()]);
        }
        words
    }

    fn identity(&self) -> io::Result<std::sync::Arc<futures_rustls::rustls::ServerConfig>> {
        let folder = self.identity.as_ref();
        let folder = folder.ok_or_else(|| io::Error::other("TLS needs --identity"))?;
        crate::identity::server(folder)
    }

    fn upstream(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.upstream).into()
    }
}

/// Serves, and exits the process when all expected connections have closed.
pub(crate) fn serve(options: &Options) -> io::Result<()> {
    begin(options.core, options.limit, options.connections)?;
    match options.runtime {
        Runtime::Bare => bare::serve(options),
        Runtime::Coreloop | Runtime::CoreloopTokioIo => coreloop::serve(options),
        Runtime::Tokio => tokio::serve(options),
    }
}

/// Returns the error for a service that this runtime does not have.
fn not_here(options: &Options) -> io::Error {
    let (service, runtime) = (options.service, options.runtime);
    io::Error::other(format!("there is no {service:?} on {runtime:?}"))
}

/// The service that hyper calls.
async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(
        b"Hello, World!",
    ))))
}
