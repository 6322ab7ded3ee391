//! The master process: it holds the sockets, and starts and replaces workers.
//!
//! In reading order: [`Supervisor`], the builder; [`role`], which finds out what this
//! process is; [`policy`], when a worker that died is started again; [`fleet`], which
//! decides what to do about each event, and has neither a clock nor I/O; [`master`], the
//! loop that carries the decisions out.

mod activation;
mod bind;
mod bind_every;
mod confinement;
pub(crate) mod control;
mod event;
mod fleet;
mod http;
mod identity;
mod init;
mod log;
mod master;
mod notify;
mod observe;
pub(crate) mod policy;
pub(crate) mod program;
mod replacement;
mod request;
mod role;
mod signals;
mod status;
#[cfg(test)]
mod tests;
mod upgrade;
mod workers;

use std::env;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use confinement::{OpenFiles, Resource};
pub use event::Event;
pub use log::{Log, LogLine, LogStream};
pub use policy::Restarts;
pub use replacement::{NewWorker, Reload};
pub use workers::{WorkerOutput, Workers};

use coreloop_runtime::runtime::Builder;

use crate::sockets::SocketGroup;
use crate::sys;
use crate::worker::{self, Worker};
use confinement::Confinement;
use fleet::Settings;
use identity::Identity;
use log::LogOptions;
use master::{EventHook, Options};
use program::Program;
use replacement::ReplacementOptions;
use role::Role;
use upgrade::Inheritance;

/// The shortest time that a worker may be silent, in which it can still send heartbeats.
const MIN_HEARTBEAT: Duration = Duration::from_millis(10);

/// A supervisor that runs one function in several workers, each a process or thread with its
/// own loop, and keeps them running.
///
/// The process that calls [`run`](Supervisor::run) becomes the master. It binds the
/// sockets, and holds them as long as it lives: connections that are queued for a worker
/// that dies are served by the next worker, and none is lost. The master runs no user code
/// except what `main` does before `run`, the hooks of [`on_event`](Supervisor::on_event) and
/// of a [log](Log::hook), and the [check](Reload::check) of new workers.
///
/// A worker process is this program, started again with the same arguments. So `main` runs
/// in each worker too, up to `run`, which calls the function there and never returns. The
/// code before `run` should be cheap, and should have no effect that is wanted only once;
/// it can ask [`is_worker`](Supervisor::is_worker). The standard input of a worker is
/// empty, and its `argv[0]` is its title, such as "echo: worker 0".
///
/// # Signals to the master
///
/// | signal | effect |
/// |---|---|
/// | `TERM`, `INT`, `QUIT` | after the [delay](Supervisor::drain_delay) workers [drain](Supervisor::drain), and are killed at the deadline; a second signal kills them at once |
/// | `HUP` | workers are replaced, one by one or as [`reload`](Supervisor::reload) sets; each old worker drains when its successor is ready |
/// | `USR1` | log files are [opened again](Log#log-files-and-usr1); each worker process gets `USR1` too |
/// | `USR2` | the program's file is started as a new master, which takes over the sockets |
/// | `TTIN`, `TTOU` | one worker more, one less |
///
/// # No worker outlives its master
///
/// Not even if the master is killed by `kill -9` and the worker is stuck in a loop: on Linux
/// and FreeBSD the kernel kills a worker with its master. Elsewhere the worker's loop
/// notices the end of the master, so a worker that hangs stays. On Linux the worker is tied
/// to its master by [`new`](Supervisor::new), which a worker should call early. A worker
/// whose function changes the user of its process loses the tie, as the kernel removes it;
/// [`user`](Supervisor::user) changes the user without that.
///
/// # Examples
///
/// ```no_run
/// use std::io;
/// use std::time::Duration;
///
/// use coreloop::process::{Supervisor, Workers};
///
/// fn main() -> io::Result<()> {
///     Supervisor::new()
///         .workers(Workers::PerCore)
///         .bind("0.0.0.0:7777")?
///         .drain(Duration::from_secs(10))
///         .run(async |worker| {
///             let listener = worker.listener(0)?;
///             while let Some((mut stream, _)) = listener.accept().await? {
///                 coreloop::spawn(async move { stream.write_all(b"hello\n").await });
///             }
///             Ok(())
///         })
/// }
/// ```
#[must_use = "a supervisor does nothing until `run`"]
pub struct Supervisor {
    role: Role,
    program: io::Result<Program>,
    inheritance: Option<Inheritance>,
    /// Why the sockets of the old master could not be inherited.
    inherit_error: Option<io::Error>,
    name: String,
    workers: Workers,
    is_pinned: Option<bool>,
    settings: Settings,
    max_memory: Option<u64>,
    replacement: ReplacementOptions,
    control: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    output: WorkerOutput,
    log: LogOptions,
    on_event: Option<EventHook>,
    identity: Identity,
    runtime: fn() -> Builder,
    confinement: Confinement,
    /// Empty in a worker, which gets its sockets from the master.
    groups: Vec<SocketGroup>,
    /// The socket of [`observe`](Self::observe).
    observer: Option<SocketGroup>,
}

