//! A WebSocket server that sends back each message, with tungstenite.
//!
//! Run it with
//!
//! ```sh
//! cargo run --release -p coreloop-ecosystem --example websocket_echo
//! ```
//!
//! and talk to it from a browser's console:
//!
//! ```js
//! let socket = new WebSocket("ws://127.0.0.1:7781");
//! socket.onmessage = (message) => console.log(message.data);
//! socket.send("hello");
//! ```

use std::io;

use async_tungstenite::accept_async_with_config;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use async_tungstenite::tungstenite::{Error, Message};
use clap::Parser;
use coreloop::net::{TcpListener, TcpStream};
use futures_util::StreamExt;

/// The maximum size of a message. The default of tungstenite is 64 MiB per connection.
const LARGEST: usize = 1 << 20;

/// Sends back each message.
#[derive(Parser)]
struct Options {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:7781")]
    addr: String,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    coreloop::block_on(serve(&options.addr))
}

async fn serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        coreloop::spawn(async move {
            if let Err(error) = echo(stream).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

async fn echo(stream: TcpStream) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().max_message_size(Some(LARGEST));
    let mut socket = accept_async_with_config(stream, Some(config)).await?;
    // Reading answers pings and the closing handshake.
    while let Some(message) = socket.next().await {
        if let message @ (Message::Text(_) | Message::Binary(_)) = message? {
            socket.send(message).await?;
        }
    }
    Ok(())
}
