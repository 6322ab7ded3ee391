//! Echo over TCP, with the client inside the server.
//!
//! The handler that answers last in a round calls the client, which reads all replies and
//! sends the next messages, and returns when all have arrived. So each wait of the loop
//! ends with a message on every connection, and all rounds are the same, whatever else the
//! machine does. callgrind does not count [`Client::answered`], and the calls between its
//! two marks are removed from strace's list; the rest is the server.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::net;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use coreloop::Runtime;
use coreloop::net::{TcpListener, TcpStream};
use coreloop::spawn;
use coreloop::sync::Notify;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::getppid;

/// The number of connections.
pub(crate) const CONNECTIONS: u64 = 16;
/// The pattern by which callgrind finds [`Client::answered`] among the functions.
pub(crate) const CLIENT: &str = "*Client*answered*";
/// The system call that marks the begin and the end of the client's work.
pub(crate) const MARK: &str = "getppid";
/// The length of every message.
const MESSAGE: usize = 64;
/// The size of the buffer. A message is a short read, which shows that no more is there.
const BUFFER: usize = 1024;

/// Echoes `times` messages.
pub(super) fn serve(times: u64) -> io::Result<()> {
    Runtime::new()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut client = Client::new(times / CONNECTIONS);
        let mut accepted = Vec::new();
        for _ in 0..CONNECTIONS {
            // The kernel connects it before it is accepted.
            let stream = net::TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            let (other_end, _) = listener.accept().await?;
            client
                .arrivals
                .push(other_end.as_fd().try_clone_to_owned()?);
            client.streams.get_mut().push(stream);
            accepted.push(other_end);
        }
        let client = Rc::new(client);
        for stream in accepted {
            let client = Rc::clone(&client);
            spawn(async move { echo(stream, &client).await.expect("the client is there") });
        }
        client.send()?;
        client.over.notified().await;
        Ok(())
    })
}

async fn echo(mut stream: TcpStream, client: &Client) -> io::Result<()> {
    let mut buffer = [0; BUFFER];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
        client.answered();
    }
}

struct Client {
    streams: RefCell<Vec<net::TcpStream>>,
    /// The server's ends, which show when messages have arrived.
    arrivals: Vec<OwnedFd>,
    /// How many messages of this round were answered.
    answers: Cell<u64>,
    /// How many rounds are left, this one included.
    rounds: Cell<u64>,
    over: Notify,
}

impl Client {
    fn new(rounds: u64) -> Client {
        Client {
            streams: RefCell::default(),
            arrivals: Vec::new(),
            answers: Cell::new(0),
            rounds: Cell::new(rounds),
            over: Notify::new(),
        }
    }

    /// Counts an answered message. The last one of a round starts the next round.
    #[inline(never)]
    fn answered(&self) {
        self.answers.set(self.answers.get() + 1);
        if self.answers.get() < CONNECTIONS {
            return;
        }
        self.answers.set(0);
        self.rounds.set(self.rounds.get() - 1);
        mark();
        self.receive().expect("the replies come");
        if self.rounds.get() > 0 {
            self.send().expect("the messages go");
        }
        mark();
        if self.rounds.get() == 0 {
            self.over.notify_one();
        }
    }

    fn receive(&self) -> io::Result<()> {
        for stream in &mut *self.streams.borrow_mut() {
            stream.read_exact(&mut [0; MESSAGE])?;
        }
        Ok(())
    }

    /// Sends a message on every connection, and waits until all have arrived.
    fn send(&self) -> io::Result<()> {
        for stream in &mut *self.streams.borrow_mut() {
            stream.write_all(&[b'x'; MESSAGE])?;
        }
        for arrival in &self.arrivals {
            poll(&mut [PollFd::new(arrival, PollFlags::IN)], None)?;
        }
        Ok(())
    }
}

/// Leaves a mark in strace's list.
fn mark() {
    let _ = getppid();
}