impl Supervisor {
    /// Creates a supervisor with one worker for each core.
    ///
    /// Should be called early in `main`: the program's path, its arguments and its working
    /// directory are remembered as they are now, for workers and upgrades.
    ///
    /// Signals that are blocked in this thread are unblocked, because a process inherits the
    /// mask of its parent, and a master whose signals are blocked could not be stopped. Children
    /// and workers inherit that no signal is blocked.
    ///
    /// In process 1, as in a container, this does not return: it starts the program again
    /// as a child, and does the duties of process 1 in this process. Nor does it return in
    /// a worker whose master has ended: it ends the process.
    pub fn new() -> Self {
        // This fails on no system.
        let _ = sys::unblock_signals();
        let program = Program::of_this_process();
        if init::is_needed()
            && let Ok(program) = &program
        {
            init::run(program);
        }
        let role = Role::find();
        // An error here changes nothing: `run` reports that a worker has no master.
        let _ = match role {
            Role::Worker => worker::attach(),
            Role::Successor | Role::Master => activation::keep_from_children(),
        };
        let inherited = match role {
            Role::Successor => upgrade::inherit(),
            Role::Master | Role::Worker => Ok(None),
        };
        let (inheritance, inherit_error) = match inherited {
            Ok(inheritance) => (inheritance, None),
            Err(error) => (None, Some(error)),
        };
        Self {
            role,
            program,
            inheritance,
            inherit_error,
            name: program_name(),
            workers: Workers::PerCore,
            is_pinned: None,
            settings: Settings {
                drain: Duration::from_secs(10),
                heartbeat: Some(Duration::from_secs(10)),
                startup: Duration::from_secs(30),
                restarts: Restarts::new(),
                max_age: None,
                replacement: fleet::ReplacementSettings::default(),
                drain_delay: Duration::ZERO,
                can_kill: true,
            },
            max_memory: None,
            replacement: ReplacementOptions::default(),
            control: None,
            pid_file: None,
            output: WorkerOutput::default(),
            log: LogOptions::default(),
            on_event: None,
            identity: Identity::default(),
            runtime: Builder::new,
            confinement: Confinement::default(),
            groups: Vec::new(),
            observer: None,
        }
    }

    /// Sets the name that appears in reports, in process titles and before lines of
    /// output, where control characters are escaped. The default is the name of the program's
    /// file.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets how many workers there are, and of what kind.
    pub fn workers(mut self, workers: Workers) -> Self {
        self.workers = workers;
        self
    }

    /// Sets whether each worker is pinned to one of the cores that this process may use,
    /// on Linux and FreeBSD. By default, only the workers of [`Workers::PerCore`] are, and only
    /// if there is one for each core.
    pub fn pin(mut self, pin: bool) -> Self {
        self.is_pinned = Some(pin);
        self
    }

    /// Sets how long the connections of a draining worker may stay open; ten seconds by
    /// default.
    ///
    /// A draining worker accepts no more connections, and ends as soon as its last one is
    /// closed. At the deadline it ends anyway, and half a second later it is killed. A
    /// worker thread cannot be killed, and then runs until the program ends. A time that
    /// the clock cannot count to, such as `Duration::MAX`, sets no deadline. With zero, the
    /// open connections are cut off.
    ///
    /// Queued connections are left to the next worker. When the whole program ends there
    /// is no next worker: connections that were not accepted by then are reset. To replace
    /// the program without that, upgrade it with `USR2`; before it ends for good, direct
    /// new connections elsewhere.
    pub fn drain(mut self, time: Duration) -> Self {
        self.settings.drain = time;
        self
    }

    /// Sets after how much silence a worker is killed and replaced, because it is stuck in
    /// a loop or was stopped. Ten seconds by default; with `None`, zero or `Duration::MAX` it
    /// never is. Less than ten milliseconds count as ten milliseconds.
    ///
    /// In that time each worker sends four heartbeats from its loop. When one has not come by
    /// the time of the next, another worker begins to accept from the TCP and Unix sockets of
    /// the silent worker too, until that worker is heard again or is replaced. So a new
    /// connection waits half of this time at most. An idle program has no other wake-ups.
    pub fn heartbeat(mut self, silence: impl Into<Option<Duration>>) -> Self {
        let silence = silence.into().filter(|silence| !silence.is_zero());
        self.settings.heartbeat = silence.map(|silence| silence.max(MIN_HEARTBEAT));
        self
    }

    /// Sets how often and how soon workers that died are started again.
    pub fn restarts(mut self, restarts: Restarts) -> Self {
        self.settings.restarts = restarts;
        self
    }

    /// Sets after how much time a worker that is not ready is killed, and an upgrade whose
    /// new program does not serve is given up; 30 seconds by default. With zero or
    /// `Duration::MAX` there is no limit.
    pub fn startup(mut self, time: Duration) -> Self {
        self.settings.startup = if time.is_zero() { Duration::MAX } else { time };
        self
    }

