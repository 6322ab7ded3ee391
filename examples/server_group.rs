//! An echo server that serves each connection in a task of a group, also called a nursery.
//!
//! ```sh
//! cargo run -p coreloop-examples --example server_group
//! ```
//!
//! Talk to it with `nc 127.0.0.1 7777`. The group frees a task when it has finished, so the
//! server may accept connections for years. Ctrl-C cancels the group, and the program
//! ends when it has said goodbye to every client.

use std::io;

use clap::Parser;
use coreloop::cleanup::AsyncGuard;
use coreloop::net::{TcpListener, TcpStream};
use coreloop::scope::TaskGroup;
use coreloop::select;
use coreloop::signal::unix::{SignalKind, signal};

/// The maximum number of clients served at a time. Others wait in the kernel's queue.
const MOST: usize = 1000;

/// Sends back what it receives.
#[derive(Parser)]
struct Options {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:7777")]
    addr: String,
}

async fn echo(stream: TcpStream) -> io::Result<()> {
    let mut client = AsyncGuard::new(stream, async |mut stream: TcpStream| {
        // The client may have disconnected.
        let _ = stream.write_all(b"goodbye\n").await;
    });
    let mut buffer = [0; 4096];
    while let count @ 1.. = client.read(&mut buffer).await? {
        client.write_all(&buffer[..count]).await?;
    }
    Ok(())
}

#[coreloop::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind(Options::parse().addr).await?;
    println!("listening on {}", listener.local_addr()?);
    let mut interrupt = signal(SignalKind::interrupt())?;
    // In a supervisor, a task that fails does not cancel the others.
    let mut clients = TaskGroup::supervisor();
    let mut served = 0_u64;
    loop {
        select! {
            accepted = listener.accept(), if clients.len() < MOST => {
                drop(clients.spawn(echo(accepted?.0)));
                served += 1;
            }
            Some(()) = clients.join_next() => {}
            _ = interrupt.recv() => break,
        }
    }
    println!("served {served} clients, {} are still here", clients.len());
    clients.cancel();
    if let Err(errors) = clients.join().await {
        println!("{errors}");
    }
    Ok(())
}
