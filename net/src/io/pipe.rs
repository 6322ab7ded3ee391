//! One direction of a stream in memory: a bounded queue of bytes.
//!
//! 1. The bytes are borrowed for a copy only: never while a waker is cloned,
//!    woken or dropped, as those may run the code of others.
//! 2. A waker is kept only for what may still happen: whoever makes room, adds
//!    bytes or closes an end takes the other end's waker and wakes it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read};
use std::task::{Context, Poll, Waker, ready};

use coreloop_runtime::task::coop;

#[derive(Default)]
pub(super) struct Pipe {
    bytes: RefCell<VecDeque<u8>>,
    most: usize,
    /// No more is written: the reader comes to the end.
    writer_gone: Cell<bool>,
    /// Nobody reads: writing fails.
    reader_gone: Cell<bool>,
    reader: Slot,
    writer: Slot,
}

impl Pipe {
    /// A pipe with room for `most` bytes, which takes memory as it fills.
    pub(super) fn new(most: usize) -> Pipe {
        Pipe {
            most,
            ..Pipe::default()
        }
    }

    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ready!(coop::poll_proceed(cx));
        let mut waits = false;
        loop {
            let count = take(&mut self.bytes.borrow_mut(), buffer);
            if count > 0 {
                self.writer.wake();
                return Poll::Ready(Ok(count));
            }
            if buffer.is_empty() || self.writer_gone.get() {
                return Poll::Ready(Ok(0));
            }
            if waits {
                return Poll::Pending;
            }
            self.reader.keep(cx);
            waits = true;
        }
    }

    pub(super) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(coop::poll_proceed(cx));
        let nothing = buffers.iter().all(|buffer| buffer.is_empty());
        let mut waits = false;
        loop {
            if self.writer_gone.get() {
                return Poll::Ready(Err(closed("the stream was closed for writing")));
            }
            if self.reader_gone.get() {
                return Poll::Ready(Err(closed("the other end of the stream is gone")));
            }
            let count = put(&mut self.bytes.borrow_mut(), self.most, buffers);
            if count > 0 {
                self.reader.wake();
                return Poll::Ready(Ok(count));
            }
            if nothing {
                return Poll::Ready(Ok(0));
            }
            if waits {
                return Poll::Pending;
            }
            self.writer.keep(cx);
            waits = true;
        }
    }

    /// What was written before can still be read.
    pub(super) fn close_writer(&self) {
        self.writer_gone.set(true);
        self.writer.forget();
        self.reader.wake();
    }

    /// What nobody has read is gone.
    pub(super) fn close_reader(&self) {
        self.reader_gone.set(true);
        self.bytes.take();
        self.reader.forget();
        self.writer.wake();
    }

    /// How many bytes wait to be read.
    pub(super) fn len(&self) -> usize {
        self.bytes.borrow().len()
    }
}

/// Moves what there is to the front of `buffer`.
fn take(bytes: &mut VecDeque<u8>, buffer: &mut [u8]) -> usize {
    let mut count = 0;
    // The queue lies in two pieces at most, and gives one at a time.
    while let Ok(more @ 1..) = bytes.read(&mut buffer[count..]) {
        count += more;
    }
    count
}

/// Appends what there is room for.
fn put(bytes: &mut VecDeque<u8>, most: usize, buffers: &[IoSlice<'_>]) -> usize {
    let before = bytes.len();
    for buffer in buffers {
        let room = most - bytes.len();
        bytes.extend(&buffer[..room.min(buffer.len())]);
    }
    bytes.len() - before
}

#[cold]
fn closed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, what)
}

/// The waker of whoever waits at one end: the last task that polled.
#[derive(Default)]
struct Slot(Cell<Option<Waker>>);

impl Slot {
    /// Keeps the waker of `cx` until it is woken or replaced. Foreign code may
    /// run, so the pipe has to be looked at again.
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
        // Others may have filled the slot during the clone.
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