    /// Replaces each worker when it has served for `age`, or up to a tenth less, so that
    /// the workers are not all replaced at once. As with a reload, no connection is lost.
    /// With zero or `Duration::MAX`, no worker is replaced for its age.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.settings.max_age = Some(age).filter(|age| !age.is_zero());
        self
    }

    /// Replaces a worker process that has more than this many bytes of resident memory, as
    /// a reload does. A worker that drains, and in that time has come to more than twice as
    /// much, is killed. The memory is checked every five seconds, on Linux only. With zero,
    /// no worker is replaced for its memory.
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.max_memory = Some(bytes).filter(|&bytes| bytes > 0);
        self
    }

    /// Creates a Unix socket at `path`, accessible to its owner only, over which
    /// [`Control`](control::Control) sends requests to the master.
    pub fn control(mut self, path: impl Into<PathBuf>) -> Self {
        self.control = Some(path.into());
        self
    }

    /// Writes the process id of the master to `path`, for as long as the master runs.
    pub fn pid_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.pid_file = Some(path.into());
        self
    }

    /// Sets where the standard output and error of worker processes go.
    pub fn output(mut self, output: WorkerOutput) -> Self {
        self.output = output;
        self
    }

    /// Calls `hook` in the master for each [`Event`]. It is called on the master's loop, so
    /// it must not block. If it panics, the panic is reported like any other, and the
    /// master continues.
    pub fn on_event(mut self, hook: impl Fn(&Event) + 'static) -> Self {
        self.on_event = Some(Box::new(hook));
        self
    }

    /// Sets the builder that creates the runtime of each worker; [`Builder::new`] by
    /// default. The master creates its own runtime.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use coreloop::process::Supervisor;
    /// use coreloop::runtime::Builder;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// Supervisor::new()
    ///     .runtime(|| Builder::new().max_blocking_threads(4))
    ///     .run(async |_worker| Ok(()))
    /// # }
    /// ```
    pub fn runtime(mut self, builder: fn() -> Builder) -> Self {
        self.runtime = builder;
        self
    }

    /// Returns whether this process is a worker, in which [`run`](Supervisor::run) calls
    /// the function.
    #[must_use]
    pub fn is_worker(&self) -> bool {
        self.role == Role::Worker
    }

    /// Returns the address that the socket of this number is bound to, with the port that
    /// the system chose for port 0; of several addresses of
    /// [`bind_every`](Supervisor::bind_every), the first. `None` for Unix sockets, and in a
    /// worker, which gets its sockets only when its function runs.
    #[must_use]
    pub fn local_addr(&self, number: usize) -> Option<SocketAddr> {
        let mut groups = self.groups.iter();
        let first = groups.find(|group| group.number() == number)?;
        first.local_addr().ok()
    }

    /// Runs `function` in every worker, until a signal or a control request stops the
    /// program and all workers have ended.
    ///
    /// In a worker process this calls the function and then ends the process: with status
    /// 0, with 1 if the function returned an error, with 101 if it panicked.
    ///
    /// # Errors
    ///
    /// Returns an error if the master cannot start, for example because the control socket
    /// is in use; or if no worker ever became ready (see [`Restarts::max_failed_starts`]).
    ///
    /// # Panics
    ///
    /// Panics in a runtime, because it creates one.
    pub fn run<F>(mut self, function: F) -> io::Result<()>
    where
        F: AsyncFn(Worker) -> io::Result<()> + Send + Sync + 'static,
    {
        if self.is_worker() {
            let confinement = self.confinement;
            worker::run_process(self.runtime, || confinement.prepare_worker(), function);
        }
        if let Some(error) = self.inherit_error {
            return Err(error);
        }
        if let Some(inheritance) = &mut self.inheritance {
            inheritance.close_unclaimed();
        }
        let kind = self.workers.kind();
        self.settings.can_kill = kind == workers::WorkerKind::Processes;
        self.settings.replacement = self.replacement.reload.settings();
        let count = self.workers.count();
        let has_cores = || self.workers.is_pinned(count, sys::allowed_cores().len());
        let program = self.program.and_then(|mut program| {
            self.identity.apply(&mut program)?;
            Ok(program)
        });
        if let (Err(error), Some(inheritance)) = (&program, &self.inheritance) {
            inheritance.failed(error);
        }
        let options = Options {
            program: program?,
            name: self.name,
            has_title: self.identity.has_title,
            kind,
            count,
            is_pinned: self.is_pinned.unwrap_or_else(has_cores),
            settings: self.settings,
            max_memory: self.max_memory,
            replacement: self.replacement,
            control: self.control,
            pid_file: self.pid_file,
            output: self.output,
            log: self.log,
            on_event: self.on_event,
            runtime: self.runtime,
            confinement: self.confinement,
            observer: self.observer,
        };
        master::run(options, self.groups, self.inheritance, function)
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("role", &self.role)
            .field("name", &self.name)
            .field("workers", &self.workers)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

fn program_name() -> String {
    let path = env::current_exe().ok().map(program::without_mark);
    let name = path.as_deref().and_then(|path| path.file_stem());
    name.map_or_else(
        || "coreloop".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}
