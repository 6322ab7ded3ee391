//! Happy eyeballs, as in RFC 8305: connects to the first of several addresses
//! that answers.
//!
//! ```sh
//! cargo run -p coreloop-examples --example happy_eyeballs
//! ```
//!
//! Each attempt starts a moment after the previous one, or at once when the previous one
//! has failed. The first connection wins, and the other attempts are dropped.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use coreloop::net::{TcpListener, TcpSocket, TcpStream};
use coreloop::scope::as_completed;
use coreloop::sync::Event;
use coreloop::time::timeout;

const HEAD_START: Duration = Duration::from_millis(250);

async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let failed: Vec<_> = addresses.iter().map(|_| Event::new()).collect();
    let mut attempts = as_completed(addresses.iter().enumerate().map(async |(at, address)| {
        for earlier in &failed[..at] {
            // Waits until the earlier attempt has failed or has had its head start.
            let _ = timeout(HEAD_START, earlier.wait()).await;
        }
        TcpStream::connect(address)
            .await
            .inspect_err(|_| failed[at].set())
    }));
    let mut last = io::Error::other("no address");
    while let Some(result) = attempts.next().await {
        match result {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[coreloop::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let good = listener.local_addr()?;
    // The first address has no listener. The second one never answers, because its queue
    // is full.
    let closed = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let full = TcpSocket::new_v4()?;
    full.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let full = full.listen(0)?;
    let silent = full.local_addr()?;
    let _queued = TcpStream::connect(silent).await?;

    let stream = connect(&[closed, silent, good]).await?;
    println!("connected to {}", stream.peer_addr()?);
    assert_eq!(stream.peer_addr()?, good);
    Ok(())
}
