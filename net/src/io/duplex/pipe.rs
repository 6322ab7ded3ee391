//! One direction of a stream in memory: a bounded queue of bytes.
//!
//! # Invariants
//!
//! 1. The bytes are borrowed for a copy only, and never while a waker is cloned, woken or
//!    dropped, which may run user code. The closures that take bytes are code of this crate,
//!    and only copy.
//! 2. A waker is kept only for an event that may still happen: an end that makes room, adds
//!    bytes or closes takes the waker of the other end, and wakes it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use coreloop_runtime::task::coop;

/// Creates the two ends of a pipe for `capacity` bytes, which allocates memory as it fills.
/// Dropping an end closes it.
pub(super) fn pipe(capacity: usize) -> (ReadEnd, WriteEnd) {
    let pipe = Rc::new(Pipe {
        capacity,
        ..Pipe::default()
    });
    (ReadEnd(Rc::clone(&pipe)), WriteEnd(pipe))
}

pub(super) struct ReadEnd(Rc<Pipe>);

pub(super) struct WriteEnd(Rc<Pipe>);

#[derive(Default)]
struct Pipe {
    bytes: RefCell<VecDeque<u8>>,
    capacity: usize,
    /// No more bytes will be written: the reader reads to the end.
    writer_gone: Cell<bool>,
    /// The reading end is dropped: writes fail.
    reader_gone: Cell<bool>,
    reader: EndWaker,
    writer: EndWaker,
}

impl ReadEnd {
    /// Removes up to `room` bytes, and calls `take` with them, piece by piece.
    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        room: usize,
        mut take: impl FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        ready!(coop::poll_proceed(cx));
        let mut waits = false;
        loop {
            let count = remove(&mut self.0.bytes.borrow_mut(), room, &mut take);
            if count > 0 {
                self.0.writer.wake();
                return Poll::Ready(Ok(count));
            }
            if room == 0 || self.0.writer_gone.get() {
                return Poll::Ready(Ok(0));
            }
            if waits {
                return Poll::Pending;
            }
            self.0.reader.keep(cx);
            waits = true;
        }
    }

    /// Returns how many bytes wait to be read.
    pub(super) fn len(&self) -> usize {
        self.0.bytes.borrow().len()
    }
}

impl Drop for ReadEnd {
    /// The bytes that have not been read are lost.
    fn drop(&mut self) {
        self.0.reader_gone.set(true);
        self.0.bytes.take();
        self.0.writer.wake();
        self.0.reader.forget();
    }
}

impl WriteEnd {
    pub(super) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(coop::poll_proceed(cx));
        let nothing = buffers.iter().all(|buffer| buffer.is_empty());
        let mut waits = false;
        loop {
            if self.0.writer_gone.get() {
                return Poll::Ready(Err(closed("the stream was closed for writing")));
            }
            if self.0.reader_gone.get() {
                return Poll::Ready(Err(closed("the other end of the stream is gone")));
            }
            let count = append(&mut self.0.bytes.borrow_mut(), self.0.capacity, buffers);
            if count > 0 {
                self.0.reader.wake();
                return Poll::Ready(Ok(count));
            }
            if nothing {
                return Poll::Ready(Ok(0));
            }
            if waits {
                return Poll::Pending;
            }
            self.0.writer.keep(cx);
            waits = true;
        }
    }

    /// Closes this end. The bytes that were written before can still be read.
    pub(super) fn close(&self) {
        self.0.writer_gone.set(true);
        self.0.reader.wake();
        self.0.writer.forget();
    }

    /// Returns how many bytes wait to be read at the other end.
    pub(super) fn len(&self) -> usize {
        self.0.bytes.borrow().len()
    }
}

impl Drop for WriteEnd {
    fn drop(&mut self) {
        self.close();
    }
}

/// Removes up to `room` bytes from the front.
fn remove(bytes: &mut VecDeque<u8>, room: usize, take: &mut impl FnMut(&[u8])) -> usize {
    let (front, back) = bytes.as_slices();
    let front = &front[..room.min(front.len())];
    let back = &back[..(room - front.len()).min(back.len())];
    for piece in [front, back] {
        if !piece.is_empty() {
            take(piece);
        }
    }
    let count = front.len() + back.len();
    bytes.drain(..count);
    count
}

/// Appends as many bytes as there is room for.
fn append(bytes: &mut VecDeque<u8>, capacity: usize, buffers: &[IoSlice<'_>]) -> usize {
    let before = bytes.len();
    for buffer in buffers {
        let room = capacity - bytes.len();
        bytes.extend(&buffer[..room.min(buffer.len())]);
    }
    bytes.len() - before
}

#[cold]
fn closed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, what)
}

/// The waker of the task that waits at one end: the last that polled.
#[derive(Default)]
struct EndWaker(Cell<Option<Waker>>);

impl EndWaker {
    /// Keeps the waker of `cx` until it is woken or replaced. User code may run meanwhile, so
    /// the caller has to check the pipe again.
    fn keep(&self, cx: &Context<'_>) {
        let before = self.0.take();
        if before
            .as_ref()
            .is_some_and(|before| before.will_wake(cx.waker()))
        {
            self.0.set(before);
            return;
        }
        let waker = cx.waker().clone();
        // User code may have stored another waker during the clone.
        let meanwhile = self.0.replace(Some(waker));
        drop((before, meanwhile));
    }

    fn wake(&self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }

    fn forget(&self) {
        drop(self.0.take());
    }
}
