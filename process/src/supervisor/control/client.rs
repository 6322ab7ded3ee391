//! [`Control`], a client of the control socket.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use coreloop_net::UnixStream;
use coreloop_net::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use coreloop_runtime::time::timeout;

/// The maximum length of an answer. The metrics of thousands of workers are shorter.
const MAX_ANSWER: u64 = 16 << 20;

/// A connection to the control socket of a running master, which carries out requests.
///
/// # Protocol
///
/// Other programs can use it too: `echo status | nc -U /run/echo.sock`. A request is a line
/// of at most 128 bytes. The answer is any number of lines, and then a line that is `ok` or
/// starts with `error: `, as no earlier line of the answer does. The requests of one
/// connection are served one after another. A connection is closed if it sends no request
/// for 30 seconds, if its line is too long, or if it does not read the answers. At most 32
/// connections may be open at once: a further one takes the place of the connection that has
/// had no request in progress for the longest time, or else of one whose client has
/// disconnected, and is refused if there is none. When the master ends, each request that waits
/// is answered with `error: the master is ending`; a connection that has sent no request yet
/// gets this line too.
///
/// | request | what happens | when it is answered |
/// |---|---|---|
/// | `status` | a line for the master and one for each worker, as `key=value` | when the workers have sent fresh numbers, or after 200 ms |
/// | `status json` | the same as one line of JSON | like `status` |
/// | `metrics` | all metrics, in the text format of OpenMetrics, which ends with `# EOF` | like `status` |
/// | `live` | nothing: the answer shows that the master's loop turns | at once |
/// | `ready` | nothing: the answer is an error while new connections should go elsewhere | at once |
/// | `reload` | replaces all workers | when all new workers serve, or one has failed |
/// | `restart N` | replaces worker `N`, or starts it at once if it waits in back-off | when the new worker serves, or has failed |
/// | `upgrade` | starts the program's file as a new master, which replaces this one; if this one has just replaced another, once that has handed everything over | when the new master serves, or has failed and all is as before |
/// | `scale N` | changes the number of workers to `N`, 1 to 1024 | when there are `N` workers, or a later request has set another number |
/// | `reopen` | opens the log files again, and sends `USR1` to the workers | when the files of the master are open |
/// | `stop` | drains the workers until the deadline, and ends | at once; a second `stop` ends the program at once |
/// | `help` | shows this list | at once |
///
/// # Status
///
/// The line of the master has the pairs `pid`, `uptime`, `workers`, `connections`, `accepted`
/// and `lost_lines`, the lines of workers and events that could not be written. The line of a
/// worker has, after its slot:
///
/// | key | value |
/// |---|---|
/// | `pid` | the process; `-` if there is none, and for a thread |
/// | `state` | `starting`, `ready`, `draining`, `backoff`, or `retiring` while a worker that there will not be any more serves its last connections |
/// | `uptime` | since the worker is ready, or was started |
/// | `restarts` | how many workers of the slot were started because another had died |
/// | `connections` | how many of the connections that its listeners have accepted are open: a stream counts until it is dropped or taken off the loop |
/// | `accepted` | how many connections its listeners have accepted |
/// | `memory` | its resident bytes |
/// | `cpu` | its processor time, in user mode and in the kernel |
/// | `beat_age` | the age of the numbers above: the time since its last heartbeat or answer |
/// | `last_end_age` | how long ago a worker of this slot has ended |
/// | `last_end` | how that worker has ended, to the end of the line: only this value may have spaces |
///
/// A value that is not known is `-`. Times are in seconds, with an `s` at the end. Pairs may be
/// added in later versions, but `last_end` stays the last one. The master's counts include
/// the workers that drain, and `accepted` those that have ended.
///
/// `status json` answers an object with `master` and `workers`, an array. They have the same
/// keys, the workers also `slot`. A value that is not known is `null`, times are numbers of
/// seconds, and `last_end` is `null` or an object with `cause` and `age`.
///
/// A worker whose loop stands still does not send fresh numbers. It is shown with its last
/// ones, and `beat_age` grows.
///
/// # Permissions
///
/// The socket has mode 0600 from the moment that it has a name: only the master's user and
/// root can connect.
///
/// # Time limits
///
/// There is no limit by default, because a reload takes as long as the workers need to start.
/// A master that is stopped, for instance by `SIGSTOP`, answers nothing: set limits with
/// [`connect_timeout`](Self::connect_timeout) and [`set_timeout`](Self::set_timeout). A request
/// that exceeds its limit fails with [`TimedOut`](ErrorKind::TimedOut). The master may carry it
/// out nevertheless, and all later requests of the connection fail.
///
/// # Examples
///
/// ```no_run
/// use coreloop::process::Control;
///
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     let mut control = Control::connect("/run/echo.sock").await?;
///     control.scale(4).await?;
///     print!("{}", control.status().await?);
///     Ok(())
/// })
/// # }
/// ```
pub struct Control {
    stream: BufReader<UnixStream>,
    /// A request was sent, and its answer has not been read to the end.
    unanswered: bool,
    /// The time limit of each request.
    limit: Option<Duration>,
}

