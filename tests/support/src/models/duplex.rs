//! A stream in memory beside a model of two plain queues: it returns the same bytes and errors,
//! and a pending task is woken when it can continue.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use coreloop::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};

/// One direction, from `ends[n]` to `ends[1 - n]`.
#[derive(Default)]
struct Model {
    queue: VecDeque<u8>,
    closed: bool,
    reader_gone: bool,
    reader: Waiting,
    writer: Waiting,
}

/// Whether a task waits, and whether it was woken.
#[derive(Default)]
struct Waiting {
    waits: bool,
    woken: Arc<Flag>,
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Waiting {
    /// Polls with this waker.
    fn poll<R>(&mut self, poll: impl FnOnce(&mut Context<'_>) -> Poll<R>) -> Option<R> {
        self.woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&self.woken));
        match poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => {
                self.waits = false;
                Some(value)
            }
            Poll::Pending => {
                self.waits = true;
                None
            }
        }
    }

    fn check(&self, may_go_on: bool) {
        if self.waits && may_go_on {
            assert!(self.woken.0.load(Ordering::Relaxed), "no task was woken");
        }
    }
}

pub fn check(bytes: &[u8]) {
    let Some((&most, program)) = bytes.split_first() else {
        return;
    };
    let most = usize::from(most) + 1;
    let (one, other) = duplex(most);
    let mut ends = [Some(one), Some(other)];
    let mut models = [Model::default(), Model::default()];
    let mut next = 0_u8;
    for step in program.chunks_exact(2) {
        let (what, length) = (step[0], usize::from(step[1]));
        let at = usize::from(what & 1);
        let Some(end) = &mut ends[at] else {
            continue;
        };
        match what >> 1 {
            0..=59 => read(end, &mut models[1 - at], length),
            60..=119 => write(end, &mut models[at], most, length, &mut next),
            120..=124 => {
                let closed = models[at].writer.poll(|cx| Pin::new(end).poll_close(cx));
                closed.expect("closing never waits").expect("nor fails");
                models[at].closed = true;
            }
            _ => {
                ends[at] = None;
                models[at].closed = true;
                models[at].writer.waits = false;
                models[1 - at].reader_gone = true;
                models[1 - at].reader.waits = false;
            }
        }
        for model in &models {
            let room = model.queue.len() < most;
            model.reader.check(!model.queue.is_empty() || model.closed);
            model
                .writer
                .check(room || model.closed || model.reader_gone);
        }
    }
}

fn read(end: &mut DuplexStream, model: &mut Model, length: usize) {
    let mut buffer = vec![0; length];
    let read = model
        .reader
        .poll(|cx| Pin::new(end).poll_read(cx, &mut buffer));
    if model.queue.is_empty() && !model.closed && length > 0 {
        assert!(read.is_none(), "there was nothing to read");
        return;
    }
    let count = read.expect("there was something to read").expect("a read");
    assert_eq!(count, length.min(model.queue.len()));
    assert!(
        model
            .queue
            .drain(..count)
            .eq(buffer[..count].iter().copied())
    );
}

fn write(end: &mut DuplexStream, model: &mut Model, most: usize, length: usize, next: &mut u8) {
    let bytes: Vec<u8> = (0..length)
        .map(|_| {
            *next = next.wrapping_add(1);
            *next
        })
        .collect();
    let written = model.writer.poll(|cx| Pin::new(end).poll_write(cx, &bytes));
    if model.closed || model.reader_gone {
        let error = written
            .expect("an error")
            .expect_err("the other end is closed");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        return;
    }
    let room = most - model.queue.len();
    if room == 0 && length > 0 {
        assert!(written.is_none(), "there was no room");
        return;
    }
    let count = written.expect("there was room").expect("a write");
    assert_eq!(count, length.min(room));
    model.queue.extend(&bytes[..count]);
}
