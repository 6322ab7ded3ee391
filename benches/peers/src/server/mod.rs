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
mod options;
mod runtime;
mod smol;
mod tokio;

use std::io;

use clap::ValueEnum;

pub(crate) use self::runtime::Runtime;
use crate::serving::{ANY_PORT, announce, begin, closed};

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

pub(crate) type Options = options::Options<Buffer>;

/// Serves until all connections have closed, and exits the process then.
pub(crate) fn serve(options: &Options) -> io::Result<()> {
    begin(options.core, options.limit, options.connections as u64)?;
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
