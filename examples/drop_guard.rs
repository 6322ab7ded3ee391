//! A connection that says goodbye, however its task ends.
//!
//! ```sh
//! cargo run -p coreloop-examples --example drop_guard
//! ```
//!
//! A destructor cannot wait, so it cannot reliably write to a socket. An `AsyncGuard`
//! can: its task finishes only when the goodbye has been sent, whether the task returned,
//! failed, panicked or was aborted. The last client stays connected until Ctrl-C.

use std::future::pending;
use std::io;
use std::net::SocketAddr;

use coreloop::cleanup::AsyncGuard;
use coreloop::net::{TcpListener, TcpStream};
use coreloop::signal::unix::{SignalKind, signal};
use coreloop::{select, spawn};

type Connection = AsyncGuard<TcpStream, fn(TcpStream) -> Goodbye>;
type Goodbye = std::pin::Pin<Box<dyn Future<Output = ()>>>;

/// Connects, and says hello.
async fn connect(address: SocketAddr, name: &str) -> io::Result<Connection> {
    let stream = TcpStream::connect(address).await?;
    let mut connection: Connection = AsyncGuard::new(stream, |mut stream| {
        Box::pin(async move {
            // A cleanup has no caller to return an error to.
            let _ = say_goodbye(&mut stream).await;
        })
    });
    connection
        .write_all(format!("hello from {name}, ").as_bytes())
        .await?;
    Ok(connection)
}

/// Says goodbye, and waits until the peer has closed its side.
async fn say_goodbye(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"goodbye\n").await?;
    stream.shutdown().await?;
    stream.read(&mut [0]).await.map(drop)
}

#[coreloop::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = spawn(serve(listener));

    let returns = spawn(async move { connect(address, "one that returns").await.map(drop) });
    let fails = spawn(async move {
        let _connection = connect(address, "one that fails").await?;
        Err::<(), _>(io::Error::other("no luck"))
    });
    let panics = spawn(async move {
        let connection = connect(address, "one that panics").await;
        assert!(connection.is_err(), "this panic is part of the example");
    });
    let waits = spawn(async move {
        let _connection = connect(address, "one that is aborted").await;
        pending::<()>().await;
    });
    println!("{:?}\n{:?}", returns.await, fails.await);
    println!("{:?}", panics.await);
    println!("{:?}", waits.abort_and_wait().await);

    let _connection = connect(address, "one that ends with the program").await?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    println!("press Ctrl-C");
    select! {
        _ = interrupt.recv() => Ok(()),
        result = serving => result?,
    }
}

/// Prints what each client has sent.
async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        drop(spawn(async move {
            let (mut heard, mut buffer) = (Vec::new(), [0; 256]);
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                heard.extend_from_slice(&buffer[..count]);
            }
            print!("{}", String::from_utf8_lossy(&heard));
        }));
    }
}
