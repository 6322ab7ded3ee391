//! An HTTP server of several processes, one for each core, that a master supervises.
//!
//! Run it with
//!
//! ```sh
//! cargo run --release -p coreloop-ecosystem --example supervised_http
//! ```
//!
//! and ask it with `curl http://127.0.0.1:8080/`. Kill a worker, and another takes
//! its place; `kill -HUP` of the master replaces all of them, and no request fails.
//! Ctrl-C stops it, once the requests that it is at are answered.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use coreloop::process::{Supervisor, Worker, Workers};
use coreloop::time::sleep;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};

/// Clients that are at it ask again within this time.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// Greets whoever asks, from several processes.
#[derive(Parser)]
struct Options {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8080")]
    addr: String,
    /// How many processes; one for each core without it
    #[arg(long)]
    workers: Option<u32>,
    /// How many milliseconds requests may go on when their worker is to end
    #[arg(long, default_value_t = 10_000)]
    drain: u64,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let workers = options.workers.map_or(Workers::PerCore, Workers::processes);
    let supervisor = Supervisor::new()
        .workers(workers)
        .bind(&options.addr)?
        .drain(Duration::from_millis(options.drain));
    if let Some(address) = supervisor.local_addr(0) {
        println!(
            "process {}, listening on {address}; try: curl http://{address}/",
            std::process::id()
        );
    }
    supervisor.run(serve)
}

/// Serves until the worker is to end. Then each connection is closed with its next
/// response, or when no request comes any more.
async fn serve(worker: Worker) -> io::Result<()> {
    let (slot, generation) = (worker.slot(), worker.generation());
    let greet = service_fn(move |request: Request<Incoming>| async move {
        // `/slow/300` takes that many milliseconds.
        let slow = request.uri().path().strip_prefix("/slow/");
        if let Some(Ok(time)) = slow.map(str::parse) {
            sleep(Duration::from_millis(time)).await;
        }
        let greeting = format!("Hello from worker {slot}, generation {generation}\n");
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(greeting))))
    });
    coreloop::hyper::serve(worker.listener(0)?, greet)
        .last_request(LAST_REQUEST)
        .on_error(|peer, error| eprintln!("{peer}: {error}"))
        .await
}
