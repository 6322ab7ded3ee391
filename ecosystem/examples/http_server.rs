//! An HTTP server: it answers each request with a greeting.
//!
//! Run it with
//!
//! ```sh
//! cargo run --release -p coreloop-ecosystem --example http_server
//! ```
//!
//! and send it a request with `curl http://127.0.0.1:8080/`. Ctrl-C stops it when the
//! open requests have been answered.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use coreloop::net::TcpListener;
use coreloop::signal::unix::{SignalKind, signal};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};

/// The time that open requests have to finish after Ctrl-C.
const GRACE: Duration = Duration::from_secs(3);

/// Answers each request with a greeting.
#[derive(Parser)]
struct Options {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8080")]
    addr: String,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    coreloop::block_on(serve(&options.addr))
}

async fn serve(address: &str) -> io::Result<()> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
    let bound = listener.local_addr()?;
    println!("listening on {bound}; try: curl http://{bound}/");

    // One thread serves all connections, so a cell suffices as a counter.
    let served = Rc::new(Cell::new(0_u64));
    let counter = Rc::clone(&served);
    let hello = service_fn(move |_: Request<Incoming>| {
        counter.set(counter.get() + 1);
        let body = Full::new(Bytes::from_static(b"Hello, World!"));
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    coreloop::hyper::serve(listener, hello)
        .with_graceful_shutdown(async move {
            interrupts.recv().await;
        })
        .grace_period(GRACE)
        .on_error(|peer, error| eprintln!("{peer}: {error}"))
        .await?;
    println!("requests answered: {}", served.get());
    Ok(())
}
