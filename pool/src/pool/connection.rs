//! [`Connection`], the master's end of the socket of a worker, which the task of the worker
//! polls.
//!
//! # Invariants
//!
//! 1. The end of a worker is judged in this order: its process has ended; everything that it
//!    had written was read, and each complete result resolved its job; then the words of its
//!    page say which of the other jobs had started. In another order, a finished job would
//!    count as broken.
//! 2. The end of the socket is not the end of the worker: a job may have closed it, or a child
//!    of the worker may keep it open. After it the worker is killed, unless it ends by itself
//!    within a second.
//! 3. The page and the frames come from a process that may be broken, and may hold anything. A
//!    ticket that was not issued to the worker, a kind of frame that workers do not send, or an
//!    invalid header ends the worker, and harms no job of another one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::process::ExitStatus;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use coreloop_runtime::io::Async;
use coreloop_runtime::time::{Instant, Sleep, sleep};
use rustix::io::ioctl_fionread;
use rustix::net::Shutdown;

use super::attached::Attached;
use super::core::Core;
use super::job::Body;
use super::link::Link;
use super::out::Out;
use crate::dispatch::WorkerKey;
use crate::frame::Header;
use crate::frame::chunk::{ITEM_HEADER, RESULT_HEADER};
use crate::frame::reader::Frames;
use crate::frame::side;
use crate::job::encoded::Input;
use crate::sys;
use crate::worker::MAX_TEXT;

/// How long a worker may take to end after the end of its socket.
const AFTER_END_OF_SOCKET: Duration = Duration::from_secs(1);

/// How long a worker may take to end when it is asked to. It runs the destructors of its state.
const AFTER_REQUEST: Duration = Duration::from_secs(5);

/// The master's end of a worker's socket.
pub(crate) struct Connection {
    socket: Async<OwnedFd>,
    /// The socket for descriptors.
    side: Async<OwnedFd>,
    frames: Frames<Header>,
    out: Out,
    /// Whether the socket is not used any more: the worker has closed its end, or has sent an
    /// invalid frame.
    has_ended: bool,
    /// Whether the worker has sent an invalid frame, so that no more is read.
    is_garbled: bool,
    /// Whether the writing side was closed.
    is_shut: bool,
    /// Whether the deadline of a worker that was asked to end was set.
    was_asked: bool,
    /// The time at which the worker is killed.
    deadline: Option<Pin<Box<Sleep>>>,
    /// The measurement of the worker's speed, while there are jobs for the worker.
    sample: Option<Sample>,
}

impl Connection {
    pub(crate) fn new(socket: Async<OwnedFd>, side: Async<OwnedFd>, max_length: usize) -> Self {
        Self {
            socket,
            side,
            frames: Frames::new(max_frame(max_length)),
            out: Out::default(),
            has_ended: false,
            is_garbled: false,
            is_shut: false,
            was_asked: false,
            deadline: None,
            sample: None,
        }
    }

    /// Appends a frame to what is written next.
    pub(crate) fn push(&mut self, header: Header, body: &Body, attached: &Attached) {
        self.out.push(header, body, attached);
    }

