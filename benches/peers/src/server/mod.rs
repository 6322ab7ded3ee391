//! One echo server per runtime, all with the same handler: it reads into a buffer of `N`
//! bytes, and writes back the bytes read.
//!
//! A server runs in its own process, so that its CPU time, memory and instructions can be
//! measured. It binds a free port of 127.0.0.1, prints it, accepts a given number of
//! connections, and exits when the last has closed.

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

/// The size of the handler's buffer: the one for the memory bound, or one that a message
/// never fills.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Buffer {
    /// A 64-byte message fills the buffer, so each echo needs a second `recv` that finds
    /// nothing.
    #[value(name = "64")]
    Bytes64,
    /// A 64-byte message is a short read, after which an edge-triggered loop knows that
    /// nothing is left.
    #[value(name = "1024")]
    Bytes1024,
}

pub(crate) type Options = options::Options<Buffer>;

/// Serves until all connections have closed, and then exits the process.
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
