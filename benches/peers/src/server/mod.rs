//! One echo server per runtime, all with the same handler: read into a buffer
//! of `N` bytes, write back what came.
//!
//! A server is a process of its own, so that its CPU time, memory and
//! instructions are its own too. It binds a free port of 127.0.0.1, prints it,
//! accepts a stated number of connections, and exits when the last has closed.

mod bare;
mod compio;
mod coreloop;
mod glommio;
mod monoio;
mod runtime;
mod smol;
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
use crate::child::{pin_to_core, raise_descriptor_limit, value_name};

/// The handler's buffer: the one of the memory bound, or one that a message
/// never fills.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Buffer {
    /// A 64-byte message fills it, so each echo costs a second `recv` that
    /// finds nothing.
    #[value(name = "64")]
    Bytes64,
    /// A 64-byte message is a short read, which tells an edge-triggered loop
    /// that nothing is left.
    #[value(name = "1024")]
    Bytes1024,
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Options {
    /// What serves.
    #[arg(value_enum)]
    pub(crate) runtime: Runtime,
    /// How many connections to accept; the server exits when all have closed.
    #[arg(long, default_value_t = 16)]
    pub(crate) connections: usize,
    /// The size of each connection's buffer.
    #[arg(long, value_enum, default_value = "1024")]
    pub(crate) buffer: Buffer,
    /// Keeps to this core.
    #[arg(long)]
    pub(crate) core: Option<usize>,
    /// Gives up after so many seconds.
    #[arg(long, default_value_t = 600)]
    pub(crate) limit: u32,
}

impl Options {
    /// With defaults for what most measurements leave alone.
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
        Buffer::Bytes64 => serve_with::<64>(options),
        Buffer::Bytes1024 => serve_with::<1024>(options),
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

/// Connections that are still to close. Handlers are detached rather than
/// joined, since a list of their handles would count as memory of the
/// connections.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Notes that a connection has closed, and exits with the last.
fn closed() {
    if OPEN.fetch_sub(1, Ordering::Relaxed) == 1 {
        std::process::exit(0);
    }
}
