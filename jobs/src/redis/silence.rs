//! How long an answer may take, and connections that have fallen silent: the server was stopped, or
//! the network drops what is sent, and no error says so.

use std::cell::Cell;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use coreloop_runtime::time::{Instant, timeout_at};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::failure::Failure;

/// How long opening a connection may take, and for how long a server may be silent that has a
/// command to answer, other than one that blocks.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// The least of such times. A connection is also given up if a caller drops a command for which
/// the server was silent for this long: a caller with a deadline of its own would otherwise use
/// the same connection again and again.
const LEAST: Duration = Duration::from_secs(1);

/// Returns for how long the server may be silent if a lease is at stake: so long that another
/// connection can renew the lease before it ends, unless it is shorter than two seconds.
pub(super) fn answer_for(lease: Duration) -> Duration {
    (lease / 2).clamp(LEAST, ANSWER)
}

/// When the server was heard last, and whether the connection has ended.
#[derive(Debug, Clone)]
pub(super) struct Pulse {
    heard: Rc<Cell<Instant>>,
    ended: Rc<Cell<bool>>,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            heard: Rc::new(Cell::new(Instant::now())),
            ended: Rc::default(),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    pub(super) fn end(&self) {
        self.ended.set(true);
    }

    /// Waits for an answer, for as long as the server is not silent for `limit`. A long answer may
    /// take longer.
    ///
    /// # Errors
    ///
    /// Returns an error if the server was silent. Then the connection has ended.
    pub(super) async fn answer<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let asked = Asked {
            pulse: self,
            since: Instant::now(),
            is_answered: Cell::new(false),
        };
        let mut answer = pin!(answer);
        loop {
            let since = asked.silent_since();
            if let Ok(answer) = timeout_at(since + limit, answer.as_mut()).await {
                asked.is_answered.set(true);
                return Ok(answer);
            }
            if asked.silent_since() == since {
                self.end();
                return Err(Failure::Connection(io::ErrorKind::TimedOut.into()));
            }
        }
    }
}

/// A command that is not answered yet.
struct Asked<'a> {
    pulse: &'a Pulse,
    since: Instant,
    is_answered: Cell<bool>,
}

impl Asked<'_> {
    fn silent_since(&self) -> Instant {
        self.pulse.heard.get().max(self.since)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.is_answered.get() && self.silent_since().elapsed() >= LEAST {
            self.pulse.end();
        }
    }
}

/// A socket, whose reads are noted.
pub(super) struct Heard<S> {
    pub(super) socket: S,
    pub(super) pulse: Pulse,
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if read.is_ready() {
            self.pulse.heard.set(Instant::now());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use coreloop_runtime::join;
    use coreloop_runtime::runtime::Builder;
    use coreloop_runtime::time::{sleep, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(3);

    /// Runs a test with a virtual clock.
    fn run(test: impl Future<Output = ()>) {
        let runtime = Builder::new().start_paused(true).build().unwrap();
        runtime.block_on(test);
    }

    #[test]
    fn a_short_lease_has_a_short_limit() {
        let seconds = Duration::from_secs;
        assert_eq!(answer_for(seconds(30)), seconds(10));
        assert_eq!(answer_for(seconds(4)), seconds(2));
        assert_eq!(answer_for(Duration::from_millis(10)), seconds(1));
    }

    #[test]
    fn a_silent_connection_ends() {
        run(async {
            let pulse = Pulse::new();
            assert!(pulse.answer(LIMIT, pending::<()>()).await.is_err());
            assert!(pulse.has_ended());
        });
    }

    #[test]
    fn an_answer_may_take_long_while_parts_of_it_arrive() {
        run(async {
            let pulse = Pulse::new();
            let parts = async {
                for _ in 0..9 {
                    sleep(LIMIT - Duration::from_millis(1)).await;
                    pulse.heard.set(Instant::now());
                }
            };
            let (answer, ()) = join!(pulse.answer(LIMIT, sleep(LIMIT * 8)), parts);
            assert!(answer.is_ok());
            assert!(!pulse.has_ended());
        });
    }

    #[test]
    fn a_command_that_is_dropped_after_a_silence_ends_its_connection() {
        run(async {
            for (wait, ends) in [(LEAST / 2, false), (LEAST, true)] {
                let pulse = Pulse::new();
                let answer = pulse.answer(LIMIT, pending::<()>());
                assert!(timeout(wait, answer).await.is_err());
                assert_eq!(pulse.has_ended(), ends);
            }
        });
    }
}
