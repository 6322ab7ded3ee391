//! What every server does that is a process of its own: it binds a free port of
//! 127.0.0.1, prints it, and exits when as many connections as it was told to
//! expect have closed.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::alarm;

use crate::child::{pin_to_core, raise_descriptor_limit};

/// Where every server binds.
pub(crate) const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// Connections that are still to close. Handlers are detached rather than
/// joined, since a list of their handles would count as memory of the
/// connections.
static OPEN: AtomicU64 = AtomicU64::new(0);

/// Settles on a core, if that is given, for so many seconds at most, and waits for
/// so many connections to close.
pub(crate) fn begin(core: Option<usize>, limit: u32, connections: u64) -> io::Result<()> {
    // Whatever becomes of the client, no server outlives the run.
    set_pdeathsig(Signal::SIGKILL)?;
    alarm::set(limit);
    if let Some(core) = core {
        pin_to_core(core)?;
    }
    raise_descriptor_limit()?;
    OPEN.store(connections, Ordering::Relaxed);
    Ok(())
}

/// Tells the client where to connect.
pub(crate) fn announce(addr: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{}", addr.port())?;
    out.flush()
}

/// Notes that a connection has closed, and exits with the last.
pub(crate) fn closed() {
    if OPEN.fetch_sub(1, Ordering::Relaxed) == 1 {
        process::exit(0);
    }
}