    /// Reads results, sends jobs, and returns when the process has ended.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        core: &Rc<Core>,
        key: WorkerKey,
        link: &Rc<Link>,
    ) -> Poll<io::Result<ExitStatus>> {
        link.keep_waker(cx);
        while !self.has_ended {
            let frames = &mut self.frames;
            let space = frames.space();
            let read = self.socket.poll_read_stream(cx, space.len(), |socket| {
                Ok(rustix::io::read(socket, &mut *space)?)
            });
            match read {
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.frames.filled(count);
                    self.handle(core, key, link);
                }
                Poll::Ready(_) => self.has_ended = true,
                Poll::Pending => break,
            }
        }
        self.refill(core, key);
        // A worker that was sent its last job, or was retired, is replaced.
        core.start_missing();
        core.watch_memory();
        if self.poll_write(cx).is_err() {
            // The worker has ended, or it will be killed.
            self.has_ended = true;
        }
        self.check_end(cx, link);
        link.poll_exit(cx)
    }

    /// Reads what a worker that has ended had written: the bytes that are in the socket now.
    /// Later ones come from a process that the worker has started, and may have no end.
    pub(crate) fn drain(&mut self, core: &Rc<Core>, key: WorkerKey, link: &Rc<Link>) {
        let mut left = ioctl_fionread(self.socket.get_ref()).unwrap_or(u64::MAX);
        while left > 0
            && !self.is_garbled
            && let Ok(count @ 1..) = self.frames.fill(self.socket.get_ref())
        {
            left = left.saturating_sub(count as u64);
            self.handle(core, key, link);
        }
    }

    /// Handles the complete frames that were read.
    fn handle(&mut self, core: &Rc<Core>, key: WorkerKey, link: &Rc<Link>) {
        let mut results = 0;
        loop {
            let handled = match self.frames.next() {
                Ok(None) => break,
                Ok(Some((header, bytes))) => {
                    side::take(self.side.as_fd(), header).and_then(|descriptors| {
                        core.received(key, link, header, Input { bytes, descriptors })
                    })
                }
                Err(error) => Err(error),
            };
            match handled {
                Ok(is_result) => results += usize::from(is_result),
                // Invariant 3.
                Err(error) => {
                    let text = format!("the worker was killed, because it sent {error}");
                    link.failure.borrow_mut().get_or_insert(text);
                    link.kill();
                    self.is_garbled = true;
                    self.has_ended = true;
                    break;
                }
            }
        }
        self.measure(core, key, results);
    }

    /// Measures the speed of a worker while there are jobs for it, and reports the speed to the
    /// dispatcher.
    fn measure(&mut self, core: &Core, key: WorkerKey, results: usize) {
        if results == 0 {
            return;
        }
        let is_idle = core.in_flight(key) == 0;
        if is_idle && !core.has_waiting_jobs() {
            self.sample = None;
            return;
        }
        let Some(sample) = &mut self.sample else {
            self.sample = Some(Sample::begin(Instant::now(), is_idle));
            return;
        };
        sample.results += results;
        sample.had_pauses |= is_idle;
        if sample.results < SAMPLE {
            return;
        }
        let now = Instant::now();
        let elapsed = now.duration_since(sample.since);
        if !elapsed.is_zero() {
            core.observe(key, sample.results, elapsed, sample.had_pauses);
            self.sample = Some(Sample::begin(now, is_idle));
        }
    }

    /// Takes the next jobs for the worker from the queue.
    fn refill(&mut self, core: &Rc<Core>, key: WorkerKey) {
        if !self.has_ended && !self.is_shut {
            core.refill(key, &mut self.out);
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.has_ended && !self.out.is_empty() {
            let out = &mut self.out;
            if out.has_attached() {
                out.send_attached(|descriptors| {
                    self.side.poll_write_with(cx, |socket| {
                        Ok(side::send(socket.as_fd(), descriptors, sys::send_flags())?)
                    })
                })?;
            }
            let length = out.length();
            if length == 0 {
                break;
            }
            let written = self
                .socket
                .poll_write_stream(cx, length, |socket| out.write(socket));
            match written {
                Poll::Ready(Ok(count)) => self.out.advance(count),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Closes the writing side of a worker that was asked to end, and kills one that does not
    /// end, even if it has not read what was sent before.
    fn check_end(&mut self, cx: &mut Context<'_>, link: &Rc<Link>) {
        if link.is_ending.get() && !self.is_shut && self.out.is_empty() {
            self.is_shut = true;
            let _ = rustix::net::shutdown(self.socket.get_ref(), Shutdown::Write);
        }
        if link.is_ending.get() && !self.was_asked {
            self.was_asked = true;
            self.deadline = Some(Box::pin(sleep(AFTER_REQUEST)));
        }
        if self.has_ended && self.deadline.is_none() {
            self.deadline = Some(Box::pin(sleep(AFTER_END_OF_SOCKET)));
        }
        if let Some(deadline) = &mut self.deadline
            && !link.is_killed.get()
            && deadline.as_mut().poll(cx).is_ready()
        {
            link.kill();
        }
    }
}

/// Returns how long a frame of a worker may be.
///
/// The results of a chunk are limited like one message, but each of them has a header in
/// addition, even one that does not fit. Since each item of a chunk has a header too, the length
/// of the message bounds the number of items. The text of a failure has at most 64 KiB.
fn max_frame(max_message: usize) -> usize {
    max_message
        .saturating_add(max_message / ITEM_HEADER * RESULT_HEADER)
        .max(MAX_TEXT)
}

/// The number of results in one measurement of a worker's speed.
const SAMPLE: usize = 16;

/// A measurement of the speed of a worker.
struct Sample {
    since: Instant,
    /// How many results have come since then.
    results: usize,
    /// Whether the worker had no job for some of the time.
    had_pauses: bool,
}

impl Sample {
    fn begin(since: Instant, is_idle: bool) -> Self {
        Self {
            since,
            results: 0,
            had_pauses: is_idle,
        }
    }
}
