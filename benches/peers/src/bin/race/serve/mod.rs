//! The servers of the race: the servers of `instructions` and `cpu`, with larger buffers,
//! and a bare loop that copes with a full socket.

mod bare;
#[path = "../../../server/compio.rs"]
mod compio;
#[path = "../../../server/coreloop.rs"]
mod coreloop;
#[path = "../../../server/glommio.rs"]
mod glommio;
#[path = "../../../server/monoio.rs"]
mod monoio;
#[path = "../../../server/options.rs"]
mod options;
#[path = "../../../server/runtime.rs"]
mod runtime;
#[path = "../../../server/smol.rs"]
mod smol;
#[path = "../../../server/tokio.rs"]
mod tokio;

use std::io;

use clap::ValueEnum;

pub(crate) use self::runtime::Runtime;
use crate::child::Server;
use crate::report;
use crate::serving::{ANY_PORT, announce, begin, closed};

/// The names of all servers on the command line.
pub(crate) const EVERYBODY: [&str; 7] = [
    "bare", "coreloop", "tokio", "monoio", "smol", "compio", "glommio",
];

/// The buffer of each connection. Except for the largest messages, the buffer is larger
/// than the messages that it receives, so that a read of all available bytes is a short
/// read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Buffer {
    #[value(name = "1024")]
    Bytes1024,
    #[value(name = "4096")]
    Bytes4096,
    #[value(name = "16384")]
    Bytes16384,
}

pub(crate) type Options = options::Options<Buffer>;

/// Returns the servers that this machine can run; prints which are left out.
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

/// Serves until all connections have closed, and then exits the process.
pub(crate) fn serve(options: &Options) -> io::Result<()> {
    begin(options.core, options.limit, options.connections as u64)?;
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
