//! The program that the chaos tests run. Each worker serves a TCP socket, a UDP socket and, if
//! asked for, a Unix socket. It sends its line, `pid slot generation`, as soon as it has accepted a
//! connection, once more for each byte of the connection, and as the answer to each datagram.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use clap::Parser;
use coreloop::net::{TcpStream, UdpSocket, UnixStream};
use coreloop::process::{Restarts, Supervisor, Worker, Workers};

#[derive(Parser, Debug, Clone)]
struct Options {
    /// The number of worker processes.
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// The number of worker threads, instead of processes.
    #[arg(long)]
    threads: Option<u32>,
    #[arg(long)]
    control: PathBuf,
    #[arg(long)]
    unix: Option<PathBuf>,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let workers = match options.threads {
        Some(threads) => Workers::threads(threads),
        None => Workers::processes(options.workers),
    };
    // However often workers are killed, they are started again at once.
    let restarts = Restarts::new()
        .max_immediate(u32::MAX)
        .min_wait(Duration::from_millis(10))
        .max_failed_starts(u32::MAX);
    let mut supervisor = Supervisor::new()
        .name("chaos")
        .workers(workers)
        .restarts(restarts)
        .control(&options.control)
        .bind("127.0.0.1:0")?
        .bind_udp("127.0.0.1:0")?;
    if let Some(path) = &options.unix {
        supervisor = supervisor.bind_unix(path)?;
    }
    if let (Some(tcp), Some(udp)) = (supervisor.local_addr(0), supervisor.local_addr(1)) {
        println!("listening on {tcp} and {udp}, master {}", process::id());
    }
    supervisor.run(async move |worker| serve(worker, options.unix.is_some()).await)
}

async fn serve(worker: Worker, unix: bool) -> io::Result<()> {
    let line = format!(
        "{} {} {}\n",
        process::id(),
        worker.slot(),
        worker.generation()
    );
    let listener = worker.listener(0)?;
    let unix_listener = unix.then(|| worker.unix_listener(2)).transpose()?;
    let datagrams = coreloop::spawn(answer(worker.udp_socket(1)?, worker.clone(), line.clone()));
    let unix_connections = coreloop::spawn({
        let line = line.clone();
        async move {
            let Some(listener) = unix_listener else {
                return Ok(());
            };
            while let Some((mut stream, _)) = listener.accept().await? {
                // Before the next connection is accepted, so that at most one is accepted and not
                // greeted. An error does not affect other connections.
                if stream.write_all(line.as_bytes()).await.is_ok() {
                    drop(coreloop::spawn(obey_unix(stream, line.clone())));
                }
            }
            io::Result::Ok(())
        }
    });
    while let Some((mut stream, _)) = listener.accept().await? {
        if stream.write_all(line.as_bytes()).await.is_ok() {
            drop(coreloop::spawn(obey_tcp(stream, line.clone())));
        }
    }
    unix_connections.await.map_err(io::Error::other)??;
    datagrams.await.map_err(io::Error::other)?
}

async fn obey_tcp(mut stream: TcpStream, line: String) -> io::Result<()> {
    while stream.read(&mut [0]).await? == 1 {
        stream.write_all(line.as_bytes()).await?;
    }
    Ok(())
}

async fn obey_unix(mut stream: UnixStream, line: String) -> io::Result<()> {
    while stream.read(&mut [0]).await? == 1 {
        stream.write_all(line.as_bytes()).await?;
    }
    Ok(())
}

async fn answer(socket: UdpSocket, worker: Worker, line: String) -> io::Result<()> {
    let mut request = [0];
    loop {
        let received: (usize, SocketAddr) = coreloop::select! {
            received = socket.recv_from(&mut request) => received?,
            () = worker.draining() => return Ok(()),
        };
        // An error of one peer does not affect the others.
        let _ = socket.send_to(line.as_bytes(), received.1).await;
    }
}
