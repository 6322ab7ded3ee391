//! Echo over loopback with 16 connections, against tokio: client and server are
//! tasks of one runtime.

#[path = "workload/contest.rs"]
mod contest;
#[path = "workload/samples.rs"]
mod samples;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::contest::Contest;

const CONNECTIONS: usize = 16;
const MESSAGE: usize = 64;

fn main() -> io::Result<()> {
    let mut coreloop = Coreloop::new()?;
    let mut tokio = Tokio::new()?;
    contest::run(&mut [Contest {
        name: "echo/16",
        operations: CONNECTIONS as u64,
        pieces: 200,
        coreloop: Box::new(move |rounds| coreloop.echo(rounds).expect("loopback echoes")),
        tokio: Box::new(move |rounds| tokio.echo(rounds).expect("loopback echoes")),
    }]);
    Ok(())
}

const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// A coreloop runtime with an echo server, and connections to that.
struct Coreloop {
    runtime: coreloop::Runtime,
    clients: Vec<coreloop::net::TcpStream>,
}

impl Coreloop {
    fn new() -> io::Result<Coreloop> {
        let runtime = coreloop::Runtime::new()?;
        let clients = runtime.block_on(async {
            let listener = coreloop::net::TcpListener::bind(ANY_PORT).await?;
            let addr = listener.local_addr()?;
            let mut clients = Vec::new();
            for _ in 0..CONNECTIONS {
                clients.push(coreloop::net::TcpStream::connect(addr).await?);
                let (mut stream, _) = listener.accept().await?;
                drop(coreloop::spawn(async move {
                    let mut buffer = [0; 1024];
                    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                        if stream.write_all(&buffer[..count]).await.is_err() {
                            break;
                        }
                    }
                }));
            }
            io::Result::Ok(clients)
        })?;
        Ok(Coreloop { runtime, clients })
    }

    /// Echoes so many times over every connection.
    fn echo(&mut self, rounds: u64) -> io::Result<Duration> {
        let clients = &mut self.clients;
        self.runtime.block_on(async {
            let start = Instant::now();
            let mut tasks = Vec::with_capacity(clients.len());
            for mut client in clients.drain(..) {
                tasks.push(coreloop::spawn(async move {
                    let mut buffer = [b'x'; MESSAGE];
                    for _ in 0..rounds {
                        client.write_all(&buffer).await?;
                        client.read_exact(&mut buffer).await?;
                    }
                    io::Result::Ok(client)
                }));
            }
            for task in tasks {
                clients.push(task.await.map_err(io::Error::other)??);
            }
            Ok(start.elapsed())
        })
    }
}

/// The same on tokio.
struct Tokio {
    runtime: tokio::runtime::Runtime,
    clients: Vec<tokio::net::TcpStream>,
}

impl Tokio {
    fn new() -> io::Result<Tokio> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let clients = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind(SocketAddr::from(ANY_PORT)).await?;
            let addr = listener.local_addr()?;
            let mut clients = Vec::new();
            for _ in 0..CONNECTIONS {
                clients.push(tokio::net::TcpStream::connect(addr).await?);
                let (mut stream, _) = listener.accept().await?;
                drop(tokio::spawn(async move {
                    let mut buffer = [0; 1024];
                    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                        if stream.write_all(&buffer[..count]).await.is_err() {
                            break;
                        }
                    }
                }));
            }
            io::Result::Ok(clients)
        })?;
        Ok(Tokio { runtime, clients })
    }

    fn echo(&mut self, rounds: u64) -> io::Result<Duration> {
        let clients = &mut self.clients;
        self.runtime.block_on(async {
            let start = Instant::now();
            let mut tasks = Vec::with_capacity(clients.len());
            for mut client in clients.drain(..) {
                tasks.push(tokio::spawn(async move {
                    let mut buffer = [b'x'; MESSAGE];
                    for _ in 0..rounds {
                        client.write_all(&buffer).await?;
                        client.read_exact(&mut buffer).await?;
                    }
                    io::Result::Ok(client)
                }));
            }
            for task in tasks {
                clients.push(task.await??);
            }
            Ok(start.elapsed())
        })
    }
}
