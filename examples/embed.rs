//! Drives a runtime from another event loop: here a bare `mio::Poll`.
//!
//! ```sh
//! cargo run --release -p coreloop-examples --example embed
//! ```
//!
//! The outer loop could be a GUI's or a game's. It waits for its own descriptors
//! (here a pipe that another thread writes to) and for the runtime's descriptor, and
//! runs a turn of the runtime after each wait.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use coreloop::Runtime;
use coreloop::net::{TcpListener, TcpStream};
use coreloop::time::sleep;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

const RUNTIME: Token = Token(0);
const PIPE: Token = Token(1);

fn main() -> io::Result<()> {
    let runtime = Runtime::new()?;
    let (mut reader, mut writer) = io::pipe()?;

    let mut poll = Poll::new()?;
    let registry = poll.registry();
    registry.register(
        &mut SourceFd(&runtime.as_raw_fd()),
        RUNTIME,
        Interest::READABLE,
    )?;
    registry.register(&mut SourceFd(&reader.as_raw_fd()), PIPE, Interest::READABLE)?;

    let task = runtime.spawn(conversation());
    let outsider = thread::spawn(move || writer.write_all(b"a byte of the outer loop's own"));

    let mut events = Events::with_capacity(16);
    while !task.is_finished() {
        // Where there is a timerfd, the outer loop needs no timeout for the runtime's
        // timers.
        let timer = (!cfg!(target_os = "linux"))
            .then(|| runtime.next_timer())
            .flatten();
        poll.poll(
            &mut events,
            timer.map(|at| at - coreloop::time::Instant::now()),
        )?;
        for event in &events {
            if event.token() == PIPE && event.is_readable() {
                let mut text = [0; 64];
                let count = reader.read(&mut text)?;
                println!("outer loop: {}", String::from_utf8_lossy(&text[..count]));
            }
        }
        // A turn with nothing to do costs little, so there is one after every wait.
        runtime.turn(Some(Duration::ZERO))?;
    }

    outsider.join().expect("the outsider does not panic")?;
    let echoed = runtime.block_on(task).map_err(io::Error::from)??;
    println!("runtime: {echoed} came back");
    Ok(())
}

/// Sends a message to itself over TCP, with a pause, to use sockets, timers and tasks.
async fn conversation() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    coreloop::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut buffer = [0; 64];
        let count = stream.read(&mut buffer).await?;
        stream.write_all(&buffer[..count]).await
    });
    let mut stream = TcpStream::connect(address).await?;
    sleep(Duration::from_millis(5)).await;
    stream.write_all(b"hello").await?;
    let mut buffer = [0; 64];
    let count = stream.read(&mut buffer).await?;
    Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
}
