//! [`Link`], what the pool knows of one worker, and [`Connection`], its socket, which the
//! worker's task polls.
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
//! 3. The page and the frames come from a process that may have lost its mind. A ticket that
//!    was not issued to the worker, a kind of frame that workers do not send, or an invalid
//!    header ends it, and harms no job of another worker.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::process::ExitStatus;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use coreloop_process::__pool::{Exit, adopt};
use coreloop_runtime::io::Async;
use coreloop_runtime::time::{Instant, Sleep, sleep};
use coreloop_sync::OwnedSemaphorePermit;
use rustix::net::Shutdown;

use super::core::Core;
use crate::dispatch::{Words, WorkerKey};
use crate::frame::{Header, Ticket};
use crate::frames::Frames;
use crate::page::Page;
use crate::process::Registered;
use crate::worker::{ITEM_HEADER, MAX_TEXT};

/// How long a worker may take to end after the end of its socket.
const AFTER_END_OF_SOCKET: Duration = Duration::from_secs(1);

/// How long a worker may take to end when it is asked to: the destructors of its state run.
const AFTER_REQUEST: Duration = Duration::from_secs(5);

/// A body from this length on is written from where it is. A shorter one is copied, so that
/// many of them take one write.
const LARGE: usize = 8 << 10;

/// The maximum number of pieces in one write.
const PIECES: usize = 16;

/// One worker.
pub(crate) struct Link {
    pub(crate) pid: u32,
    pub(crate) number: u64,
    pub(crate) page: Page,
    /// In the list of children until its end is noticed.
    active: Cell<Option<Registered>>,
    /// Taken only by the destructor.
    exit: RefCell<Option<Exit>>,
    /// The task of the worker.
    waker: Cell<Option<Waker>>,
    /// When it became ready.
    pub(crate) ready_at: Cell<Option<Instant>>,
    /// Why the pool has killed it, or why it has said that it ends.
    pub(crate) failure: RefCell<Option<String>>,
    /// Whether it was asked to end.
    pub(crate) is_ending: Cell<bool>,
    /// Whether the pool has killed it.
    pub(crate) is_killed: Cell<bool>,
    /// How many jobs it has finished.
    pub(crate) done: Cell<u64>,
}

impl Link {
    pub(crate) fn new(number: u64, name: &str, exit: Exit, page: Page) -> Rc<Self> {
        let pid = exit.id().unwrap_or(0);
        Rc::new(Self {
            pid,
            active: Cell::new(Some(Registered::new(pid, name.to_owned()))),
            number,
            page,
            exit: RefCell::new(Some(exit)),
            waker: Cell::new(None),
            ready_at: Cell::new(None),
            failure: RefCell::new(None),
            is_ending: Cell::new(false),
            is_killed: Cell::new(false),
            done: Cell::new(0),
        })
    }

    /// Makes the task of the worker look for jobs and for requests.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake_by_ref();
            self.waker.set(Some(waker));
        }
    }

    /// Keeps the waker of the worker's task, which is always the same.
    fn keep_waker(&self, cx: &Context<'_>) {
        let waker = self.waker.take();
        let is_kept = waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()));
        let waker = if is_kept {
            waker
        } else {
            Some(cx.waker().clone())
        };
        self.waker.set(waker);
    }

    /// Asks the worker to end once it has finished what it has.
    pub(crate) fn end(&self) {
        if !self.is_ending.replace(true) {
            self.wake();
        }
    }

    pub(crate) fn kill(&self) {
        self.is_killed.set(true);
        // This fails if the process has ended, which is as good.
        if let Some(exit) = &*self.exit.borrow() {
            let _ = exit.kill();
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) -> io::Result<()> {
        match &*self.exit.borrow() {
            Some(exit) if !exit.is_collected() => exit.signal(signal),
            _ => Ok(()),
        }
    }

    fn poll_exit(&self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        match &mut *self.exit.borrow_mut() {
            Some(exit) => {
                let status = ready!(exit.poll_wait(cx));
                drop(self.active.take());
                Poll::Ready(status)
            }
            None => Poll::Pending,
        }
    }

    pub(crate) fn is_collected(&self) -> bool {
        self.exit.borrow().as_ref().is_none_or(Exit::is_collected)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(exit) = self.exit.take()
            && !exit.is_collected()
        {
            let _ = exit.kill();
            adopt(exit);
        }
    }
}

impl Words for Rc<Link> {
    fn queue(&self, ticket: Ticket) {
        // Before the word, which the worker reads first.
        self.page
            .position(ticket.slot())
            .store(0, Ordering::Relaxed);
        self.page.word(ticket.slot()).queue(ticket.sequence());
    }

    fn revoke(&self, ticket: Ticket) -> bool {
        self.page.word(ticket.slot()).revoke(ticket.sequence())
    }

    fn ask_cancel(&self, ticket: Ticket) -> bool {
        self.page.word(ticket.slot()).ask_cancel(ticket.sequence())
    }

    fn has_started(&self, ticket: Ticket) -> bool {
        self.page.word(ticket.slot()).has_started(ticket.sequence())
    }
}

