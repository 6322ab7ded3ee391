//! [`Log`], the form and the destination of the lines of workers and of the master.

mod event_facts;
mod line;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) use event_facts::EventFacts;
pub use line::{LogLine, LogStream};

use super::Supervisor;

/// How many bytes can wait to be written, unless [`Log::queue`] sets another number.
const QUEUE: usize = 1 << 20;

/// The form and the destination of the lines of worker processes and of the master's own
/// events, for [`Supervisor::log`].
///
/// Workers and the master's loop never wait for a log: a thread of the master writes the lines,
/// from a [queue](Log::queue) that is bounded.
///
/// # Lines that cannot be written
///
/// A reader that is slow delays the thread, even if its pipe is in non-blocking mode. Lines that
/// find the queue full are lost, and so are lines whose write fails, for example because the
/// disk is full. They are counted. As soon as lines can be written again, a line in the place of
/// the lost ones states their number and the reason: `[3 lines were lost here: No space left on
/// device]`. A line of which only a part was written is completed first, so lines are not torn.
///
/// # Text
///
/// Each line comes after the name of the program and the slot of the worker in brackets, or
/// after the name and "master": `[echo 0] hello`. Control characters in the name are escaped.
/// The line itself is not changed, so colors pass through.
///
/// # JSON
///
/// Each line becomes a line with an object:
///
/// | key | value |
/// |---|---|
/// | `time` | the time, for example `"2026-01-31T12:00:00.000Z"` |
/// | `program` | the name of the program |
/// | `slot` | the worker's slot; for an event, the slot that it is about, if any |
/// | `pid` | the process that wrote the line |
/// | `stream` | `"stdout"`, `"stderr"`, or `"master"` for an event |
/// | `level` | only for an event: `"info"`, or `"error"` for a failure |
/// | `event` | only for an event: its kind, such as `"ready"` or `"killed"` |
/// | `worker` | only for an event about a worker process: its process id |
/// | `lines` | only for the event `"lost"`: the number of lines that could not be written |
/// | `message` | the text of the line; bytes that are not UTF-8 are replaced by U+FFFD |
/// | `data` | instead of `message`, if the line is itself a JSON object: that object, unchanged |
///
/// So `message` is always a string, and workers that log JSON need not know of the master.
///
/// # Log files and `USR1`
///
/// Files are opened to append, and created with mode 0644 less the umask. The signal `USR1`, the
/// request `reopen` of the control socket and [`Control::reopen`](crate::Control::reopen) open
/// them again, after everything that was read before is written. So a file can be renamed
/// first, as `logrotate` does: each line is in one of both files. If the path cannot be opened,
/// this is reported and the old file stays in use.
///
/// # Examples
///
/// ```no_run
/// use coreloop::process::{Log, Supervisor};
///
/// # fn main() -> std::io::Result<()> {
/// Supervisor::new()
///     .log(Log::json().file("/var/log/echo.log"))
/// #   .run(async |_worker| Ok(()))
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a log does nothing unless a supervisor has it"]
pub struct Log {
    pub(super) form: Form,
    pub(super) has_timestamps: bool,
    pub(super) target: Target,
    pub(super) queue: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
}

pub(super) type LogHook = dyn Fn(&LogLine<'_>) + Send + Sync;

#[derive(Clone)]
pub(super) enum Target {
    /// Each stream of a worker goes to the same stream of the master.
    Streams,
    Stderr,
    /// The file of the standard output, and the file of the standard error and of the events.
    Files(PathBuf, PathBuf),
    Hook(Arc<LogHook>),
}

impl Log {
    /// Creates a log of text, which goes to the standard output and error of the master.
    pub fn text() -> Self {
        Self {
            form: Form::Text,
            has_timestamps: false,
            target: Target::Streams,
            queue: QUEUE,
        }
    }

    /// Creates a log of JSON lines, which go to the standard output and error of the master.
    pub fn json() -> Self {
        Self {
            form: Form::Json,
            ..Self::text()
        }
    }

    /// Sets whether each line of text begins with the time at which the master read it, in UTC
    /// with milliseconds: `2026-01-31T12:00:00.000Z`. JSON lines always have the time.
    pub fn timestamps(mut self, timestamps: bool) -> Self {
        self.has_timestamps = timestamps;
        self
    }

    /// Writes all lines to the standard error of the master.
    pub fn stderr(mut self) -> Self {
        self.target = Target::Stderr;
        self
    }

    /// Writes all lines to the file at `path`, which [`Supervisor::run`] opens. A relative path
    /// starts from the working directory of this call.
    pub fn file(self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        self.files(path, path)
    }

    /// Writes the standard output of the workers to the file at `stdout`, and their standard
    /// error and the master's events to the file at `stderr`.
    pub fn files(mut self, stdout: impl AsRef<Path>, stderr: impl AsRef<Path>) -> Self {
        self.target = Target::Files(absolute(stdout.as_ref()), absolute(stderr.as_ref()));
        self
    }

    /// Passes each line to `hook` instead of writing it.
    ///
    /// The hook is called in the master, on the thread that would write the line. So it may
    /// take its time and block: lines wait in the [queue](Log::queue) meanwhile, and the
    /// workers and the master's loop continue. If it panics, the panic is reported like any other,
    /// and the line counts as lost.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use coreloop::process::{Log, LogStream, Supervisor};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// Supervisor::new()
    ///     .log(Log::text().hook(|line| {
    ///         if line.stream == LogStream::Master && line.is_failure {
    ///             // Send it to the monitoring.
    ///         }
    ///     }))
    /// #   .run(async |_worker| Ok(()))
    /// # }
    /// ```
    pub fn hook(mut self, hook: impl Fn(&LogLine<'_>) + Send + Sync + 'static) -> Self {
        self.target = Target::Hook(Arc::new(hook));
        self
    }

    /// Sets how many bytes of lines can wait to be written, in each of the queues for the
    /// standard output and error, or in the one queue of a file or hook. The default is 1 MiB.
    ///
    /// The memory of the queue itself counts too. Whatever the number, what a worker wrote at
    /// once, up to 16 KiB, finds room in an empty queue.
    pub fn queue(mut self, bytes: usize) -> Self {
        self.queue = bytes;
        self
    }
}

impl Default for Log {
    fn default() -> Self {
        Self::text()
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("form", &self.form)
            .field("timestamps", &self.has_timestamps)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// What the builder has collected about logs.
#[derive(Debug, Default)]
pub(super) struct LogOptions {
    /// `None` if the user has set none.
    pub(super) log: Option<Log>,
    pub(super) is_quiet: bool,
}

impl Supervisor {
    /// Sets the form and the destination of the master's events and of the lines of worker
    /// processes. The default is [`Log::text`].
    ///
    /// With [`WorkerOutput::Inherited`](crate::WorkerOutput::Inherited), and with worker
    /// threads, this is only about the events.
    ///
    /// With the feature `tracing`, each event is also an event of `tracing` with the target
    /// "coreloop". If the master has a subscriber and `log` was not called, the event is not
    /// written as a line too.
    pub fn log(mut self, log: Log) -> Self {
        self.log.log = Some(log);
        self
    }

    /// Sets whether only failures are reported of the master's events, for example that a
    /// worker was killed or that a reload failed, and nothing that went as it should. By
    /// default all are. [`on_event`](Supervisor::on_event) gets all events in any case.
    pub fn quiet(mut self, quiet: bool) -> Self {
        self.log.is_quiet = quiet;
        self
    }
}

/// Makes a path absolute, as the working directory may change until a file is opened again.
fn absolute(path: &Path) -> PathBuf {
    // It fails for an empty path, which cannot be opened either.
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
