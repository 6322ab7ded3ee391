//! The common part of all servers: a server binds a free port of 127.0.0.1, prints it, and
//! exits when a given number of connections has closed.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::alarm;

use crate::child::{pin_to_core, raise_descriptor_limit};

/// The address that every server binds.
pub(crate) const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// The number of connections that are still to close. Handlers are detached rather than
/// joined, because a list of their handles would count as memory of the connections.
static OPEN: AtomicU64 = AtomicU64::new(0);

/// Moves to a core, if given, sets a time limit in seconds, and sets the number of
/// connections to wait for.
pub(crate) fn begin(core: Option<usize>, limit: u32, connections: u64) -> io::Result<()> {
    // No server outlives the run, even if the client dies.
    set_pdeathsig(Signal::SIGKILL)?;
    alarm::set(limit);
    if let Some(core) = core {
        pin_to_core(core)?;
    }
    raise_descriptor_limit()?;
    OPEN.store(connections, Ordering::Relaxed);
    Ok(())
}

/// Prints the port for the client.
pub(crate) fn announce(addr: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{}", addr.port())?;
    out.flush()
}

/// Counts a closed connection, and exits after the last one.
pub(crate) fn closed() {
    if OPEN.fetch_sub(1, Ordering::Relaxed) == 1 {
        process::exit(0);
    }
}
