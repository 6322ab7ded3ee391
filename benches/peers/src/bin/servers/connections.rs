//! A connection for each request: the cost of accepting, reading, writing and closing
//! together.

use std::io;

use clap::Args;

use crate::client::{self, Exchange};
use crate::contest::{self, Connections, Contestant, Turn, Turns};
use crate::http;
use crate::serve::{Runtime, Service};

/// The bound on the CPU time per request, in times tokio's.
const BOUND: f64 = 0.97;

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How many requests are in flight at once.
    #[arg(long, default_value_t = 64)]
    at_once: usize,
    /// How many requests make a turn.
    #[arg(long, default_value_t = 4000)]
    requests: u64,
    #[command(flatten)]
    turns: Turns,
}

pub(crate) fn measure(options: &Options) -> io::Result<()> {
    let bytes = Exchange {
        request: vec![b'x'; 64],
        reply: 64,
        closes: true,
    };
    let title = "a connection per request, 64 bytes each way";
    measure_service(options, title, Service::Answer, &bytes)?;
    let title = "a connection per request, hyper, \"Connection: close\"";
    measure_service(options, title, Service::Http, &http::exchange(true))
}

fn measure_service(
    options: &Options,
    title: &str,
    service: Service,
    exchange: &Exchange,
) -> io::Result<()> {
    let contestants =
        [Runtime::Coreloop, Runtime::Tokio].map(|runtime| Contestant::new(service, runtime));
    let turn = Turn {
        requests: options.requests,
        connections: Connections::PerRequest,
    };
    let in_rounds = options.turns.instructions;
    let scores = contest::run(title, &options.turns, turn, &contestants, |port| {
        client::drive(port, options.at_once, exchange.clone(), in_rounds)
    })?;
    if let Some([own, tokio]) = scores.as_deref() {
        contest::judge_cpu(title, own, tokio, BOUND);
    }
    Ok(())
}
