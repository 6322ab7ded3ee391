//! An echo server for operators: the program that the files of `examples/deployment` start under
//! systemd, in a container and in Kubernetes.
//!
//! ```sh
//! cargo run --release -p coreloop-examples --example deployed_echo -- --run-dir /tmp
//! ```
//!
//! Talk to it with `nc 127.0.0.1 7777`, and look at it with `curl 127.0.0.1:9100/metrics`. The
//! deployment guide explains each file, and what the signals do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use coreloop::net::TcpStream;
use coreloop::process::metrics::counter;
use coreloop::process::{Log, Supervisor, Worker};
use coreloop::select;
use coreloop::time::sleep;

/// Sends back what it receives.
#[derive(Parser)]
struct Options {
    /// Where to listen
    #[arg(long, default_value = "0.0.0.0:7777")]
    addr: String,
    /// Serves the socket that systemd has bound for `echo.socket`, instead of `addr`
    #[arg(long)]
    activated: bool,
    /// Where to answer health checks and Prometheus
    #[arg(long, default_value = "0.0.0.0:9100")]
    observe: String,
    /// An existing folder for the control socket and the pid file
    #[arg(long, default_value = "/run/echo")]
    run_dir: PathBuf,
    /// The file that the log goes to, instead of the standard output and error
    #[arg(long)]
    log_file: Option<PathBuf>,
}

/// Each worker process runs this too, up to `run`.
fn main() -> io::Result<()> {
    let options = Options::parse();
    // By an argument and not by `LISTEN_FDS`: workers and upgraded programs get the
    // arguments, but not that variable.
    let supervisor = if options.activated {
        // The value of `FileDescriptorName=`, or else the name of the unit.
        Supervisor::new().bind_activated("echo.socket")?
    } else {
        Supervisor::new().bind(options.addr)?
    };
    let log = match options.log_file {
        Some(path) => Log::text().timestamps(true).file(path),
        None => Log::text(),
    };
    supervisor
        .name("echo")
        .observe(options.observe)?
        .control(options.run_dir.join("control.sock"))
        .pid_file(options.run_dir.join("pid"))
        .log(log)
        .drain_delay(Duration::from_secs(5))
        .drain(Duration::from_secs(30))
        .run(serve)
}

async fn serve(worker: Worker) -> io::Result<()> {
    let connections = counter("echo_connections").help("Connections that were served.");
    let listener = worker.listener(0)?;
    // When the worker drains, `accept` returns `None`. The worker then waits for its tasks.
    while let Some((stream, peer)) = listener.accept().await? {
        connections.inc();
        let worker = worker.clone();
        coreloop::spawn(async move {
            if let Err(error) = echo(stream, &worker).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
    Ok(())
}

async fn echo(mut stream: TcpStream, worker: &Worker) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        // When the worker drains, a connection ends on which no message arrives for a second.
        let is_idle = async {
            worker.draining().await;
            sleep(Duration::from_secs(1)).await;
        };
        let count = select! {
            count = stream.read(&mut buffer) => count?,
            () = is_idle => return Ok(()),
        };
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
    }
}