impl Control {
    /// Connects to the control socket at `path`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a connection that was not returned yet is closed.
    ///
    /// # Errors
    ///
    /// Returns the error of the system call: [`ConnectionRefused`](ErrorKind::ConnectionRefused)
    /// or [`NotFound`](ErrorKind::NotFound) if no master listens at `path`. Also returns an
    /// error outside a runtime.
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Ok(Self {
            stream: BufReader::new(UnixStream::connect(path).await?),
            unanswered: false,
            limit: None,
        })
    }

    /// Like [`connect`](Self::connect), but gives up after `limit`. Requests have no limit
    /// until [`set_timeout`](Self::set_timeout) sets one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a connection that was not returned yet is closed.
    ///
    /// # Errors
    ///
    /// Returns an error if [`connect`](Self::connect) would, and
    /// [`TimedOut`](ErrorKind::TimedOut) when `limit` has passed.
    pub async fn connect_timeout<P: AsRef<Path>>(path: P, limit: Duration) -> io::Result<Self> {
        match timeout(limit, Self::connect(path)).await {
            Ok(connected) => connected,
            Err(_) => Err(io::Error::new(
                ErrorKind::TimedOut,
                format!("no connection after {limit:?}"),
            )),
        }
    }

    /// Sets how long each later request may take, from its first byte to the end of its
    /// answer. `None`, the default, is no limit.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use coreloop::process::Control;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// coreloop::block_on(async {
    ///     let limit = Duration::from_secs(5);
    ///     let mut control = Control::connect_timeout("/run/echo.sock", limit).await?;
    ///     control.set_timeout(Some(limit));
    ///     print!("{}", control.status().await?);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn set_timeout(&mut self, limit: Option<Duration>) {
        self.limit = limit;
    }

    /// Sends a command as one line, such as `scale 4`, and returns the lines of the answer
    /// without the final `ok`. This is for commands that this version of the library has no
    /// method for.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the master may carry the command out nevertheless, and later requests
    /// of this connection fail, as with [`status`](Self::status).
    ///
    /// # Errors
    ///
    /// Returns an error if [`status`](Self::status) would, or if the master refuses the command
    /// or cannot carry it out. A command with a line end is
    /// [`InvalidInput`](ErrorKind::InvalidInput), and is not sent.
    pub async fn command(&mut self, command: &str) -> io::Result<String> {
        if command.contains('\n') {
            let what = "a command is one line";
            return Err(io::Error::new(ErrorKind::InvalidInput, what));
        }
        self.request(command).await
    }

    /// Returns the status of the master and of its workers, one line for each.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the answer to a dropped request would be taken for the answer to the
    /// next one, so all later requests of this connection fail.
    ///
    /// # Errors
    ///
    /// Returns an error if the master has ended, is ending, breaks the protocol, or does not
    /// answer within the limit of [`set_timeout`](Self::set_timeout).
    pub async fn status(&mut self) -> io::Result<String> {
        self.request("status").await
    }

    /// Returns the status of the master and of its workers as one line of JSON, with the keys of
    /// the [protocol](Self#status).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: later requests of this connection fail, as with
    /// [`status`](Self::status).
    ///
    /// # Errors
    ///
    /// Returns an error if [`status`](Self::status) would.
    pub async fn status_json(&mut self) -> io::Result<String> {
        self.request("status json").await
    }

    /// Returns all metrics in the text format of OpenMetrics: about the master, the workers and
    /// their loops, and the user's own from [`metrics`](crate::metrics).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: later requests of this connection fail, as with
    /// [`status`](Self::status).
    ///
    /// # Errors
    ///
    /// Returns an error if [`status`](Self::status) would.
    pub async fn metrics(&mut self) -> io::Result<String> {
        self.request("metrics").await
    }

    /// Succeeds if the master's loop turns.
    ///
    /// The master restarts workers that die, kills those that hang, and ends if none becomes
    /// ready. So nothing else is asked: a restart of the whole program would help no worker.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: later requests of this connection fail, as with
    /// [`status`](Self::status).
    ///
    /// # Errors
    ///
    /// Returns an error if [`status`](Self::status) would.
    pub async fn live(&mut self) -> io::Result<()> {
        self.request("live").await.map(drop)
    }

    /// Succeeds if new connections should be sent to this program: all workers have been ready
    /// once, one of them is now, and the master is not ending.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: later requests of this connection fail, as with
    /// [`status`](Self::status).
    ///
    /// # Errors
    ///
    /// Returns an error if [`status`](Self::status) would, or with the reason if the program
    /// is not ready.
    pub async fn ready(&mut self) -> io::Result<()> {
        self.request("ready").await.map(drop)
    }

    /// Replaces all workers, as [`Supervisor::reload`](crate::Supervisor::reload) sets, and
    /// waits until the new workers serve.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the workers are replaced nevertheless, and later requests of this
    /// connection fail, as with [`status`](Self::status).
    ///
    /// # Errors
    ///
    /// Returns an error if [`status`](Self::status) would, or if a new worker did not
    /// become ready or has failed its check.
    pub async fn reload(&mut self) -> io::Result<()> {
        self.request("reload").await.map(drop)
    }

    /// Replaces the worker of one slot as a reload does, and waits until the new worker
    /// serves in its place. If the slot waits in back-off, its next worker starts at once.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the worker is replaced nevertheless, and later requests of this
    /// connection fail, as with [`status`](Self::status).
    ///
    /// # Errors
    ///
    /// Returns an error if [`status`](Self::status) would, if there is no such slot or it is
    /// being retired, or if the new worker did not become ready or has failed its check: then
    /// the old worker stays.
    pub async fn restart(&mut self, slot: u32) -> io::Result<()> {
        self.request(&format!("restart {slot}")).await.map(drop)
    }

    /// Starts the program's file as a new master, and waits until it serves in place of
    /// this one.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the upgrade continues nevertheless, and later requests of this
    /// connection fail, as with [`status`](Self::status).
    ///
    /// # Errors
    ///
    /// Returns an error if [`status`](Self::status) would, or if the new master did not
    /// become ready: then the old master continues as before.
    pub async fn upgrade(&mut self) -> io::Result<()> {
        self.request("upgrade").await.map(drop)
    }

    /// Starts or retires workers, and waits until there are `workers` of them.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the number changes nevertheless, and later requests of this
    /// connection fail, as with [`status`](Self::status).
    ///
    /// # Errors
    ///
    /// Returns an error if [`status`](Self::status) would, if the number is 0 or more than
    /// 1024, if a new worker did not become ready, or if a later request or signal has set
    /// another number meanwhile.
    pub async fn scale(&mut self, workers: u32) -> io::Result<()> {
        self.request(&format!("scale {workers}")).await.map(drop)
    }

    /// Opens the [log files](crate::Log) of the master again, as the signal `USR1` does, and
    /// waits until they are open. Each worker process gets `USR1`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the files are opened nevertheless, and later requests of this
    /// connection fail, as with [`status`](Self::status).
    ///
    /// # Errors
    ///
    /// Returns an error if [`status`](Self::status) would, or if a file cannot be opened: then
    /// the old file stays in use.
    pub async fn reopen(&mut self) -> io::Result<()> {
        self.request("reopen").await.map(drop)
    }

    /// Asks the master to drain its workers and end, without waiting for that.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the master may end nevertheless, and later requests of this
    /// connection fail, as with [`status`](Self::status).
    ///
    /// # Errors
    ///
    /// Returns an error if [`status`](Self::status) would.
    pub async fn stop(&mut self) -> io::Result<()> {
        self.request("stop").await.map(drop)
    }

    async fn request(&mut self, command: &str) -> io::Result<String> {
        if self.unanswered {
            return Err(io::Error::other(
                "an earlier request was given up before its answer: connect again",
            ));
        }
        self.unanswered = true;
        let answer = match self.limit {
            None => self.exchange(command).await?,
            Some(limit) => match timeout(limit, self.exchange(command)).await {
                Ok(answer) => answer?,
                Err(_) => {
                    return Err(io::Error::new(
                        ErrorKind::TimedOut,
                        format!("no answer after {limit:?}"),
                    ));
                }
            },
        };
        self.unanswered = false;
        answer
    }

    /// Sends a command, and reads its answer. The outer error means that the connection
    /// cannot be used any more.
    async fn exchange(&mut self, command: &str) -> io::Result<io::Result<String>> {
        let line = format!("{command}\n");
        if let Err(error) = self.stream.get_mut().write_all(line.as_bytes()).await {
            match error.kind() {
                // A master that has closed the connection may have sent the reason before.
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {}
                _ => return Err(error),
            }
        }
        self.answer().await
    }

    /// Reads the master's answer, or the error that it reports. The outer error means that
    /// the connection cannot be used any more.
    async fn answer(&mut self) -> io::Result<io::Result<String>> {
        let mut lines = String::new();
        loop {
            let line = self.line().await?;
            if line == "ok" {
                return Ok(Ok(lines));
            }
            if let Some(error) = line.strip_prefix("error:") {
                let error = match error.trim_start() {
                    "" => "the master has refused it without a reason",
                    error => error,
                };
                return Ok(Err(io::Error::other(error)));
            }
            lines.push_str(&line);
            lines.push('\n');
            if lines.len() as u64 > MAX_ANSWER {
                return Err(garbled("the answer does not end"));
            }
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(MAX_ANSWER + 1);
        limited.read_until(b'\n', &mut line).await?;
        if line.pop_if(|last| *last == b'\n').is_some() {
            return String::from_utf8(line).map_err(|_| garbled("the answer is not text"));
        }
        if limited.limit() == 0 {
            return Err(garbled("the answer does not end"));
        }
        Err(io::Error::new(
            ErrorKind::UnexpectedEof,
            "the master has closed the connection",
        ))
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("stream", self.stream.get_ref())
            .finish_non_exhaustive()
    }
}

fn garbled(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
