//! One server for each service and runtime, a process of its own.
//!
//! It binds a free port of 127.0.0.1, prints it, and exits when as many
//! connections as it was told to expect have closed. A service is written the
//! same way on all runtimes.

mod bare;
mod coreloop;
mod tokio;

use std::cell::Cell;
use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::alarm;

use crate::child::{pin_to_core, raise_descriptor_limit, value_name};

/// What is done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Service {
    /// hyper answers "Hello, World!", with no timer.
    Http,
    /// The same, and hyper sets a timer for the headers of each request.
    HttpTimed,
    /// One read, its bytes written back, and closed.
    Answer,
    /// 16 KiB at a time are read and written back.
    Echo,
    /// All bytes go to another server, and its bytes come back.
    Proxy,
    /// What each read gives is written back, through rustls.
    Tls,
    /// Messages of 64 KiB are read and written back, through rustls.
    TlsMessages,
}

/// What a server runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    /// An edge-triggered epoll loop and nothing else.
    Bare,
    Coreloop,
    /// coreloop, by tokio's traits.
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
    /// What is served.
    #[arg(value_enum)]
    pub(crate) service: Service,
    /// Who serves it.
    #[arg(value_enum)]
    pub(crate) runtime: Runtime,
    /// Exits when so many connections have closed.
    #[arg(long, default_value_t = u64::MAX)]
    pub(crate) connections: u64,
    /// Where a proxy connects.
    #[arg(long, default_value_t = 0)]
    pub(crate) upstream: u16,
    /// The folder with the certificate for TLS.
    #[arg(long)]
    pub(crate) identity: Option<PathBuf>,
    /// Keeps to this core.
    #[arg(long)]
    pub(crate) core: Option<usize>,
    /// Gives up after so many seconds.
    #[arg(long, default_value_t = 900)]
    pub(crate) limit: u32,
}

impl Options {
    /// With defaults for what most measurements leave alone.
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

    /// As they stand on the command line.
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

/// Where every server binds.
const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// Serves, and exits the process when all expected connections have closed.
pub(crate) fn serve(options: &Options) -> io::Result<()> {
    // Whatever becomes of the client, no server outlives the run.
    set_pdeathsig(Signal::SIGKILL)?;
    alarm::set(options.limit);
    if let Some(core) = options.core {
        pin_to_core(core)?;
    }
    raise_descriptor_limit()?;
    OPEN.set(options.connections);
    match options.runtime {
        Runtime::Bare => bare::serve(options),
        Runtime::Coreloop | Runtime::CoreloopTokioIo => coreloop::serve(options),
        Runtime::Tokio => tokio::serve(options),
    }
}

/// Tells the client where to connect.
fn announce(addr: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{}", addr.port())?;
    out.flush()
}

thread_local! {
    /// Connections that are still to close.
    static OPEN: Cell<u64> = const { Cell::new(0) };
}

/// Notes that a connection has closed, and exits with the last.
fn closed() {
    OPEN.set(OPEN.get() - 1);
    if OPEN.get() == 0 {
        std::process::exit(0);
    }
}

/// A service that this runtime does not have.
fn not_here(options: &Options) -> io::Error {
    let (service, runtime) = (options.service, options.runtime);
    io::Error::other(format!("no {service:?} on {runtime:?}"))
}

/// What hyper is asked for.
async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(
        b"Hello, World!",
    ))))
}
