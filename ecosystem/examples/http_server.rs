//! An HTTP server: it greets whoever asks.
//!
//! Run it with
//!
//! ```sh
//! cargo run --release -p coreloop-ecosystem --example http_server
//! ```
//!
//! and ask it with `curl http://127.0.0.1:8080/`. Ctrl-C stops it, once the
//! requests that it is at are answered.

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

/// How long requests may go on after Ctrl-C.
const GRACE: Duration = Duration::from_secs(3);

/// Greets whoever asks.
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

    // One thread serves all, so a plain cell does to count.
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
