//! One client: it connects, sends a request, reads the answer and closes, repeatedly.

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

/// How long a client waits after a failure, so that the server can recover.
const PAUSE: Duration = Duration::from_millis(1);

/// The server that has answered: one generation of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) pid: u32,
    pub(crate) slot: u32,
    generation: u32,
}

/// Connects repeatedly until the storm ends. Returns an error only if the client itself fails,
/// for example because it has no descriptors left.
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
    /// The server whose line was read last.
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
        // The exchange is complete. Closing with a reset frees the port, which would otherwise
        // be taken for a minute, so that the next storm would find none.
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

    fn from_str(line: &str) -> io::Result<Self> {
        let strange = || io::Error::other(format!("not a line of the server: {line:?}"));
        let mut words = line.split_ascii_whitespace();
        let mut number = || words.next()?.parse().ok();
        let numbers = (number(), number(), number());
        let (Some(pid), Some(slot), Some(generation)) = numbers else {
            return Err(strange());
        };
        Ok(Self {
            pid,
            slot,
            generation,
        })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pid,
            slot,
            generation,
        } = self;
        write!(f, "pid={pid} slot={slot} generation={generation}")
    }
}

/// Counts a waiting client until it is dropped.
struct Waiting<'a>(&'a Cell<u64>);

impl<'a> Waiting<'a> {
    fn begin(count: &'a Cell<u64>) -> Self {
        count.set(count.get() + 1);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
