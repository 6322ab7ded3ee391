//! Uses sockets, and returns the time that it took. The parent module imports them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::{TcpListener, TcpStream, UdpSocket, UnixStream, spawn};
use crate::bytes::{Bytes, ask, echo as echo_all};

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// The size of a message, if the size is not the parameter.
const MESSAGE: usize = 64;
const WORKS: &str = "loopback works";

pub(crate) async fn tcp_ping_pong(bytes: usize, pieces: u64) -> Duration {
    let mut pairs = tcp_pairs(1).await.expect(WORKS);
    let (client, server) = pairs.remove(0);
    ping_pong(client, server, bytes, pieces).await.expect(WORKS)
}

pub(crate) async fn unix_ping_pong(bytes: usize, pieces: u64) -> Duration {
    let (client, server) = UnixStream::pair().expect(WORKS);
    ping_pong(client, server, bytes, pieces).await.expect(WORKS)
}

/// Sends one message after another between two tasks.
async fn ping_pong(
    mut client: impl Bytes,
    server: impl Bytes,
    bytes: usize,
    pieces: u64,
) -> io::Result<Duration> {
    let server = spawn(echo_all(server));
    let client = spawn(async move {
        let start = Instant::now();
        ask(&mut client, bytes, pieces).await?;
        io::Result::Ok(start.elapsed())
    });
    let elapsed = client.await.map_err(io::Error::other)??;
    server.await.map_err(io::Error::other)??;
    Ok(elapsed)
}

pub(crate) async fn udp_ping_pong(bytes: usize, pieces: u64) -> Duration {
    let (client, server) = udp_pair().await.expect(WORKS);
    let server = spawn(async move {
        let mut buffer = vec![0; bytes];
        for _ in 0..pieces {
            let count = server.recv(&mut buffer).await?;
            server.send(&buffer[..count]).await?;
        }
        io::Result::Ok(())
    });
    let client = spawn(async move {
        let mut buffer = vec![b'x'; bytes];
        let start = Instant::now();
        for _ in 0..pieces {
            client.send(&buffer).await?;
            client.recv(&mut buffer).await?;
        }
        io::Result::Ok(start.elapsed())
    });
    let elapsed = client.await.expect("it does not panic").expect(WORKS);
    server.await.expect("it does not panic").expect(WORKS);
    elapsed
}

/// Echoes over each of a number of connections.
pub(crate) async fn echo(connections: usize, pieces: u64) -> Duration {
    let mut clients = Vec::with_capacity(connections);
    let mut servers = Vec::with_capacity(connections);
    for (client, server) in tcp_pairs(connections).await.expect(WORKS) {
        clients.push(client);
        servers.push(spawn(echo_all(server)));
    }
    let start = Instant::now();
    let clients: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            spawn(async move {
                ask(&mut client, MESSAGE, pieces).await?;
                io::Result::Ok(client)
            })
        })
        .collect();
    let mut connected = Vec::with_capacity(connections);
    for client in clients {
        connected.push(client.await.expect("it does not panic").expect(WORKS));
    }
    let elapsed = start.elapsed();
    drop(connected);
    for server in servers {
        server.await.expect("it does not panic").expect(WORKS);
    }
    elapsed
}

/// Lets tasks connect, be accepted and close. Both ends close by a reset, because otherwise
/// ports would have to rest, and there are not enough of them.
pub(crate) async fn connect(tasks: usize, pieces: u64) -> Duration {
    let listener = TcpListener::bind(ANY_PORT).await.expect(WORKS);
    let address = listener.local_addr().expect(WORKS);
    let start = Instant::now();
    let server = spawn(async move {
        for _ in 0..tasks as u64 * pieces {
            drop(listener.accept().await?);
        }
        io::Result::Ok(())
    });
    let clients: Vec<_> = (0..tasks)
        .map(|_| {
            spawn(async move {
                for _ in 0..pieces {
                    let mut stream = TcpStream::connect(address).await?;
                    assert_eq!(stream.read_some(&mut [0]).await?, 0);
                    stream.set_zero_linger()?;
                }
                io::Result::Ok(())
            })
        })
        .collect();
    for client in clients {
        client.await.expect("it does not panic").expect(WORKS);
    }
    server.await.expect("it does not panic").expect(WORKS);
    start.elapsed()
}

async fn tcp_pairs(count: usize) -> io::Result<Vec<(TcpStream, TcpStream)>> {
    let listener = TcpListener::bind(ANY_PORT).await?;
    let address = listener.local_addr()?;
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        let client = TcpStream::connect(address).await?;
        let (server, _) = listener.accept().await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        pairs.push((client, server));
    }
    Ok(pairs)
}

async fn udp_pair() -> io::Result<(UdpSocket, UdpSocket)> {
    let one = UdpSocket::bind(ANY_PORT).await?;
    let other = UdpSocket::bind(ANY_PORT).await?;
    one.connect(other.local_addr()?).await?;
    other.connect(one.local_addr()?).await?;
    Ok((one, other))
}
