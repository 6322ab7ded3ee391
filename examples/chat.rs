//! A chat server: it sends each line of a client to all other clients. A client that
//! reads too slowly learns how many lines it missed, and delays no other.
//!
//! Run it with
//!
//! ```sh
//! cargo run --release -p coreloop-examples --example chat
//! ```
//!
//! and join it from several terminals with `nc 127.0.0.1 7779`.

use std::io;
use std::rc::Rc;

use clap::Parser;
use coreloop::io::{AsyncBufReadExt, BufReader};
use coreloop::net::TcpListener;
use coreloop::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use coreloop::select;
use coreloop::sync::broadcast::{self, Receiver, Sender, error::RecvError};
use coreloop::task::yield_now;
use futures_lite::StreamExt;

/// The number of lines kept for clients that have not received them yet.
const KEPT: usize = 100;

/// Sends each line of a client to all other clients.
#[derive(Parser)]
struct Options {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:7779")]
    addr: String,
}

/// The number of the client that sent a line, and the line.
type Line = (u64, Rc<str>);

fn main() -> io::Result<()> {
    let options = Options::parse();
    coreloop::block_on(serve(&options.addr))
}

async fn serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
    println!("listening on {}", listener.local_addr()?);
    let (said, _) = broadcast::channel(KEPT);
    let mut number = 0;
    loop {
        let (stream, _) = listener.accept().await?;
        number += 1;
        let (said, heard) = (said.clone(), said.subscribe());
        say(&said, 0, format!("* {number} came"));
        coreloop::spawn(async move {
            let (reader, writer) = stream.into_split();
            let talked = select! {
                talked = speak(reader, number, &said) => talked,
                talked = listen(writer, number, heard) => talked,
            };
            if let Err(error) = talked {
                eprintln!("client {number}: {error}");
            }
            say(&said, 0, format!("* {number} left"));
        });
    }
}

async fn speak(reader: OwnedReadHalf, number: u64, said: &Sender<Line>) -> io::Result<()> {
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.try_next().await? {
        say(said, number, format!("{number}: {line}"));
        // A client that sends many lines at once must not keep the tasks of the others from
        // passing them on.
        yield_now().await;
    }
    Ok(())
}

async fn listen(
    mut writer: OwnedWriteHalf,
    number: u64,
    mut heard: Receiver<Line>,
) -> io::Result<()> {
    loop {
        match heard.recv().await {
            Ok((speaker, _)) if speaker == number => {}
            Ok((_, line)) => writer.write_all(line.as_bytes()).await?,
            Err(RecvError::Lagged(count)) => {
                let line = format!("* you missed {count} lines\n");
                writer.write_all(line.as_bytes()).await?;
            }
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

fn say(said: &Sender<Line>, number: u64, line: String) {
    // An error means that there are no receivers.
    let _ = said.send((number, (line + "\n").into()));
}
