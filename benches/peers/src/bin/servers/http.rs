//! HTTP/1.1 with hyper: "Hello, World!" over connections that are kept open.

use std::io::{self, ErrorKind};
use std::process::Command;

use clap::Args;

use crate::client::{self, Exchange};
use crate::contest::{self, Connections, Contestant, Drive, Turn, Turns};
use crate::serve::{Runtime, Service};

/// The bound on the CPU time per request, in times tokio's.
const BOUND: f64 = 0.98;

/// An answer of hyper, with some date.
const REPLY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\
                     date: Sat, 21 Nov 2026 00:00:00 GMT\r\n\r\nHello, World!";

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How many connections.
    #[arg(long, default_value_t = 64)]
    connections: u64,
    /// How many seconds make a turn of `wrk`.
    #[arg(long, default_value_t = 1)]
    seconds: u32,
    /// Drives the servers with the client of the other measurements, not with `wrk`.
    #[arg(long)]
    own_client: bool,
    /// How many requests make a turn of that client.
    #[arg(long, default_value_t = 16_000)]
    requests: u64,
    #[command(flatten)]
    turns: Turns,
}

pub(crate) fn measure(options: &Options) -> io::Result<()> {
    for (service, title) in [
        (Service::Http, "hyper"),
        (Service::HttpTimed, "hyper with a time limit for headers"),
    ] {
        measure_service(options, service, title)?;
    }
    Ok(())
}

fn measure_service(options: &Options, service: Service, title: &str) -> io::Result<()> {
    let contestants =
        [Runtime::Coreloop, Runtime::Tokio].map(|runtime| Contestant::new(service, runtime));
    let in_rounds = options.turns.instructions;
    let turn = Turn {
        requests: options.requests,
        connections: Connections::Kept(options.connections),
    };
    let scores = contest::run(title, &options.turns, turn, &contestants, |port| {
        if options.own_client || in_rounds {
            let connections = usize::try_from(options.connections).map_err(io::Error::other)?;
            client::drive(port, connections, exchange(false), in_rounds)
        } else {
            Ok(wrk(port, options.connections, options.seconds))
        }
    })?;
    if let Some([own, tokio]) = scores.as_deref() {
        contest::judge_cpu(title, own, tokio, BOUND);
    }
    Ok(())
}

/// Returns the request that `wrk` sends, and its reply.
pub(crate) fn exchange(closes: bool) -> Exchange {
    let close = if closes { "connection: close\r\n" } else { "" };
    Exchange {
        request: format!("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n{close}\r\n").into(),
        reply: REPLY.len() + close.len(),
        closes,
    }
}

/// Returns turns of `wrk`, on the core that this process keeps to.
fn wrk(port: u16, connections: u64, seconds: u32) -> Drive {
    Box::new(move |_| {
        let run = Command::new("wrk")
            .arg("-t1")
            .arg(format!("-c{connections}"))
            .arg(format!("-d{seconds}s"))
            .arg(format!("http://127.0.0.1:{port}/"))
            .output()
            .map_err(|error| {
                io::Error::new(error.kind(), format!("{error}: wrk, or use --own-client"))
            })?;
        let report = String::from_utf8_lossy(&run.stdout);
        requests_done(&report).ok_or_else(|| {
            io::Error::new(ErrorKind::InvalidData, format!("wrk reported: {report}"))
        })
    })
}

/// Returns the number in the line "N requests in 1.00s, 12.34MB read", or `None` if there
/// were errors.
fn requests_done(report: &str) -> Option<u64> {
    if report.contains("errors") || report.contains("Non-2xx") {
        return None;
    }
    let line = report.lines().find(|line| line.contains(" requests in "))?;
    line.split_whitespace().next()?.parse().ok()
}
