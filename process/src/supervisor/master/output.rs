//! The output of workers and the reports of the master: [`Sink`], a thread that
//! writes to the standard output or error, and [`forward`], a task that reads a
//! worker's.
//!
//! 1. The loop never waits for whoever reads the master's output: a thread does.
//! 2. A worker never waits for it either: what finds the queue full is lost, and
//!    the number of lines that were is written when there is room again.
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

/// A longer line is broken.
const LONGEST_LINE: usize = 16 << 10;

/// How many pieces wait to be written; each is what one read gave.
const WAITING: usize = 512;

/// How long the end of the program waits for the last of them.
const PATIENCE: Duration = Duration::from_secs(1);

/// The queue in front of a thread that writes.
#[derive(Debug)]
pub(super) struct Sink {
    pieces: SyncSender<Vec<u8>>,
    /// Disconnected when all is written.
    written: Receiver<()>,
    lost: Cell<u64>,
}

impl Sink {
    /// Starts a thread that writes to what `open` gives.
    pub(super) fn new<W: Write>(
        name: &str,
        open: impl FnOnce() -> W + Send + 'static,
    ) -> io::Result<Rc<Sink>> {
        let (pieces, queue) = sync_channel::<Vec<u8>>(WAITING);
        let (done, written) = sync_channel(0);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _done: SyncSender<()> = done;
                let mut writer = open();
                for piece in queue {
                    // Nobody is left to hear of it.
                    let _ = writer.write_all(&piece);
                    let _ = writer.flush();
                }
            })?;
        Ok(Rc::new(Sink {
            pieces,
            written,
            lost: Cell::new(0),
        }))
    }

    /// Has whole lines written.
    pub(super) fn write(&self, lines: Vec<u8>) {
        let count = lines.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let lost = self.lost.take();
        let piece = if lost == 0 {
            lines
        } else {
            let mut piece =
                format!("[{lost} lines were lost here: nobody read them]\n").into_bytes();
            piece.extend_from_slice(&lines);
            piece
        };
        if self.pieces.try_send(piece).is_err() {
            self.lost.set(lost + count);
        }
    }

    /// Waits until all is written, but not for ever.
    pub(super) fn finish(self) {
        drop(self.pieces);
        let _ = self.written.recv_timeout(PATIENCE);
    }
}

/// Reads what a worker writes, and writes each line behind `prefix`.
pub(super) async fn forward(from: OwnedFd, prefix: String, to: Rc<Sink>) -> io::Result<()> {
    ioctl_fionbio(&from, true)?;
    let from = Async::from_owned(from)?;
    let mut lines = Lines::new(prefix);
    let mut buffer = vec![0; LONGEST_LINE];
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
    /// A line that has not ended.
    begun: Vec<u8>,
}

impl Lines {
    fn new(prefix: String) -> Lines {
        Lines {
            prefix: prefix.into_bytes(),
            begun: Vec::new(),
        }
    }

    /// Answers the lines that ended, with their prefixes.
    fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut whole = Vec::new();
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.begun.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.end_line(&mut whole);
            }
            while self.begun.len() >= LONGEST_LINE {
                let rest = self.begun.split_off(LONGEST_LINE);
                self.begun.push(b'\n');
                self.end_line(&mut whole);
                self.begun = rest;
            }
        }
        whole
    }

    /// Answers the line that will not end any more.
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
        let text = vec![b'x'; 2 * LONGEST_LINE + 10];
        let mut written = lines.push(&text);
        written.extend(lines.push(b"\n"));
        let pieces: Vec<_> = written.split(|&byte| byte == b'\n').collect();
        let lengths: Vec<_> = pieces.iter().map(|piece| piece.len()).collect();
        assert_eq!(lengths, [LONGEST_LINE + 9, LONGEST_LINE + 9, 19, 0]);
        assert!(
            pieces[..3]
                .iter()
                .all(|piece| piece.starts_with(b"[echo 0] x"))
        );
    }

    /// Takes nothing before the lock is free.
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
    fn a_reader_that_is_stuck_costs_lines_and_is_told_how_many() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let stuck = written.lock().unwrap();
        let is_stuck = Arc::new(AtomicBool::new(false));
        let writer = Stuck {
            written: Arc::clone(&written),
            is_stuck: Arc::clone(&is_stuck),
        };
        let sink = Sink::new("test", move || writer).unwrap();
        // The thread takes the first one from the queue, and then none.
        sink.write(b"0\n".to_vec());
        wait_until(|| is_stuck.load(Ordering::Relaxed));
        for line in 1..=WAITING + 100 {
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
        assert!(written.contains(" lines were lost here: nobody read them]\nnext\n"));
    }
}
