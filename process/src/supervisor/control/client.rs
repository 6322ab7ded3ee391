//! The other side of the control socket: [`Control`].

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

use coreloop_net::UnixStream;

/// A status of thousands of workers is not near as long.
const LONGEST_ANSWER: usize = 1 << 20;

/// A connection to the control socket of a running master.
///
/// # Protocol
///
/// Other programs can speak it too: `echo status | nc -U /run/echo.sock`. A request
/// is a line of at most 128 bytes. The answer is any number of lines, and then one
/// that is `ok` or starts with `error: `; no other line does. Requests of one
/// connection are served one after another; a connection that sends none for 30
/// seconds is closed. So is one whose line is too long, or that does not read. At
/// most 32 may be open at once.
///
/// | request | what happens | when it is answered |
/// |---|---|---|
/// | `status` | a line for the master and one for each worker, as `key=value` | at once |
/// | `reload` | replaces all workers, one by one | when all new ones serve |
/// | `upgrade` | starts the program's file again, which takes the place of this one | when it serves, or has failed and all is as before |
/// | `scale N` | has `N` workers, 1 to 1024 | when there are |
/// | `stop` | finishes what is open until the deadline, and ends | at once; the second ends at once |
/// | `help` | shows this list | at once |
///
/// The socket's mode is 0600 from the moment that it has a name: only the master's
/// user, and root, can connect.
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
    stream: UnixStream,
    received: Vec<u8>,
    /// A request was sent, and its answer not yet read to the end.
    unanswered: bool,
}

impl Control {
    /// Connects to the control socket at `path`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a connection that was not returned is closed.
    ///
    /// # Errors
    ///
    /// Those of the system call:
    /// [`ConnectionRefused`](ErrorKind::ConnectionRefused) or
    /// [`NotFound`](ErrorKind::NotFound) if no master runs there. Also if no runtime
    /// is running here.
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<Control> {
        Ok(Control {
            stream: UnixStream::connect(path).await?,
            received: Vec::new(),
            unanswered: false,
        })
    }

    /// How the master and its workers are: a line for each.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the answer to a request that was dropped would be taken for
    /// that to the next, so all later requests of this connection fail.
    ///
    /// # Errors
    ///
    /// If the master is gone, or ends, or breaks the protocol.
    pub async fn status(&mut self) -> io::Result<String> {
        self.request("status").await
    }

    /// Has all workers replaced, one by one, and waits until the new ones serve.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the workers are replaced nevertheless, and later requests of
    /// this connection fail, as with [`status`](Self::status).
    ///
    /// # Errors
    ///
    /// As for [`status`](Self::status), or if a new worker never served.
    pub async fn reload(&mut self) -> io::Result<()> {
        self.request("reload").await.map(drop)
    }

    /// Has the program's file started again, and waits until that serves in place
    /// of the master asked.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the upgrade goes on nevertheless, and later requests of this
    /// connection fail, as with [`status`](Self::status).
    ///
    /// # Errors
    ///
    /// As for [`status`](Self::status), or if the new one did not come to serve: then
    /// the master asked goes on as before.
    pub async fn upgrade(&mut self) -> io::Result<()> {
        self.request("upgrade").await.map(drop)
    }

    /// Has workers started or retired until there are as many, and waits for it.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the number changes nevertheless, and later requests of this
    /// connection fail, as with [`status`](Self::status).
    ///
    /// # Errors
    ///
    /// As for [`status`](Self::status), if the number is 0 or more than 1024, or if a
    /// new worker never served.
    pub async fn scale(&mut self, workers: u32) -> io::Result<()> {
        self.request(&format!("scale {workers}")).await.map(drop)
    }

    /// Has the master finish what is open until its deadline, and end. This does not
    /// wait for that.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the master may end nevertheless, and later requests of this
    /// connection fail, as with [`status`](Self::status).
    ///
    /// # Errors
    ///
    /// As for [`status`](Self::status).
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
        let line = format!("{command}\n");
        match self.stream.write_all(line.as_bytes()).await {
            // A master that has closed may have said why before.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
        let answer = self.answer().await?;
        self.unanswered = false;
        answer
    }

    /// What the master says, or the error that it says. The outer error means that
    /// the connection is of no more use.
    async fn answer(&mut self) -> io::Result<io::Result<String>> {
        let mut lines = String::new();
        loop {
            let line = self.line().await?;
            if line == "ok" {
                return Ok(Ok(lines));
            }
            if let Some(error) = line.strip_prefix("error: ") {
                return Ok(Err(io::Error::other(error)));
            }
            lines.push_str(&line);
            lines.push('\n');
            if lines.len() > LONGEST_ANSWER {
                return Err(garbled("the answer does not end"));
            }
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                let rest = self.received.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.received, rest);
                line.pop();
                return String::from_utf8(line).map_err(|_| garbled("the answer is not text"));
            }
            if self.received.len() > LONGEST_ANSWER {
                return Err(garbled("the answer does not end"));
            }
            let mut chunk = [0; 1024];
            match self.stream.read(&mut chunk).await? {
                0 => {
                    return Err(io::Error::new(
                        ErrorKind::UnexpectedEof,
                        "the master has closed the connection",
                    ));
                }
                count => self.received.extend_from_slice(&chunk[..count]),
            }
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

fn garbled(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
