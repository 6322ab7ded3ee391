//! A UDP echo server: it sends every datagram back to where it came from.
//!
//! Run it with
//!
//! ```sh
//! cargo run --release -p coreloop-examples --example udp_echo
//! ```
//!
//! and talk to it with `nc -u 127.0.0.1 7777`. Ctrl-C stops it.

use std::io;

use clap::Parser;
use coreloop::net::UdpSocket;
use coreloop::select;
use coreloop::signal::unix::{SignalKind, signal};

/// The buffer's size, larger than any datagram, so that none is truncated.
const LONGEST: usize = 65_536;

/// Sends every datagram back.
#[derive(Parser)]
struct Options {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:7777")]
    addr: String,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    coreloop::block_on(serve(&options.addr))
}

async fn serve(address: &str) -> io::Result<()> {
    let socket = UdpSocket::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
    let bound = socket.local_addr()?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    println!(
        "listening on {bound}; try: nc -u {} {}",
        bound.ip(),
        bound.port()
    );

    let mut served = 0_u64;
    select! {
        result = echo(&socket, &mut served) => result?,
        _ = interrupt.recv() => {}
    }
    println!("served {served} datagrams");
    Ok(())
}

async fn echo(socket: &UdpSocket, served: &mut u64) -> io::Result<()> {
    let mut buffer = vec![0; LONGEST];
    loop {
        let (count, from) = socket.recv_from(&mut buffer).await?;
        // An error of one peer does not affect the others.
        match socket.send_to(&buffer[..count], from).await {
            Ok(_) => *served += 1,
            Err(error) => eprintln!("{from}: {error}"),
        }
    }
}
