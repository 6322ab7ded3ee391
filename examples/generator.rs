//! An async generator over the lines of a socket.
//!
//! ```sh
//! cargo run -p coreloop-examples --example generator
//! ```
//!
//! The function `lines` yields each line that it reads. It returns a stream, so
//! `for_await!` loops over it. When the reader has seen enough, it closes the generator,
//! whose code after the loop then says goodbye to the peer.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use coreloop::net::{TcpListener, TcpStream};
use coreloop::stream::{TryGen, try_stream};
use coreloop::{for_await, join};

fn lines(mut socket: TcpStream) -> TryGen<String, io::Error, impl Future<Output = io::Result<()>>> {
    try_stream(async move |mut co| {
        let (mut pending, mut buffer) = (Vec::new(), [0; 512]);
        'reading: loop {
            while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line[..end]).into_owned();
                if co.yield_(line).await.is_err() {
                    break 'reading;
                }
            }
            match socket.read(&mut buffer).await? {
                0 => return Ok(()),
                read => pending.extend_from_slice(&buffer[..read]),
            }
        }
        socket.write_all(b"that will do\n").await
    })
}

async fn poet(address: SocketAddr) -> io::Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    socket
        .write_all(b"roses are red\nviolets are blue\nsugar is sweet\nand ...\n")
        .await?;
    for_await!(line in lines(socket) {
        println!("the poet hears: {}", line?);
    });
    Ok(())
}

async fn reader(listener: TcpListener) -> io::Result<()> {
    let (socket, peer) = listener.accept().await?;
    let mut lines = pin!(lines(socket));
    let mut read = 0;
    for_await!(line in lines.as_mut() {
        println!("{}: {}", peer.ip(), line?);
        read += 1;
        if read == 3 {
            break;
        }
    });
    lines.close().await
}

#[coreloop::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (sent, read) = join!(poet(address), reader(listener));
    sent.and(read)
}
