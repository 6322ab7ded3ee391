//! The output of the workers and the reports of the master: [`Sink`], a queue with a thread
//! that writes to the standard output or error, and [`forward`], a task that reads the
//! output of a worker.
//!
//! # Invariants
//!
//! 1. The loop never waits until the master's output is read: the thread does.
//! 2. Nor does a worker: lines that find the queue full are lost, and their number is
//!    written when there is room again.
//! 3. A line is written in one piece.

use std::cell::Cell;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use coreloop_runtime::io::Async;
use rustix::io::ioctl_fionbio;

/// The maximum length of a line. A longer one is broken.
const MAX_LINE: usize = 16 << 10;

/// How many pieces can wait to be written. A piece has the lines of one read.
const QUEUE_LENGTH: usize = 512;

/// How long the end of the program waits until the queue is written.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// The queue in front of a thread that writes.
#[derive(Debug)]
pub(super) struct Sink {
    pieces: SyncSender<Vec<u8>>,
    /// Disconnected when everything is written.
    written: Receiver<()>,
    lost: Cell<u64>,
}

impl Sink {
    /// Starts a thread that writes to the writer that `open` returns.
    pub(super) fn new<W: Write>(
        name: &str,
        open: impl FnOnce() -> W + Send + 'static,
    ) -> io::Result<Rc<Self>> {
        let (pieces, queue) = sync_channel::<Vec<u8>>(QUEUE_LENGTH);
        let (done, written) = sync_channel(0);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _done: SyncSender<()> = done;
                let mut writer = open();
                for piece in queue {
                    // An error could be reported nowhere else.
                    let _ = writer.write_all(&piece);
                    let _ = writer.flush();
                }
            })?;
        Ok(Rc::new(Self {
            pieces,
            written,
            lost: Cell::new(0),
        }))
    }

    /// Queues whole lines to be written.
    pub(super) fn write(&self, lines: Vec<u8>) {
        let count = lines.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let lost = self.lost.take();
        let piece = if lost == 0 {
            lines
        } else {
            let mut piece =
                format!("[{lost} lines were lost here: the output was not read]\n").into_bytes();
            piece.extend_from_slice(&lines);
            piece
        };
        if self.pieces.try_send(piece).is_err() {
            self.lost.set(lost + count);
        }
    }

    /// Waits until everything is written, for a limited time.
    pub(super) fn finish(self) {
        drop(self.pieces);
        let _ = self.written.recv_timeout(FINISH_TIMEOUT);
    }
}

/// Reads the output of a worker, and writes each line after `prefix`.
pub(super) async fn forward(from: OwnedFd, prefix: String, to: Rc<Sink>) -> io::Result<()> {
    ioctl_fionbio(&from, true)?;
    let from = Async::from_owned(from)?;
    let mut lines = Lines::new(prefix);
    let mut buffer = vec![0; MAX_LINE];
    loop {
        let read = from.read_with(|from| Ok(rustix::io::read(from, &mut buffer[..])?));
        let count = read.await?;
        if count == 0 {
            break;
        }
        let whole = lines.push(&buffer[..count]);
        if !whole.is_empty() {
            to.write(whole);
        }
    }
    let rest = lines.finish();
    if !rest.is_empty() {
        to.write(rest);
    }
    Ok(())
}

/// Puts a prefix before each line.
#[derive(Debug)]
struct Lines {
    prefix: Vec<u8>,
    /// The line that has not ended yet.
    begun: Vec<u8>,
}

impl Lines {
    fn new(prefix: String) -> Self {
        Self {
            prefix: prefix.into_bytes(),
            begun: Vec::new(),
        }
    }

    /// Adds bytes, and returns the lines that have ended, with their prefixes.
    fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut whole = Vec::new();
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.begun.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.end_line(&mut whole);
            }
            while self.begun.len() >= MAX_LINE {
                let rest = self.begun.split_off(MAX_LINE);
                self.begun.push(b'\n');
                self.end_line(&mut whole);
                self.begun = rest;
            }
        }
        whole
    }

    /// Returns the last line, if the output ended within it.
    fn finish(&mut self) -> Vec<u8> {
        let mut last = Vec::new();
        if !self.begun.is_empty() {
            self.begun.push(b'\n');
            self.end_line(&mut last);
        }
        last
    }

    fn end_line(&mut self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.prefix);
        to.append(&mut self.begun);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coreloop_test_support::deadline::wait_until;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    fn lines() -> Lines {
        Lines::new("[echo 0] ".to_owned())
    }

    #[test]
    fn each_line_has_the_prefix_once_however_it_comes() {
        let text = b"one\ntwo\n\nfour\n";
        let expected = b"[echo 0] one\n[echo 0] two\n[echo 0] \n[echo 0] four\n";
        for size in 1..=text.len() {
            let mut lines = lines();
            let written: Vec<u8> = text
                .chunks(size)
                .flat_map(|part| lines.push(part))
                .collect();
            assert_eq!(written, expected, "in pieces of {size}");
            assert_eq!(lines.finish(), b"");
        }
    }

    #[test]
    fn a_line_that_its_worker_did_not_end_is_ended() {
        let mut lines = lines();
        assert_eq!(lines.push(b"the end is ne"), b"");
        assert_eq!(lines.finish(), b"[echo 0] the end is ne\n");
    }

    #[test]
    fn a_long_line_is_broken_and_loses_nothing() {
        let mut lines = lines();
        let text = vec![b'x'; 2 * MAX_LINE + 10];
        let mut written = lines.push(&text);
        written.extend(lines.push(b"\n"));
        let pieces: Vec<_> = written.split(|&byte| byte == b'\n').collect();
        let lengths: Vec<_> = pieces.iter().map(|piece| piece.len()).collect();
        assert_eq!(lengths, [MAX_LINE + 9, MAX_LINE + 9, 19, 0]);
        assert!(
            pieces[..3]
                .iter()
                .all(|piece| piece.starts_with(b"[echo 0] x"))
        );
    }

    /// A writer that waits until the lock is free.
    struct Stuck {
        written: Arc<Mutex<Vec<u8>>>,
        is_stuck: Arc<AtomicBool>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.is_stuck.store(true, Ordering::Relaxed);
            self.written.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_for_a_reader_that_is_stuck_are_lost_and_counted() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let stuck = written.lock().unwrap();
        let is_stuck = Arc::new(AtomicBool::new(false));
        let writer = Stuck {
            written: Arc::clone(&written),
            is_stuck: Arc::clone(&is_stuck),
        };
        let sink = Sink::new("test", move || writer).unwrap();
        // The thread takes the first line from the queue, and no other.
        sink.write(b"0\n".to_vec());
        wait_until(|| is_stuck.load(Ordering::Relaxed));
        for line in 1..=QUEUE_LENGTH + 100 {
            sink.write(format!("{line}\n").into_bytes());
        }
        assert_eq!(sink.lost.get(), 100);
        drop(stuck);
        wait_until(|| {
            sink.write(b"next\n".to_vec());
            sink.lost.get() == 0
        });
        Rc::into_inner(sink).unwrap().finish();
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(written.starts_with("0\n1\n2\n"), "{written}");
        assert!(written.contains(" lines were lost here: the output was not read]\nnext\n"));
    }
}
