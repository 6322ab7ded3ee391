//! The output of the workers and the events of the master, on their way to the log.
//!
//! ```text
//!   a worker's pipe ─▶ forward ─▶ lines ─┐                  ┌─▶ format ─▶ destination
//!                                        ├─▶ sink ─▶ queue ─┤   (a stream or a file)
//!   an event of the master ──────────────┘                  └─▶ the user's hook
//!          on the loop of the master      │                     on the thread of the sink
//! ```
//!
//! In reading order: [`Outputs`], the sinks of a master; [`forward`], a task that reads a
//! worker's pipe; [`lines`], which finds the lines in it; [`entry`] and [`queue`], what waits to
//! be written; [`sink`], the queue with its thread; [`writer`], what the thread does;
//! [`format`], the form of a line; [`destination`], where it is written.
//!
//! # Invariants
//!
//! 1. The loop never waits until a log is written: the thread does.
//! 2. Nor does a worker: lines that find the queue full are lost, and are counted. The memory of
//!    the queue is bounded in bytes.
//! 3. Lines whose write fails are lost, and are counted too. The number is written in the place
//!    of the lost lines, when there is room again or when writing works again.
//! 4. A line is never torn. The rest of a line whose write failed in the middle is kept, and
//!    written before anything else.
//! 5. A worker that has ended keeps nothing open: its pipes are closed when the processes that
//!    it has left have had [`forward::DRAIN`] to write to them.

mod destination;
mod entry;
mod format;
mod forward;
mod lines;
mod queue;
mod sink;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;
use std::time::SystemTime;

use signal_hook::consts::SIGXFSZ;

use self::destination::{Destination, LogFile};
pub(super) use self::entry::Source;
use self::entry::{Entry, EventEntry};
use self::format::Format;
pub(super) use self::forward::{PipeLife, forward};
pub(super) use self::sink::Sink;
use self::writer::Writer;
use crate::supervisor::event::Event;
use crate::supervisor::log::{EventFacts, LogOptions, LogStream, Target};

/// The sinks of a master.
#[derive(Debug)]
pub(super) struct Outputs {
    /// `None` if workers inherit the standard output, or are threads.
    stdout: Option<Rc<Sink>>,
    /// For the events too.
    stderr: Rc<Sink>,
    is_quiet: bool,
    /// Whether events are only for the subscriber of `tracing`, if there is one.
    #[cfg(feature = "tracing")]
    prefers_tracing: bool,
}

impl Outputs {
    /// Opens the log, and starts the threads that write it.
    pub(super) fn open(options: LogOptions, name: &str, reads_workers: bool) -> io::Result<Self> {
        // The default action would kill the master when a log reaches the limit of a file's
        // size. A handler, because children would inherit that the signal is ignored.
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        #[cfg(feature = "tracing")]
        let prefers_tracing = options.log.is_none();
        let log = options.log.unwrap_or_default();
        let start = |thread: &str, destination| {
            let format = Format::new(log.form, log.has_timestamps, name);
            Sink::start(thread, Writer::to(destination, format), log.queue)
        };
        let (stdout, stderr) = match &log.target {
            Target::Streams => {
                let stderr = start("stderr", Destination::Stderr)?;
                let stdout = reads_workers.then(|| start("stdout", Destination::Stdout));
                (stdout.transpose()?, stderr)
            }
            Target::Stderr => shared(start("stderr", Destination::Stderr)?, reads_workers),
            Target::Files(stdout, stderr) if stdout == stderr || !reads_workers => {
                let file = LogFile::open(stderr)?;
                shared(start("log", Destination::File(file))?, reads_workers)
            }
            Target::Files(stdout, stderr) => {
                let (stdout, stderr) = (LogFile::open(stdout)?, LogFile::open(stderr)?);
                let stdout = start("stdout log", Destination::File(stdout))?;
                let stderr = start("stderr log", Destination::File(stderr))?;
                (Some(stdout), stderr)
            }
            Target::Hook(hook) => {
                let writer = Writer::hook(Arc::clone(hook), name);
                shared(Sink::start("log", writer, log.queue)?, reads_workers)
            }
        };
        Ok(Self {
            stdout,
            stderr,
            is_quiet: options.is_quiet,
            #[cfg(feature = "tracing")]
            prefers_tracing,
        })
    }

    /// Returns the sink of a stream of the workers; `None` if they inherit it.
    pub(super) fn of_workers(&self, stream: LogStream) -> Option<Rc<Sink>> {
        let stdout = self.stdout.as_ref()?;
        Some(Rc::clone(match stream {
            LogStream::Stdout => stdout,
            LogStream::Stderr | LogStream::Master => &self.stderr,
        }))
    }

    /// Reports an event of the master.
    pub(super) fn report(&self, event: &Event) {
        let facts = EventFacts::of(event);
        if !event.is_news() || (self.is_quiet && !facts.is_failure) {
            return;
        }
        #[cfg(feature = "tracing")]
        if trace(event, facts) && self.prefers_tracing {
            return;
        }
        self.stderr.write(Entry::Event(Box::new(EventEntry {
            time: SystemTime::now(),
            facts,
            text: event.to_string(),
        })));
    }

    /// Opens all files again, after everything that is queued. Each receiver gets a result.
    pub(super) fn reopen(&self) -> Vec<Receiver<Result<(), String>>> {
        self.sinks().map(Sink::reopen).collect()
    }

    /// Returns how many lines were lost since the master has started, for whichever reason.
    pub(super) fn lost_lines(&self) -> u64 {
        self.sinks().map(Sink::lost_lines).sum()
    }

    /// Waits until everything is written, for a limited time.
    pub(super) fn finish(self) {
        for sink in self.stdout.into_iter().chain([self.stderr]) {
            if let Some(sink) = Rc::into_inner(sink) {
                sink.finish();
            }
        }
    }

    /// Returns each sink once.
    fn sinks(&self) -> impl Iterator<Item = &Sink> {
        let stdout = self.stdout.as_ref();
        let other = stdout.filter(|stdout| !Rc::ptr_eq(stdout, &self.stderr));
        other.into_iter().chain([&self.stderr]).map(Rc::as_ref)
    }
}

/// Returns one sink for both streams.
fn shared(sink: Rc<Sink>, reads_workers: bool) -> (Option<Rc<Sink>>, Rc<Sink>) {
    (reads_workers.then(|| Rc::clone(&sink)), sink)
}

/// Passes an event to `tracing`, and returns whether there is a subscriber.
#[cfg(feature = "tracing")]
fn trace(event: &Event, facts: EventFacts) -> bool {
    use tracing::subscriber::NoSubscriber;

    let EventFacts {
        kind,
        slot,
        worker,
        is_failure,
    } = facts;
    // A subscriber is user code, and must not end the workers.
    coreloop_runtime::__panics::caught(|| {
        if is_failure {
            tracing::error!(target: "coreloop", event = kind, slot, worker, "{event}");
        } else {
            tracing::info!(target: "coreloop", event = kind, slot, worker, "{event}");
        }
    });
    tracing::dispatcher::get_default(|dispatch| !dispatch.is::<NoSubscriber>())
}
