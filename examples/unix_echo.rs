//! An echo server on a Unix socket: it prints the user of each client, and sends back what
//! it receives.
//!
//! Run it with
//!
//! ```sh
//! cargo run --release -p coreloop-examples --example unix_echo
//! ```
//!
//! and talk to it with `nc -U /tmp/unix_echo.sock`. Ctrl-C stops it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Parser;
use coreloop::net::{UnixListener, UnixStream};
use coreloop::select;
use coreloop::signal::unix::{SignalKind, signal};

/// Sends back what it receives.
#[derive(Parser)]
struct Options {
    /// Where to listen
    #[arg(long, default_value = "/tmp/unix_echo.sock")]
    path: PathBuf,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    coreloop::block_on(serve(&options.path))
}

async fn serve(path: &Path) -> io::Result<()> {
    let name = path.display();
    let listener = bind(path)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    println!("listening on {name}; try: nc -U {name}");
    select! {
        result = accept(&listener) => result?,
        _ = interrupt.recv() => {}
    }
    // The path would stay otherwise, and the next server could not bind it.
    fs::remove_file(path)
}

/// Binds `path`, and replaces a socket that a killed server has left there.
async fn bind(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            match UnixStream::connect(path).await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    fs::remove_file(path)?;
                    UnixListener::bind(path)
                }
                _ => Err(error),
            }
        }
        result => result,
    }
}

async fn accept(listener: &UnixListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let peer = stream.peer_cred()?;
        println!("user {} is here", peer.uid());
        coreloop::spawn(async move {
            // An error of one connection does not affect the others.
            if let Err(error) = echo(stream).await {
                eprintln!("user {}: {error}", peer.uid());
            }
        });
    }
}

async fn echo(mut stream: UnixStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
    }
}
