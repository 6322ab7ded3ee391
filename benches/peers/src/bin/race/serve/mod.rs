//! The servers that race: those of `instructions` and `cpu`, with larger buffers,
//! and a bare loop that takes a full socket.

mod bare;
#[path = "../../../server/compio.rs"]
mod compio;
#[path = "../../../server/coreloop.rs"]
mod coreloop;
#[path = "../../../server/glommio.rs"]
mod glommio;
#[path = "../../../server/monoio.rs"]
mod monoio;
#[path = "../../../server/runtime.rs"]
mod runtime;
#[path = "../../../server/smol.rs"]
mod smol;
#[path = "../../../server/tokio.rs"]
mod tokio;

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::{Args, ValueEnum};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::alarm;

pub(crate) use self::runtime::Runtime;
use crate::child::{Server, pin_to_core, raise_descriptor_limit, value_name};
use crate::report;

/// All of them, as they are called on the command line.
pub(crate) const EVERYBODY: [&str; 7] = [
    "bare", "coreloop", "tokio", "monoio", "smol", "compio", "glommio",
];

/// The buffer of each connection. All but the largest are such that short messages
/// do not fill them, so that a read which finds all there is is a short one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Buffer {
    #[value(name = "1024")]
    Bytes1024,
    #[value(name = "4096")]
    Bytes4096,
    #[value(name = "16384")]
    Bytes16384,
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Options {
    /// What serves.
    #[arg(value_enum)]
    runtime: Runtime,
    /// How many connections to accept; the server exits when all have closed.
    #[arg(long)]
    connections: usize,
    /// The size of each connection's buffer.
    #[arg(long, value_enum)]
    buffer: Buffer,
    /// Keeps to this core.
    #[arg(long)]
    pub(crate) core: Option<usize>,
    /// Gives up after so many seconds.
    #[arg(long, default_value_t = 600)]
    limit: u32,
}

impl Options {
    pub(crate) fn new(runtime: Runtime, connections: usize, buffer: Buffer) -> Options {
        Options {
            runtime,
            connections,
            buffer,
            core: None,
            limit: 600,
        }
    }

    /// As they stand on the command line.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words = vec![
            value_name(&self.runtime),
            "--connections".to_owned(),
            self.connections.to_string(),
            "--buffer".to_owned(),
            value_name(&self.buffer),
            "--limit".to_owned(),
            self.limit.to_string(),
        ];
        if let Some(core) = self.core {
            words.extend(["--core".to_owned(), core.to_string()]);
        }
        words.into_iter().map(OsString::from).collect()
    }
}

/// Those of them that this machine can run; says who is left out.
pub(crate) fn those_that_start(runtimes: &[Runtime]) -> Vec<Runtime> {
    let starts = |runtime: &Runtime| {
        let started = Server::start(&Options::new(*runtime, 1, Buffer::Bytes1024).words());
        if started.is_err() {
            report::left_out(runtime, "it does not start; glommio needs io_uring");
        }
        started.is_ok()
    };
    runtimes.iter().copied().filter(starts).collect()
}

/// Where every server binds.
const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// Serves until all connections have closed, and exits the process then.
pub(crate) fn serve(options: &Options) -> io::Result<()> {
    // Whatever becomes of the client, no server outlives the run.
    set_pdeathsig(Signal::SIGKILL)?;
    alarm::set(options.limit);
    if let Some(core) = options.core {
        pin_to_core(core)?;
    }
    raise_descriptor_limit()?;
    OPEN.store(options.connections, Ordering::Relaxed);
    match options.buffer {
        Buffer::Bytes1024 => serve_with::<1024>(options),
        Buffer::Bytes4096 => serve_with::<4096>(options),
        Buffer::Bytes16384 => serve_with::<16384>(options),
    }
}

fn serve_with<const N: usize>(options: &Options) -> io::Result<()> {
    let connections = options.connections;
    match options.runtime {
        Runtime::Bare => bare::serve::<N>(connections),
        Runtime::Coreloop => coreloop::serve::<N>(connections),
        Runtime::Tokio => tokio::serve::<N>(connections),
        Runtime::Monoio => monoio::serve::<N>(connections),
        Runtime::Smol => smol::serve::<N>(connections),
        Runtime::Compio => compio::serve::<N>(connections),
        Runtime::Glommio => glommio::serve::<N>(connections),
    }
}

/// Tells the client where to connect.
fn announce(addr: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{}", addr.port())?;
    out.flush()
}

/// Connections that are still to close.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Notes that a connection has closed, and exits with the last.
fn closed() {
    if OPEN.fetch_sub(1, Ordering::Relaxed) == 1 {
        std::process::exit(0);
    }
}
