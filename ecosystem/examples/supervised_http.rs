//! An HTTP server with a process for each core, supervised by a master.
//!
//! Run it with
//!
//! ```sh
//! cargo run --release -p coreloop-ecosystem --example supervised_http
//! ```
//!
//! and send it a request with `curl http://127.0.0.1:8080/`. If you kill a worker, another
//! takes its place; `kill -HUP` of the master replaces all workers, and no request fails.
//! Ctrl-C stops the server when the open requests have been answered.

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

/// The time within which an active client sends its next request.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// Answers each request with a greeting, from several processes.
#[derive(Parser)]
struct Options {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8080")]
    addr: String,
    /// How many processes serve; by default one for each core
    #[arg(long)]
    workers: Option<u32>,
    /// How many milliseconds requests have to finish when their worker ends
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

/// Serves until the worker has to end. Then closes each connection with its next
/// response, or when no further request arrives.
async fn serve(worker: Worker) -> io::Result<()> {
    let (slot, generation) = (worker.slot(), worker.generation());
    let greet = service_fn(move |request: Request<Incoming>| async move {
        // `/slow/300` takes 300 milliseconds.
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