/// The master's end of a worker's socket.
pub(crate) struct Connection {
    socket: Async<OwnedFd>,
    frames: Frames,
    out: Out,
    /// Whether the worker has closed its end, or is not understood.
    has_ended: bool,
    /// Whether the writing side was closed.
    is_shut: bool,
    /// After this the worker is killed.
    deadline: Option<Pin<Box<Sleep>>>,
    /// The measurement of the worker's speed, while there is more than one job for it.
    sample: Option<Sample>,
}

impl Connection {
    pub(crate) fn new(socket: Async<OwnedFd>, max_length: usize) -> Self {
        Self {
            socket,
            frames: Frames::new(max_frame(max_length)),
            out: Out::default(),
            has_ended: false,
            is_shut: false,
            deadline: None,
            sample: None,
        }
    }

    /// Appends a frame to what is written next.
    pub(crate) fn push(&mut self, header: Header, body: &Rc<Vec<u8>>) {
        self.out.push(header, body);
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

    /// Reads what a worker that has ended had written.
    pub(crate) fn drain(&mut self, core: &Rc<Core>, key: WorkerKey, link: &Rc<Link>) {
        while let Ok(1..) = self.frames.fill(self.socket.get_ref()) {
            self.handle(core, key, link);
        }
    }

    /// Handles the complete frames that were read.
    fn handle(&mut self, core: &Rc<Core>, key: WorkerKey, link: &Rc<Link>) {
        let mut results = 0;
        loop {
            let handled = match self.frames.next() {
                Ok(None) => break,
                Ok(Some((header, body))) => core.received(key, link, header, body),
                Err(error) => Err(error),
            };
            match handled {
                Ok(is_result) => results += usize::from(is_result),
                // Invariant 3.
                Err(error) => {
                    let text = format!("the worker was killed, because it sent {error}");
                    link.failure.borrow_mut().get_or_insert(text);
                    link.kill();
                    self.has_ended = true;
                    break;
                }
            }
        }
        self.measure(core, key, results);
    }

    /// Reports the speed of a worker, for as long as there is another job for it.
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
            let length = out.length();
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
    /// end.
    fn check_end(&mut self, cx: &mut Context<'_>, link: &Rc<Link>) {
        if link.is_ending.get() && !self.is_shut && self.out.is_empty() {
            self.is_shut = true;
            let _ = rustix::net::shutdown(self.socket.get_ref(), Shutdown::Write);
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
/// Each result of a chunk has a header of 6 bytes, also one that does not fit. There are at
/// most a quarter as many as the message of their arguments has bytes. The texts of failures
/// have 64 KiB at most.
fn max_frame(max_message: usize) -> usize {
    max_message
        .saturating_add(max_message / 4 * ITEM_HEADER)
        .max(MAX_TEXT)
}

/// The number of results after which the speed of a worker is known.
const SAMPLE: usize = 16;

/// A measurement of the speed of a worker.
struct Sample {
    since: Instant,
    /// How many results have come since.
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

/// The frames that are written next.
#[derive(Default)]
pub(crate) struct Out {
    pieces: VecDeque<Piece>,
    /// How much of the first piece was written.
    written: usize,
    /// An empty vector, kept for its capacity.
    spare: Vec<u8>,
    /// The places in the queue that the jobs have left. It is kept for its capacity.
    pub(super) room: Vec<OwnedSemaphorePermit>,
}

enum Piece {
    /// Frames, one after the other.
    Frames(Vec<u8>),
    /// The body of a frame.
    Body(Rc<Vec<u8>>),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Frames(bytes) => bytes,
            Self::Body(bytes) => bytes,
        }
    }
}

impl Out {
    pub(crate) fn push(&mut self, header: Header, body: &Rc<Vec<u8>>) {
        let spare = &mut self.spare;
        if !matches!(self.pieces.back(), Some(Piece::Frames(_))) {
            self.pieces.push_back(Piece::Frames(std::mem::take(spare)));
        }
        if let Some(Piece::Frames(bytes)) = self.pieces.back_mut() {
            bytes.extend_from_slice(&header.to_bytes());
            if body.len() < LARGE {
                bytes.extend_from_slice(body);
                return;
            }
        }
        self.pieces.push_back(Piece::Body(Rc::clone(body)));
    }

    fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The number of bytes of the next write.
    fn length(&self) -> usize {
        let pieces = self.pieces.iter().take(PIECES);
        pieces.map(|piece| piece.bytes().len()).sum::<usize>() - self.written
    }

    fn write(&self, socket: &OwnedFd) -> io::Result<usize> {
        let written = match &self.pieces.front() {
            Some(first) if self.pieces.len() == 1 => {
                rustix::io::write(socket, &first.bytes()[self.written..])
            }
            _ => {
                let mut slices = [IoSlice::new(&[]); PIECES];
                let mut skip = self.written;
                for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                    *slice = IoSlice::new(&piece.bytes()[skip..]);
                    skip = 0;
                }
                rustix::io::writev(socket, &slices[..self.pieces.len().min(PIECES)])
            }
        };
        Ok(written?)
    }

    fn advance(&mut self, count: usize) {
        self.written += count;
        while let Some(first) = self.pieces.front() {
            let length = first.bytes().len();
            if self.written < length {
                return;
            }
            self.written -= length;
            if let Some(Piece::Frames(mut bytes)) = self.pieces.pop_front() {
                bytes.clear();
                self.spare = bytes;
            }
        }
    }
}
