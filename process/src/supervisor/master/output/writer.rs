//! [`Writer`], what the thread of a sink does with each entry.

use std::sync::Arc;

use coreloop_runtime::__panics::caught;

use super::destination::{Destination, Unwritten};
use super::entry::{Entry, count_lines};
use super::format::{Format, gap_line, gap_text};
use super::queue::Queue;
use crate::supervisor::log::{LogHook, LogLine};

/// How many bytes of formatted lines are collected before they are written.
const BATCH: usize = 64 << 10;

/// Why a queue that is full loses lines.
const UNREAD: &str = "the output was not read";

/// Passes the lines of entries to a stream, a file or the user's hook.
#[derive(Debug)]
pub(super) enum Writer {
    Bytes(ByteWriter),
    Hook(HookWriter),
}

impl Writer {
    pub(super) fn to(destination: Destination, format: Format) -> Self {
        Self::Bytes(ByteWriter {
            destination,
            format,
            batch: Vec::new(),
            torn: Vec::new(),
            failed: None,
        })
    }

    pub(super) fn hook(hook: Arc<LogHook>, program: &str) -> Self {
        Self::Hook(HookWriter {
            hook,
            program: program.to_owned(),
            panicked: 0,
        })
    }

    pub(super) fn handle(&mut self, entry: Entry, queue: &Queue) {
        match entry {
            Entry::Lines {
                source,
                time,
                lines,
            } => {
                let line = LogLine {
                    slot: Some(source.slot),
                    pid: source.pid,
                    stream: source.stream,
                    ..LogLine::of_master(time)
                };
                for message in lines.split_inclusive(|&byte| byte == b'\n') {
                    let message = message.strip_suffix(b"\n").unwrap_or(message);
                    self.write(&LogLine { message, ..line }, queue);
                }
            }
            Entry::Event(event) => {
                let line = LogLine {
                    slot: event.facts.slot,
                    worker: event.facts.worker,
                    event: Some(event.facts.kind),
                    is_failure: event.facts.is_failure,
                    message: event.text.as_bytes(),
                    ..LogLine::of_master(event.time)
                };
                self.write(&line, queue);
            }
            Entry::Lost(count) => match self {
                Self::Bytes(writer) => writer.failed(count, UNREAD),
                Self::Hook(hook) => hook.lost(count, UNREAD),
            },
            Entry::Reopen(result) => {
                let reopened = match self {
                    Self::Bytes(writer) => writer.reopen(queue),
                    Self::Hook(_) => Ok(()),
                };
                // The master may have ended.
                let _ = result.send(reopened);
            }
        }
        if let Self::Bytes(writer) = self {
            writer.flush(queue);
        }
    }

    /// Completes a torn line and writes the number of lost lines, if that works now.
    pub(super) fn finish(&mut self) {
        match self {
            Self::Bytes(writer) => drop(writer.recover()),
            Self::Hook(hook) => hook.report_panics(),
        }
    }

    fn write(&mut self, line: &LogLine<'_>, queue: &Queue) {
        match self {
            Self::Bytes(writer) => writer.write(line, queue),
            Self::Hook(hook) => hook.write(line, queue),
        }
    }
}

/// Writes bytes to a destination.
#[derive(Debug)]
pub(super) struct ByteWriter {
    destination: Destination,
    format: Format,
    /// Whole lines to be written next.
    batch: Vec<u8>,
    /// The rest of a line whose write failed in the middle.
    torn: Vec<u8>,
    failed: Option<FailedLines>,
}

/// Lines that could not be written, and why the first of them could not.
#[derive(Debug)]
struct FailedLines {
    count: u64,
    why: String,
}

impl ByteWriter {
    fn write(&mut self, line: &LogLine<'_>, queue: &Queue) {
        self.format.line(&mut self.batch, line);
        if self.batch.len() >= BATCH {
            self.flush(queue);
        }
    }

    /// Writes the batch, after what had failed before.
    fn flush(&mut self, queue: &Queue) {
        if self.batch.is_empty() {
            // A number of lost lines may be left to write.
            let _ = self.recover();
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        let written = match self.recover() {
            Ok(()) => self.destination.write_lines(&batch),
            Err(why) => Err(Unwritten { written: 0, why }),
        };
        if let Err(Unwritten { written, why }) = written {
            let mut rest = &batch[written..];
            if written > 0 && batch[written - 1] != b'\n' {
                let end = rest.iter().position(|&byte| byte == b'\n');
                let (torn, others) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
                self.torn = torn.to_owned();
                rest = others;
            }
            let lost = count_lines(rest);
            queue.lost(lost);
            self.failed(lost, &why);
        }
        batch.clear();
        batch.shrink_to(BATCH);
        self.batch = batch;
    }

    /// Completes a torn line, and writes how many lines had failed. An error says why that is
    /// not possible yet.
    fn recover(&mut self) -> Result<(), String> {
        if !self.torn.is_empty() {
            let torn = std::mem::take(&mut self.torn);
            if let Err(unwritten) = self.destination.write_lines(&torn) {
                self.torn = torn[unwritten.written..].to_owned();
                return Err(unwritten.why);
            }
        }
        let Some(failed) = self.failed.take() else {
            return Ok(());
        };
        let mut gap = Vec::new();
        self.format.gap(&mut gap, failed.count, &failed.why);
        let Err(unwritten) = self.destination.write_lines(&gap) else {
            return Ok(());
        };
        if unwritten.written == 0 {
            self.failed = Some(failed);
        } else {
            self.torn = gap[unwritten.written..].to_owned();
        }
        Err(unwritten.why)
    }

    fn failed(&mut self, count: u64, why: &str) {
        match &mut self.failed {
            Some(failed) => failed.count += count,
            None if count > 0 => {
                self.failed = Some(FailedLines {
                    count,
                    why: why.to_owned(),
                });
            }
            None => {}
        }
    }

    /// Opens the file again. If this fails, the old file stays.
    fn reopen(&mut self, queue: &Queue) -> Result<(), String> {
        let Destination::File(file) = &self.destination else {
            return Ok(());
        };
        let file = file.reopened().map_err(|error| error.to_string())?;
        // The last attempt to complete a line in the file in which it begins.
        let recovered = self.recover();
        if let Err(why) = recovered
            && !self.torn.is_empty()
        {
            self.torn.clear();
            queue.lost(1);
            self.failed(1, &why);
        }
        self.destination = Destination::File(file);
        Ok(())
    }
}

/// Calls the user's hook.
pub(super) struct HookWriter {
    hook: Arc<LogHook>,
    program: String,
    /// How many lines the hook has panicked at since it last returned.
    panicked: u64,
}

impl HookWriter {
    fn write(&mut self, line: &LogLine<'_>, queue: &Queue) {
        self.report_panics();
        if self.call(line) {
            self.panicked += 1;
            queue.lost(1);
        }
    }

    fn lost(&mut self, count: u64, why: &str) {
        self.report_panics();
        self.call_with_gap(count, why);
    }

    fn report_panics(&mut self) {
        if self.panicked > 0 && !self.call_with_gap(self.panicked, "the hook panicked") {
            self.panicked = 0;
        }
    }

    /// Returns whether the hook panicked.
    fn call_with_gap(&self, count: u64, why: &str) -> bool {
        self.call(&gap_line(&gap_text(count, why)))
    }

    fn call(&self, line: &LogLine<'_>) -> bool {
        let line = LogLine {
            program: &self.program,
            ..*line
        };
        // The panic hook has reported the panic.
        caught(|| (self.hook)(&line))
    }
}

impl std::fmt::Debug for HookWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HookWriter").finish_non_exhaustive()
    }
}
