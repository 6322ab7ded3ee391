//! [`Driver`], which moves the frames of one connection.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use coreloop_runtime::__panics::caught;
use coreloop_runtime::time::{Sleep, sleep};

use super::book::Caller;
use super::connect::Connected;
use super::link::Link;
use crate::connection::{Pipe, Socket};
use crate::error::{Error, Kind};
use crate::wire::{ClientFrame, ManagerFrame};

/// After how many heartbeats without a sign of life the manager counts as gone.
const SILENT_HEARTBEATS: u32 = 3;

/// After how many bytes of answers the client counts them for the manager, if it has nothing else to
/// say until then.
const COUNT_AFTER: usize = 256 * 1024;

/// How long a client that leaves takes to write what has to be written, and waits for the manager
/// to close the connection.
const FAREWELL: Duration = Duration::from_secs(2);

/// How a connection has ended.
pub(super) enum End {
    /// The client has left.
    Left,
    Lost(Error),
}

/// Moves the frames of one connection.
pub(super) struct Driver<'a> {
    link: &'a Rc<Link>,
    pipe: Pipe<Socket>,
    heartbeat: Duration,
    timer: Pin<Box<Sleep>>,
    /// How many heartbeats have passed without a sign of life: a byte that has come, or room for
    /// bytes that had to wait.
    silent: u32,
    /// How many bytes of answers have come since the client has said anything.
    uncounted: usize,
    farewell: Farewell,
}

/// How far a client has come that leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Farewell {
    None,
    /// The client leaves when its requests are written, and the time for it runs.
    Due,
    /// The client has said that it leaves.
    Said,
    /// Its direction was closed.
    Closed,
}

impl<'a> Driver<'a> {
    pub(super) fn new(link: &'a Rc<Link>, connected: Connected) -> Self {
        Self {
            link,
            pipe: connected.pipe,
            heartbeat: connected.heartbeat,
            timer: Box::pin(sleep(connected.heartbeat)),
            silent: 0,
            uncounted: 0,
            farewell: Farewell::None,
        }
    }

    /// Runs until the connection has ended.
    pub(super) async fn run(mut self) -> End {
        let result = poll_fn(|cx| self.poll(cx)).await;
        let error = match result {
            // The manager has closed the connection after the farewell.
            _ if self.farewell != Farewell::None => return End::Left,
            Ok(()) => io::Error::from(io::ErrorKind::UnexpectedEof),
            Err(error) => error,
        };
        let text = format!(
            "the connection with the manager at {} has ended: {error}",
            self.link.settings.address
        );
        End::Lost(Error::new(Kind::Io(error.kind()), text))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.keep_waker(cx.waker());
        if self.link.is_leaving() && self.farewell == Farewell::None {
            self.farewell = Farewell::Due;
            self.timer.set(sleep(FAREWELL));
        }
        self.poll_timer(cx)?;
        if let Poll::Ready(()) = self.poll_read(cx)? {
            return Poll::Ready(Ok(()));
        }
        self.poll_write(cx)?;
        if self.pipe.take_progress() {
            self.silent = 0;
        }
        Poll::Pending
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            self.silent += 1;
            if self.silent > SILENT_HEARTBEATS || self.farewell != Farewell::None {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.ping(true);
            self.timer.set(sleep(self.heartbeat));
        }
        Ok(())
    }

    fn ping(&mut self, reply: bool) {
        let received = self.link.book.borrow().received();
        self.uncounted = 0;
        self.pipe
            .push(|out| ClientFrame::Ping { received, reply }.write(out));
    }

    /// Reads answers. Ready when the manager has closed the connection.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while let Some(body) = self.pipe.next()? {
                self.uncounted += body.len();
                let frame = ManagerFrame::parse(body).map_err(|_| io::ErrorKind::InvalidData)?;
                handle(self.link, frame)?;
            }
            if ready!(self.pipe.poll_fill(cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
            self.silent = 0;
        }
    }

    /// Writes requests.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            let mut book = self.link.book.borrow_mut();
            let pipe = &mut self.pipe;
            let mut has_spoken = false;
            while self.farewell < Farewell::Said
                && !pipe.is_full()
                && book.next(|frame| pipe.push(|out| frame.write(out)))
            {
                has_spoken = true;
            }
            let is_done = !book.has_unsent();
            drop(book);
            if has_spoken {
                self.uncounted = 0;
            } else if self.uncounted >= COUNT_AFTER {
                self.ping(false);
            }
            if is_done && self.farewell == Farewell::Due {
                self.say_farewell();
            }
            match self.pipe.poll_write(cx) {
                Poll::Ready(Ok(())) if !is_done && self.farewell < Farewell::Said => {}
                Poll::Ready(Ok(())) => return self.close(cx),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
    }

    fn say_farewell(&mut self) {
        let received = self.link.book.borrow().received();
        self.pipe
            .push(|out| ClientFrame::Bye { received }.write(out));
        self.farewell = Farewell::Said;
    }

    /// Closes the client's direction after the farewell was written.
    fn close(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.farewell == Farewell::Said
            && let Poll::Ready(closed) = self.pipe.poll_close(cx)
        {
            self.farewell = Farewell::Closed;
            closed?;
        }
        Ok(())
    }
}

/// Handles a frame of the manager.
fn handle(link: &Link, frame: ManagerFrame<'_>) -> io::Result<()> {
    match frame {
        ManagerFrame::Response { last, id, response } => {
            let mut book = link.book.borrow_mut();
            book.confirm(last);
            let caller = book.answered(id);
            drop(book);
            let answer = response.into_result();
            match caller {
                // The waker of the caller may be user code.
                Some(Caller::Waiting(caller)) => {
                    caught(|| drop(caller.answer.send(answer)));
                }
                Some(Caller::Gone(service)) => {
                    if let Ok(answer) = answer {
                        link.undelivered(&service, &answer);
                    }
                }
                Some(Caller::Notice) | None => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        ManagerFrame::Pong { last } => link.book.borrow_mut().confirm(last),
        ManagerFrame::Welcome { .. } | ManagerFrame::Refusal { .. } => {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(())
}
