//! Echo over TCP, with the client inside the server.
//!
//! The handler that answers last in a round calls the client, which reads all
//! replies and sends the next messages, and returns when all have arrived. So each
//! wait of the loop ends with a message on every connection, and a round is the
//! same as any other, whatever else the machine does. callgrind does not count
//! what happens in [`Client::answered`], and from strace's list the calls between
//! its two marks are taken out; what is left is the server.

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

/// How many connections there are.
pub(crate) const CONNECTIONS: u64 = 16;
/// How callgrind finds [`Client::answered`] among the functions.
pub(crate) const CLIENT: &str = "*Client*answered*";
/// The system call before and after what the client does.
pub(crate) const MARK: &str = "getppid";
/// The length of every message.
const MESSAGE: usize = 64;
/// A message is a short read, which says that there is no more.
const BUFFER: usize = 1024;

/// Echoes so many messages.
pub(super) fn serve(times: u64) -> io::Result<()> {
    Runtime::new()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut client = Client::new(times / CONNECTIONS);
        let mut accepted = Vec::new();
        for _ in 0..CONNECTIONS {
            // The kernel connects it before anybody accepts.
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
    /// The server's ends, which tell when messages have arrived.
    arrivals: Vec<OwnedFd>,
    /// How many messages of this round were answered.
    answers: Cell<u64>,
    /// How many rounds are to come, this one included.
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

    /// One more message was answered.
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

/// Shows in strace's list.
fn mark() {
    let _ = getppid();
}
