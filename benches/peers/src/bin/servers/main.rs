//! The cost of servers on coreloop and on its peers: HTTP, a connection for each request,
//! bulk, and TLS.
//!
//! A separate binary, like `timers`: the code that it instantiates would change how the
//! compiler divides and inlines the code whose instructions `instructions` counts.
//! `README.md` describes the measurements.

mod bulk;
#[path = "../../callgrind.rs"]
mod callgrind;
#[path = "../../child.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod child;
mod client;
mod connections;
mod contest;
mod http;
mod identity;
#[path = "../../report.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod report;
#[path = "../../samples.rs"]
mod samples;
mod serve;
#[path = "../../serving.rs"]
mod serving;
mod tls;

use std::io;

use clap::{Parser, Subcommand};

/// Measures servers on coreloop and on its peers.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// hyper answers "Hello, World!": server CPU time per request.
    Http(http::Options),
    /// A connection for each request: server CPU time per request.
    Connections(connections::Options),
    /// 16 KiB echoes, and a stream through a proxy: throughput.
    Bulk(bulk::Options),
    /// 64 KiB echoes over TLS: throughput.
    Tls(tls::Options),
    /// Serves, prints its port, and exits when a given number of connections has closed.
    Serve(serve::Options),
}

fn main() -> io::Result<()> {
    match Arguments::parse().command {
        Command::Http(options) => http::measure(&options),
        Command::Connections(options) => connections::measure(&options),
        Command::Bulk(options) => bulk::measure(&options),
        Command::Tls(options) => tls::measure(&options),
        Command::Serve(options) => serve::serve(&options),
    }
}
