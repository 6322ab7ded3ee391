//! One client: it connects, asks, reads the answer and closes, again and again.

use std::cell::Cell;
use std::fmt;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::str::FromStr;
use std::time::{Duration, Instant};

use coreloop::net::TcpStream;
use coreloop::time::{sleep, timeout};

use crate::Storm;
use crate::tally::{Ending, How, Stage};

/// A client that was turned away lets the server come to itself.
const PAUSE: Duration = Duration::from_millis(1);

/// Who has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) pid: u32,
    pub(crate) slot: u32,
    generation: u32,
}

/// Connects again and again until the storm is over. An error is one of the
/// client's own, as if it has no descriptor left.
pub(crate) async fn run(storm: Rc<Storm>) -> io::Result<()> {
    while storm.begin() {
        let visit = Visit {
            storm: &storm,
            stage: Cell::new(Stage::Connecting),
            server: Cell::new(None),
            answers: Cell::new(0),
        };
        let Err(error) = visit.make().await else {
            continue;
        };
        let how = How::of(&error).ok_or(error)?;
        if how == How::Closed && visit.is_between_requests() {
            continue;
        }
        let stage = visit.stage.get();
        storm.failed(Ending { stage, how }, visit.server.get());
        sleep(PAUSE).await;
    }
    Ok(())
}

/// One connection.
struct Visit<'a> {
    storm: &'a Storm,
    stage: Cell<Stage>,
    /// Whose line was read last.
    server: Cell<Option<Server>>,
    answers: Cell<u64>,
}

impl Visit<'_> {
    async fn make(&self) -> io::Result<()> {
        let options = &self.storm.options;
        let mut start = Instant::now();
        let mut stream = self.patiently(TcpStream::connect(options.addr)).await?;
        if options.greeted {
            self.stage.set(Stage::Waiting);
            let _waiting = Waiting::begin(&self.storm.waiting);
            self.read_line(&mut stream).await?;
        }
        loop {
            self.stage.set(Stage::Asking);
            self.patiently(stream.write_all(b"p")).await?;
            self.stage.set(Stage::Awaiting);
            self.read_line(&mut stream).await?;
            self.answers.set(self.answers.get() + 1);
            self.storm.answered(start.elapsed())?;
            if !options.keep_alive || self.storm.over.get() {
                break;
            }
            start = Instant::now();
        }
        // All has been said. Without this the port would be taken for a minute,
        // and the next storm would find none.
        stream.set_zero_linger()
    }

    /// A server may end a connection after an answer, as it does when it drains.
    fn is_between_requests(&self) -> bool {
        self.answers.get() > 0 && self.stage.get() == Stage::Awaiting
    }

    async fn read_line(&self, stream: &mut TcpStream) -> io::Result<()> {
        let mut line = [0; 64];
        let mut length = 0;
        while !line[..length].ends_with(b"\n") {
            let count = self.patiently(stream.read(&mut line[length..])).await?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            length += count;
        }
        let line = str::from_utf8(&line[..length]).map_err(io::Error::other)?;
        let server = line.parse()?;
        self.server.set(Some(server));
        self.storm.met(server)
    }

    async fn patiently<T>(&self, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let patience = Duration::from_secs_f64(self.storm.options.patience);
        let in_time = timeout(patience, step).await;
        in_time.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    }
}

impl FromStr for Server {
    type Err = io::Error;

    fn from_str(line: &str) -> io::Result<Server> {
        let strange = || io::Error::other(format!("not a line of the server: {line:?}"));
        let mut words = line.split_ascii_whitespace();
        let mut number = || words.next()?.parse().ok();
        let numbers = (number(), number(), number());
        let (Some(pid), Some(slot), Some(generation)) = numbers else {
            return Err(strange());
        };
        Ok(Server {
            pid,
            slot,
            generation,
        })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Server {
            pid,
            slot,
            generation,
        } = self;
        write!(f, "pid={pid} slot={slot} generation={generation}")
    }
}

/// Counts a client as long as it lives.
struct Waiting<'a>(&'a Cell<u64>);

impl<'a> Waiting<'a> {
    fn begin(count: &'a Cell<u64>) -> Waiting<'a> {
        count.set(count.get() + 1);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
